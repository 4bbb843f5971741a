"""Every type of Postgres through the stream of COPY, against what the client library reads."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from sqlml.engines import postgres_copy
from sqlml.errors import EngineError

# type, values as Postgres writes them, the type in Arrow, the values in Python
TYPES = {
    "boolean": (["t", "f"], pa.bool_(), [True, False]),
    "smallint": (["-32768", "32767"], pa.int16(), [-32768, 32767]),
    "integer": (["-2147483648", "2147483647"], pa.int32(), [-(2**31), 2**31 - 1]),
    "bigint": (["-9223372036854775808", "9223372036854775807"], pa.int64(), [-(2**63), 2**63 - 1]),
    "real": (["1.5", "-Infinity"], pa.float32(), [1.5, float("-inf")]),
    "double precision": (["0.1", "Infinity"], pa.float64(), [0.1, float("inf")]),
    "numeric": (["0.1", "Infinity", "-Infinity", "1e300"], pa.float64(), [0.1, float("inf"), float("-inf"), 1e300]),
    "numeric(10,2)": (["12345678.91", "-0.01"], pa.float64(), [12345678.91, -0.01]),
    "money": (["$1,234.50"], pa.large_string(), ["$1,234.50"]),
    "oid": (["4294967295"], pa.large_string(), ["4294967295"]),
    "text": (["", "ü\n🦆"], pa.large_string(), ["", "ü\n🦆"]),
    "character varying(5)": (["ab", "abcde"], pa.large_string(), ["ab", "abcde"]),
    "character(4)": (["ab", "abcd"], pa.large_string(), ["ab", "abcd"]),
    '"char"': (["x"], pa.large_string(), ["x"]),
    "name": (["x y"], pa.large_string(), ["x y"]),
    "citext_like": (["Ab"], pa.large_string(), ["Ab"]),
    "mood": (["sad", "happy"], pa.large_string(), ["sad", "happy"]),
    "positive": (["3", "4"], pa.int32(), [3, 4]),
    "uuid": (["00000000-0000-0000-0000-00000000000a"], pa.large_string(), ["00000000-0000-0000-0000-00000000000a"]),
    "bytea": ([r"\x00ff", r"\x"], pa.large_binary(), [b"\0\xff", b""]),
    "date": (["1969-12-31", "4713-01-01"], pa.date32(), [dt.date(1969, 12, 31), dt.date(4713, 1, 1)]),
    "time without time zone": (["00:00:00", "23:59:59.999999"], pa.time64("us"), [dt.time(0), dt.time(23, 59, 59, 999999)]),
    "time with time zone": (["12:00:00+02"], pa.large_string(), ["12:00:00+02"]),
    "timestamp without time zone": (["1969-07-20 20:17:40.5"], pa.timestamp("us"), [dt.datetime.fromisoformat("1969-07-20 20:17:40.500000")]),
    "timestamp(0) without time zone": (["2001-01-01 00:00:01"], pa.timestamp("us"), [dt.datetime.fromisoformat("2001-01-01 00:00:01")]),
    "interval": (["1 day 02:00:00"], pa.large_string(), ["1 day 02:00:00"]),
    "json": (['{"a": [1, null]}'], pa.large_string(), ['{"a": [1, null]}']),
    "jsonb": (['{"a": 1}'], pa.large_string(), ['{"a": 1}']),
    "xml": (["<a/>"], pa.large_string(), ["<a/>"]),
    "inet": (["10.0.0.1/8"], pa.large_string(), ["10.0.0.1/8"]),
    "bit(3)": (["101"], pa.large_string(), ["101"]),
    "int4range": (["[1,3)"], pa.large_string(), ["[1,3)"]),
    "point": (["(1,2)"], pa.large_string(), ["(1,2)"]),
    "tsvector": (["'a' 'b'"], pa.large_string(), ["'a' 'b'"]),
    "pair": (["(1,x)"], pa.large_string(), ["(1,x)"]),
    "text[]": (['{a,NULL,"{b,c}",""}', "{}", "{{a,b},{c,d}}", "[3:4]={x,y}"], pa.large_list(pa.large_string()),
               [["a", None, "{b,c}", ""], [], ["a", "b", "c", "d"], ["x", "y"]]),
    "character varying(9)[]": (["{ab}"], pa.large_list(pa.large_string()), [["ab"]]),
    "mood[]": (["{sad,NULL}"], pa.large_list(pa.large_string()), [["sad", None]]),
    "integer[]": (["{1,NULL,-3}"], pa.large_list(pa.int32()), [[1, None, -3]]),
    "double precision[]": (["{0.5,Infinity}"], pa.large_list(pa.float64()), [[0.5, float("inf")]]),
    "numeric(9,2)[]": (["{0.5,NULL}"], pa.large_list(pa.float64()), [[0.5, None]]),
    "boolean[]": (["{t,f}"], pa.large_list(pa.bool_()), [[True, False]]),
    "date[]": (["{1970-01-02}"], pa.large_list(pa.date32()), [[dt.date(1970, 1, 2)]]),
}  # fmt: skip


@pytest.fixture
def engine_name():
    return "postgres"


@pytest.fixture
def typed(engine):
    engine.run(
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (i integer, t text); "
        "CREATE DOMAIN positive AS integer CHECK (VALUE > 0); CREATE DOMAIN citext_like AS text; SET lc_monetary = 'C'"
    )
    return engine


@pytest.mark.parametrize("way", ["libpq", "psycopg"])
@pytest.mark.parametrize("kind", TYPES)
def test_type(typed, kind, way, monkeypatch):
    texts, arrow, values = TYPES[kind]
    if way == "psycopg":
        monkeypatch.setattr(postgres_copy, "libpq_functions", lambda: None)
    if kind == "money":
        texts, values = ["1234.5"], [typed.rows("SELECT CAST(CAST('1234.5' AS money) AS text)")[0][0]]
    typed.run(f"CREATE TABLE typed (n serial, v {kind})")
    for text in (*texts, None):
        typed.run(f"INSERT INTO typed (v) VALUES (CAST(CAST(? AS text) AS {kind}))", [text])
    batches = list(typed.stream("SELECT v, n FROM typed ORDER BY n", 3))
    assert batches[0].schema.field(0).type == arrow
    assert [value for batch in batches for value in batch.column(0).to_pylist()] == [*values, None]
    for batch in batches:
        batch.validate(full=True)


def test_points_in_time_beyond_any_calendar(typed):
    for kind in ("date", "timestamp", "timestamptz"):
        (batch,) = typed.stream(
            f"SELECT CAST(v AS {kind}) AS v FROM (VALUES ('infinity'), ('-infinity'), ('2000-01-01')) g(v)"
        )
        width = np.int32 if kind == "date" else np.int64
        found = batch.column(0).cast(pa.int32() if kind == "date" else pa.int64()).to_numpy()
        assert found[0] == np.iinfo(width).max
        assert found[1] == np.iinfo(width).min
        assert found[2] == 10_957 * (1 if kind == "date" else 86_400_000_000)


def test_zones_are_points_in_time(typed):
    typed.run("SET TimeZone = 'America/New_York'")
    (batch,) = typed.stream(
        "SELECT CAST('2024-07-01 12:00:00' AS timestamptz) AS z, CAST('2024-07-01 12:00:00' AS timestamp) AS t"
    )
    assert batch.column(0).type == pa.timestamp("us", "UTC")
    assert [column.cast(pa.int64())[0].as_py() // 1_000_000 for column in batch.columns] == [
        1_719_849_600,
        1_719_835_200,
    ]


def test_nan_of_numbers_is_nan(typed):
    (batch,) = typed.stream("SELECT 'NaN'::numeric, 'NaN'::float8, 'NaN'::float4, 'NaN'::numeric(5,2), NULL::numeric")
    assert [column.null_count for column in batch.columns] == [0, 0, 0, 0, 1]
    assert all(np.isnan(column[0].as_py()) for column in batch.columns[:4])


def test_numeric_has_its_nearest_double(typed):
    typed.run(
        "CREATE TABLE exact AS SELECT i, (hash(i) % 1000000000 / 7.0)::numeric(30, 12) AS v FROM range(2000) r(i)"
    )
    rows = [row for batch in typed.stream("SELECT v, v::text AS t FROM exact") for row in batch.to_pylist()]
    assert all(row["v"] == float(row["t"]) for row in rows)


def test_numeric_beyond_double_is_the_servers_error(typed):
    with pytest.raises(EngineError, match="out of range for type double precision") as caught:
        list(typed.stream("SELECT 1e400 AS v"))
    assert caught.value.sqlstate == "22003"


def test_no_columns_and_no_result(typed):
    assert list(typed.stream("SELECT FROM generate_series(1, 3)")) == []
    with pytest.raises(EngineError):
        list(typed.stream("CREATE TABLE made (i integer)"))
    assert not typed.relation_exists(("made",))
    assert typed.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "VALUES (1, 'a')",
        "TABLE given",
        "WITH c AS (SELECT 1 AS i) SELECT * FROM c",
        "(SELECT 1) UNION SELECT 1",
        "SELECT 1 AS same, 2 AS same",
        "SELECT 1 -- the end",
    ],
)
def test_queries_of_every_shape(typed, sql):
    typed.run("CREATE TABLE given AS SELECT 1 AS i")
    (batch,) = typed.stream(sql)
    assert batch.num_rows == 1
    assert batch.schema.names == [column.name for column in typed.columns(sql)]


def test_the_schema_is_known_before_any_row(typed):
    table = typed.native_relation("SELECT 1::smallint AS a, '{}'::text[] AS l, 'x'::name AS n WHERE false")
    assert table.schema == pa.schema(
        [("a", pa.int16()), ("l", pa.large_list(pa.large_string())), ("n", pa.large_string())]
    )
    assert table.num_rows == 0
