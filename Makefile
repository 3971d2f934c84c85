# `make race` and `make test` set up everything on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: race test bench bench-gpu bench-diagnose textbook docs lint setup clean
.DEFAULT_GOAL := test

setup: $(VENV)/.ready

# torch goes first and alone: what is installed after it then finds it there and fetches no second build.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt torch
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	touch $@

race: setup
	$(BIN)/downslope race digits

test: setup
	$(BIN)/python -m pytest -n 2

bench: setup
	$(PIP) install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

# every claim of the textbook, about four minutes on two quiet cores, and the gallery of docs/ anew
textbook: setup
	$(BIN)/downslope textbook --out build/textbook --gallery docs/textbook

# the docs as a site, in build/site: it works from there, from any static host, and without a network
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "the site: build/site/index.html"

# other packages whose steps are compared, as far as they can be installed
PEERS := bitsandbytes torchao flashoptim torch-optimi

bench-gpu: setup
	for peer in $(PEERS); do $(PIP) install -q -c constraints.txt $$peer || true; done
	$(BIN)/python -m benchmarks.gpu

bench-diagnose: setup
	$(PIP) install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.diagnose

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist src/*.egg-info
