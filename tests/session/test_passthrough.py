"""Statements without ML syntax behave on a session as on a plain connection: results, errors, parameters, transactions."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import sqlml

CORPUS = Path(__file__).parents[1] / "language" / "corpus" / "duckdb.sql"


def statements():
    texts = [text.strip() for text in CORPUS.read_text(encoding="utf-8").split("\n\n")]
    return [text for text in texts if text and not all(line.startswith("--") for line in text.splitlines())]


def outcomes(connection, texts):
    found = []
    for text in texts:
        try:
            found.append(connection.execute(text).fetchall())
        except duckdb.Error as error:
            found.append((type(error).__name__, str(error)))
            if "TransactionContext" in str(error):
                connection.execute("ROLLBACK")
    return found


def test_corpus_runs_as_on_a_plain_connection(tmp_path, monkeypatch):
    texts = statements()
    assert len(texts) >= 150
    results = []
    for name, connect in (("plain", duckdb.connect), ("ours", sqlml.connect)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with connect() as connection:
            results.append(outcomes(connection, texts))
    for text, plain, ours in zip(texts, *results, strict=True):
        assert ours == plain, text


def test_the_engine_gets_every_byte(empty, monkeypatch):
    seen = []
    engine = empty._session.engine
    original = engine.execute_native
    monkeypatch.setattr(
        engine, "execute_native", lambda sql, parameters=None: (seen.append(sql), original(sql, parameters))
    )
    for text in ("  select 1 -- end", "select 1;; select 2 ;", "/* a */select\t'ML.PREDICT'", "select 1 as model;\n\n"):
        empty.execute(text)
        assert seen.pop() == text


def test_errors_are_the_engines_own(empty):
    with pytest.raises(duckdb.BinderException, match="nosuch"):
        empty.execute("SELECT nosuch FROM (SELECT 1 AS a)")
    with pytest.raises(duckdb.ParserException, match="syntax error"):
        empty.execute("SELEC 1")


def test_caller_frames_and_streaming(empty):
    pa = pytest.importorskip("pyarrow")
    mine = pa.table({"a": [1, 2, 3]})
    assert mine.num_rows == 3
    assert empty.execute("SELECT sum(a) FROM mine").fetchall() == [(6,)]
    assert empty.sql("SELECT sum(a) FROM mine").fetchall() == [(6,)]

    def inner():
        text = "not a table"
        assert text
        with pytest.raises(duckdb.CatalogException, match="nowhere"):
            empty.execute("SELECT * FROM nowhere")

    inner()


def test_fetching(empty):
    empty.execute("SELECT * FROM range(5) t(i)")
    assert empty.fetchone() == (0,)
    assert empty.fetchmany(2) == [(1,), (2,)]
    assert empty.fetchall() == [(3,), (4,)]
    assert empty.execute("SELECT 1 AS a").arrow().to_pydict() == {"a": [1]}
    assert empty.execute("SELECT 1 AS a").df()["a"].tolist() == [1]
    assert empty.execute("SELECT 1 AS a").pl()["a"].to_list() == [1]
    assert [row for row in empty.execute("SELECT * FROM range(3)")] == [(0,), (1,), (2,)]  # noqa: C416
    assert empty.execute("SELECT ? + 1", [2]).fetchone() == (3,)
    assert empty.execute("SELECT $a", {"a": 5}).fetchone() == (5,)


def test_executemany_and_transactions(empty):
    empty.execute("CREATE TABLE t (a INTEGER)")
    empty.executemany("INSERT INTO t VALUES (?)", [[1], [2]])
    empty.begin()
    empty.execute("DELETE FROM t")
    empty.rollback()
    assert empty.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_attach_wraps_an_open_connection():
    with duckdb.connect() as plain:
        plain.execute("CREATE TEMP TABLE t AS SELECT i AS x, i * 2.0 AS y FROM range(100) r(i)")
        con = sqlml.attach(plain)
        con.execute("CREATE MODEL m OPTIONS (input_label_cols = ['y']) AS TABLE t")
        assert con.execute("SELECT count(PREDICT(m, *)) FROM t").fetchone() == (100,)


def test_cursor_is_another_connection(con):
    other = con.cursor()
    assert other.execute("SELECT count(PREDICT(worth, *)) FROM churn").fetchone() == (3000,)
    con.execute("BEGIN")
    con.execute("CREATE TABLE mine AS SELECT 1 AS a")
    with pytest.raises(duckdb.CatalogException, match="mine"):
        other.execute("FROM mine")
    con.execute("ROLLBACK")
