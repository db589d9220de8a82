# Every target makes .venv first, from the exact versions in constraints.txt, and only when they changed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEV := .venv/.dev

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench clean

help:
	@echo "make demo    train, restore an unseen movie and compare: the whole method in a few minutes"
	@echo "make test    all tests"
	@echo "make lint    formatting, style, types, and who may import whom"
	@echo "make docs    the documentation as web pages in docs/_build"
	@echo "make bench   the benchmarks, one table each"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(0 if ok else "python: %s is not supported; run make PYTHON=python3.12, or another of 3.11 to 3.13" % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[czi,movie]'
	@touch $@

# What tests and checks need beside that.
$(DEV): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[czi,movie,notebook,cluster,bioio,napari,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/pssr demo -o demo

# One thread in each of several processes: tests are many and small. Those with a window have processes of their own.
# What is measured in seconds has the machine to itself.
test: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --ignore tests/napari
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 -m "not alone" tests/napari
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m alone tests/napari

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: .venv/.docs
	$(BIN)/python -m sphinx --fail-on-warning --quiet docs docs/_build
	@echo "docs/_build/index.html"

bench: $(DEV)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/io.py
	$(BIN)/python benchmarks/crappify.py
	$(BIN)/python benchmarks/predict.py --no-peers
	@echo "with a movie of your own: $(BIN)/python benchmarks/stability.py FILE"

clean:
	rm -rf .venv demo dist docs/_build
