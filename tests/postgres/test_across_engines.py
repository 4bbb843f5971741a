"""One model on two engines: trained on either, exported, imported on the other, scored to the last bit."""

import dataclasses
import datetime
import struct

import numpy as np
import pyarrow as pa
import pytest

import sqlml
from sqlml.errors import SqlmlError
from udfs.artifact import read_artifact

ROWS = 1_500


def make_rows():
    """Rows of every kind of feature, missing values of every kind among them."""
    rng = np.random.default_rng(11)
    numbers = rng.standard_normal(ROWS)
    numbers[::17] = np.nan
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    moments = [start + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 3_000_000, ROWS)]
    columns = {
        "n": pa.array(numbers),  # NaN stays NaN
        "b": pa.array(rng.integers(-(2**40), 2**40, ROWS), mask=rng.random(ROWS) < 0.1),
        "f": pa.array((rng.integers(0, 7, ROWS) / 3).astype(np.float32)),
        "flag": pa.array(rng.random(ROWS) < 0.5, mask=rng.random(ROWS) < 0.05),
        "s": pa.array(rng.choice(["Oslo", "Köln", "東京", "", "a'b\\n"], ROWS), mask=rng.random(ROWS) < 0.1),
        "z": pa.array(moments, pa.timestamp("us", "UTC"), mask=rng.random(ROWS) < 0.05),
        "t": pa.array([moment.replace(tzinfo=None) for moment in reversed(moments)], pa.timestamp("us")),
        "d": pa.array([moment.date() for moment in moments], pa.date32()),
        "q": pa.array([f"{v:.4f}" for v in rng.standard_normal(ROWS) * 1e3]),
        "i": pa.array(np.arange(ROWS)),
    }
    hours = np.array([moment.hour for moment in moments])
    value = np.nan_to_num(numbers) + hours / 5 + (np.arange(ROWS) % 3)
    columns["y"] = pa.array(np.round(value, 2))
    columns["p"] = pa.array(value > 3)
    columns["k"] = pa.array([("low", "mid", "high")[int(v > 2) + int(v > 4)] for v in value])
    columns["c"] = pa.array((value > 3).astype(np.int64))
    return pa.table(columns)


FEATURES = "n, b, f, flag, s, z, t, d, q"
TYPES = {"duckdb": {"q": "DECIMAL(12, 4)", "z": "TIMESTAMPTZ"}, "postgres": {"q": "numeric(12, 4)", "z": "timestamptz"}}


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture
def both(rows, postgres_dsn):
    """The same table on both engines, by the engine's name, in the same order of rows."""
    opened = {"duckdb": sqlml.connect(), "postgres": sqlml.connect(postgres_dsn)}
    for name, con in opened.items():
        engine = con._session.engine
        engine.run("SET TimeZone = 'America/New_York'")
        casts = {"q": TYPES[name]["q"], "f": "real", "b": "bigint"}
        items = ", ".join(f"CAST({c} AS {casts[c]}) AS {c}" if c in casts else c for c in rows.column_names)
        with engine.lending(rows) as given:
            engine.run(f"CREATE TABLE t AS SELECT {items} FROM {given} ORDER BY i")
    yield opened
    for con in opened.values():
        con.close()


def train(con, name, label, options="", features=FEATURES, transform=""):
    options = f"input_label_cols = ['{label}'], max_iterations = 12, num_threads = 1{options}"
    con.execute(f"CREATE MODEL {name} {transform} OPTIONS ({options}) AS SELECT {features}, {label} FROM t")


def move(both, source, name, file):
    """The model on the other engine; its connection."""
    both[source].execute(f"EXPORT MODEL {name} TO '{file}'")
    target = both["postgres" if source == "duckdb" else "duckdb"]
    target.execute(f"IMPORT MODEL {name} FROM '{file}'")
    return target


def bits(values):
    return [None if value is None else struct.pack("<d", value) for value in values]


def scores(con, name, function="PREDICT"):
    """Of every row, also of rows of nothing but NULL, and of values that no training row had."""
    table = con.execute(f"SELECT {function}({name}, *) AS v FROM t ORDER BY i").fetchall()
    return [value for (value,) in table]


@pytest.mark.parametrize("source", ["duckdb", "postgres"])
def test_regression_scores_alike(both, source, tmp_path):
    train(both[source], "m", "y")
    target = move(both, source, "m", tmp_path / "m.sqlml")
    expected = scores(both[source], "m")
    assert bits(scores(target, "m")) == bits(expected)
    assert len(set(expected)) > 100
    strange = (
        "SELECT CAST(NULL AS float8) AS n, CAST(NULL AS bigint) AS b, CAST(NULL AS real) AS f, CAST(NULL AS boolean) AS flag, "
        "CAST(NULL AS varchar) AS s, CAST(NULL AS timestamptz) AS z, CAST(NULL AS timestamp) AS t, CAST(NULL AS date) AS d, CAST(NULL AS decimal(12, 4)) AS q "
        "UNION ALL SELECT CAST('nan' AS float8), -1, CAST('inf' AS real), true, 'never seen', CAST('infinity' AS timestamptz), "
        "CAST('-infinity' AS timestamp), CAST('infinity' AS date), 0.0001 "
        "UNION ALL SELECT CAST('-inf' AS float8), 9007199254740993, CAST('nan' AS real), false, '', CAST('1900-02-28 23:59:59.999999+00' AS timestamptz), "
        "CAST('2400-02-29 00:00:00' AS timestamp), CAST('0001-01-01' AS date), -99999999.9999"
    )
    results = [con.execute(f"SELECT PREDICT(m, *) AS v FROM ({strange}) AS strange").fetchall() for con in both.values()]
    assert sorted(bits(v for (v,) in results[0])) == sorted(bits(v for (v,) in results[1]))


@pytest.mark.parametrize("source", ["duckdb", "postgres"])
@pytest.mark.parametrize("label", ["p", "k", "c"])
def test_classes_and_probabilities_alike(both, source, label, tmp_path):
    train(both[source], "m", label)
    target = move(both, source, "m", tmp_path / "m.sqlml")
    assert scores(target, "m") == scores(both[source], "m")
    flat = "SELECT * FROM ML.PREDICT(MODEL m, (SELECT * FROM t), STRUCT(TRUE AS flat)) ORDER BY i"
    found = [con.execute(flat).fetchall() for con in (both[source], target)]
    classes = len(set(row[-1] for row in both[source].execute(f"SELECT {label} FROM t").fetchall()))
    for mine, theirs in zip(*found, strict=True):
        assert bits(mine[-classes:]) == bits(theirs[-classes:])
        assert mine[-classes - 1] == theirs[-classes - 1]


def content(con, name):
    version = con._session.find(name)
    model = read_artifact(con._session.store.artifact(version))
    inputs = tuple(dataclasses.replace(item, sql_type="") for item in model.inputs)
    return version, model, dataclasses.replace(model, inputs=inputs, label=dataclasses.replace(model.label, sql_type=""))


@pytest.mark.parametrize("label", ["y", "p", "k", "c"])
def test_the_same_rows_give_the_same_model(both, label):
    """What differs between the artifacts is what the engine calls the types of columns, and nothing else."""
    from udfs.artifact import write_artifact

    for con in both.values():
        train(con, "m", label)
    (first, raw_first, one), (second, raw_second, two) = (content(con, "m") for con in both.values())
    assert write_artifact(one) == write_artifact(two)
    assert [item.sql_type for item in raw_first.inputs] != [item.sql_type for item in raw_second.inputs]
    assert first.fingerprint.content_hash == second.fingerprint.content_hash
    assert first.signature == second.signature
    assert first.reproducible
    assert second.reproducible


def type_of_label(con, relation):
    con.execute(f"CREATE TEMP TABLE predicted AS SELECT PREDICT(m, *) AS v FROM {relation}")
    return con._session.engine.columns("SELECT v FROM predicted")[0].sql_type


# label's type on Postgres, the values of rows by i, the type on DuckDB, what PREDICT gives there
LABELS = {
    "text": ("text", "('{x,y}'::text[])[1 + i % 2]", "VARCHAR", {"x", "y"}),
    "varchar": ("character varying(5)", "('{x,yy}'::text[])[1 + i % 2]", "VARCHAR", {"x", "yy"}),
    "bpchar": ("character(3)", "('{x,yy}'::text[])[1 + i % 2]", "VARCHAR", {"x", "yy"}),
    "enum": ("mood", "('{sad,glad}'::text[])[1 + i % 2]", "VARCHAR", {"sad", "glad"}),
    "uuid": ("uuid", "('{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002}'::text[])[1 + i % 2]", "UUID", None),
    "boolean": ("boolean", "i % 2 = 0", "BOOLEAN", {True, False}),
    "smallint": ("smallint", "i % 2", "SMALLINT", {0, 1}),
    "bigint": ("bigint", "i % 2", "BIGINT", {0, 1}),
    "numeric": ("numeric", "i % 2 * 1.5", "DOUBLE", {0.0, 1.5}),
    "numeric_digits": ("numeric(10,2)", "i % 2 * 1.5", "DECIMAL(10,2)", None),
    "numeric_whole": ("numeric(5,0)", "i % 2", "DECIMAL(5,0)", None),
    "real": ("real", "i % 2 * 1.5", "FLOAT", {0.0, 1.5}),
    "date": ("date", "'2020-01-01'::date + (i % 2)::integer", "DATE", {datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)}),
    "timestamp": ("timestamp(0) without time zone", "'2020-01-01 10:00:00'::timestamp + i % 2 * interval '1 hour'", "TIMESTAMP", None),
    "timestamptz": ("timestamp with time zone", "'2020-01-01 10:00:00+00'::timestamptz + i % 2 * interval '1 hour'", "TIMESTAMP WITH TIME ZONE", None),
    "time": ("time without time zone", "'10:00:00'::time + i % 2 * interval '1 hour'", "TIME", None),
}  # fmt: skip


@pytest.mark.parametrize("case", LABELS)
def test_labels_of_postgres_keep_their_type_on_duckdb(both, case, tmp_path):
    kind, value, expected, values = LABELS[case]
    source = both["postgres"]
    source._session.engine.run("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    source._session.engine.run(f"CREATE TABLE l AS SELECT i, i % 2 AS x, CAST({value} AS {kind}) AS v FROM range(200) r(i)")
    source.execute(
        "CREATE MODEL m OPTIONS (input_label_cols = ['v'], max_iterations = 3, num_threads = 1, "
        "model_type = 'boosted_tree_classifier') AS SELECT x, v FROM l"
    )
    shown_label = "v::text" if case == "enum" else "v"
    ((same,),) = source.execute(f"SELECT bool_and(PREDICT(m, *) = {shown_label}) FROM l").fetchall()
    assert same
    assert type_of_label(source, "l") == ("text" if case == "enum" else kind)
    target = move(both, "postgres", "m", tmp_path / "m.sqlml")
    assert type_of_label(target, "range(2) r(x)") == expected
    found = target.execute("SELECT PREDICT(m, *) AS v FROM range(2) r(x)").fetchall()
    assert len(set(found)) == 2
    if values is not None:
        assert {value for (value,) in found} == values
    shown = target.execute("SELECT CAST(PREDICT(m, *) AS VARCHAR) FROM range(2) r(x) ORDER BY 1").fetchall()
    truth = source.execute("SELECT DISTINCT CAST(PREDICT(m, *) AS text) AS v FROM l ORDER BY 1").fetchall()
    if case not in ("numeric", "real"):  # which the engines write with more or fewer zeros
        assert [v for (v,) in shown] == [v for (v,) in truth]


DUCKDB_LABELS = {
    "varchar": ("VARCHAR", "chr(CAST(120 + i % 2 AS INTEGER))", "text"),
    "enum": ("ENUM ('x', 'y')", "chr(CAST(120 + i % 2 AS INTEGER))", "text"),
    "boolean": ("BOOLEAN", "i % 2 = 0", "boolean"),
    "tinyint": ("TINYINT", "i % 2", "smallint"),
    "uinteger": ("UINTEGER", "i % 2", "bigint"),
    "hugeint": ("HUGEINT", "i % 2", "numeric"),
    "double": ("DOUBLE", "i % 2 * 1.5", "double precision"),
    "decimal": ("DECIMAL(9,2)", "i % 2 * 1.5", "numeric(9,2)"),
    "date": ("DATE", "DATE '2020-01-01' + CAST(i % 2 AS INTEGER)", "date"),
    "timestamp": ("TIMESTAMP", "TIMESTAMP '2020-01-01' + to_days(CAST(i % 2 AS INTEGER))", "timestamp without time zone"),
    "timestamp_s": ("TIMESTAMP_S", "TIMESTAMP '2020-01-01' + to_days(CAST(i % 2 AS INTEGER))", "timestamp without time zone"),
    "timestamptz": ("TIMESTAMPTZ", "TIMESTAMPTZ '2020-01-01 10:00:00+00' + to_days(CAST(i % 2 AS INTEGER))", "timestamp with time zone"),
    "uuid": ("UUID", "'00000000-0000-0000-0000-00000000000' || (i % 2)", "uuid"),
    "time": ("TIME", "TIME '10:00:00' + to_hours(CAST(i % 2 AS INTEGER))", "time without time zone"),
}  # fmt: skip


@pytest.mark.parametrize("case", DUCKDB_LABELS)
def test_labels_of_duckdb_keep_their_type_on_postgres(both, case, tmp_path):
    kind, value, expected = DUCKDB_LABELS[case]
    source = both["duckdb"]
    source.execute(f"CREATE TABLE l AS SELECT i, i % 2 AS x, CAST({value} AS {kind}) AS v FROM range(200) r(i)")
    source.execute(
        "CREATE MODEL m OPTIONS (input_label_cols = ['v'], max_iterations = 3, num_threads = 1, "
        "model_type = 'boosted_tree_classifier') AS SELECT x, v FROM l"
    )
    assert source.execute("SELECT bool_and(PREDICT(m, *) = v) FROM l").fetchall() == [(True,)]
    target = move(both, "duckdb", "m", tmp_path / "m.sqlml")
    assert type_of_label(target, "range(2) r(x)") == expected
    shown = source.execute("SELECT DISTINCT CAST(PREDICT(m, *) AS VARCHAR) AS v FROM l ORDER BY 1").fetchall()
    found = target.execute("SELECT CAST(PREDICT(m, *) AS text) FROM range(2) r(x) ORDER BY 1").fetchall()
    if case not in ("double",):
        assert found == shown
    assert len(set(found)) == 2


BOUND = {"duckdb": "strlen(s || 'x')", "postgres": "quote_literal(s)"}


@pytest.mark.parametrize("source", ["duckdb", "postgres"])
def test_a_model_bound_to_its_engine_is_refused_on_the_other(both, source, tmp_path):
    transform = f"TRANSFORM (n, {BOUND[source]} AS odd, y)"
    train(both[source], "m", "y", transform=transform)
    both[source].execute(f"EXPORT MODEL m TO '{tmp_path / 'm.sqlml'}'")
    target = both["postgres" if source == "duckdb" else "duckdb"]
    with pytest.raises(SqlmlError) as caught:
        target.execute(f"IMPORT MODEL m FROM '{tmp_path / 'm.sqlml'}'")
    said = f"{caught.value} {caught.value.detail} {caught.value.hint}"
    assert BOUND[source].partition("(")[0] in said
    assert source.casefold() in said.casefold()
    assert target.execute("SHOW MODELS").fetchall() == []


@pytest.mark.parametrize("source", ["duckdb", "postgres"])
def test_what_describes_the_model_travels_with_it(both, source, tmp_path):
    train(both[source], "m", "p")
    target = move(both, source, "m", tmp_path / "m.sqlml")
    assert target._session.find("m").artifact_hash == both[source]._session.find("m").artifact_hash
    for statement in ("SELECT * FROM ML.FEATURE_IMPORTANCE(MODEL m)",):
        assert target.execute(statement).fetchall() == both[source].execute(statement).fetchall()
    evaluated = [
        con.execute("SELECT * FROM ML.EVALUATE(MODEL m, (SELECT * FROM t))").fetchall() for con in (both[source], target)
    ]
    assert list(evaluated[0][0]) == pytest.approx(list(evaluated[1][0]), rel=1e-12)
