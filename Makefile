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

.PHONY: demo test lint types check install clean

demo: $(VENV)/.installed
	@$(BIN)/imgq demo $(if $(DIR),--dir "$(DIR)") $(if $(QUERY),--query "$(QUERY)")

test: $(VENV)/.tested
	$(BIN)/pytest -n $(WORKERS) $(TESTS)

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tested
	$(BIN)/mypy

check: lint types test

install: $(VENV)/.installed

# The venv is made anew where the project's needs have changed.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[daemon]'
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache dist
