PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: bench coverage demo docs lint test test-long test-lowest

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs,test]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/python examples/plot_quickstart.py

docs: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W -n --keep-going -q docs docs/_build

test: $(VENV)/installed
	$(BIN)/python -m pytest -q -n auto

test-long: $(VENV)/installed
	$(BIN)/python -m pytest -q -n auto -m ""

coverage: $(VENV)/installed
	$(BIN)/python -m pytest -q -n auto --cov --cov-report term-missing:skip-covered

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed
	for benchmark in benchmarks/bench_*.py; do $(BIN)/python $$benchmark --short || exit; done

test-lowest: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable ".[test]"
	.venv-lowest/bin/python -m pytest -q -n auto -W default --ignore tests/benchmarks \
		--ignore tests/examples --ignore tests/contracts/test_pages.py
