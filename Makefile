# make run     boot the machine and show it at work
# make test    fetch what the tests need, and run them; PYTEST_ARGS="-k fork" selects
# make lint    ruff, mypy --strict, and the direction of imports
# make bench   measure; BENCH_ARGS goes to it
# make clean   remove everything that make made
#
# Each target sets up what it needs. "setup" and "programs" do only that.

# The interpreter that makes the virtual environment: 3.11 or newer.
PYTHON ?= python3

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
PIP := $(VENV_PYTHON) -m pip --disable-pip-version-check --quiet
STAMP := $(VENV)/.stamp

PYTEST_ARGS ?=
BENCH_ARGS ?=

.DELETE_ON_ERROR:
.PHONY: setup programs run test lint bench clean

setup: $(STAMP)

# The stamp says where the environment was made: one that came along with a
# copied checkout still imports the original, so it is made again.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "make: '$(PYTHON)' is not Python 3.11 or newer; say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "make: '$(PYTHON)' lacks ensurepip (Debian: apt install python3-venv)" >&2; exit 1; }
	@test "$$(cat $@ 2>/dev/null)" = "$(CURDIR)" || \
	    { echo "$(PYTHON) -m venv $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	$(PIP) install --upgrade "pip>=25.1"
	$(PIP) install --editable . --group dev
	@echo "$(CURDIR)" > $@

programs:
	@$(PYTHON) tests/programs/fetch.py

run: setup
	@$(VENV_PYTHON) -m ringlet demo

test: setup programs
	$(VENV_PYTHON) -m pytest -n auto $(PYTEST_ARGS)

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV_PYTHON) -m mypy --strict
	$(VENV)/bin/lint-imports

bench: setup
	@$(VENV_PYTHON) -m bench $(BENCH_ARGS)

clean:
	rm -rf build dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
