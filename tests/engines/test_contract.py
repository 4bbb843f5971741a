"""The contract of an engine, each promise tried on every engine there is."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sqlml.engines.engine import Column
from sqlml.engines.interrupts import stopped_by_ctrl_c
from sqlml.errors import ConflictError, EngineError

ROWS = 100_000
TYPES = {"BIGINT": "bigint", "DOUBLE": "double precision", "VARCHAR": "text", "INTEGER": "integer"}


@pytest.fixture
def t(engine):
    """Table ``t`` of 100,000 rows."""
    engine.run(
        f"CREATE TABLE t AS SELECT i, i % 10 AS k, i * 0.5::float8 AS x, CAST('a' AS text) AS s FROM range({ROWS}) r(i)"
    )
    return engine


def typed(engine, *columns):
    """Columns with their types in the engine's own words; given are DuckDB's."""
    return [Column(name, TYPES[kind] if engine.dialect == "postgres" else kind) for name, kind in columns]


# -- statements --------------------------------------------------------------------------------------------------------------


def test_rows_and_parameters(t):
    assert t.rows("SELECT CAST(? AS integer) + 1, '?', CAST(? AS text)", [1, "a'b?"]) == [(2, "?", "a'b?")]
    assert t.rows("SELECT i FROM t WHERE i < ? ORDER BY i", [3]) == [(0,), (1,), (2,)]
    assert t.rows("SELECT CAST('{\"a\": 1}' AS json)") == [('{"a": 1}',)]
    assert t.rows("SELECT i FROM t WHERE false") == []
    t.run("SELECT * FROM t")
    assert t.rows("SELECT 1") == [(1,)]


def test_columns_are_named_and_typed_without_running(t):
    sql = 'SELECT i, x, s AS "S s", CAST(NULL AS integer) AS n FROM t WHERE i = 1 / (i - i)'
    assert t.columns(sql) == typed(t, ("i", "BIGINT"), ("x", "DOUBLE"), ("S s", "VARCHAR"), ("n", "INTEGER"))


def test_a_failed_question_does_not_abort_the_transaction(t):
    t.begin()
    t.run("CREATE TABLE u (i integer)")
    for ask in (t.columns, t.require_syntax):
        with pytest.raises(EngineError) as caught:
            ask("SELECT FROM WHERE")
        assert caught.value.sqlstate == "42601"
    with pytest.raises(EngineError, match="nosuch") as caught:
        t.columns("SELECT nosuch FROM t")
    assert caught.value.sqlstate == "42703"
    t.require_syntax("SELECT nosuch FROM nowhere")
    assert not t.relation_exists(("nosuch",))
    t.commit()
    assert t.relation_exists(("u",))


@pytest.mark.parametrize(
    ("sql", "word", "sqlstate"),
    [
        ("SELEC 1", "SELEC", "42601"),
        ("SELECT *\nFROM t\nWHERE nosuch = 1", "nosuch", "42703"),
        ("SELECT *\r\n  FROM nosuch", "nosuch", "42P01"),
        ("SELECT 'ü日本' || '🦆', nosuch(1) FROM t", "nosuch", "42883"),
        ("SELECT '" + "日" * 90 + "', nosuch FROM t", "nosuch", "42703"),
        ("CREATE TABLE t (i integer)", None, "42P07"),
    ],
)
def test_errors_have_position_and_sqlstate(t, sql, word, sqlstate):
    with pytest.raises(EngineError) as caught:
        t.rows(sql)
    assert caught.value.sqlstate == sqlstate
    assert "LINE" not in caught.value.message
    assert "\n" not in caught.value.message
    if word is not None:
        assert caught.value.position == sql.index(word)
        assert caught.value.text == sql
    assert t.rows("SELECT 1") == [(1,)]


# -- streams -----------------------------------------------------------------------------------------------------------------


def test_stream_gives_the_rows_in_order_and_frees_the_connection(t):
    for size in (1_000, 65_536):
        batches = list(t.stream("SELECT i FROM t WHERE k < 9 -- at the end", size))
        assert all(0 < batch.num_rows <= max(size, 2_048) for batch in batches)
        values = pa.concat_batches(batches).column(0).to_numpy()
        assert (values[1:] > values[:-1]).all()
        assert len(values) == ROWS * 9 // 10
    assert t.rows("SELECT CAST(? AS integer) + 1", [1]) == [(2,)]


@pytest.mark.parametrize("inside", [False, True])
def test_a_stream_that_is_closed_early_frees_the_connection(t, inside):
    if inside:
        t.begin()
        t.run("UPDATE t SET s = 'b' WHERE i = 0")
    stream = t.stream("SELECT * FROM t", 1_000)
    assert next(stream).num_rows >= 1_000
    stream.close()
    assert t.rows("SELECT 1") == [(1,)]
    assert t.in_transaction() == inside
    if inside:
        assert sum(batch.num_rows for batch in t.stream("SELECT * FROM t WHERE s = 'b'")) == 1
        t.rollback()
    assert t.rows("SELECT count(*) FROM t WHERE s = 'b'") == [(0,)]


def test_a_stream_sees_what_the_transaction_has_not_committed(t):
    t.begin()
    t.run("INSERT INTO t VALUES (-1, 0, 0, 'b')")
    assert sum(batch.num_rows for batch in t.stream("SELECT * FROM t")) == ROWS + 1
    t.rollback()


def test_temporary_tables_are_streamed(engine):
    engine.run("CREATE TEMP TABLE own AS SELECT 7 AS seven")
    assert [batch.to_pylist() for batch in engine.stream("SELECT * FROM own")] == [[{"seven": 7}]]


@pytest.mark.parametrize("inside", [False, True])
def test_an_error_half_way_through_a_stream(t, inside):
    sql = "SELECT i, CAST(CASE WHEN i = 90000 THEN 'word' ELSE '1' END AS integer) AS v FROM t"
    if inside:
        t.begin()
    with pytest.raises(EngineError, match="word") as caught:
        list(t.stream(sql))
    assert caught.value.sqlstate in ("22018", "22P02")
    if inside:
        t.rollback()
    assert t.rows("SELECT 1") == [(1,)]


@pytest.mark.postgres_only("DuckDB tells the place to statements, not to relations")
def test_an_unknown_column_of_a_stream_has_its_position(t):
    sql = "SELECT i,\n  nosuch FROM t"
    with pytest.raises(EngineError) as caught:
        list(t.stream(sql))
    assert (caught.value.sqlstate, caught.value.position) == ("42703", sql.index("nosuch"))


def test_an_empty_result_has_no_batches(t):
    assert list(t.stream("SELECT * FROM t WHERE i < 0")) == []
    assert t.rows("SELECT 1") == [(1,)]


def test_wide_rows_and_large_values(engine):
    wide = ", ".join(f"i + {n} AS c{n}" for n in range(1_200))
    (batch,) = engine.stream(f"SELECT {wide} FROM range(50) r(i)")
    assert batch.column(1_199).to_pylist() == [n + 1_199 for n in range(50)]
    sql = "SELECT repeat('ä', CAST(i * 700000 AS integer)) AS big, CASE WHEN i <> 2 THEN 'x' || i END AS small FROM range(5) r(i)"
    rows = [row for batch in engine.stream(sql, 2) for row in batch.to_pylist()]
    assert [row["big"] for row in rows] == ["ä" * (n * 700_000) for n in range(5)]
    assert [row["small"] for row in rows] == ["x0", "x1", None, "x3", "x4"]


def test_texts_of_every_kind_arrive_whole(engine):
    texts = ["", " ", "a\nb\tc\\n", "日本🦆", "\u0001", "NULL", "\\N", "{1,2}", 'quo"te', None]
    items = ", ".join("(NULL, 9)" if text is None else f"('{text}', {n})" for n, text in enumerate(texts))
    (batch,) = engine.stream(f"SELECT v FROM (VALUES {items}) AS given(v, n) ORDER BY n")
    assert batch.column(0).to_pylist() == texts


def test_lists_of_texts_are_lists(engine):
    sql = "SELECT CASE WHEN i = 3 THEN NULL ELSE string_to_array(v, ',') END AS l FROM (VALUES (0, 'a,b'), (1, ''), (2, '{x},\"y\"'), (3, '')) AS g(i, v) ORDER BY i"
    (batch,) = engine.stream(sql)
    empty = [""] if engine.dialect == "duckdb" else []
    assert pa.types.is_list(batch.column(0).type) or pa.types.is_large_list(batch.column(0).type)
    assert batch.column(0).to_pylist() == [["a", "b"], empty, ["{x}", '"y"'], None]


def test_doubles_arrive_bit_for_bit(engine):
    values = [0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, float("inf"), float("-inf")]
    items = ", ".join(f"({n}, CAST('{value!r}' AS float8))" for n, value in enumerate([*values, float("nan")]))
    (batch,) = engine.stream(f"SELECT v FROM (VALUES {items}) AS g(n, v) ORDER BY n")
    found = batch.column(0).to_numpy()
    assert found[:-1].tobytes() == np.array(values).tobytes()
    assert np.isnan(found[-1])


def test_dates_and_times(engine):
    sql = (
        "SELECT DATE '0001-01-01' AS d, DATE '9999-12-31' AS e, TIMESTAMP '1969-12-31 23:59:59.999999' AS t, "
        "CAST('2024-02-29 12:00:00+02' AS timestamptz) AS z, TIME '23:59:59.5' AS c"
    )
    (batch,) = engine.stream(sql)
    row = {name: str(value) for name, value in batch.to_pylist()[0].items()}
    assert (row["d"], row["e"]) == ("0001-01-01", "9999-12-31")
    assert (row["t"], row["c"]) == ("1969-12-31 23:59:59.999999", "23:59:59.500000")
    assert batch.column(3).cast(pa.int64()).to_pylist() == [1_709_200_800_000_000]


def test_a_stream_is_read_in_bounded_memory(engine, engine_name):
    """Two million rows of ten doubles are 160 MB."""
    items = ", ".join(f"i * 1.0::float8 + {n} AS c{n}" for n in range(10))
    engine.run(f"CREATE TABLE big AS SELECT {items} FROM range(200000) r(i)")
    sql = "SELECT big.* FROM big, range(10) r(n)"
    if engine_name == "duckdb":
        engine.run("SET memory_limit = '100MB'; SET threads = 1")
    list(engine.stream("SELECT * FROM big LIMIT 50000"))
    before, seen, most = resident_bytes(), 0, 0
    for batch in engine.stream(sql):
        seen += batch.num_rows
        most = max(most, resident_bytes())
    assert seen == 2_000_000
    assert most - before < 60e6


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("inside", [False, True])
def test_interrupt_from_another_thread(t, inside):
    if inside:
        t.begin()
    for action in (
        lambda: t.rows("SELECT sum(sin(a.x) * cos(b.x)) FROM t AS a, t AS b"),
        lambda: list(t.stream("SELECT a.x + b.x AS z FROM t AS a, t AS b")),
    ):
        timer = threading.Timer(0.3, t.interrupt)
        timer.start()
        with pytest.raises(EngineError) as caught:
            action()
        timer.join()
        assert caught.value.sqlstate == "57014"
        if inside:
            t.rollback()
            t.begin()
        assert t.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize("how", ["rows", "run", "stream"])
def test_ctrl_c_stops_a_query_and_the_connection_goes_on(t, how):
    sql = "SELECT a.x + b.x AS z FROM t AS a, t AS b WHERE a.x + b.x < 0"
    act = {"rows": t.rows, "run": t.run, "stream": lambda sql: list(t.stream(sql))}[how]
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stopped_by_ctrl_c(t.interrupt):
        act(sql)
    assert time.monotonic() - started < 10
    assert t.rows("SELECT 1") == [(1,)]
    assert signal.set_wakeup_fd(-1) == -1


# -- transactions ------------------------------------------------------------------------------------------------------------


def test_transactions(engine):
    assert not engine.in_transaction()
    engine.begin()
    assert engine.in_transaction()
    with pytest.raises(EngineError):
        engine.run("SELECT nosuch")
    engine.rollback()
    engine.begin()
    with pytest.raises(EngineError):
        engine.run("SELECT CAST('x' || CAST(i AS text) AS integer) FROM range(3) r(i)")
    assert engine.in_transaction()
    with pytest.raises(EngineError, match="aborted") as caught:
        engine.run("SELECT 1")
    assert caught.value.sqlstate == "25P02"
    engine.rollback()
    engine.rollback()
    assert not engine.in_transaction()
    engine.run("BEGIN")
    assert engine.in_transaction()
    engine.commit()
    assert not engine.in_transaction()


def test_a_snapshot_repeats_reads(t, open_engine):
    other = open_engine()
    t.begin_snapshot()
    assert t.repeats_reads()
    assert t.rows("SELECT count(*) FROM t") == [(ROWS,)]
    other.run("DELETE FROM t WHERE i < 1000")
    assert t.rows("SELECT count(*) FROM t") == [(ROWS,)]
    assert sum(batch.num_rows for batch in t.stream("SELECT i FROM t")) == ROWS
    t.commit()
    assert t.rows("SELECT count(*) FROM t") == [(ROWS - 1_000,)]


def test_conflicts_at_commit_say_that_one_may_try_again(engine, open_engine):
    engine.run(
        "CREATE TABLE keys (k integer PRIMARY KEY DEFERRABLE)"
        if engine.dialect == "postgres"
        else "CREATE TABLE keys (k integer PRIMARY KEY)"
    )
    other = open_engine()
    serializable = " ISOLATION LEVEL SERIALIZABLE" if engine.dialect == "postgres" else ""
    for one, number in ((engine, 1), (other, 1 if not serializable else 2)):
        one.run(f"BEGIN{serializable}")
        one.rows("SELECT count(*) FROM keys")
        one.run(f"INSERT INTO keys VALUES ({number})")
    engine.commit()
    with pytest.raises(ConflictError, match="at the same time") as caught:
        other.commit()
    assert caught.value.sqlstate == "40001"
    assert not other.in_transaction()


# -- facts -------------------------------------------------------------------------------------------------------------------


def test_places(engine):
    engine.run("CREATE SCHEMA ds; CREATE TABLE ds.u (i integer)")
    here, main = engine.current_database(), engine.main_schema
    assert engine.databases() == [here]
    assert engine.has_database(here.upper())
    assert not engine.has_database("nowhere")
    assert engine.place(("v",)) == (here, main, "v")
    assert engine.place(("ds", "v")) == (here, "ds", "v")
    assert engine.place(("nowhere", "v")) == (here, "nowhere", "v")
    assert engine.place((here, "ds", "v")) == (here, "ds", "v")
    assert engine.current_schema() == main
    assert engine.schema_exists(here, "ds")
    assert not engine.schema_exists(here, "nowhere")
    assert not engine.schema_exists("nowhere", "ds")
    assert engine.relation_exists(("ds", "u"))
    assert engine.relation_exists((here, "ds", "u"))
    assert not engine.relation_exists(("u",))
    assert not engine.relation_exists(("nowhere", "ds", "u"))
    engine.run("SET search_path = 'ds'" if engine.dialect == "duckdb" else "SET search_path = ds, public")
    assert engine.relation_exists(("u",))
    assert engine.surroundings()[1][0] == "ds"
    assert engine.place(("v",)) == (here, "ds", "v")


@pytest.mark.parametrize("name", ['a"b', "a'b", "Upper", "select", "a.b", "ü 日", "a%sb$1?"])
def test_any_name_can_be_quoted(engine, name):
    place = engine.quote(engine.current_database(), engine.main_schema, name)
    engine.run(f"CREATE TABLE {place} ({engine.quote(name)} integer)")
    engine.run(f"INSERT INTO {place} VALUES (1)")
    assert engine.relation_exists((name,))
    assert [column.name for column in engine.columns(f"SELECT * FROM {place}")] == [name]
    assert [batch.to_pylist() for batch in engine.stream(f"SELECT * FROM {place}")] == [[{name: 1}]]


def test_views_are_found_and_dropped(engine):
    engine.run("CREATE VIEW v AS SELECT 1 AS seen")
    place = (engine.current_database(), engine.main_schema, "v")
    kind, text = engine.stored_text("view", place)
    assert kind == "VIEW"
    assert "seen" in text
    engine.run(engine.drop_statement("view", *place))
    assert engine.stored_text("view", place) is None
    engine.run(engine.drop_statement("view", *place))


def test_read_only(engine, open_engine, engine_name):
    engine.run("CREATE TABLE t AS SELECT 1 AS i")
    assert not engine.is_read_only(engine.current_database())
    if engine_name == "duckdb":
        open_engine(config={}).close()  # makes the file
    reader = open_engine(read_only=True)
    assert reader.is_read_only(reader.current_database())
    with pytest.raises(EngineError, match="read-only"):
        reader.run("CREATE TABLE u (i integer)")
    assert reader.rows("SELECT 1") == [(1,)]
    assert [batch.num_rows for batch in reader.stream("SELECT 1 AS one")] == [1]


def test_settings_are_read_and_not_changed(t):
    settings = (
        "SELECT name, value FROM duckdb_settings()"
        if t.dialect == "duckdb"
        else "SELECT name, setting FROM pg_settings"
    )
    t.run("SET TimeZone = 'Europe/Berlin'")
    before = set(t.rows(settings))
    assert t.time_zone() == "Europe/Berlin"
    assert t.memory_limit() > 1 << 28
    assert t.version()[0].isdigit()
    list(t.stream("SELECT * FROM t"))
    t.is_volatile("SELECT * FROM t")
    t.keeps_row_order("SELECT * FROM t")
    t.begin_snapshot()
    list(t.stream("SELECT * FROM t"))
    t.commit()
    t.begin()
    list(t.stream("SELECT * FROM t"))
    t.commit()
    changed = {name for name, _ in before ^ set(t.rows(settings))}
    assert changed <= {"memory_limit", "max_memory"}


def test_functions_of_the_user_do_not_confuse(engine):
    if engine.dialect == "duckdb":
        engine.run("CREATE MACRO current_database() AS 'wrong'; CREATE MACRO txid_current() AS 1")
    else:
        engine.run(
            "CREATE FUNCTION public.current_database() RETURNS name LANGUAGE sql AS $$SELECT 'wrong'::name$$; "
            "CREATE FUNCTION public.lower(name) RETURNS text LANGUAGE sql AS $$SELECT 'wrong'$$; "
            "CREATE TABLE public.pg_class (relname text); SET search_path = public, pg_catalog"
        )
    assert engine.current_database() != "wrong"
    assert not engine.in_transaction()
    assert engine.schema_exists(engine.current_database(), engine.main_schema)
    assert engine.place((engine.main_schema, "v"))[1] == engine.main_schema


def test_a_function_called_predict_is_noticed(engine):
    assert not engine.knows_predict()
    engine.run(
        "CREATE MACRO predict(a) AS a" if engine.dialect == "duckdb"
        else "CREATE FUNCTION predict(a integer) RETURNS integer LANGUAGE sql AS 'SELECT a'"
    )  # fmt: skip
    assert engine.knows_predict()


def test_what_we_lend_is_a_table_for_a_while(engine):
    table = pa.table({"a": [1, 2, None], "t": ["x", None, "é"], "d": [0.5, float("nan"), float("inf")]})
    with engine.lending(table) as name:
        assert engine.rows(f"SELECT a, t FROM {name} ORDER BY a") == [(1, "x"), (2, None), (None, "é")]
        assert sum(batch.num_rows for batch in engine.stream(f"SELECT * FROM {name}")) == 3
    assert not engine.relation_exists((name.rpartition(".")[2],))


def test_a_duplicate_is_another_connection_to_the_same_database(t):
    other = t.duplicate()
    try:
        t.begin()
        t.run("INSERT INTO t VALUES (-1, 0, 0, 'b')")
        assert other.rows("SELECT count(*) FROM t") == [(ROWS,)]
        assert not other.in_transaction()
        t.commit()
        assert other.rows("SELECT count(*) FROM t") == [(ROWS + 1,)]
    finally:
        other.close()
