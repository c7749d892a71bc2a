# The workflow, target by target. `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(VENV)/.dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about a minute, once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[sklearn,dev]'
	@touch $@

install: $(VENV)/.dev ## the package, its extras and the development tools, in .venv

test: $(VENV)/.dev ## the test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Lambda's Python: on PATH if it runs there, else under pyenv.
LAMBDA_PYTHON ?= $(shell for python in python3.13 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.13.*/bin/python3.13; do \
	$$python -c '' 2>/dev/null && echo $$python && break; done)
VENV313 := .venv313

$(VENV313)/.dev: pyproject.toml
	@test -n "$(LAMBDA_PYTHON)" || { echo "no Python 3.13 on PATH or under pyenv: install one, or set LAMBDA_PYTHON" >&2; exit 1; }
	@test -x $(VENV313)/bin/python || $(LAMBDA_PYTHON) -m venv $(VENV313)
	@echo "installing into $(VENV313) (about a minute, once)" >&2
	@$(VENV313)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[sklearn,dev]'
	@touch $@

test-lambda-python: $(VENV313)/.dev ## the fast tests under Python 3.13, which is Lambda's
	$(VENV313)/bin/python -m pytest -n 2 --dist worksteal -m "not toolchain and not slow"

bench: $(VENV313)/.dev build ## measure the budget table: docs/performance.md and build/bench.json
	$(VENV313)/bin/python -m compileall -q layers/core/python functions
	$(VENV313)/bin/python tests/bench/run.py

check: $(VENV)/.dev ## ruff, mypy, import contracts, template lint, docs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/.dev ## regenerate docs/cli.md, docs/errors.md and docs/settings.md
	$(BIN)/python docs/generate.py

.PHONY: help install test test-lambda-python check docs bench
