"""What DuckDB does in its own way behind the contract, tried on the installed DuckDB."""

import inspect
import signal

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sqlml.engines.duckdb import DuckDBEngine
from sqlml.engines.engine import Column
from sqlml.errors import ConflictError, EngineError


@pytest.fixture
def engine():
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute(
        "CREATE TABLE t AS SELECT range AS i, range % 10 AS k, random() AS x, 'a' AS s FROM range(300_000)"
    )
    yield DuckDBEngine(connection)
    connection.close()


def test_columns_are_named_and_typed_without_running(engine):
    sql = "SELECT 1::DECIMAL(10,3) AS a, [1] AS b, {'x': 'y'} AS c, NULL AS d, now() AS \"E e\", error('no') AS f"
    assert engine.columns(sql) == [
        Column("a", "DECIMAL(10,3)"),
        Column("b", "INTEGER[]"),
        Column("c", "STRUCT(x VARCHAR)"),
        Column("d", "NULL"),
        Column("E e", "TIMESTAMP WITH TIME ZONE"),
        Column("f", "NULL"),
    ]
    assert engine.columns("SELECT i FROM t WHERE i = ?") == [Column("i", "BIGINT")]
    assert engine.columns("SELECT ? AS p, i FROM t", ["x"]) == [Column("p", "VARCHAR"), Column("i", "BIGINT")]


def test_a_stream_that_is_closed_early_frees_the_connection(engine):
    stream = engine.stream("FROM t", 1_000)
    next(stream)
    with pytest.raises(EngineError, match="open result") as caught:
        engine.rows("SELECT 1")
    assert caught.value.sqlstate == "55006"
    stream.close()
    assert engine.rows("SELECT 1") == [(1,)]


def test_an_error_half_way_through_a_stream_has_its_position(engine):
    sql = "SELECT CAST(CASE WHEN i = 250000 THEN 'word' ELSE '1' END AS INTEGER) AS v FROM t"
    with pytest.raises(EngineError, match="Could not convert string 'word' to INT32") as caught:
        list(engine.stream(sql))
    assert caught.value.sqlstate == "22018"
    assert caught.value.position == sql.index("CAST")
    assert engine.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "word", "sqlstate", "message"),
    [
        ("SELEC 1", "SELEC", "42601", 'syntax error at or near "SELEC"'),
        ("SELECT *\nFROM t\nWHERE nosuch = 1", "nosuch", "42703", 'Referenced column "nosuch" not found'),
        ("SELECT *\r\n  FROM nosuch", "nosuch", "42P01", "Table with name nosuch does not exist"),
        (
            "SELECT 'ü日本' || '🦆', nosuch(1) FROM t",
            "nosuch",
            "42883",
            "Scalar Function with name nosuch does not exist",
        ),
        ("SELECT " + "1 + " * 100 + "nosuch" + " + 1" * 100 + " FROM t", "nosuch", "42703", "Referenced column"),
        ("SELECT '" + "日" * 90 + "', nosuch FROM t", "nosuch", "42703", "Referenced column"),
        ("SELECT 1 / 'x'", None, "22018", "Could not convert"),
        ("SELECT error('boom')", None, "22023", "boom"),
        ("CREATE TABLE t (i INTEGER)", None, "42P07", "already exists"),
        ("COMMIT", None, "25P01", "no transaction is active"),
    ],
)
def test_errors_have_position_and_sqlstate(engine, sql, word, sqlstate, message):
    with pytest.raises(EngineError, match=message) as caught:
        engine.rows(sql)
    assert caught.value.sqlstate == sqlstate
    assert "LINE" not in caught.value.message
    assert "\n" not in caught.value.message
    if word is not None:
        assert caught.value.position == sql.index(word)
        assert caught.value.text == sql


def test_the_engines_hint_becomes_ours(engine):
    with pytest.raises(EngineError, match="does not exist") as caught:
        engine.run("FROM tt")
    assert caught.value.hint.startswith("Did you mean")


def test_conflicts_at_commit_say_that_one_may_try_again(engine):
    engine.run("CREATE TABLE keys (k INTEGER PRIMARY KEY)")
    other = DuckDBEngine(engine.connection.cursor())
    for one in (engine, other):
        one.begin()
        one.run("INSERT INTO keys VALUES (1)")
    engine.commit()
    with pytest.raises(ConflictError, match="at the same time"):
        other.commit()
    assert not other.in_transaction()


def test_an_update_and_a_deletion_of_one_row_do_not_conflict_in_duckdb(engine):
    """Why the store claims a row by an update before it deletes it; if this fails, that has become unnecessary."""
    engine.run("CREATE TABLE rows_ (i INTEGER, n INTEGER); INSERT INTO rows_ VALUES (1, 0)")
    other = DuckDBEngine(engine.connection.cursor())
    engine.begin()
    other.begin()
    engine.run("UPDATE rows_ SET n = 1")
    other.run("DELETE FROM rows_")
    engine.commit()
    other.commit()
    assert engine.rows("FROM rows_") == []


def test_frames_of_the_caller_are_found_and_ours_are_not(engine):
    arrow_frame = pa.table({"a": [1, 2]})
    pandas_frame = pd.DataFrame({"a": [1, 2]})
    polars_frame = pl.DataFrame({"a": [1, 2]})
    assert (len(arrow_frame), len(pandas_frame), len(polars_frame)) == (2, 2, 2)
    with engine.seeing(inspect.currentframe()):
        for name in ("arrow_frame", "pandas_frame", "polars_frame"):
            assert engine.rows(f"FROM {name}") == [(1,), (2,)]
            assert engine.columns(f"FROM {name}") == [Column("a", "BIGINT")]
            assert sum(batch.num_rows for batch in engine.stream(f"FROM {name}")) == 2
    for name in ("arrow_frame", "sql", "parameters", "frame", "function", "duckdb", "self"):
        with pytest.raises(EngineError, match=f"Table with name {name} does not exist"):
            engine.rows(f"FROM {name}")


def test_places_and_databases(engine, tmp_path):
    engine.run(f"ATTACH '{tmp_path / 'other.duckdb'}'; CREATE SCHEMA ds")
    assert engine.place(("v",)) == ("memory", "main", "v")
    assert engine.place(("ds", "v")) == ("memory", "ds", "v")
    assert engine.place(("other", "v")) == ("other", "main", "v")
    assert engine.place(("other", "main", "v")) == ("other", "main", "v")
    assert engine.place(("nowhere", "v")) == ("memory", "nowhere", "v")
    assert engine.databases() == ["memory", "other"]
    assert engine.has_database("OTHER")
    assert engine.schema_exists("memory", "DS")
    assert not engine.schema_exists("other", "ds")
    assert not engine.is_read_only("other")
    engine.run(f"DETACH other; ATTACH '{tmp_path / 'other.duckdb'}' (READ_ONLY)")
    assert engine.is_read_only("other")
    engine.run("USE memory.ds")
    assert engine.surroundings() == ("memory", ["ds", "main"])
    assert engine.place(("v",)) == ("memory", "ds", "v")


def test_settings_are_read_and_not_changed(engine):
    settings = "SELECT name, value FROM duckdb_settings()"
    before = set(engine.rows(settings))
    engine.run("SET memory_limit = '3GiB'; SET TimeZone = 'Europe/Berlin'")
    assert engine.memory_limit() == 3 * 1024**3
    assert engine.time_zone() == "Europe/Berlin"
    assert engine.version() == duckdb.__version__
    assert engine.quote('a"b', "c") == '"a""b"."c"'
    list(engine.stream("FROM t"))
    engine.is_volatile("FROM t")
    engine.run("RESET memory_limit; RESET TimeZone")
    changed = {name for name, _ in before ^ set(engine.rows(settings))}
    assert changed <= {"TimeZone", "memory_limit", "max_memory"}


def test_tables_named_as_functions_and_settings_do_not_confuse(engine):
    engine.run("CREATE MACRO current_database() AS 'wrong'; CREATE MACRO txid_current() AS 1")
    assert engine.current_database() == "memory"
    assert not engine.in_transaction()


def test_the_default_handler_of_sigint_is_not_touched(engine):
    before = signal.getsignal(signal.SIGINT)
    engine.rows("SELECT 1")
    assert signal.getsignal(signal.SIGINT) is before
