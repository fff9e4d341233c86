# Two commands for a fresh machine: `make run` and `make test`. Both set up `.venv` first.
#
#   make install     set up .venv only
#   make run         the main experiment on the embedded sounds, under 2 minutes on 2 cores
#   make run DATA=path/to/labelled UNLABELLED=path/to/pool     the same on your recordings
#   make test        the tests; test-all: the longest ones, too
#   make lint        style and types
#   make stub        write src/semisonic/api.pyi anew, after options of verbs have changed
#   make docs        build the site into site/ (open site/index.html)
#   make bench       speeds beside others' and the limits, into runs/bench; what became slower
#                    than the committed results is named (DATA=path for real recordings)
#   make clean       remove caches and built files; runs and .venv stay
#
# Variables:
#   PYTHON=python3.12      another Python, 3.11 or newer
#   PIP_FLAGS="..."        options for pip, such as the index that has CPU builds of torch
#   RUN=runs/name          another run folder
#   FLAGS="--quick"        more options for `semisonic run`

PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)
STAMP := $(VENV)/.installed

DATA ?= synth
UNLABELLED ?=
RECIPE ?= demo
RUN ?= runs/demo-$(notdir $(patsubst %/,%,$(DATA)))
FLAGS ?=
BENCH := runs/bench

.PHONY: install run test test-all lint stub docs bench clean
.DELETE_ON_ERROR:

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else "Semisonic needs Python 3.11 or newer, found %d.%d: make install PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing torch (the largest part; a few minutes the first time) ..."
	$(PIP) "torch>=2.6,<3"
	@echo "Installing the rest ..."
	$(PIP) --quiet -e ".[dev]"
	@touch $(STAMP)

run: install
	$(BIN)/semisonic run $(RECIPE) --data "$(DATA)" $(if $(UNLABELLED),--unlabelled "$(UNLABELLED)") -o "$(RUN)" $(FLAGS)

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long"

test-all: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

stub: install
	$(BIN)/python .ci/api_stub.py > src/semisonic/api.pyi
	$(BIN)/ruff check --quiet --fix-only src/semisonic/api.pyi
	$(BIN)/ruff format --quiet src/semisonic/api.pyi

docs: install
	$(BIN)/mkdocs --quiet build

bench: install
	$(BIN)/python benchmarks/bench.py -o $(BENCH) $(if $(filter synth,$(DATA)),,--data "$(DATA)")
	$(BIN)/python benchmarks/check.py $(BENCH)

clean:
	rm -rf build dist site src/semisonic.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
