# make demo   the five-minute tour: real data, models, scores, a view     make test   every other check
# make bench  the benchmark tables of the README, measured here          make lint   ruff and mypy only
# make demo-postgres   the tour in a private PostgreSQL server           make other-postgres   more versions to test with
# make test-large      the tests that take minutes, and 10 GB of disk
# make rivals the comparison of tree scorers, the rivals in environments of their own under .bench
# make test-bi   a real Apache Superset on a served database: takes minutes, and an environment of its own
#
# Each target makes .venv by itself, and again when pyproject.toml has changed. PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BI := .venv-bi
DATABASE ?= demo.duckdb
# Processes that run the tests; each starts its own Postgres. Files stay whole, as their fixtures train models.
WORKERS ?= 2

.DELETE_ON_ERROR:
.PHONY: demo demo-postgres test test-large test-bi bench rivals lint format clean other-postgres

demo: $(VENV)/installed-demo
	@$(BIN)/sqlml demo --database $(DATABASE)

demo-postgres: $(VENV)/installed-demo,postgres
	@$(BIN)/sqlml demo --postgres

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
	SQLML_SCORER=arrow $(BIN)/python -m pytest -k "not postgres" tests/session/test_predict.py tests/session/test_evaluate.py tests/session/test_views.py
	@# What runs in the server, once more in the one that make other-postgres brings with PL/Python, where it did.
	@[ ! -e .postgres/17/python ] || SQLML_TEST_POSTGRES_MAJOR=17 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/postgres/server

test-large: $(VENV)/installed-test
	$(BIN)/python -m pytest -m large -o faulthandler_timeout=0

test-bi: $(VENV)/installed-test $(BI)/installed
	SQLML_SUPERSET=$(abspath $(BI))/bin/superset $(BIN)/python -m pytest tests/bi

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks

rivals: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.rivals

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Optional, with the help of npm, pip and apt: what is here is tested with, what is not is skipped.
other-postgres: $(VENV)/installed-test
	@.ci/other-postgres $(BIN)/python

clean:
	rm -rf $(VENV) $(BI) .bench .postgres build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# An interrupted installation leaves no stamp, so the next make starts over where pip stopped.
$(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(BI)/installed: tests/bi/requirements.txt
	$(PYTHON) -m venv $(BI)
	$(BI)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "sqlml needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	    || { echo "this Python cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ctypes, sys; sys.platform == "linux" and ctypes.CDLL("libgomp.so.1")' 2>/dev/null \
	    || { echo "LightGBM needs the OpenMP runtime; on Debian: apt install libgomp1" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
