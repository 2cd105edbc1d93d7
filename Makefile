# Two commands do everything on a machine that has Python, make and a package registry:
#
#   make demo     installs what is needed, and shows the whole thing on a sample library
#   make test     installs what is needed, and runs the tests
#
# Either may come first. `make demo DIR=~/Pictures QUERY="red car"` does it on your own pictures.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More than two cores have: most of a test is waiting.
WORKERS ?= 3

LOCK := .ci/requirements.lock
# Of what a checkout installs, and of what builds it, the locked versions and no others.
INSTALL := PIP_CONSTRAINT=$(LOCK) PIP_BUILD_CONSTRAINT=$(LOCK) \
	$(BIN)/pip install --quiet --disable-pip-version-check

# Processes are started by the hundred: without it each compiles all of the program anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types check bench bench-full docs release lock audit man install clean

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

# Minutes, on a machine with nothing else to do: tables to build/bench. With PHOTOS=DIR, a folder of JPEGs, also
# how fast pictures come into the index.
bench: $(VENV)/.benched
	mkdir -p build/bench
	$(BIN)/python -m benchmarks.search --pictures 10000 100000 1000000 --out build/bench
	$(BIN)/python -m benchmarks.queries --out build/bench
	$(BIN)/python -m benchmarks.client --out build/bench
	$(if $(PHOTOS),$(BIN)/python -m benchmarks.indexing "$(PHOTOS)" --pictures 100 --out build/bench)
	$(if $(PHOTOS),$(BIN)/python -m benchmarks.indexing "$(PHOTOS)" --pictures 50 --megapixels 12 --out build/bench)

# An hour, and 10 GB of disk: also how freshly a file is found, and what up to a million files cost, with ten
# million simulated.
bench-full: bench
	$(BIN)/python -m benchmarks.freshness --out build/bench
	$(BIN)/python -m benchmarks.search --batch --pictures 10000
	$(BIN)/python -m benchmarks.search_start --pictures 100000 1000000 --folder build/bench/start
	$(BIN)/python -m benchmarks.growth --simulated 10000000 --folder build/bench/growth --out build/bench
	$(BIN)/python -m benchmarks.million --folder build/bench/growth/1000000 --out build/bench
	$(BIN)/python -m benchmarks.decoding
	$(BIN)/python -m benchmarks.hostile

# The pages of docs/ as a site, with the reference out of the source, in build/site.
docs: $(VENV)/.tested
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file .ci/site/mkdocs.yml \
		--site-dir "$(CURDIR)/build/site"

# Wheel and sdist in build/dist, held against what they should be; uploads nothing, and says what is left to do.
release: $(VENV)/.tested
	$(BIN)/python .ci/release.py build/dist

# The manual pages that the wheel ships, out of what the commands say.
man: $(VENV)/.installed
	$(BIN)/python -m imgq.cli.manpage docs/man

# The latest versions that go together, for every extra; look at the difference before you commit it.
lock: $(VENV)/.locking
	$(BIN)/uv pip compile --quiet --universal --upgrade --all-extras --python-version 3.11 \
		--no-annotate --custom-compile-command "make lock" pyproject.toml -o $(LOCK)

# Whether anything is known against the locked versions.
audit: $(VENV)/.locking
	@$(BIN)/python .ci/audit.py $(LOCK)

install: $(VENV)/.installed

# The venv is made anew where the project's needs have changed.
$(VENV)/.installed: pyproject.toml $(LOCK)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[daemon]'
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(INSTALL) -e '.[test]'
	@touch $@

$(VENV)/.benched: $(VENV)/.installed
	$(INSTALL) -e '.[bench]'
	@touch $@

# By themselves: where pyproject.toml wants other versions than the locked ones, nothing else can be installed.
$(VENV)/.locking:
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) pip-audit uv
	@touch $@

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache dist
