# Everything sets itself up: a virtual environment in .venv, the package in it, and its tools.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers

.PHONY: help demo test check bench clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

demo: $(READY) ## show the official clients answered from the cache; needs no API key
	@$(BIN)/askonce demo

test: $(READY) ## run the tests
	$(BIN)/python -m pytest

check: $(READY) ## lint, format, types, and the documents' code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_docs.py tests/test_layers.py

bench: $(READY) $(PEERS)/.ready ## measure against the peers, into bench/results/
	$(BIN)/python bench/run.py

clean: ## remove the environments and caches
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A newer pip than the one that comes with Python 3.11 understands dependency groups.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[demo]" --group test --group check
	@touch $@

$(PEERS)/.ready: bench/requirements-peers.txt pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PEERS)/bin/python -m pip install --quiet -r bench/requirements-peers.txt --editable .
	@touch $@
