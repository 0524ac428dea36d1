# Every target does its own set-up; see scripts/setup_venv.sh. Nothing but Python 3.11 to 3.13 and a package index is
# needed, and no network once that is done. Only `tools` (and with it `compile`) wants node and npm.
.DEFAULT_GOAL := help
.PHONY: help demo test bench soak check assure assure-tools compile tools lock clean setup
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

PY := .venv/bin/python
ANVIL_VERSION := 1.7.1
FORGE_VERSION := 1.7.1
NPM := npm --prefix .tools --ignore-scripts --no-audit --no-fund --loglevel=error

help: ## list the targets
	@echo "make TARGET, where TARGET is one of:"
	@awk -v bench="$(call programs,bench)" -v soak="$(call programs,soak)" -F ':.*## ' \
	    '/^[a-z]+:.*## /{sub(/\[bench\]/, bench); sub(/\[soak\]/, soak); printf "  %-8s %s\n", $$1, $$2}' Makefile

demo: setup ## run a crew's purchases on a chain of its own (SCENARIO=file.toml for yours; FAIL=crash kills a worker)
	@$(PY) scripts/demo.py $(if $(SCENARIO),"$(SCENARIO)") $(if $(FAIL),--fail "$(FAIL)") $(ARGS)

test: setup ## run the tests (ARGS='-k name' passes options to pytest)
	@$(PY) -m pytest -q -n auto --maxprocesses 8 -m "not slow" $(ARGS)

bench: setup ## run a benchmark: NAME=one of [bench]
	@$(call run_named,bench)

soak: setup ## run a long test under load: NAME=one of [soak]
	@$(call run_named,soak)

check: setup ## lint, format, types, import rules
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo

assure: setup tools assure-tools ## check the contracts: invariants, proofs, findings, gas, coverage (NAME=one, or mutants)
	@$(PY) -m scripts.assure $(NAME) $(ARGS)

compile: setup tools ## compile contracts/ into contracts/artifacts/ (ARGS=--check only compares)
	@$(PY) scripts/compile.py $(ARGS)

tools: ## install the Solidity compiler, its libraries and anvil into .tools (needs npm)
	@command -v npm >/dev/null || { echo "npm not found: install node 20 or newer." >&2; exit 1; }
	@wanted="$$(cat contracts/package.json contracts/package-lock.json | cksum) anvil $(ANVIL_VERSION)"; \
	if [ "$$(cat .tools/.installed-from 2>/dev/null)" != "$$wanted" ]; then \
	    mkdir -p .tools && cp contracts/package.json contracts/package-lock.json .tools/ && \
	    $(NPM) ci && $(NPM) install --no-save @foundry-rs/anvil@$(ANVIL_VERSION) && \
	    echo "$$wanted" > .tools/.installed-from; \
	fi

# What does not install is said, and the checks that need it say so again: the others still run.
assure-tools: setup
	@wanted="forge $(FORGE_VERSION) $$(cksum < tests/assurance/requirements.txt)"; \
	if [ "$$(cat .tools/assure/.installed-from 2>/dev/null)" != "$$wanted" ]; then \
	    echo "Installing forge, halmos and slither into .tools/assure (once; takes a minute or two) ..."; \
	    mkdir -p .tools/assure && ok=yes; \
	    npm --prefix .tools/assure --ignore-scripts --no-audit --no-fund --loglevel=error install --no-save \
	        @foundry-rs/forge@$(FORGE_VERSION) || { ok=no; echo "forge did not install." >&2; }; \
	    { $(PY) -m venv .tools/assure/venv && .tools/assure/venv/bin/python -m pip install -qq --no-input \
	        --disable-pip-version-check -r tests/assurance/requirements.txt; } || \
	        { ok=no; echo "halmos and slither did not install." >&2; }; \
	    [ $$ok = no ] || echo "$$wanted" > .tools/assure/.installed-from; \
	fi

lock: ## pin the newest allowed versions in scripts/constraints.txt
	@sh scripts/lock.sh

clean: ## remove everything that the other targets made
	rm -rf .venv .tools build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find actp coordinator scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@PYTHON="$(PYTHON)" sh scripts/setup_venv.sh

# The programs in a folder of scripts; what they share has no main.
programs = $(shell cd scripts/$(1) && grep -l '^def main()' [a-z]*.py | sed 's/\.py$$//' | xargs)

# $(call run_named,bench) runs scripts/bench/$(NAME).py, or lists what there is.
define run_named
if [ -n "$(NAME)" ] && [ -f "scripts/$(1)/$(NAME).py" ]; then \
    $(PY) -m "scripts.$(1).$(NAME)" $(ARGS); \
else \
    [ -z "$(NAME)" ] || echo "There is no '$(NAME)' in scripts/$(1)." >&2; \
    echo "Choose one with NAME=...: $(call programs,$(1))" >&2; \
    exit 2; \
fi
endef
