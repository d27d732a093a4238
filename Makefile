# `make help` lists the commands. They need python3.11 with venv and pip, and git.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export DAGSTER_HOME := $(CURDIR)/.dagster

# Tests write databases that live for seconds. In memory, where there is room for them, no commit waits for a disk.
MEMORY := $(shell df -k --output=avail /dev/shm 2> /dev/null | awk 'NR == 2 && $$1 > 4000000 {print "/dev/shm"}')
IN_MEMORY := $(if $(MEMORY),TMPDIR=$(MEMORY))

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test e2e postgres newest stress bench check format lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv (the other commands do it themselves)

# Installs every dependency by its hash: the lock is complete, so pip resolves nothing. Then this package, without a build
# environment. One `dagster` process makes the instance's databases, because many at once would race.
$(STAMP): requirements.lock pyproject.toml setup.py
	@echo "Installing into $(VENV) (once; a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/dagster instance info > /dev/null 2>&1
	@touch $(STAMP)

demo: $(STAMP) ## sync the demo API into data/analytics.duckdb through Dagster, and show what arrived
	@$(BIN)/python -m analytics_assets.demo

dev: $(STAMP) ## run the demo API, and the Dagster UI on http://127.0.0.1:3000; Ctrl-C ends both
	@$(BIN)/python -m analytics_assets.demo_api & api=$$!; \
	trap 'kill $$api 2> /dev/null' EXIT; trap : INT TERM; \
	export SOURCES__ANALYTICS_API__API_KEY=$${SOURCES__ANALYTICS_API__API_KEY:-demo-key}; \
	$(BIN)/dagster dev

test: $(STAMP) ## run the unit, integration, hostile and upgrade tests (five minutes on two cores)
	@$(IN_MEMORY) $(BIN)/python -m pytest --ignore=analytics_assets_tests/e2e --ignore=analytics_assets_tests/on_postgres

e2e: $(STAMP) ## run the tests through `dagster dev`, its daemon and a browser, and all cases of the `matrix` tests (needs chromium, chromium-driver)
	@command -v chromedriver > /dev/null || { echo "No chromedriver: apt-get install chromium chromium-driver"; exit 1; }
	@$(IN_MEMORY) $(BIN)/python -m pytest analytics_assets_tests/e2e
	@EXAMPLES=all $(IN_MEMORY) $(BIN)/python -m pytest -m matrix --ignore=analytics_assets_tests/e2e --ignore=analytics_assets_tests/on_postgres

postgres: $(STAMP) ## run the integration tests with the warehouse, and in part the storage of Dagster, on PostgreSQL (ten minutes)
	@$(IN_MEMORY) .ci/postgres

newest: $(STAMP) ## install the wheel beside the newest Dagster in another project, and run `dg` and the integration tests there
	@$(IN_MEMORY) .ci/newest

stress: $(STAMP) ## kill processes while they sync and read, then run every property test in full (ROUNDS="--rounds 5 --workers 12")
	@$(BIN)/python -m analytics_assets_tests.stress $(ROUNDS)
	@EXAMPLES=all $(IN_MEMORY) $(BIN)/python -m pytest -o addopts=-q -m hypothesis analytics_assets_tests

bench: $(STAMP) ## measure this project beside dlt and a script by hand (benchmarks/sync.py --help)
	@$(BIN)/python benchmarks/sync.py

check: $(STAMP) ## check style, types, and the direction of imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(STAMP) ## format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lock: ## resolve requirements.lock again from pyproject.toml (needs uv)
	uv pip compile --universal --generate-hashes --no-annotate --extra dev --extra alerts --extra postgres --python-version 3.11 \
		--custom-compile-command "make lock" -o requirements.lock pyproject.toml

clean: ## remove everything the commands made
	rm -rf $(VENV) data build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	git clean -fdxq .dagster
