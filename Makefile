# Each target works as the first and only command on a machine with Python 3.11 to 3.13 and make.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help train test test-all test-fast faults docs notebooks lint format bench bench-quick benchmark clean

help:
	@echo "make train       install into .venv, then train the default: 8 Gaussians on a ring, a minute on a laptop"
	@echo "make test        install, then run the tests (test-fast: without the slow ones; test-all: the long ones, too)"
	@echo "make faults      kill, interrupt, damage and mistype runs by the hundred, and write docs/reliability.md"
	@echo "make docs        README, docs/ and the notebooks as a site, in .site/html; make notebooks runs them anew"
	@echo "make lint        ruff and mypy; make format rewrites"
	@echo "make bench       speed against loops, of whole commands and of many runs, into docs/performance.md (bench-quick: in 2 minutes)"
	@echo "make benchmark   speed against a plain PyTorch loop and torchvision's data path"
	@echo "make clean       remove .venv; runs and data stay"

train: .venv/.installed
	$(BIN)/python train.py

test: .venv/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long"

test-all: .venv/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: .venv/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not long"

faults: .venv/.installed-dev
	$(BIN)/python tests/fault_suite.py

docs: .venv/.installed-dev
	$(BIN)/python docs/pages.py

notebooks: .venv/.installed-dev
	$(BIN)/python notebooks/execute.py

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed-dev
	$(BIN)/python benchmarks/bench.py

bench-quick: .venv/.installed-dev
	$(BIN)/python benchmarks/bench.py --quick

benchmark: .venv/.installed-dev
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf .venv

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "ganlab needs Python 3.11 to 3.13, $(PYTHON) is $$($(PYTHON) --version): try make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing into .venv: PyTorch with its CUDA libraries is a few GB"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
