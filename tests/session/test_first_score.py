"""What a process loads until its first score: with machine code in the cache, nothing that trains, parses expressions or reads files."""

import importlib
import os
import subprocess
import sys

import sqlml
from sqlml.language import statements
from sqlml.statements import HANDLERS

HEAVY = ("numba", "pyarrow", "sqlglot", "lightgbm", "pandas", "sqlml.training", "sqlml.statements.show")
SCORE = f"""
import sys, sqlml
rows = sqlml.connect(sys.argv[1]).execute("SELECT PREDICT_PROBA(m, *) FROM t").fetchall()
print(len(rows), sorted(set({HEAVY}) & set(sys.modules)))
"""


def score(path, kernels):
    environment = {
        **os.environ,
        "SQLML_KERNEL_CACHE": str(kernels),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-P", "-c", SCORE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_first_score_loads_what_scores(tmp_path):
    path = tmp_path / "first.duckdb"
    with sqlml.connect(path) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT i / 7 AS x, ['a', 'b'][1 + i % 2] AS word, DATE '2024-01-01' + i::INT AS day, i % 3 = 1 AS y "
            "FROM range(300) AS r(i)"
        )
        connection.execute(
            "CREATE MODEL m OPTIONS (input_label_cols = ['y'], max_iterations = 3, num_threads = 1) AS SELECT * FROM t"
        )
    score(path, tmp_path / "kernels")  # compiles, where no machine code came with the package
    assert score(path, tmp_path / "kernels") == "300 []"


def test_every_statement_has_a_handler():
    ours = {
        kind
        for kind in vars(statements).values()
        if isinstance(kind, type) and kind in statements.Statement.__args__ and kind is not statements.EngineStatement
    }
    assert ours == HANDLERS.keys()
    for module, name in HANDLERS.values():
        assert callable(getattr(importlib.import_module(f"sqlml.statements.{module}"), name))
