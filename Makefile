# Needs make and Python 3.11 or newer with venv; everything else is installed into .venv.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.PHONY: help .venv up test lint format crash bench soak lock clean

FIND_PYTHON = for p in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2])' 2>/dev/null; \
	then command -v $$p; exit 0; fi; done; \
	echo 'Jeongsi needs Python 3.11 or newer with its venv module (Debian and Ubuntu: apt-get install python3-venv).' >&2; \
	echo 'If it is installed under another name, say: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)' >&2; exit 1
STAMP := .venv/.installed
PROJECT := $(wildcard runtime models gateways beat tasks workers api ops)

help: ## show this list
	@awk -F ':.*## ' '/^[.a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv: $(STAMP) ## set up: the locked requirements and the project itself

# The lock decides: .venv is touched again only when requirements.txt or pyproject.toml changed.
$(STAMP): requirements.txt pyproject.toml
	@python=$$($(FIND_PYTHON)) || exit 1; \
	if ! .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "Creating .venv with $$python"; rm -rf .venv; "$$python" -m venv .venv || exit 1; fi
	@echo 'Installing the locked requirements (once; later starts skip this)'
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $(STAMP)

up: $(STAMP) ## run the whole system here until Ctrl-C (FOR=90: end after 90 s and audit)
	@.venv/bin/jeongsi up $(if $(FOR),--for $(FOR))

test: $(STAMP) ## all tests
	@.venv/bin/python -m pytest -n 3 -m 'not crash'

lint: $(STAMP) ## style, types and import arrows
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy $(PROJECT) tests
	@.venv/bin/lint-imports --no-cache

format: $(STAMP) ## put the code into its format
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

crash: $(STAMP) ## fault injection, then the chaos run (5 minutes; SHORT=1: 2 minutes; LONG=1: 20,000 sends)
	@.venv/bin/python -m pytest -n 2 -m crash
	@.venv/bin/python -m ops.chaos $(if $(LONG),--long,$(if $(SHORT),--short)) $(if $(SEED),--seed $(SEED))

bench: .venv-bench/.installed ## benchmarks, peers in the same run (15 minutes and more; FULL=1: all sizes; NAMES="burst sends": only these)
	@.venv-bench/bin/python -m ops.bench $(NAMES) $(if $(FULL),--full) $(if $(JSON),--json $(JSON))

.venv-bench/.installed: requirements.txt requirements-bench.txt pyproject.toml
	@python=$$($(FIND_PYTHON)) || exit 1; [ -x .venv-bench/bin/python ] || "$$python" -m venv .venv-bench
	@echo 'Installing the peers into .venv-bench (once)'
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements.txt -r requirements-bench.txt
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

soak: $(STAMP) ## a long run with provider faults: what was promised, and what became of it (12 minutes)
	@.venv/bin/python -m ops.bench.soak

lock: ## write requirements.txt anew from pyproject.toml (newest versions inside its ranges)
	@python=$$($(FIND_PYTHON)) || exit 1; [ -x .venv-lock/bin/uv ] || \
		{ "$$python" -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet 'uv>=0.8'; }
	@.venv-lock/bin/uv pip compile pyproject.toml --quiet --upgrade --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
		-o requirements.txt
	@.venv-lock/bin/uv pip compile --group pyproject.toml:bench -c requirements.txt --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' -o requirements-bench.txt

clean: ## remove what was built and cached (never .jeongsi, where data is)
	@rm -rf .venv .venv-bench .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
