# make serve: from a fresh clone to a running server. make test: everything that can be tested here.
# The first of these that is new enough.
PYTHON ?= $(shell for one in python3 python3.12 python3.13 python3.11; do $$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$one && break; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --quiet --constraint constraints.txt
LOCK   := pyproject.toml constraints.txt
CONFIG ?= madrigal.yaml

.PHONY: serve install test check bench format clean help always

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 10

serve: $(VENV)/.installed  ## install, pull the default model, serve on 127.0.0.1:8080
	@$(BIN)/madrigal serve --config $(CONFIG)

install: $(VENV)/.installed  ## .venv with the command madrigal

test: $(VENV)/.dev  ## all tests (real models, databases and clients)
	@$(BIN)/python -m pytest

check: $(VENV)/.dev  ## format, lint, strict types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev  ## the gateway's numbers beside a bare relay
	@$(BIN)/python -m tests.bench

# Made anew, from nothing, if it was left half made or its interpreter is gone.
$(VENV)/.python: $(if $(shell $(BIN)/python -c 'print(1)' 2>/dev/null),,always)
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Madrigal needs Python 3.11 or newer; $(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@echo "madrigal: creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python $(LOCK)
	@echo "madrigal: installing the locked dependencies into $(VENV) (one to three minutes, once)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "madrigal: installing the test tools into $(VENV)"
	@$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache build *.egg-info
