# What a person types. Needs Python 3.11 or later and make; everything else is installed into .venv from uv.lock.
#
# SCORING_HOME (default: var/ here) holds all state. PYTHON names the interpreter to build .venv with.

BIN := .venv/bin
STAMP := .venv/.installed

ifeq ($(SCORING_HOME),)
override SCORING_HOME := $(CURDIR)/var
endif
# A relative home would mean another folder in every process that Dagster starts elsewhere.
ifeq ($(filter /%,$(SCORING_HOME)),)
override SCORING_HOME := $(CURDIR)/$(SCORING_HOME)
endif
ifeq ($(DAGSTER_HOME),)
override DAGSTER_HOME := $(CURDIR)
endif
export SCORING_HOME DAGSTER_HOME
export SCORING_DAGSTER_STORAGE := $(SCORING_HOME)/dagster

# Another active environment must not become the one that is filled.
unexport VIRTUAL_ENV
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo ui test lint bench drill docs lock clean
.DEFAULT_GOAL := help

help: ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

setup: $(STAMP) ## Install the locked dependencies into .venv

demo: $(STAMP) ## Run the daily job end to end on the sandbox company and say where the report is
	$(BIN)/scoring-platform demo

ui: $(STAMP) ## Start the Dagster UI, its daemon and the sandbox company
	$(BIN)/scoring-platform up

test: $(STAMP) ## Run the tests (PYTEST_ARGS for more)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

drill: $(STAMP) ## Run the long fault tests
	@$(BIN)/python -m pytest -m drill --timeout 1800 $(PYTEST_ARGS) || { code=$$?; \
	  if [ $$code -eq 5 ]; then echo "There are no drills yet."; else exit $$code; fi; }

lint: $(STAMP) ## Check style, formatting, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## Measure identities, an extract, models, CRM limits, days of large shops (BENCH_ARGS="--customers 200000" for the day)
	$(BIN)/python -m benchmarks.identities
	$(BIN)/python -m benchmarks.extract
	$(BIN)/python -m benchmarks.models
	$(BIN)/python -m benchmarks.crm
	$(BIN)/python -m benchmarks.daily $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.scale

docs: $(STAMP) ## Write docs/configuration.md, docs/tables.md and docs/segments.md from the code
	$(BIN)/python -m scoring_platform.reference docs

# Not after setup: setup wants a lock that fits, which is what this makes.
lock: ## Lock the dependencies anew after a change in pyproject.toml (after a first setup)
	$(BIN)/uv lock
	$(BIN)/uv export --locked --quiet --all-groups --no-emit-project --no-header --output-file requirements.txt

clean: ## Remove the environment and caches; SCORING_HOME stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* .import_linter_cache dist
	find scoring_platform scoring_platform_tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): uv.lock requirements.txt pyproject.toml
	@set -e; \
	if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  found=; \
	  for python in "$(PYTHON)" python3.13 python3.12 python3.11 python3 /usr/bin/python3; do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      found="$$python"; break; \
	    fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "No Python 3.11 or later with the venv module was found. Install one (Debian and Ubuntu:" >&2; \
	    echo "apt install python3 python3-venv) or name it: make setup PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making .venv with $$("$$found" --version)"; \
	  rm -rf .venv; "$$found" -m venv .venv; \
	fi; \
	if $(BIN)/python -m pip install --quiet "uv>=0.5" && $(BIN)/python -m uv --version >/dev/null; then \
	  $(BIN)/python -m uv sync --locked --quiet; \
	else \
	  echo "uv cannot be installed here; installing the same versions with pip, which takes longer" >&2; \
	  $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.txt; \
	  $(BIN)/python -m pip install --quiet --no-deps --editable .; \
	fi; \
	touch $(STAMP)
