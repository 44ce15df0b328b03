# `make demo` and `make test` work on a fresh machine: they install what they need.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
comma := ,
# The site has an environment of its own: it needs no Airflow, and the tests do not need MkDocs.
DOCS_VENV := .venv-docs
DOCS_READY := $(DOCS_VENV)/.ready
# The tests of the board need Playwright, which is large. Their Airflow runs in processes of $(VENV).
BROWSER_VENV := .venv-browser
BROWSER_READY := $(BROWSER_VENV)/.ready
# The newest installed Python, at least 3.11. PYTHON=… selects another one.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Tests that need no broker and no other program, in one process more than there are processors,
# because some tests wait. Compiled files are kept: without them, each process compiles all tests and
# Hypothesis again, which takes seconds.
PROCESSORS := $(shell getconf _NPROCESSORS_ONLN)
UNIT := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $$(expr $(PROCESSORS) + 1) --dist worksteal -m unit
# Tests that start other programs wait for them most of the time. Those that share an Airflow run in
# one process; each process has a broker of its own.
PROGRAMS := $(BIN)/python -m pytest -n $(PROCESSORS) --dist loadfile
BROKER ?= embedded
DAG ?= audit_files
TESTS ?= tests
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit test-airflow test-browser test-all test-workers fleet chaos fuzz bench lint \
	format docs screenshots reference requirements clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## Create the virtual environment (the other targets do this automatically).

# $(1): the environment's folder, $(2): its requirements, $(3): what is in it
define set-up
	@test -n "$(PYTHON)" || { echo "kafka-bridge needs Python 3.11 or newer: none was found. Set PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up $(1) with $$($(PYTHON) --version); the first time, this takes some minutes …"
	@$(PYTHON) -m venv $(1) || { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing $(3) into it …"
	@$(1)/bin/python demo/install.py --no-deps --require-hashes --requirement $(2)
endef
INSTALL_PROJECT = $(1)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .

$(READY): requirements/dev.txt pyproject.toml
	$(call set-up,$(VENV),$<,Airflow$(comma) the Kafka client and the tools for tests)
	@$(call INSTALL_PROJECT,$(VENV))
	@touch $@

$(VENV)-airflow-%/.ready: requirements/airflow-%.txt pyproject.toml
	$(call set-up,$(@D),$<,Airflow $* and the tests)
	@$(call INSTALL_PROJECT,$(@D))
	@touch $@

$(DOCS_READY): requirements/docs.txt
	$(call set-up,$(DOCS_VENV),$<,MkDocs)
	@touch $@

$(BROWSER_READY): requirements/browser.txt pyproject.toml
	$(call set-up,$(BROWSER_VENV),$<,Playwright$(comma) without a browser)
	@$(call INSTALL_PROJECT,$(BROWSER_VENV))
	@touch $@

demo: $(READY)  ## Run an Airflow task on a worker. KEEP=1 starts the board, too, and keeps all running; BROKER=kafka uses a real Kafka; DAG=three_patterns.
	@$(BIN)/python -m demo --broker $(BROKER) --dag $(DAG) $(if $(filter-out 0,$(KEEP)),--keep)

test: $(READY)  ## Run the tests, except long ones (TESTS=tests/unit selects some).
	@# Both parts run even if the first fails; 5 is pytest's code for a part without tests.
	@# `make test-browser` runs the tests in tests/browser, in an environment of their own.
	@$(UNIT) --ignore tests/browser $(TESTS); unit=$$?; \
	$(PROGRAMS) --ignore tests/browser -m "not unit and not long" $(TESTS); rest=$$?; \
	if [ $$unit = 5 ]; then exit $$rest; elif [ $$rest = 5 ]; then exit $$unit; fi; \
	[ $$unit = 0 ] && exit $$rest; exit $$unit

test-unit: $(READY)  ## Run the tests without brokers and other programs, in less than a minute.
	@$(UNIT) -q --hypothesis-profile everyday tests/unit tests/contract

# A minor version of Airflow (3.1 … 3.4), or newest: the newest release or pre-release that there is.
AIRFLOW ?= newest
AIRFLOW_BIN := $(if $(filter 3.3,$(AIRFLOW)),$(BIN),$(VENV)-airflow-$(AIRFLOW)/bin)
AIRFLOW_READY := $(if $(filter 3.3,$(AIRFLOW)),$(READY),$(VENV)-airflow-$(AIRFLOW)/.ready)

test-airflow: $(AIRFLOW_READY)  ## Run the tests that matter on another version of Airflow (AIRFLOW=3.1 … 3.4, newest).
	@$(subst $(BIN),$(AIRFLOW_BIN),$(UNIT)) -q --hypothesis-profile everyday tests/unit/airflow
	@$(AIRFLOW_BIN)/python -m pytest -m "airflow_versions and not long" tests/acceptance

test-browser: $(READY) $(BROWSER_READY)  ## Run the tests of the board in Chromium, which has to be installed (CHROMIUM=/path/to/it).
	@AIRFLOW_PYTHON=$(abspath $(BIN))/python $(BROWSER_VENV)/bin/python -m pytest tests/browser

test-all: $(READY)  ## Run all tests, including long ones, except those in a browser.
	@$(BIN)/python -m pytest --ignore tests/browser $(TESTS)

# Each folder in workers/ has a makefile with the targets lint, test and conformance.
LANGUAGE ?= $(notdir $(wildcard workers/*))

test-workers: $(READY)  ## Test the workers in other languages (LANGUAGE=go selects one).
	@for language in $(LANGUAGE); do \
		echo "Building and testing workers/$$language …"; \
		$(MAKE) --no-print-directory -C workers/$$language lint test build || exit 1; done
	@# The conformance kit waits most of the time, so it tests all workers at once.
	@$(MAKE) --no-print-directory --jobs --keep-going --output-sync=target $(addprefix conformance-,$(LANGUAGE))

conformance-%: $(READY)
	@$(MAKE) --no-print-directory -C workers/$* conformance KAFKA_BRIDGE=$(abspath $(BIN))/kafka-bridge

fleet: $(READY)  ## Build a worker of each language; kill, freeze and stop them at random, in one group.
	@$(BIN)/python -m pytest -m long -s tests/integration/conformance/test_mixed_fleet.py

chaos: $(READY)  ## Kill, freeze and restart workers and a broker for two minutes; check that no job is lost.
	@$(BIN)/python -m pytest -m long -s tests/integration/worker/test_chaos.py

fuzz: $(READY)  ## Publish invalid records between valid jobs for ten minutes (FUZZ_SECONDS, FUZZ_SEED).
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/python -m pytest -s --timeout 1800 tests/acceptance/fuzz

bench: $(READY)  ## Compare with other projects on a real Kafka. SHORT=1 takes minutes; ROWS=… selects some.
	@$(BIN)/python -m bench $(if $(filter-out 0,$(SHORT)),--short,--write) $(ROWS)

lint: $(READY)  ## Check style, types and import rules.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY)  ## Format the code.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(DOCS_READY)  ## Build the documentation site into build/site. A warning is an error.
	@# Not --quiet: MkDocs would not see its warnings, and the build would pass.
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/python -m mkdocs build
	@echo "Open build/site/index.html. For the search: $(PYTHON) -m http.server --directory build/site"

screenshots: $(READY) $(BROWSER_READY)  ## Take the pictures of the demo, the board and Airflow's pages again (needs Chromium).
	@$(BROWSER_VENV)/bin/python -m website.screenshots

reference: $(READY)  ## Write the facts of the source into the pages of docs/reference.
	@$(BIN)/python -m tests.contract.reference

PIN := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --quiet --upgrade
PIN_ALL := $(PIN) pyproject.toml --all-extras
# Pre-releases of Airflow, not of other packages: uv takes only those that are named.
PRE_RELEASES := apache-airflow-core>=3.4.0b1\napache-airflow-task-sdk>=1.4.0b1\n

# An older Airflow is tested with the packages of its own time, as its constraints file has them.
requirements: $(READY)  ## Pin the requirements again, for Python 3.11 and newer.
	@echo "apache-airflow==3.3.*" | $(PIN_ALL) --group dev --constraint - --output-file requirements/dev.txt
	@echo "apache-airflow==3.1.8" | $(PIN_ALL) --group test --constraint - --exclude-newer 2026-03-14 \
		--output-file requirements/airflow-3.1.txt
	@echo "apache-airflow==3.2.2" | $(PIN_ALL) --group test --constraint - --exclude-newer 2026-06-01 \
		--output-file requirements/airflow-3.2.txt
	@printf 'apache-airflow>=3.4.0b1,<3.5\n$(PRE_RELEASES)' | $(PIN_ALL) --group test --constraint - \
		--output-file requirements/airflow-3.4.txt
	@$(PIN) --group docs --output-file requirements/docs.txt
	@$(PIN) pyproject.toml --extra board --group browser --constraint requirements/dev.txt \
		--output-file requirements/browser.txt

# Without our upper bound: it shows whether the next Airflow works, too.
.PHONY: requirements/airflow-newest.txt
requirements/airflow-newest.txt: | $(READY)
	@printf 'apache-airflow>=3.4.0b1\n$(PRE_RELEASES)' | $(PIN_ALL) --group test --override - --output-file $@

clean:  ## Remove the files that targets created, except the virtual environments.
	@rm -rf .demo .hypothesis .mypy_cache .ruff_cache .import_linter_cache build dist
