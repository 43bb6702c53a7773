# Two commands are enough: `make demo` runs the API, `make test` runs every test.
# Needs Python 3.11 or later and make; everything else goes into .venv, pinned by requirements-dev.lock.

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
QUIET := --quiet --disable-pip-version-check --no-deps
# So is one whose interpreter is gone.
DEAD := $(if $(shell $(VENV)/bin/python -c 'print("alive")' 2>/dev/null),,dead)

# The projects that bench/ compares with have an environment of their own.
PEERS := .venv-bench
PEERS_READY := $(PEERS)/.locked-$(HERE)
PEERS_DEAD := $(if $(shell $(PEERS)/bin/python -c 'print("alive")' 2>/dev/null),,dead)

# The generator of the documentation's site, too.
SITE := .venv-docs
SITE_READY := $(SITE)/.locked-$(HERE)
SITE_DEAD := $(if $(shell $(SITE)/bin/python -c 'print("alive")' 2>/dev/null),,dead)

# So have the generators of clients, with Node.js and Java; `npm` installs its packages beside them.
CLIENTS := .venv-clients
CLIENTS_READY := $(CLIENTS)/.locked-$(HERE)
CLIENTS_DEAD := $(if $(shell $(CLIENTS)/bin/python -c 'print("alive")' 2>/dev/null),,dead)

# So has Patroni, which starts PostgreSQL in crash runs.
CLUSTER := .venv-cluster
CLUSTER_READY := $(CLUSTER)/.locked-$(HERE)
CLUSTER_DEAD := $(if $(shell $(CLUSTER)/bin/python -c 'print("alive")' 2>/dev/null),,dead)

# What builds a release, too.
RELEASE := .venv-release
RELEASE_READY := $(RELEASE)/.locked-$(HERE)
RELEASE_DEAD := $(if $(shell $(RELEASE)/bin/python -c 'print("alive")' 2>/dev/null),,dead)
BUILT := .cache/release

# Worker processes of a test run.
WORKERS ?= auto
# Compiled tests are kept for the next run, also where Python writes no bytecode.
KEPT := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX="$(CURDIR)/.cache/bytecode"

.DEFAULT_GOAL := help
.PHONY: help ready demo test test-quick test-clients install dist dist-check check crash crash-galera crash-patroni attack bench bench-quick bench-check docs pictures format lock clean dead

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

ready: $(READY) ## Make the environment, and nothing else

demo: $(READY) ## Run the API with two users and real orders (PORT=8000)
	@# Ctrl-C is how a demo ends: the shell outlives it, and 130 is no failure.
	@trap : INT; env -u ORDERGATE_HOME $(RUN) ordergate.entrypoints demo $(if $(PORT),--port $(PORT)) || test $$? = 130

test: $(READY) ## Run every test (WORKERS=2 processes; as many as there are processors)
	@$(RUN) pytest -n $(WORKERS) --cov --cov-report=term tests/unit
	@$(RUN) pytest -n $(WORKERS) --dist loadfile -m "not timing" tests/integration tests/crash
	@$(RUN) pytest -m timing tests/integration

test-quick: $(READY) ## Run the tests that start no other process: units, contracts and HTTP (a minute)
	@$(KEPT) $(RUN) pytest -n $(WORKERS) --quiet --hypothesis-profile dev -m "not process and not timing and not uncompiled" tests/unit \
		tests/integration/http tests/integration/sqlite/test_sql_storage.py

test-clients: $(READY) $(CLIENTS_READY) ## Generate clients in each language of docs/clients.md, and use them
	@$(RUN) pytest -n $(WORKERS) -o faulthandler_timeout=300 tests/clients

check: $(READY) ## Check format, lint, types, import contracts and that the lock is fresh
	$(RUN) ruff format --check --quiet .
	$(RUN) ruff check --quiet .
	$(RUN) mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/python tools/lock.py --check
	$(RUN) pip check --quiet

crash: $(READY) ## Kill servers 200 times each while orders are placed, and see that none is lost
	@$(RUN) tests.crash.crashes $(CRASH)
	@$(RUN) tests.crash.crashes --postgres $(CRASH)
	@$(RUN) tests.crash.crashes --mariadb $(CRASH)

crash-patroni: $(READY) $(CLUSTER_READY) ## Lose the leader of three PostgreSQL nodes 10 times (needs etcd; CRASH=--second-loss)
	@$(RUN) tests.crash.patroni_failovers $(CRASH)

crash-galera: $(READY) ## Lose a node of a Galera cluster 10 times (needs MariaDB with galera-4)
	@$(RUN) tests.crash.galera_losses $(CRASH)

attack: $(READY) ## Run hostile clients for 20 seconds each, and measure what they do to others
	@ATTACK_SECONDS=20 $(RUN) pytest -o faulthandler_timeout=900 tests/integration/server/test_hostile_clients.py tests/integration/http/test_pipelining.py

bench: $(READY) $(PEERS_READY) ## Measure speed against others, and write docs/performance.json and .svg (an hour)
	@$(RUN) bench --json docs/performance.json --svg docs/performance.svg $(BENCH)

bench-quick: $(READY) $(PEERS_READY) ## Measure the main ratios in about a minute
	@$(RUN) bench --quick $(BENCH)

bench-check: $(READY) $(PEERS_READY) ## Measure what the table of targets needs, and fail where one is missed
	@$(RUN) bench --check $(BENCH)

docs: $(READY) $(SITE_READY) ## Build the documentation's site into site/, and fail for a broken link
	@$(RUN) tools.docs .docs
	@$(SITE)/bin/zensical build --clean --strict
	@echo "Built site/; read it with: python3 -m http.server --bind 127.0.0.1 --directory site"

pictures: $(READY) ## Make the pictures of README.md again (needs chromium and chromedriver)
	@$(RUN) tools.pictures

format: $(READY) ## Format the code and fix what the linter can
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

install: ## Install what serving needs, and no more, into a new environment (DIR=/path FROM=a wheel)
	@test -n "$(DIR)" || { echo "Name a folder for the environment: make install DIR=/path" >&2; exit 1; }
	@test ! -e "$(DIR)/pyvenv.cfg" || { echo "$(DIR) is an environment already; name a new folder" >&2; exit 1; }
	@test -z "$$(ls -A "$(DIR)" 2>/dev/null)" || { echo "$(DIR) is not empty; name a new folder" >&2; exit 1; }
	@$(CHECK_PYTHON)
	@echo "Installing Ordergate into $(DIR) with $$($(PYTHON) --version)..."
	@$(PYTHON) -m venv "$(DIR)"
	@"$(DIR)/bin/python" tools/install.py requirements.lock
	@rm -rf build
	@"$(DIR)/bin/python" -m pip install $(QUIET) --no-build-isolation $(or $(FROM),.)
	@rm -rf build ordergate.egg-info src/ordergate.egg-info
	@echo "Installed; the command is $(DIR)/bin/ordergate"

dist: $(RELEASE_READY) ## Build a release into dist/: sdist, wheel, lock, SBOM and checksums
	@$(RELEASE)/bin/python tools/dist.py dist
	@cat dist/SHA256SUMS

dist-check: dist ## Build it twice, install it into an empty environment, and use its demo
	@umask 077 && $(RELEASE)/bin/python tools/dist.py $(BUILT)/again && cmp dist/SHA256SUMS $(BUILT)/again/SHA256SUMS
	@rm -rf $(BUILT)/installed
	@$(MAKE) --no-print-directory install DIR=$(BUILT)/installed FROM=dist/*.whl
	@$(BUILT)/installed/bin/python -m pip check --quiet --disable-pip-version-check
	@$(BUILT)/installed/bin/python tools/try_demo.py $(CURDIR)/$(BUILT)/installed/bin/ordergate

lock: $(READY) ## Resolve the locks from pyproject.toml
	$(VENV)/bin/python tools/lock.py

clean: ## Remove the environment, caches and everything the demo made
	rm -rf $(VENV) $(PEERS) $(SITE) $(CLIENTS) $(CLUSTER) $(RELEASE) dist site .cache .docs .bench-* .ordergate/demo .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .schemathesis build ordergate.egg-info src/ordergate.egg-info
	find bench examples src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
	@rmdir .ordergate 2>/dev/null || true

# Nothing is removed before it is known that an interpreter can make it again.
define CHECK_PYTHON
{ test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; } || \
	{ echo "Ordergate needs Python 3.11 or later; $(if $(PYTHON),$(PYTHON) is not one,none was found). Name one: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "$(PYTHON) cannot make environments; install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
endef

# remove FOLDER: say once, and not for each file, that another user made it.
define remove
{ test ! -e $(1) || test -w $(1) || \
	{ echo "$(1) belongs to another user; remove it as that user, or work in a clone of your own" >&2; exit 1; }; }; \
	rm -rf $(1)
endef

# make_environment FOLDER: make it from the lock that is the first prerequisite.
define make_environment
$(CHECK_PYTHON); \
	echo "Making $(1) from $< with $$($(PYTHON) --version) (once)..."; \
	$(call remove,$(1)) && $(PYTHON) -m venv $(1) && $(1)/bin/python tools/install.py $< && touch "$@"
endef

$(LOCKED): requirements-dev.lock $(DEAD)
	@$(call make_environment,$(VENV))

$(READY): $(LOCKED) pyproject.toml
	@$(RUN) pip install $(QUIET) --no-build-isolation -e .
	@mkdir -p $(VENV)/types && ln -sfn ../../src $(VENV)/types/ordergate # for type checkers and editors
	@touch "$@"

$(PEERS_READY): bench/requirements.lock $(PEERS_DEAD)
	@$(call make_environment,$(PEERS))

$(SITE_READY): docs/requirements.lock $(SITE_DEAD)
	@$(call make_environment,$(SITE))

$(CLUSTER_READY): tests/crash/requirements.lock $(CLUSTER_DEAD)
	@$(call make_environment,$(CLUSTER))

$(RELEASE_READY): tools/requirements.lock $(RELEASE_DEAD)
	@$(call make_environment,$(RELEASE))

# Without a registry's scripts: nothing but the packages is installed.
$(CLIENTS_READY): tests/clients/requirements.lock tests/clients/package-lock.json $(CLIENTS_DEAD)
	@$(call make_environment,$(CLIENTS))
	@cp tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc $(CLIENTS)
	@cd $(CLIENTS) && PATH="$$PWD/bin:$$PATH" npm ci --ignore-scripts --no-progress --loglevel=error || { rm -f "$(CURDIR)/$@"; exit 1; }
