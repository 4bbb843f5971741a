"""The same errors through the shell's -c, wrapped connections, cursors, the sklearn door and the Arrow fallback."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import sqlml
from sqlml.errors import SqlmlError
from sqlml.language.errors import render

SHELL = [
    "SELECT PREDICT(rge, *) FROM t",
    "SELECT PREDICT(reg, *)\nFROM other",
    "CREATE MODEL n OPTIONS (num_leavs = 5) AS TABLE t",
    "CREATE MODEL n OPTIONS (input_label_cols = ['y']) AS\nSELECT a, nope\nFROM t",
    "SELECT PREDICT(reg, *) FROM (SELECT 'q' AS a, b, s, f FROM t)",
    "EXPORT MODEL reg TO '/no/where/x'",
    "ALTER MODEL reg SET ALIAS best = 9",
    "SELECT PREDICT(reg, *) FRM t",
]


@pytest.mark.parametrize("sql", SHELL)
def test_the_shell_shows_what_a_program_gets(sql, trained, database):
    with sqlml.connect(trained, read_only=True) as con, pytest.raises(SqlmlError) as caught:
        con.execute(sql)
    if caught.value.sqlstate == "25006":  # the file of the other tests is not to be written
        with sqlml.connect(database) as con, pytest.raises(SqlmlError) as caught:
            con.execute(sql)
    command = [sys.executable, "-m", "sqlml.cli.main", str(database), "-c", sql]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    shown = "\n".join(line for line in done.stderr.rstrip("\n").split("\n") if not line.startswith("NOTICE:"))
    assert shown == render(caught.value)


def test_a_wrapped_connection_and_its_cursor(database, refuse, door):
    with door.plain(database) as plain:
        con = sqlml.attach(plain)
        with con.cursor() as other:
            for each in (con, other):
                assert refuse(each, "SELECT PREDICT(rge, *) FROM t").word.startswith("rge")
        assert plain.execute("SELECT 1").fetchone() == (1,)


def test_executemany_stops_at_the_first_error(con, said):
    con.execute("CREATE TABLE scores (id BIGINT, p FLOAT8)")
    message, sqlstate = said("Could not convert", "22018")
    with pytest.raises(SqlmlError, match=message) as caught:
        con.executemany(
            "INSERT INTO scores SELECT id, PREDICT(reg, CAST($1 AS INTEGER) AS a, b, s, f) FROM t",
            [["1"], ["x"], ["2"]],
        )
    assert caught.value.sqlstate == sqlstate
    assert con.execute("SELECT count(*) FROM scores").fetchone() == (400,)


UNUSED = pytest.mark.duckdb_only("Postgres takes parameters that a statement does not use")


@pytest.mark.parametrize("parameters", [[], pytest.param([1, 2], marks=UNUSED), ["text"]])
def test_parameters_that_do_not_fit(parameters, con, door):
    with pytest.raises((SqlmlError, door.errors["any"])) as caught:
        con.execute("SELECT sum(PREDICT(reg, $1 AS a, b, s, f)) FROM t", parameters).fetchall()
    assert "__sqlml" not in str(caught.value)
    assert con.execute("SELECT 42").fetchone() == (42,)


def test_estimators_refuse_as_scikit_learn_does():
    from sqlml.sklearn import SqlmlClassifier, SqlmlRegressor

    rows, rng = np.arange(40.0).reshape(-1, 2), np.random.default_rng(1)
    for estimator, label in ((SqlmlRegressor(), rng.random(20)), (SqlmlClassifier(), np.arange(20) % 2)):
        with pytest.raises(ValueError, match=r"inconsistent|samples"):
            estimator.fit(rows, label[:-1])
        estimator.fit(rows, label)
        with pytest.raises(ValueError, match="features"):
            estimator.predict(rows[:, :1])


@pytest.mark.duckdb_only("Postgres has other scorers")
def test_the_arrow_fallback_tells_the_same(database):
    program = f"""
import sqlml
con = sqlml.connect({str(database)!r})
for sql in ("SELECT PREDICT(rge, *) FROM t", "SELECT PREDICT(reg, *) FROM other", "SELECT PREDICT(reg, *) FROM (SELECT 'q' AS a, b, s, f FROM t)",
            "SELECT PREDICT_PROBA(multi, 'zz', *) FROM t"):
    try:
        con.execute(sql).fetchall()
    except sqlml.SqlmlError as error:
        print(error.sqlstate, error.position, error.message, error.hint, sep="|")
print(con.execute("SELECT count(PREDICT(reg, *)) FROM t").fetchone())
"""
    found = {}
    for scorer in ("native", "arrow"):
        environment = {**os.environ, "SQLML_SCORER": scorer}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        found[scorer] = done.stdout.strip().split("\n")
    assert len(found["native"]) == 5
    assert found["arrow"] == found["native"]
