"""Every type an argument may have, through the server and through Arrow: the same features; and what is refused, by its words."""

from __future__ import annotations

import datetime as dt
import importlib.util
import random
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from udfs.scorer import Scorer

_spec = importlib.util.spec_from_file_location("scoring_models", Path(__file__).parents[2] / "scoring" / "conftest.py")
scoring_models = importlib.util.module_from_spec(_spec)
sys.modules["scoring_models"] = scoring_models  # its dataclass looks itself up
_spec.loader.exec_module(scoring_models)
mixed, binary, regression, multiclass = (
    getattr(scoring_models, name) for name in ("mixed", "binary", "regression", "multiclass")
)

ARROW = {
    "colour": pa.string(),
    "flag": pa.bool_(),
    "day": pa.date32(),
    "moment": pa.timestamp("us"),
    "price": pa.float64(),
}


def _random_row(chance):
    moment = dt.datetime.fromisoformat("1900-01-01") + dt.timedelta(
        seconds=chance.randrange(10**10), microseconds=chance.randrange(10**6)
    )
    row = {
        "colour": chance.choice([*scoring_models.LEVELS, "unseen", "", "x" * 5_000]),
        "flag": chance.random() < 0.5,
        "day": moment.date(),
        "moment": moment,
        "price": chance.choice([0.0, -1.5, float("inf"), float("nan"), chance.gauss(0, 100)]),
    }
    return {name: None if chance.random() < 0.1 else value for name, value in row.items()}


def test_random_rows_score_as_elsewhere(connection, publish, mixed):
    chance = random.Random(5)
    rows = [_random_row(chance) for _ in range(10_000)]
    columns = {name: pa.array([row[name] for row in rows], kind, from_pandas=False) for name, kind in ARROW.items()}
    batch = pa.record_batch(columns)
    scorer = Scorer(mixed.model)
    publish("mixed", mixed.model)
    connection.execute(
        "CREATE TEMP TABLE many (id int, colour text, flag bool, day date, moment timestamp, price float8)"
    )
    with connection.cursor().copy("COPY many FROM STDIN") as copy:
        for number, row in enumerate(rows):
            copy.write_row([number, *row.values()])
    query = "SELECT sqlml._value('mixed', colour, flag, day, moment, price), sqlml.predict('mixed', many) FROM many ORDER BY id"
    found = np.array(connection.execute(query).fetchall())
    assert np.array_equal(found[:, 0], scorer.predict(batch))
    assert np.array_equal(found[:, 1], scorer.predict(batch))
    features = connection.execute(
        "SELECT sqlml._features('mixed', colour, flag, day, moment, price) FROM many ORDER BY id"
    ).fetchall()
    assert np.array_equal(np.array([row[0] for row in features]).T, scorer.features(batch), equal_nan=True)


NUMBERS = [
    ("7::int2", 7.0), ("-7::int4", -7.0), ("(2^40)::int8", 2.0**40), ("1.5::float4", 1.5), ("0.1::float4", float(np.float32(0.1))),
    ("0.1::float8", 0.1), ("0.1::numeric", 0.1), ("12345678901234567890.123::numeric", 12345678901234567890.123),
    ("'NaN'::numeric", np.nan), ("'Infinity'::numeric", np.inf), ("true", 1.0), ("NULL", np.nan), ("NULL::int4", np.nan),
    ("'-Infinity'::float8", -np.inf),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=[value for value, _ in NUMBERS])
def test_numbers_become_doubles(connection, publish, regression, value, expected):
    publish("regression", regression.model)
    query = f"SELECT sqlml._features('regression', {value}, 1, 2, 3, 4)"
    assert np.array_equal(connection.execute(query).fetchone()[0][0], expected, equal_nan=True)


TEXTS = [
    "'red'",
    "'red'::text",
    "'red'::varchar(9)",
    "'red'::name",
    "'red'::bpchar",
    "'red'::hue",
    "'red'::word",
    "repeat('red', 1)",
]


@pytest.mark.parametrize("value", TEXTS)
def test_texts_are_the_same_level(connection, publish, mixed, value):
    publish("mixed", mixed.model)
    connection.execute("DROP TYPE IF EXISTS hue CASCADE; CREATE TYPE hue AS ENUM ('red', 'blue')")
    connection.execute("DROP DOMAIN IF EXISTS word CASCADE; CREATE DOMAIN word AS text")
    query = f"SELECT sqlml._features('mixed', {value}, true, DATE '2024-02-29', TIMESTAMP '1999-12-31 23:59:59', 1.0)"
    assert connection.execute(query).fetchone()[0] == [0.0, 1.0, 2.0, 23.0, 1.0]


def test_moments(connection, publish, mixed):
    publish("mixed", mixed.model)
    query = "SELECT sqlml._features('mixed', NULL, false, {}, {}, 0)"
    for day, moment, expected in (
        ("TIMESTAMP '2024-03-01 12:00'", "TIME '05:30'", [3.0, 5.0]),
        ("DATE 'infinity'", "TIMESTAMP '-infinity'", [np.nan, np.nan]),
        ("NULL", "DATE '1969-07-20'", [np.nan, 0.0]),
        ("DATE '4000-01-01 BC'", "TIMESTAMP '294276-12-31 23:59:59'", [1.0, np.nan]),
    ):
        (features,) = connection.execute(query.format(day, moment)).fetchone()
        assert np.array_equal(features[2:4], expected, equal_nan=True)


REFUSED = [
    ("_value('regression', 1, 2)", "22023", 'model "regression" takes 5 columns, got 2'),
    ("predict('regression', 1, 2, 3, 4, 'x'::text)", "22023", 'column "e" must be a number, got text'),
    ("predict('regression', 1, 2, 3, 4, now())", "22023", 'column "e" must be a number, got timestamp with time zone'),
    ("predict('regression', s) FROM (SELECT 1 AS a, 2 AS b, 3 AS c) AS s", "22023", 'missing columns "Odd Name", "e"'),
    ("predict('nobody', 1)", "42704", 'model "nobody" does not exist'),
    ("predict('multiclass', 1, 2, 3, 4, 5)", "22023", 'model "multiclass" has one probability for each class'),
    ("predict_label('regression', ROW(1, 2, 3, 4, 5))", "22023", 'model "regression" has no classes'),
    ("predict_proba('binary', 'maybe', 1, 2, 3, 4, 5)", "22023", 'model "binary" has no class "maybe"'),
    ("_value('regression?threshold=abc', 1, 2, 3, 4, 5)", "22P02", "invalid input syntax"),
    ("_value('regression', VARIADIC ARRAY[1, 2, 3, 4, 5])", "22023", "VARIADIC is not supported here"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "state", "words"), REFUSED, ids=[call for call, _, _ in REFUSED])
def test_mistakes_are_explained(connection, publish, regression, multiclass, binary, call, state, words):
    for name, trained in (("regression", regression), ("multiclass", multiclass), ("binary", binary)):
        publish(name, trained.model)
    with pytest.raises(psycopg.Error, match=words.replace("(", r"\(")) as caught:
        connection.execute(f"SELECT sqlml.{call}")
    assert caught.value.sqlstate == state


def test_classes(connection, publish, binary, multiclass):
    publish("binary", binary.model)
    publish("multiclass", multiclass.model)
    values = "0.5, 0.25, NULL, 1, 2"
    row = np.array([[0.5, 0.25, np.nan, 1, 2]])
    probability = binary.booster.predict(row)[0]
    assert connection.execute(f"SELECT sqlml._probs('binary', {values})").fetchone()[0] == [
        1 - probability,
        probability,
    ]
    for threshold in (0.0, 1.0):
        reference = f"binary?threshold={threshold}"
        (number,) = connection.execute(f"SELECT sqlml._class('{reference}', {values})").fetchone()
        assert number == int(probability > threshold)
    (label,) = connection.execute(f"SELECT sqlml.predict_label('binary', ROW({values}))").fetchone()
    assert label == binary.model.label.classes[int(probability > 0.5)]
    probabilities = multiclass.booster.predict(row)[0]
    assert connection.execute(f"SELECT sqlml._class('multiclass', {values})").fetchone()[0] == int(
        probabilities.argmax()
    )
    for name, expected in zip(("10", "20", "30"), probabilities, strict=True):
        found = connection.execute(f"SELECT sqlml.predict_proba('multiclass', '{name}', {values})").fetchone()[0]
        assert found == expected


def test_columns_are_found_by_name(connection, publish, regression):
    publish("regression", regression.model)
    values = '1.0 AS e, 2 AS "odd name", \'x\' AS other, 3::numeric AS "B", 4::int2 AS a, NULL::float8 AS c'
    (found,) = connection.execute(f"SELECT sqlml.predict('regression', s) FROM (SELECT {values}) AS s").fetchone()
    assert found == regression.booster.predict(np.array([[4, 3, np.nan, 2, 1]]))[0]
    both = '1 AS "ODD NAME", 2 AS "odd name", 3 AS a, 4 AS b, 5 AS c, 6 AS e'
    with pytest.raises(psycopg.Error, match='column "Odd Name" is ambiguous'):
        connection.execute(f"SELECT sqlml.predict('regression', s) FROM (SELECT {both}) AS s")


def test_version_is_part_of_the_name(connection, publish, regression):
    publish("regression@3", regression.model)
    (found,) = connection.execute("SELECT sqlml.predict_version('regression', 3, 1, 2, 3, 4, 5)").fetchone()
    assert found == regression.booster.predict(np.array([[1.0, 2, 3, 4, 5]]))[0]
    with pytest.raises(psycopg.Error, match="positive number"):
        connection.execute("SELECT sqlml.predict_version('regression', 0, 1, 2, 3, 4, 5)")


def test_a_decimal_is_the_nearest_double(connection, publish, regression):
    publish("regression", regression.model)
    for value in (Decimal("0.3"), Decimal("1e-30"), Decimal(9007199254740993)):
        (features,) = connection.execute(
            "SELECT sqlml._features('regression', %s::numeric, 1, 2, 3, 4)", [value]
        ).fetchone()
        assert features[0] == float(value)


def test_a_row_without_names_goes_by_position(connection, publish, regression):
    publish("regression", regression.model)
    by_position, nameless = connection.execute(
        "SELECT sqlml.predict('regression', 1, 2.5, 3, NULL::float8, 5), sqlml.predict('regression', ROW(1, 2.5, 3, NULL::float8, 5))"
    ).fetchone()
    assert by_position == nameless
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="takes 5 columns, got 2"):
        connection.execute("SELECT sqlml.predict('regression', ROW(1, 2))")


def test_label_in_a_type(connection, publish, binary):
    publish("binary", binary.model)
    values = "1, 2, 3, 4, 5"
    query = f"SELECT sqlml.predict_label('binary', ROW({values})), sqlml.predict_label('binary', ROW({values}), NULL::varchar)"
    text, typed = connection.execute(query).fetchone()
    assert text == typed
