# Two commands: `make run` sets up and runs the daemon, `make test` sets up and runs every test.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# With a token the real hosts are asked; without one the embedded stand-in, which says so.
ARGS ?= $(if $(strip $(HF_TOKEN)$(HF_TOKEN_FILE)$(shell grep -sE '^(export )?HF_TOKEN(_FILE)?=.' .env)),,--demo)

.PHONY: run test check lint fix servers schema lock clean

run: $(VENV)/run.stamp ## set everything up and run the daemon on http://127.0.0.1:10021
	$(BIN)/python -m exporter run --log.format=console $(ARGS)

test: servers check ## set everything up and pass every test

check: lint ## ruff, mypy, import-linter, pytest and coverage
	rm -f .coverage.*
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/dev.stamp ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

servers: ## the real servers that tests run against, where they can be installed
	@if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus; \
		else echo "no Prometheus here and no way to install it: its tests are skipped by name"; fi; fi

schema: $(VENV)/dev.stamp ## write the JSON Schema of the configuration
	$(BIN)/python -c 'import json; from exporter.config import json_schema; print(json.dumps(json_schema(), indent=2))' \
		> config/models.schema.json

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml -o requirements.lock
	uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed; name one with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.lock | $(VENV)/bin/python
	$(PIP) -r requirements.lock
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock | $(VENV)/bin/python
	$(PIP) -r requirements-dev.lock
	@touch $@ $(VENV)/run.stamp
