# The only list of commands; CI calls the same ones. A bare `make` explains them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ARGS ?=
# Tests wait a third of their time, for browsers and workers: one process more than cores, four at most.
PROCESSES ?= $(shell cores=$$(nproc); echo $$((cores < 4 ? cores + 1 : 4)))
# Processes that each compute on every core wait for each other, and spin while they do.
ONE_THREAD := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

export PIP_DISABLE_PIP_VERSION_CHECK := 1

##@ Use
.PHONY: demo
demo: $(INSTALLED) ## Run the main job once, end to end, on rendered photos (ARGS="--pack ZIP" for yours)
	$(BIN)/kizu demo $(ARGS)

.PHONY: up
up: $(INSTALLED) ## Run Kizu on this machine: database, broker, API, workers; Ctrl-C stops it
	$(BIN)/kizu up $(ARGS)

##@ Check
.PHONY: test
test: $(INSTALLED) ## Run the tests (minutes); installs a browser and a Japanese font where missing
	$(BIN)/python -m scripts.test_tools
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m "not slow" $(ARGS)

.PHONY: test-all
test-all: $(INSTALLED) ## Run every test, the slow ones too
	$(BIN)/python -m scripts.test_tools
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## Check style, format and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

.PHONY: types
types: $(INSTALLED) ## Check types (mypy, strict)
	$(BIN)/mypy

##@ Work on Kizu
.PHONY: format
format: $(INSTALLED) ## Format the sources and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(INSTALLED) ## Measure speed and memory
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: docs
docs: $(INSTALLED) ## Build the documentation into site/
	$(BIN)/zensical build --clean

.PHONY: reference
reference: $(INSTALLED) ## Write the reference pages of settings and commands from the sources
	$(BIN)/python -m scripts.reference

.PHONY: install
install: $(INSTALLED) ## Make .venv with everything the other commands need

.PHONY: lock
lock: ## Pin all dependencies anew in requirements.lock (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras \
		--no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock

.PHONY: clean
clean: ## Remove what commands made: .venv, caches, the demo's data (never ./kizu-data)
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		build dist site demo-data demo-report.html demo.json kizu.egg-info

.PHONY: help
help: ## List these commands
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is written last: an interrupted installation is done again, a finished one is free.
$(INSTALLED): requirements.lock pyproject.toml
	python="$$(scripts/find-python.sh)"; \
	"$$python" scripts/preflight.py --venv $(VENV); \
	"$$python" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-virtualenv -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@
