# Everything is installed into .venv, once; it is brought up to date when a requirements file changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test check audit format clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: $(VENV)/run  ## set up and open the dashboard
	$(BIN)/streamlit run app.py

test: $(VENV)/dev  ## set up and run all tests
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder

check: $(VENV)/dev  ## lint, format, types and what is known to be unsafe
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive engine ui pages app.py

audit: $(VENV)/dev  ## known faults in what is installed; needs the internet, so it is no part of check
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --strict

format: $(VENV)/dev  ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what was installed
	rm -rf $(VENV)

$(VENV)/run: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/run
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@
