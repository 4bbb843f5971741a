"""What happens around a process: imports stay light, an exit is silent, and the Arrow scorer passes the same tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def run(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ | variables, check=False
    )


def test_opening_a_database_loads_no_compiler():
    done = run(
        "import sys, udfs.duckdb; udfs.duckdb.register(); import duckdb; c = duckdb.connect();"
        " print(c.execute('SELECT __sqlml_instance()').fetchone()[0], [m for m in ('numba', 'lightgbm', 'pyarrow') if m in sys.modules])"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("1 []\n", "", 0)


SCORE = """
import sys
sys.path.insert(0, {root!r})
import udfs.duckdb
udfs.duckdb.register()
import duckdb
from pathlib import Path
artifact = Path({artifact!r}).read_bytes()
connection = duckdb.connect()
udfs.duckdb.instance_of(connection).put({hash!r}, artifact)
connection.execute("CREATE TABLE t AS SELECT i AS a, i AS b, i AS c, i AS \\"Odd Name\\", i AS e FROM range(100000) r(i)")
result = connection.execute("SELECT ml_predict('sha256:{hash}', t) FROM t")
print(len(result.fetchmany(10)))
{ending}
"""


def test_scoring_leaves_scipy_alone_and_linear_algebra_intact():
    done = run(
        "import udfs.duckdb.plan, sys; from udfs.duckdb.fill import filler_address; filler_address('int32');"
        " print('scipy.linalg' in sys.modules); import numba, numpy as np;"
        " print(numba.njit(lambda a: np.dot(a, a))(np.eye(2)).sum())"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("False\n2.0\n", "", 0)


def test_scoring_with_machine_code_from_the_cache_loads_no_compiler(tmp_path, binary):
    path = tmp_path / "model"
    path.write_bytes(binary.artifact)
    ending = "print('numba' in sys.modules)"
    code = SCORE.format(root=str(ROOT), artifact=str(path), hash=binary.hash, ending=ending)
    outputs = [run(code, SQLML_KERNEL_CACHE=str(tmp_path / "kernels")) for _ in range(2)]
    assert [(done.stdout, done.stderr) for done in outputs] == [("10\nTrue\n", ""), ("10\nFalse\n", "")]


ENDINGS = {
    "an open stream": "",
    "a closed connection": "connection.close()",
    "a global that outlives the module": "import builtins; builtins.kept = (connection, result)",
    "a query on another thread": (
        "import threading; other = connection.cursor()\n"
        "threading.Thread(target=lambda: other.execute(\"SELECT sum(ml_predict_proba('sha256:"
        "{hash}"
        "', t)) FROM t\").fetchall()).start()"
    ),
}


def test_exits_are_silent(tmp_path, binary):
    path = tmp_path / "model"
    path.write_bytes(binary.artifact)
    for ending in ENDINGS.values():
        code = SCORE.format(
            root=str(ROOT), artifact=str(path), hash=binary.hash, ending=ending.replace("{hash}", binary.hash)
        )
        done = run(code, SQLML_SCORER="")
        assert (done.stdout, done.stderr, done.returncode) == ("10\n", "", 0)


def test_a_connection_older_than_the_registration_gets_arrow_functions(tmp_path, binary):
    path = tmp_path / "model"
    path.write_bytes(binary.artifact)
    done = run(
        f"""
import duckdb
connection = duckdb.connect()
import udfs.duckdb
from pathlib import Path
udfs.duckdb.register()
registry = udfs.duckdb.instance_of(connection)
assert udfs.duckdb.instance_of(connection.cursor()) is registry
registry.put({binary.hash!r}, Path({str(path)!r}).read_bytes())
print(registry.scorer, connection.execute("SELECT __sqlml_class('sha256:{binary.hash}', 1, 2, 3, 4, 5)").fetchone())
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("arrow (")


def test_the_arrow_scorer_passes_the_same_tests():
    files = [str(path) for path in sorted(HERE.glob("test_*.py")) if path.name != Path(__file__).name]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"SQLML_SCORER": "arrow"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
