# Two commands do everything on a machine that has Python, make and a package registry:
#
#   make demo     installs what is needed, and shows the whole thing on a sample library
#   make test     installs what is needed, and runs the tests
#
# Either may come first. `make demo DIR=~/Pictures QUERY="red car"` does it on your own pictures.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: demo test lint types check bench man install clean

demo: $(VENV)/.installed
	@$(BIN)/imgq demo $(if $(DIR),--dir "$(DIR)") $(if $(QUERY),--query "$(QUERY)")

test: $(VENV)/.tested
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(TESTS)

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tested
	$(BIN)/mypy

check: lint types test

# Minutes, on a machine with nothing else to do: tables to build/bench.
bench: $(VENV)/.benched
	mkdir -p build/bench
	$(BIN)/python -m benchmarks.search --pictures 10000 100000 1000000 --out build/bench

# The manual pages that the wheel ships, out of what the commands say.
man: $(VENV)/.installed
	$(BIN)/python -m imgq.cli.manpage docs/man

install: $(VENV)/.installed

# The venv is made anew where the project's needs have changed.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[daemon]'
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.benched: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache dist
