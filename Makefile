# What a newcomer types. Everything Python goes into .venv, for `make bench` into .venv-bench; Debian packages are installed only by root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROCESSES := 4
PYTEST = $(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder --again
EXTRAS := practice,test,check
BENCH := .venv-bench
SAY_EVERY_MINUTE := sh tests/minutes.sh
PIP_INSTALL = $(SAY_EVERY_MINUTE) $(@D)/bin/python -m pip install --disable-pip-version-check
# Debian keeps the module in a package of its own.
VENV_OR_ADVICE = @$(PYTHON) -m venv $(@D) || { rm -rf $(@D); echo "$(PYTHON) cannot make virtual environments; as root: apt-get install python3-venv" >&2; exit 1; }

.PHONY: help demo test stories zoo faults fast check bench lab clean packages install

help:
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' Makefile

# One stamp for each set of extras, so that `make demo` does not wait for the test tools.
$(VENV)/.demo: pyproject.toml
	$(VENV_OR_ADVICE)
	$(PIP_INSTALL) -e '.[practice]'
	touch $@

$(VENV)/.all: pyproject.toml
	$(VENV_OR_ADVICE)
	$(PIP_INSTALL) -e '.[$(EXTRAS)]'
	touch $@ $(VENV)/.demo

install: $(VENV)/.demo ## Install the programs fab and netpoint-remote into .venv

demo: $(VENV)/.demo ## Upgrade three practice servers before your eyes; no root; .venv and its report in runs/ stay
	@$(BIN)/python -m netpoint_remote.practice.demo

packages: ## Install the Debian packages that tests, lab and bench need (root only)
	@sh tests/install-debian-packages.sh

# The lab waits for its servers most of its time: more processes than cores, and what takes longest first.
test: $(VENV)/.all packages ## Run every ring of tests that this machine can run, without the thorough stories of the lab
	$(PYTEST) -m 'not thorough'

stories: $(VENV)/.all packages ## Run every story of the lab on real servers, the thorough ones too; root
	$(PYTEST) -m lab tests/lab

zoo: $(VENV)/.all packages ## Upgrade servers in odd but legal shapes (docs/reliability.md); root
	$(PYTEST) -m lab tests/zoo

faults: $(VENV)/.all packages ## Put faults into every step of every plan on real servers; root, under an hour
	$(BIN)/python -m tests.faults

fast: $(VENV)/.all ## Run the ring of tests that needs no sshd and no root
	$(BIN)/python -m pytest -m 'not ssh and not lab'

check: $(VENV)/.all ## Check format, lint, types, layers and shell
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(SAY_EVERY_MINUTE) $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck netpoint_remote/remote/*.sh netpoint_remote/remote/steps/*.sh tests/*.sh tests/remote/bin/* tests/faults/server/*.sh .ci/run

# What we are measured against stays out of .venv. If not all can be installed, then each that can; the rest is told.
$(BENCH)/.all: pyproject.toml
	$(VENV_OR_ADVICE)
	$(PIP_INSTALL) -e '.[bench]' || { \
	    $(PIP_INSTALL) -e . && \
	    for each in asyncssh parallel-ssh ansible-core; do \
	        $(PIP_INSTALL) "$$each" || :; \
	    done; }
	touch $@

bench: $(BENCH)/.all packages ## Measure a check against other ways of asking many hosts
	$(BENCH)/bin/python -m bench.startup
	$(BENCH)/bin/python -m bench.fanout

lab: $(VENV)/.all packages ## Boot three real servers and leave them up to play with (root only)
	$(BIN)/python -m tests.lab up --servers 3

clean: ## Remove what the other targets made in this folder; not the lab's cache and the Debian packages
	rm -rf $(VENV) $(BENCH) bench/results runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
