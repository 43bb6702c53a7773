# Two commands are enough: `make demo` runs the API, `make test` runs every test.
# Needs Python 3.11 or later and make; everything else goes into .venv, pinned by requirements.lock.

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
endif

VENV := .venv
# A virtual environment knows its own path, so a moved one is stale, as is one of an older lock.
HERE := $(shell printf '%s' "$(CURDIR)" | cksum | cut -d' ' -f1)
LOCKED := $(VENV)/.locked-$(HERE)
READY := $(VENV)/.ready-$(HERE)
RUN := $(VENV)/bin/python -m
# So is one whose interpreter is gone.
DEAD := $(if $(shell $(VENV)/bin/python -c 'print("alive")' 2>/dev/null),,dead)

# Those whom bench/ compares with have an environment of their own.
PEERS := .venv-bench
PEERS_READY := $(PEERS)/.locked-$(HERE)
PEERS_DEAD := $(if $(shell $(PEERS)/bin/python -c 'print("alive")' 2>/dev/null),,dead)

.DEFAULT_GOAL := help
.PHONY: help ready demo test check crash bench bench-quick bench-check format lock clean dead

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

ready: $(READY) ## Make the environment, and nothing else

demo: $(READY) ## Run the API with two users and real orders (PORT=8000)
	@ORDERGATE_HOME= $(RUN) entrypoints demo $(if $(PORT),--port $(PORT))

test: $(READY) ## Run every test
	@$(RUN) pytest --cov --cov-report=term tests/unit
	@$(RUN) pytest tests/integration

check: $(READY) ## Check format, lint, types, import contracts and that the lock is fresh
	$(RUN) ruff format --check --quiet .
	$(RUN) ruff check --quiet .
	$(RUN) mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/python tools/lock.py --check
	$(RUN) pip check --quiet

crash: $(READY) ## Kill servers 200 times each while orders are placed, and see that none is lost
	@$(RUN) tests.integration.crashes $(CRASH)
	@$(RUN) tests.integration.crashes --postgres $(CRASH)

bench: $(READY) $(PEERS_READY) ## Measure speed against others, and write docs/performance.json and .svg (an hour)
	@$(RUN) bench --json docs/performance.json --svg docs/performance.svg $(BENCH)

bench-quick: $(READY) $(PEERS_READY) ## Measure the main ratios in about a minute
	@$(RUN) bench --quick $(BENCH)

bench-check: $(READY) $(PEERS_READY) ## Measure what the table of targets needs, and fail where one is missed
	@$(RUN) bench --check $(BENCH)

format: $(READY) ## Format the code and mend what the linter can
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

lock: $(READY) ## Resolve requirements.lock anew from pyproject.toml
	$(VENV)/bin/python tools/lock.py

clean: ## Remove the environment, caches and everything the demo made
	rm -rf $(VENV) $(PEERS) .bench-* .ordergate/demo .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .schemathesis src/ordergate.egg-info
	find bench src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
	@rmdir .ordergate 2>/dev/null || true

$(LOCKED): requirements.lock $(DEAD)
	@test -n "$(PYTHON)" || { echo "Ordergate needs Python 3.11 or later; none was found. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making $(VENV) from requirements.lock with $$($(PYTHON) --version) (once)..."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@# The lock is whole: nothing is left to resolve, and a pip older than 23.3 would ask an index
	@# for the newest release of whatever a package names with an extra.
	@$(RUN) pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch "$@"

$(READY): $(LOCKED) pyproject.toml
	@$(RUN) pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch "$@"

$(PEERS_READY): bench/requirements.lock $(PEERS_DEAD)
	@test -n "$(PYTHON)" || { echo "Ordergate needs Python 3.11 or later; none was found. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Making $(PEERS) from bench/requirements.lock with $$($(PYTHON) --version) (once)..."
	@rm -rf $(PEERS)
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r bench/requirements.lock
	@touch "$@"
