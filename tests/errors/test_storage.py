"""Databases that cannot be written, transactions, a full disk, damaged artifacts, and signatures under views."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import textwrap
from collections import OrderedDict

import duckdb
import pytest

import sqlml

FAST = "max_iterations = 2, num_threads = 1"
Y = f"OPTIONS (input_label_cols = ['y'], {FAST})"
NAMES = ["bound", "cls", "multi", "reg"]


@pytest.fixture(scope="module")
def reading(door, trained):
    """A connection that may not write."""
    address = door.copy(trained)
    with sqlml.connect(address, read_only=True) as con:
        yield con
    door.drop(address)


WRITES = [
    (f"CREATE MODEL n {Y} AS SELECT b, y FROM t", "n OPTIONS"),
    (f"CREATE OR REPLACE MODEL reg {Y} AS SELECT b, y FROM t", "reg"),
    ("DROP MODEL reg", "reg"),
    ("ALTER MODEL reg SET ALIAS x = 1", "reg"),
    ("ALTER MODEL reg SET OPTIONS (description = 'x')", "reg"),
    ("ALTER MODEL reg RENAME TO x", "reg"),
    ("ALTER MODEL reg KEEP 1 VERSIONS", "reg"),
    ("IMPORT MODEL q FROM '/no/where'", "q"),
]


@pytest.mark.parametrize(("sql", "word"), WRITES)
def test_read_only_connections(sql, word, reading, refuse):
    failure = refuse(reading, sql)
    assert failure.sqlstate == "25006"
    assert "open for reading only" in failure.message
    assert failure.word.startswith(word)
    assert "without read_only" in failure.hint
    assert reading.execute("SELECT count(PREDICT(reg, *)) FROM t").fetchone() == (400,)


@pytest.mark.duckdb_only("a connection to Postgres knows one database")
def test_read_only_attached_databases(trained, refuse):
    with sqlml.connect() as con:
        con.execute(f"ATTACH '{trained}' AS far (READ_ONLY)")
        assert con.execute("SELECT count(PREDICT(far.main.reg, *)) FROM far.t").fetchone() == (400,)
        failure = refuse(con, f"CREATE MODEL far.main.n {Y} AS SELECT b, y FROM far.t")
        assert (failure.sqlstate, failure.word[:10]) == ("25006", "far.main.n")
        con.execute("BEGIN")
        assert refuse(con, "DROP MODEL far.main.reg").sqlstate == "25006"
        con.execute("COMMIT")


@pytest.mark.postgres_only("DuckDB has no transactions that only read")
@pytest.mark.parametrize(("sql", "word"), WRITES)
def test_transactions_that_only_read(sql, word, con, refuse):
    con.execute("BEGIN READ ONLY")
    failure = refuse(con, sql)
    assert (failure.sqlstate, failure.word[: len(word)]) == ("25006", word)
    assert con.execute("SELECT count(PREDICT(reg, *)) FROM t").fetchone() == (400,)
    con.execute("COMMIT")
    con.execute("ALTER MODEL reg SET ALIAS x = 1")


# What the dialect refuses by itself leaves the transaction as it was.
KEPT = [
    "CREATE MODEL n OPTIONS (input_label_cols = ['nope']) AS SELECT b, y FROM t",
    "CREATE MODEL n OPTIONS (num_leavs = 3) AS SELECT b, y FROM t",
    f"CREATE MODEL n {Y} AS SELECT b, y FROM t WHERE FALSE",
    f"CREATE MODEL n {Y} AS SELECT nope, y FROM t",
    f"CREATE MODEL n {Y} AS SELECT b, y FROM nosuch",
    f"CREATE MODEL n TRANSFORM (nofn(b) AS z, y) {Y} AS SELECT b, y FROM t",
    f"CREATE MODEL n TRANSFORM (sum(b) AS z, y) {Y} AS SELECT b, y FROM t",
    "CREATE MODEL n TRANSFORM (b,",
    f"CREATE MODEL reg {Y} AS SELECT b, y FROM t",
    "SELECT PREDICT(rge, *) FROM t",
    "SELECT PREDICT(reg, *) FROM other",
    "SELECT * FROM ML.PREDICT(MODEL reg, TABLE nosuch)",
    "SELECT ml_predict('rge', t) FROM t",
    "DROP MODEL nope",
    "DROP MODEL reg VERSION 1",
    "ALTER MODEL reg RENAME TO cls",
    "IMPORT MODEL x FROM '/no/where'",
]


@pytest.mark.parametrize("sql", KEPT)
def test_a_transaction_outlives_what_the_dialect_refuses(sql, con, refuse):
    con.execute("BEGIN")
    con.execute("CREATE TABLE mine AS SELECT 1 AS a")
    refuse(con, sql)
    con.execute("INSERT INTO mine VALUES (2)")
    con.execute("COMMIT")
    assert con.execute("SELECT count(*) FROM mine").fetchone() == (2,)
    assert con.models == NAMES


FAILS_LATE = f"CREATE MODEL n {Y} AS SELECT CAST(CASE WHEN id = 399 THEN 'q' ELSE '1' END AS INTEGER) AS z, y FROM t"


@pytest.mark.duckdb_only("Postgres has savepoints")
def test_a_query_that_fails_while_it_runs_aborts_the_transaction_as_the_engine_does(con):
    con.execute("BEGIN")
    con.execute("CREATE TABLE mine AS SELECT 1 AS a")
    with pytest.raises(sqlml.SqlmlError, match="Could not convert"):
        con.execute(FAILS_LATE)
    with pytest.raises(duckdb.TransactionException, match="aborted"):
        con.execute("SELECT 1")
    con.execute("ROLLBACK")
    assert con.models == NAMES
    with pytest.raises(duckdb.CatalogException, match="mine"):
        con.execute("FROM mine")


@pytest.mark.postgres_only("DuckDB has no savepoints")
def test_a_query_that_fails_while_it_runs_leaves_the_transaction_as_it_was(con):
    con.execute("BEGIN")
    con.execute("CREATE TABLE mine AS SELECT 1 AS a")
    with pytest.raises(sqlml.SqlmlError, match="invalid input syntax for type integer"):
        con.execute(FAILS_LATE)
    con.execute("INSERT INTO mine VALUES (2)")
    con.execute("COMMIT")
    assert con.models == NAMES
    assert con.execute("SELECT count(*) FROM mine").fetchone() == (2,)


def test_a_script_stops_at_its_error_and_keeps_what_was_done(con, door):
    with pytest.raises(sqlml.SqlmlError, match='unknown option "num_leavs"') as caught:
        con.execute(
            f"CREATE MODEL one {Y} AS SELECT b, y FROM t; CREATE MODEL two OPTIONS (num_leavs = 1) AS TABLE t; CREATE TABLE never (a INT)"
        )
    assert caught.value.text[caught.value.position :].startswith("num_leavs")
    assert con.models == ["bound", "cls", "multi", "one", "reg"]
    with pytest.raises(door.errors["table"], match="never"):
        con.execute("TABLE never")


@pytest.mark.duckdb_only("the disk is the server's")
def test_a_full_disk_while_storing(trained, tmp_path):
    """The file may not grow: the version is not stored, the old one serves, and the next attempt succeeds."""
    path = tmp_path / "full.duckdb"
    path.write_bytes(trained.read_bytes())
    program = f"""
        import os, resource, signal, sqlml
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        con = sqlml.connect({str(path)!r})
        before = con.execute("SELECT sum(PREDICT(reg, *)) FROM t").fetchone()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
        statement = "CREATE OR REPLACE MODEL reg OPTIONS (input_label_cols = ['y'], num_threads = 1, max_iterations = 9) AS SELECT a, b, s, f, y FROM t"
        try:
            con.execute(statement)
            print("stored")
        except sqlml.SqlmlError as error:
            print(type(error).__name__, error.sqlstate, error.message)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        con.close()
        con = sqlml.connect({str(path)!r})
        assert con.execute("SELECT sum(PREDICT(reg, *)) FROM t").fetchone() == before
        assert con.execute("SHOW MODEL VERSIONS reg").arrow().num_rows == 1
        con.execute(statement)
        assert con.execute("SHOW MODEL VERSIONS reg").arrow().num_rows == 2
        print("served")
    """
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.SIGXFSZ
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.strip().split("\n")
    assert first.startswith(("ResourceError 53000 could not write", "EngineError 53100")), first
    assert last == "served"


DAMAGE = {
    "byte": {"duckdb": "body[1:100] || '\\xFF'::BLOB || body[102:]", "postgres": "set_byte(body, 100, 255 - get_byte(body, 100))"},
    "cut": {"duckdb": "body[1:100]", "postgres": "substr(body, 1, 100)"},
}  # fmt: skip


@pytest.mark.parametrize("damage", ["byte", "cut", "gone"])
def test_damaged_artifacts_are_told_and_the_rest_serves(damage, database, refuse, door, monkeypatch):
    monkeypatch.setattr(
        "sqlml.serving.postgres._MODELS", OrderedDict()
    )  # as in a process that has not read the models yet
    change = "DELETE FROM sqlml.artifacts"
    if damage in DAMAGE:
        change = f"UPDATE sqlml.artifacts SET body = {DAMAGE[damage][door.name]}"
    with door.plain(database) as plain:
        (digest,) = plain.execute("SELECT artifact_hash FROM sqlml.serving WHERE model_name = 'reg' LIMIT 1").fetchone()
        plain.execute(f"{change} WHERE artifact_hash = '{digest}'")
    with sqlml.connect(database) as con:
        failure = refuse(con, "SELECT PREDICT(reg, *) FROM t")
        assert failure.sqlstate == "XX001"
        assert con.execute("SELECT count(PREDICT(cls, *)) FROM t").fetchone() == (400,)
        assert con.execute("SHOW MODELS").arrow().num_rows == 4
        con.execute("DROP MODEL reg")
        assert con.execute("SELECT count(PREDICT(cls, *)) FROM t").fetchone() == (400,)


OTHER_INPUTS = f"CREATE OR REPLACE MODEL reg {Y} AS SELECT a, b, y FROM t"
OTHER_OUTPUT = f"CREATE OR REPLACE MODEL reg OPTIONS (input_label_cols = ['k'], {FAST}) AS SELECT a, b, s, f, k FROM t"


@pytest.mark.parametrize("retrain", [OTHER_INPUTS, OTHER_OUTPUT])
def test_a_signature_change_under_a_view(retrain, con, refuse, door):
    con.execute("CREATE VIEW scored AS SELECT id, PREDICT(reg, *) AS p FROM t")
    before = con.execute("SELECT * FROM scored ORDER BY id").fetchall()
    con.execute(retrain)
    assert any("stays the default because views use it" in notice for notice in con.notices)
    assert con.execute("SELECT * FROM scored ORDER BY id").fetchall() == before
    failure = refuse(con, "ALTER MODEL reg SET DEFAULT VERSION 2")
    assert failure.sqlstate == "2BP01"
    assert "another signature" in failure.message
    assert f"{door.schema}.scored" in failure.detail
    assert "REBUILD VIEWS" in failure.hint
    assert failure.word
    assert con.execute("SELECT * FROM scored ORDER BY id").fetchall() == before
    con.execute("ALTER MODEL reg SET DEFAULT VERSION 2 REBUILD VIEWS")
    assert (
        con.execute("SELECT * FROM scored ORDER BY id").fetchall()
        == con.execute("SELECT id, PREDICT(reg@2, *) FROM t ORDER BY id").fetchall()
    )


def test_what_is_in_use_is_not_dropped(con, refuse, door):
    con.execute("CREATE VIEW scored AS SELECT PREDICT(reg, *) AS p FROM t")
    failure = refuse(con, "DROP MODEL reg")
    assert failure.sqlstate == "2BP01"
    assert f"{door.schema}.scored" in failure.detail
    assert failure.hint == "DROP MODEL reg CASCADE drops these as well."
    assert failure.word == "reg"


def test_rebuilding_a_view_that_cannot_be_rebuilt_changes_nothing(con):
    con.execute("CREATE VIEW scored AS SELECT PREDICT(reg, a, b, s, f) AS p FROM (SELECT a, b, s, f FROM t) q")
    con.execute(f"CREATE OR REPLACE MODEL reg {Y} AS SELECT a, id, y FROM t")
    before = con.execute("SELECT sum(p) FROM scored").fetchone()
    with pytest.raises(sqlml.SqlmlError, match="1 of them missing") as caught:
        con.execute("ALTER MODEL reg SET DEFAULT VERSION 2 REBUILD VIEWS")
    assert caught.value.sqlstate == "42703"
    assert con.execute("SELECT sum(p) FROM scored").fetchone() == before
    assert not con._session.engine.in_transaction()
