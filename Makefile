# The workflow, target by target. `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(VENV)/.dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about a minute, once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[sklearn,dev]'
	@touch $@

install: $(VENV)/.dev ## the package, its extras and the development tools, in .venv

test: $(VENV)/.dev ## the test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.dev ## ruff, mypy, import contracts, template lint, docs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: help install test check
