"""One body, three scorers: native, PL/Python and SQL give the bits of LightGBM and of the kernels, whatever the types of columns."""

from __future__ import annotations

import datetime as dt
import importlib.util
import itertools
import random
import uuid
from decimal import Decimal
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

import sqlml
from sqlml.errors import SqlmlError
from sqlml.install.installation import install
from udfs.artifact import read_artifact, write_artifact
from udfs.forest.text import parse_lightgbm
from udfs.model import Argument, Feature, Input, Label, Model
from udfs.scorer import Scorer
from udfs.transforms import OPERATORS

_spec = importlib.util.spec_from_file_location("forest_models", Path(__file__).parents[1] / "forest" / "conftest.py")
forests = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(forests)

OPTIONS = "max_iterations = 12, num_threads = 1"
NOT_IN_SQL = {"cross entropy lambda"}  # log1p(exp(x)) to the last bit
ROW_SCORERS = ("native", "plpython")  # whose public functions take a row


@pytest.fixture(scope="module", params=["native", "plpython", "sql"])
def scorer(request):
    return request.param


@pytest.fixture(scope="module")
def dsn(scorer, cluster):
    """The address of a database with this scorer in it."""
    cluster.create_database(f"scorer_{scorer}")
    address = cluster.dsn(f"scorer_{scorer}")
    try:
        install(address, scorer, tell=lambda text: None)
    except SqlmlError as error:
        pytest.skip(f"{error}")
    yield address
    cluster.drop_database(f"scorer_{scorer}")


@pytest.fixture(scope="module")
def con(dsn):
    """A session of the dialect there."""
    with sqlml.connect(dsn) as opened:
        opened._session.engine.run("SET jit = off; SET TimeZone = 'Asia/Kathmandu'")
        yield opened


@pytest.fixture(scope="module")
def plain(dsn):
    """A connection without sqlml."""
    with psycopg.connect(dsn, autocommit=True) as opened:
        opened.execute(
            "SET jit = off; SET TimeZone = 'America/New_York'; SET DateStyle = 'SQL, DMY'; SET extra_float_digits = 0"
        )
        yield opened


def same_bits(found, expected):
    """Equal to the last bit, all NaN alike."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    wrong = (found.view(np.int64) != expected.view(np.int64)) & ~(np.isnan(found) & np.isnan(expected))
    places = np.flatnonzero(wrong.reshape(-1))
    assert not len(places), f"{len(places)} differ, the first in row {places[0]}"


def learned(con, name):
    """The model that a session made."""
    return read_artifact(con._session.store.artifact(con._session.find(name)))


# What LightGBM says


def plain_model(booster, features):
    """A forest over numbers as they are."""
    names = tuple(f"f{i}" for i in range(features))
    forest = parse_lightgbm(booster.model_to_string())
    classes = tuple(range(forest.outputs)) if forest.outputs > 1 else ()
    return Model(
        "multiclass" if classes else "regression",
        Label("y", "integer" if classes else "double precision", classes),
        tuple(Input(name, "number", "double precision") for name in names),
        tuple(Argument(name, "number") for name in names),
        (),
        tuple(Feature(name) for name in names),
        forest,
    )


@pytest.mark.parametrize("kind", list(forests.KINDS))
def test_reference_models_score_as_lightgbm(con, plain, scorer, kind, tmp_path):
    booster, _ = forests.train(kind)
    rows = forests._hard_rows(kind)[::3]
    (tmp_path / "m.sqlml").write_bytes(write_artifact(plain_model(booster, rows.shape[1])))
    con.execute(f"IMPORT OR REPLACE MODEL m FROM '{tmp_path / 'm.sqlml'}'")
    columns = [f"f{i}" for i in range(rows.shape[1])]
    con.execute(
        "DROP TABLE IF EXISTS r; CREATE TABLE r (id int, " + ", ".join(f"{name} float8" for name in columns) + ")"
    )
    with plain.cursor().copy("COPY r FROM STDIN") as copy:
        for number, row in enumerate(rows.tolist()):
            copy.write_row([number, *row])
    expected = booster.predict(rows)
    if scorer == "sql" and kind in NOT_IN_SQL:
        with pytest.raises(SqlmlError, match="the server cannot score model"):
            con.execute("SELECT PREDICT(m, *) AS v FROM r")
        return
    if expected.ndim > 1:
        flat = con.execute(
            "SELECT * FROM ML.PREDICT(MODEL m, (SELECT * FROM r), STRUCT(TRUE AS flat)) ORDER BY id"
        ).fetchall()
        same_bits([row[-expected.shape[1] :] for row in flat], expected)
        return
    same_bits([v for (v,) in con.execute("SELECT PREDICT(m, *) AS v FROM r ORDER BY id").fetchall()], expected)
    if scorer in ROW_SCORERS:
        found = plain.execute("SELECT sqlml.predict('m', r) FROM r WHERE id < 200 ORDER BY id", binary=True).fetchall()
        same_bits([v for (v,) in found], expected[:200])


# Every type of column

DAY = dt.timedelta(days=1)
WORDS = ["", "red", "blue", "a  b", "żółć", 'it\'s \\ "q"', "\U0001f600", "x" * 400, " padded "]
COLOURS = ["red", "blue", "grün"]
UUIDS = [str(uuid.UUID(int=k * 2**100 + 7)) for k in range(5)]


def _moment(chance):
    return dt.datetime.fromisoformat("0001-01-01") + dt.timedelta(
        days=chance.randrange(3_652_000), microseconds=chance.randrange(86_400_000_000)
    )


def _number(chance):
    return chance.choice(
        [0.0, -0.0, 0.1, -1.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"), chance.gauss(0, 50)]
    )


EPOCH = dt.datetime.fromisoformat("1970-01-01")
# By PostgreSQL's own extract(epoch), as Python has no such years.
BEYOND = {
    "0044-03-15 BC": -735_160, "12024-02-29": 3_672_207,
    "0044-03-15 01:02:03.5 BC": -63_517_820_276_500_000, "12024-02-29 12:00:00": 317_278_728_000_000_000,
}  # fmt: skip


def _micros_of(value):
    if isinstance(value, str):
        return BEYOND.get(value)
    return (value.replace(tzinfo=None) - EPOCH) // dt.timedelta(microseconds=1)


def _day_of(value):
    return BEYOND.get(value) if isinstance(value, str) else (value - EPOCH.date()) // DAY


def _of_day(value):
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


# Type, a random value as COPY takes it, and the same as an argument of the model, by a conversion that is not ours.
TYPES = {
    "smallint": (lambda c: c.randrange(-(2**15), 2**15), float),
    "integer": (lambda c: c.choice([0, 1, -5, c.randrange(-(2**31), 2**31)]), float),
    "bigint": (lambda c: c.choice([0, 2**53 + 1, -(2**63), c.randrange(-(2**63), 2**63)]), float),
    "real": (lambda c: float(np.float32(c.choice([0.1, -2.7, 1e38, 1e-45, c.gauss(0, 9)]))), float),
    "double precision": (_number, float),
    "numeric": (lambda c: c.choice([Decimal("0.1"), Decimal("-12345678901234567890.123456789"), Decimal("NaN"), Decimal("Infinity"), Decimal(c.randrange(10**9)).scaleb(-4)]), float),
    "numeric(9,3)": (lambda c: Decimal(c.randrange(-(10**9), 10**9)).scaleb(-3), float),
    "boolean": (lambda c: c.random() < 0.5, bool),
    "text": (lambda c: c.choice(WORDS), str),
    "varchar(500)": (lambda c: c.choice(WORDS), str),
    "char(6)": (lambda c: c.choice(["red", "blue", "a  b", "", " x", "żółć"]), lambda v: v.rstrip(" ")),
    "colour": (lambda c: c.choice(COLOURS), str),
    "uuid": (lambda c: c.choice(UUIDS), str),
    "date": (lambda c: c.choice([_moment(c).date(), "infinity", "-infinity", "0044-03-15 BC", "12024-02-29"]), _day_of),
    "timestamp": (lambda c: c.choice([_moment(c), _moment(c), "infinity", "-infinity", "0044-03-15 01:02:03.5 BC", "12024-02-29 12:00:00"]), _micros_of),
    "timestamptz": (lambda c: c.choice([_moment(c).replace(tzinfo=dt.UTC), "infinity", "-infinity"]), _micros_of),
    "time": (lambda c: (EPOCH + dt.timedelta(microseconds=c.randrange(86_400_000_000))).time(), _of_day),
}  # fmt: skip
ARROW = {
    **dict.fromkeys(("text", "varchar(500)", "char(6)", "colour", "uuid"), pa.string()), "boolean": pa.bool_(), "date": pa.date32(),
    "timestamp": pa.timestamp("us"), "time": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC"),
}  # fmt: skip


def names_of(kinds):
    return [f"{'Col' if k % 4 == 3 else 'col'} {k}" for k in range(len(kinds))]


def listed(kinds):
    return ", ".join(f'"{name}"' for name in names_of(kinds))


class RandomTable:
    """A table with columns of random types and values, and the same as Arrow."""

    def __init__(self, seed, rows, kinds, *, has_infinite=True):
        chance = random.Random(seed)
        self.kinds = dict(zip(names_of(kinds), kinds, strict=True))
        self.values, arrays = [], []
        for kind in self.kinds.values():
            make, convert = TYPES[kind]
            column = [None if chance.random() < 0.08 else make(chance) for _ in range(rows)]
            if not has_infinite:
                column = [None if value in ("infinity", "-infinity") else value for value in column]
            arrow = ARROW.get(kind, pa.float64())
            given = [None if value is None else convert(value) for value in column]
            storage = pa.int32() if kind == "date" else pa.int64() if pa.types.is_timestamp(arrow) else arrow
            arrays.append(pa.array(given, storage).cast(arrow))
            self.values.append(column)
        self.batch = pa.record_batch(arrays, list(self.kinds))
        self.label = [chance.gauss(0, 0.1) + label_of(row) for row in zip(*self.values, strict=True)]

    def store(self, plain, name):
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(k)) for c, k in self.kinds.items()
        )
        plain.execute(
            sql.SQL("DROP TABLE IF EXISTS {0}; CREATE TABLE {0} ({1}, y float8, id int)").format(
                sql.Identifier(name), columns
            )
        )
        with plain.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as copy:
            for number, row in enumerate(zip(*self.values, self.label, strict=True)):
                copy.write_row([*row, number])


def signal(value):
    """Something that a tree can find in one value."""
    if value is None:
        return -1.0
    if isinstance(value, str):
        return float(len(value) % 4)
    if isinstance(value, dt.time):
        return float(value.hour > 11)
    if isinstance(value, dt.date):
        return float(value.month % 4)
    return 2.0 if value == value and value > 0 else 0.0


def label_of(row):
    """Some of every column."""
    return sum(signal(value) / (1 + place % 5) for place, value in enumerate(row))


@pytest.fixture(scope="module")
def colour(plain):
    plain.execute("CREATE TYPE colour AS ENUM ('red', 'blue', 'grün')")


def every_type_then_random(seed):
    """All types once, then others at random."""
    chance = random.Random(seed)
    kinds = [*TYPES, *chance.choices(list(TYPES), k=5)]
    chance.shuffle(kinds)
    return kinds


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_of_random_types(con, plain, scorer, colour, seed):
    """5,000 rows each, by a model that was trained on others."""
    kinds = every_type_then_random(seed)
    RandomTable(seed + 100, 1_500, kinds).store(plain, "trained")
    con.execute(
        f"CREATE OR REPLACE MODEL m OPTIONS (input_label_cols = ['y'], {OPTIONS}) AS SELECT {listed(kinds)}, y FROM trained"
    )
    table = RandomTable(seed, 5_000, kinds)
    table.store(plain, "random_rows")
    model = learned(con, "m")
    expected = Scorer(model).predict(table.batch.select([argument.name for argument in model.arguments]))
    assert len(set(expected.tolist())) > 1_000
    found = con.execute("SELECT PREDICT(m, *) AS v FROM random_rows ORDER BY id").fetchall()
    same_bits([v for (v,) in found], expected)
    if scorer in ROW_SCORERS:
        found = plain.execute("SELECT sqlml.predict('m', t) FROM random_rows AS t ORDER BY id", binary=True).fetchall()
        same_bits([v for (v,) in found], expected)


@pytest.mark.parametrize("label", ["flag", "kind"])
def test_classes_and_probabilities(con, plain, scorer, colour, label):
    kinds = ["double precision", "text", "timestamptz", "boolean", "numeric", "char(6)"]
    table = RandomTable(9, 1_500, kinds, has_infinite=False)  # which Python could not fetch
    table.store(plain, "classes")
    made = (
        "y > 1.5 AS flag"
        if label == "flag"
        else "(ARRAY['low', 'mid', 'high'])[1 + (y > 1)::int + (y > 2)::int] AS kind"
    )
    con.execute(
        f"CREATE OR REPLACE MODEL m OPTIONS (input_label_cols = ['{label}'], {OPTIONS}) AS SELECT {listed(kinds)}, {made} FROM classes"
    )
    model = learned(con, "m")
    batch = table.batch.select([argument.name for argument in model.arguments])
    expected = Scorer(model).predictions(batch)
    shares = np.stack((1 - expected[0], expected[0])) if len(expected) == 1 else expected
    flat = con.execute(
        "SELECT * FROM ML.PREDICT(MODEL m, (SELECT * FROM classes), STRUCT(TRUE AS flat)) ORDER BY id"
    ).fetchall()
    same_bits([row[-len(shares) :] for row in flat], shares.T)
    chosen = [
        model.label.classes[k] for k in (shares.argmax(axis=0) if len(shares) > 2 else (shares[1] > 0.5).astype(int))
    ]
    found = [v for (v,) in con.execute("SELECT PREDICT(m, *) AS v FROM classes ORDER BY id").fetchall()]
    assert found == chosen
    if scorer in ROW_SCORERS:
        labels = plain.execute("SELECT sqlml.predict_label('m', t) FROM classes AS t ORDER BY id").fetchall()
        assert [v for (v,) in labels] == [str(v).lower() if isinstance(v, bool) else v for v in chosen]


# Every operator of TRANSFORM

ITEMS = """
    ML.STANDARD_SCALER(a) OVER () AS i1, ML.MIN_MAX_SCALER(a) OVER () AS i2, ML.MAX_ABS_SCALER(b) OVER () AS i3,
    ML.ROBUST_SCALER(b) OVER () AS i4, ML.NORMALIZER([a, b]) AS i5, ML.IMPUTER(a, 'median') OVER () AS i6,
    ML.BUCKETIZE(a, [-1, 0, 1]) AS i7, ML.QUANTILE_BUCKETIZE(b, 4) OVER () AS i8, ML.ONE_HOT_ENCODER(s) OVER () AS i9,
    ML.MULTI_HOT_ENCODER(string_to_array(u, ' ')) OVER () AS i10, ML.LABEL_ENCODER(s) OVER () AS i11,
    ML.TARGET_ENCODER(s) OVER () AS i12, ML.FEATURE_CROSS(STRUCT(s, u)) AS i13, ML.POLYNOMIAL_EXPAND(STRUCT(a, b), 3) AS i14,
    ML.HASH_BUCKETIZE(u, 7) AS i15, ML.BAG_OF_WORDS(u) OVER () AS i16,
    a + b AS j1, a / nullif(b, 0) AS j2, abs(a) AS j3, CASE WHEN a > b THEN a ELSE b END AS j4, s IS NULL AS j5, t IS NULL AS j6,
    k AND a > 0 AS j7, NOT k AS j8, s = 'red' AS j9, t < v AS j10, n IN (1, 2) AS j11, s IN ('red', 'blue') AS j12,
    coalesce(s, u) AS j13, coalesce(t, v) AS j14, extract(hour FROM t) AS j15, CAST(v AS date) AS j16, s AS j17, n AS j18, z AS j19,
    coalesce(s, 'none') AS j20, coalesce(t, TIMESTAMP '2020-01-01') AS j21, a > 1 AS j22, CAST(v AS date) - CAST(t AS date) AS j23
"""
# What no TRANSFORM leaves in a model: text as two numbers, which fits look at, and lists of numbers.
NOT_SCORED = {"text_slots", "number_membership"}


def operand_table(plain, name, seed, rows):
    """Few values of each kind, so that encoders have something to learn."""
    chance = random.Random(seed)
    columns = {
        "a": [chance.choice([0.5, 1.5, -2.0, float("nan"), chance.gauss(0, 1)]) for _ in range(rows)],
        "b": [chance.choice([0.0, chance.gauss(5, 3)]) for _ in range(rows)],
        "n": [chance.randrange(4) for _ in range(rows)],
        "k": [chance.random() < 0.5 for _ in range(rows)],
        "s": [chance.choice(COLOURS) for _ in range(rows)],
        "u": [" ".join(chance.choices(["cat", "dog", "sat", "red"], k=chance.randrange(1, 4))) for _ in range(rows)],
        "t": [EPOCH + dt.timedelta(days=18_000) + dt.timedelta(minutes=chance.randrange(10**6)) for _ in range(rows)],
        "v": [EPOCH + dt.timedelta(days=19_000) + dt.timedelta(seconds=chance.randrange(10**7)) for _ in range(rows)],
        "z": [
            dt.datetime(2023, 3, 1, tzinfo=dt.UTC) + dt.timedelta(hours=chance.randrange(9_000)) for _ in range(rows)
        ],
    }
    for name_of, values in columns.items():
        if name_of != "n":
            columns[name_of] = [None if chance.random() < 0.07 else value for value in values]
    label = [label_of(row) + chance.gauss(0, 0.1) for row in zip(*columns.values(), strict=True)]
    types = (
        "a float8, b float8, n int, k bool, s text, u text, t timestamp, v timestamp, z timestamptz, y float8, id int"
    )
    plain.execute(f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({types})")
    with plain.cursor().copy(f"COPY {name} FROM STDIN") as copy:
        for row in zip(*columns.values(), label, itertools.count(), strict=False):
            copy.write_row(row)
    kinds = {
        "k": pa.bool_(),
        "s": pa.string(),
        "u": pa.string(),
        "t": pa.timestamp("us"),
        "v": pa.timestamp("us"),
        "z": pa.timestamp("us", "UTC"),
    }
    return {name_of: pa.array(values, kinds.get(name_of, pa.float64())) for name_of, values in columns.items()}


def test_every_operator_through_create_model(con, plain, scorer):
    operand_table(plain, "operands", 1, 1_200)
    items = ITEMS if scorer != "sql" else ITEMS.replace("ML.HASH_BUCKETIZE(u, 7) AS i15,", "")
    con.execute(
        f"CREATE OR REPLACE MODEL m TRANSFORM ({items}, y) OPTIONS (input_label_cols = ['y'], categorical_features = ['j18'], {OPTIONS}) AS "
        "SELECT a, b, n, k, s, u, t, v, z, y FROM operands"
    )
    model = learned(con, "m")
    without = {"hash_bucketize"} if scorer == "sql" else set()  # which has no form in SQL
    assert {step.op for step in model.steps} | NOT_SCORED | without == set(OPERATORS)
    arrays = operand_table(plain, "operands", 2, 1_000)
    for argument in model.arguments:
        if argument.expression is not None:  # a list of text that the server joins
            words = [None if text is None else text.replace(" ", chr(31)) for text in arrays["u"].to_pylist()]
            arrays[argument.name] = pa.array(words)
    expected = Scorer(model).predict(pa.record_batch({a.name: arrays[a.name] for a in model.arguments}))
    found = con.execute("SELECT PREDICT(m, *) AS v FROM operands ORDER BY id").fetchall()
    same_bits([v for (v,) in found], expected)
