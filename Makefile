# `make run` and `make test` need Python 3.11 or newer, git and a network that serves pip; nothing else.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: run test full faults

run: $(VENV)/installed
	dvc repro

test: $(VENV)/installed
	ruff check . && ruff format --check . && mypy && pytest

# The study of docs/results.md, which it writes anew: eight methods on all five held-out styles, some three hours on two cores. Leaves
# the default job's results alone; a second call goes on.
full: $(VENV)/installed
	scmd run --experiment configs/study.yaml --results results/study --jobs 2
	python -m tests.studies.collecting docs/studies/results.parquet configs/study.yaml
	python -m tests.studies.results_page

# The long form of the fault tests, and every backbone of timm: more than an hour on two cores; a second call goes on.
faults: $(VENV)/installed
	python -m tests.faults docs/reliability.md

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make run PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@
