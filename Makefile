PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST = -m pytest -q -n auto --dist loadgroup

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
	$(BIN)/python $(PYTEST)

test-long: $(VENV)/installed
	$(BIN)/python $(PYTEST) -m ""

coverage: $(VENV)/installed
	$(BIN)/python $(PYTEST) --cov --cov-report term-missing:skip-covered

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/numpydoc lint $$(find sklearn_gkd -name "*.py")
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed
	for benchmark in benchmarks/bench_*.py; do $(BIN)/python $$benchmark --short || exit; done

# Without what calls nothing that the other tests do not (doctests, pages, examples, benchmarks),
# the rules of the house, and torch alone, which is one version in both environments.
test-lowest: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable ".[test]"
	.venv-lowest/bin/python $(PYTEST) -W default tests --ignore tests/benchmarks \
		--ignore tests/docs --ignore tests/examples --ignore tests/contracts/test_house.py \
		--ignore tests/contracts/test_pages.py --ignore tests/networks \
		--ignore tests/test_losses.py
