"""Statements without ML syntax behave on a session as on a plain connection: results, errors, parameters, transactions."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import sqlml

CORPORA = {
    "duckdb": Path(__file__).parents[1] / "language" / "corpus" / "duckdb.sql",
    "postgres": Path(__file__).parent / "corpus" / "postgres.sql",
}


def statements(name):
    texts = [text.strip() for text in CORPORA[name].read_text(encoding="utf-8").split("\n\n")]
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
    texts = statements("duckdb")
    assert len(texts) >= 150
    results = []
    for name, connect in (("plain", duckdb.connect), ("ours", sqlml.connect)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with connect() as connection:
            results.append(outcomes(connection, texts))
    for text, plain, ours in zip(texts, *results, strict=True):
        assert ours == plain, text


class Raw:
    """A plain connection of psycopg's, whose cursors give the server every byte, and the last result of several."""

    def __init__(self, connection):
        import psycopg

        self.connection = connection
        self.cursor = psycopg.RawCursor(connection)

    def execute(self, text, parameters=None):
        self.cursor.execute(text, parameters)
        while self.cursor.nextset():
            pass
        return self.cursor


def told(run, text, notices):
    """All that a client can see of a statement: rows, columns, the status, or every word of an error."""
    import psycopg

    notices.clear()
    try:
        cursor = run(text)
    except psycopg.Error as error:
        fields = ("severity", "sqlstate", "message_primary", "message_detail", "message_hint", "statement_position")
        return type(error), str(error), [getattr(error.diag, field) for field in fields], list(notices)
    built_in = 16_384  # of types made by users, the number is another in each database
    columns = [(c.name, c.type_code < built_in and c.type_code, *c[2:]) for c in cursor.description or ()]
    return columns, cursor.fetchall() if columns else None, cursor.rowcount, cursor.statusmessage, list(notices)


@pytest.mark.postgres_only("its corpus")
def test_corpus_of_postgres_runs_as_on_a_plain_connection(door):
    texts = statements("postgres")
    assert len(texts) >= 150
    addresses = [door.fresh(), door.fresh()]
    with door.plain(addresses[0]) as plain, sqlml.connect(addresses[1]) as ours:
        plain.execute("SET application_name = 'sqlml'")
        heard = ([], [])
        for connection, notices in ((plain, heard[0]), (ours.engine_connection, heard[1])):
            connection.add_notice_handler(lambda notice, notices=notices: notices.append(notice.message_primary))
        raw = Raw(plain)

        def run(text):
            ours.execute(text)
            return ours._session.engine.result

        for text in texts:
            expected = told(raw.execute, text, heard[0])
            assert told(run, text, heard[1]) == expected, text
            assert ours.engine_connection.info.transaction_status == plain.info.transaction_status, text
    for address in addresses:
        door.drop(address)


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


def test_errors_are_the_engines_own(empty, door):
    with pytest.raises(door.errors["column"], match="nosuch"):
        empty.execute("SELECT nosuch FROM (SELECT 1 AS a) q")
    with pytest.raises(door.errors["syntax"], match="syntax error"):
        empty.execute("SELEC 1")


@pytest.mark.duckdb_only("a server sees no variables of the program")
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
    empty.execute("SELECT * FROM generate_series(0, 4) t(i)")
    assert empty.fetchone() == (0,)
    assert empty.fetchmany(2) == [(1,), (2,)]
    assert empty.fetchall() == [(3,), (4,)]
    assert empty.execute("SELECT 1 AS a").arrow().to_pydict() == {"a": [1]}
    assert empty.execute("SELECT 1 AS a").df()["a"].tolist() == [1]
    assert empty.execute("SELECT 1 AS a").pl()["a"].to_list() == [1]
    assert [row for row in empty.execute("SELECT * FROM generate_series(0, 2)")] == [(0,), (1,), (2,)]  # noqa: C416
    assert empty.execute("SELECT $1 + 1", [2]).fetchone() == (3,)


@pytest.mark.duckdb_only("Postgres has operators called ?, and numbers its parameters")
def test_other_kinds_of_parameters(empty):
    assert empty.execute("SELECT ? + 1", [2]).fetchone() == (3,)
    assert empty.execute("SELECT $a", {"a": 5}).fetchone() == (5,)


def test_executemany_and_transactions(empty):
    empty.execute("CREATE TABLE t (a INTEGER)")
    empty.executemany("INSERT INTO t VALUES ($1)", [[1], [2]])
    empty.begin()
    empty.execute("DELETE FROM t")
    empty.rollback()
    assert empty.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_attach_wraps_an_open_connection(door):
    address = door.fresh()
    with door.plain(address) as plain:
        plain.execute("CREATE TEMP TABLE t AS SELECT i AS x, i * 2.0 AS y FROM generate_series(0, 99) r(i)")
        con = sqlml.attach(plain)
        con.execute("CREATE MODEL m OPTIONS (input_label_cols = ['y'], num_threads = 1) AS TABLE t")
        assert con.execute("SELECT count(PREDICT(m, *)) FROM t").fetchone() == (100,)
    door.drop(address)


def test_cursor_is_another_connection(con, door):
    with con.cursor() as other:
        assert other.execute("SELECT count(PREDICT(worth, *)) FROM churn").fetchone() == (3000,)
        con.execute("BEGIN")
        con.execute("CREATE TABLE mine AS SELECT 1 AS a")
        with pytest.raises(door.errors["table"], match="mine"):
            other.execute("TABLE mine")
        con.execute("ROLLBACK")
