"""What the scoring functions return, against LightGBM's own predictions; runs with the native scorer and with Arrow UDFs."""

from __future__ import annotations

import datetime as dt
import random

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from udfs.duckdb.bind import match_names
from udfs.duckdb.registry import scorer_name
from udfs.errors import InputMismatchError


def column(connection, sql):
    return np.array([row[0] for row in connection.execute(sql).fetchall()])


def test_the_scorer_under_test_is_the_one_that_runs(connect, uses_arrow):
    _, registry = connect()
    assert scorer_name(registry) == scorer_name(registry.id) == ("arrow" if uses_arrow else "native")


def test_value_of_a_row_and_of_columns_equals_lightgbm(database, binary, regression):
    for name, trained in (("late", binary), ("delay", regression)):
        want = trained.predictions()
        assert np.array_equal(column(database, f"SELECT __sqlml_value('{name}', t) FROM t"), want)
        by_position = f"SELECT __sqlml_value('sha256:{trained.hash}', {trained.columns}) FROM t"
        assert np.array_equal(column(database, by_position), want)


def test_raw_scores_and_probabilities_equal_lightgbm(database, binary, multiclass):
    for name, trained in (("late", binary), ("size", multiclass)):
        raw = column(database, f"SELECT __sqlml_raw('{name}', t) FROM t")
        want = trained.booster.predict(trained.matrix, raw_score=True).reshape(len(raw), -1)
        assert np.array_equal(raw, want)
    pairs = column(database, "SELECT __sqlml_probs('late', t) FROM t")
    want = binary.predictions()
    assert np.array_equal(pairs, np.stack((1 - want, want), axis=1))
    assert np.array_equal(column(database, "SELECT __sqlml_probs('size', t) FROM t"), multiclass.predictions())


def test_one_probability(database, binary, multiclass):
    want = multiclass.predictions()
    for text in ("'size', '20', t", "'size', 20, t", "'size?class=20', t", "'size?class_index=1', t"):
        function = "__sqlml_prob" if "?" in text else "ml_predict_proba"
        assert np.array_equal(column(database, f"SELECT {function}({text}) FROM t"), want[:, 1])
    positive = binary.predictions()
    assert np.array_equal(column(database, "SELECT ml_predict_proba('late', t) FROM t"), positive)
    assert np.array_equal(column(database, f"SELECT ml_predict_proba('late', {binary.columns}) FROM t"), positive)
    assert np.array_equal(
        column(database, f"SELECT ml_predict_proba('late', 'no', {binary.columns}) FROM t"), 1 - positive
    )


def test_class_and_threshold(database, binary, multiclass):
    probability = binary.predictions()
    assert np.array_equal(column(database, "SELECT __sqlml_class('late', t) FROM t"), probability > 0.5)
    assert np.array_equal(column(database, "SELECT __sqlml_class('late?threshold=0.8', t) FROM t"), probability > 0.8)
    assert np.array_equal(
        column(database, "SELECT __sqlml_class('size', t) FROM t"), multiclass.predictions().argmax(1)
    )


def test_labels_long_and_short(database, binary):
    want = np.array(binary.model.label.classes)[(binary.predictions() > 0.5).astype(int)]
    assert np.array_equal(column(database, "SELECT __sqlml_label('late', t) FROM t"), want)
    assert np.array_equal(column(database, "SELECT ml_predict('late', t) FROM t"), want)
    counts = dict(database.execute("SELECT ml_predict('late', t), count(*) FROM t GROUP BY ALL").fetchall())
    assert counts == {label: int((want == label).sum()) for label in binary.model.label.classes}


def test_features_are_what_the_forest_sees(database, binary):
    got = column(database, "SELECT __sqlml_features('late', t) FROM t")
    assert np.array_equal(got, binary.matrix, equal_nan=True)


def test_text_booleans_and_times_with_nulls(connect, mixed):
    connection, registry = connect()
    registry.put(mixed.hash, mixed.artifact)
    words = {-1: "unseen", 0: "red", 1: "a rather long colour name", 2: "grün", 3: None}
    rows = mixed.matrix
    source = pa.table(
        {
            "colour": [words[int(code)] for code in rows[:, 0]],
            "flag": [bool(flag) for flag in rows[:, 1]],
            "day": [dt.date(2020, int(month), 3) for month in rows[:, 2]],
            "moment": [dt.datetime(2021, 5, 6, int(hour), 59, 59) for hour in rows[:, 3]],
            "price": rows[:, 4],
        }
    )
    connection.register("source", source)
    # through a dictionary of DuckDB's own, sorted storage and a filter: vectors of every form
    connection.execute(
        "CREATE TABLE m AS SELECT row_number() OVER () AS id, *, price::DECIMAL(9, 2) AS exact FROM source"
    )
    want = mixed.predictions()
    call = f"__sqlml_value('sha256:{mixed.hash}', m)"
    assert np.array_equal(column(connection, f"SELECT {call} FROM m ORDER BY id"), want)
    assert np.array_equal(column(connection, f"SELECT {call} FROM m WHERE id % 3 = 0 ORDER BY id"), want[2::3])
    other = f"__sqlml_value('sha256:{mixed.hash}', colour, flag, day::TIMESTAMP, moment::TIMESTAMP_S, exact)"
    assert np.array_equal(column(connection, f"SELECT {other} FROM m ORDER BY id"), want)
    connection.execute("CREATE TYPE hue AS ENUM ('unseen', 'red', 'a rather long colour name', 'grün')")
    enums = f"__sqlml_value('sha256:{mixed.hash}', colour::hue, flag, day, moment::TIMESTAMP_NS, price)"
    assert np.array_equal(column(connection, f"SELECT {enums} FROM m ORDER BY id"), want)
    constant = f"SELECT DISTINCT __sqlml_value('sha256:{mixed.hash}', 'red', true, DATE '2020-02-02', moment, 1) FROM m"
    assert len(column(connection, constant)) <= 24


@pytest.mark.parametrize(
    "type_name",
    ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
     "FLOAT", "DOUBLE", "DECIMAL(3,0)", "DECIMAL(8,3)", "DECIMAL(15,5)", "DECIMAL(30,10)", "BOOLEAN"],
)  # fmt: skip
def test_every_number_type_converts_as_a_cast_to_double(connect, regression, type_name):
    connection, registry = connect()
    registry.put(regression.hash, regression.artifact)
    connection.execute(
        f"CREATE TABLE n AS SELECT CASE WHEN i % 5 > 0 THEN (i % 2)::{type_name} END AS x, i FROM range(40) r(i)"
    )
    same = f"__sqlml_features('sha256:{regression.hash}', x, x, x, x, x)"
    cast = f"__sqlml_features('sha256:{regression.hash}', x::DOUBLE, x::DOUBLE, x::DOUBLE, x::DOUBLE, x::DOUBLE)"
    assert np.array_equal(
        column(connection, f"SELECT {same} FROM n ORDER BY i"),
        column(connection, f"SELECT {cast} FROM n ORDER BY i"),
        equal_nan=True,
    )


@pytest.mark.parametrize(("width", "scale"), [(18, 1), (18, 9), (18, 17), (20, 2), (38, 3), (38, 20), (38, 37)])
def test_decimals_of_all_digits_convert_as_a_cast_to_double(connect, regression, width, scale):
    connection, registry = connect()
    registry.put(regression.hash, regression.artifact)
    rng = random.Random(width * scale)
    texts = []
    for _ in range(2_500):
        digits = str(rng.randrange(10 ** rng.randint(1, width))).rjust(scale + 1, "0")
        texts.append(f"{rng.choice(['', '-'])}{digits[:-scale]}.{digits[-scale:]}")
    connection.execute(
        f"CREATE TABLE d AS SELECT x::DECIMAL({width},{scale}) AS x FROM (SELECT unnest(?) AS x)", [texts]
    )
    call = f"__sqlml_features('sha256:{regression.hash}', x, 0, 0, 0, 0)[1]"
    assert connection.execute(f"SELECT count(*) FROM d WHERE {call} <> x::DOUBLE").fetchone() == (0,)


@pytest.mark.parametrize(
    "literal",
    ["9007199254740993.7::DECIMAL(18,1)",
     "-9007199254740993.7::DECIMAL(18,1)", "12345678901234567890123456.789::DECIMAL(38,3)", "9007199254740993::BIGINT",
     "18446744073709551615::UBIGINT", "0.1::FLOAT", "1234567890123456789012::HUGEINT"],
)  # fmt: skip
def test_large_numbers_convert_as_a_cast_to_double(connect, regression, literal):
    connection, registry = connect()
    registry.put(regression.hash, regression.artifact)
    call = f"__sqlml_features('sha256:{regression.hash}', x, 0, 0, 0, 0)[1]"
    got, want = connection.execute(f"SELECT {call}, x::DOUBLE FROM (SELECT {literal} AS x)").fetchone()
    assert got == want


def test_names_match_exactly_else_by_case(database, regression):
    (want,) = database.execute("SELECT sum(__sqlml_value('delay', t)) FROM t").fetchone()
    renamed = "{'A': a, 'b': b, 'C': c, 'odd name': \"Odd Name\", 'e': e, 'extra': id}"
    assert database.execute(f"SELECT sum(__sqlml_value('delay', {renamed})) FROM t").fetchone() == (want,)
    assert match_names(regression.model, ["A", "a", "b", "e", "odd name", "c"]) == [1, 2, 5, 4, 3]
    with pytest.raises(
        InputMismatchError, match='column "Odd Name" is ambiguous: the row has "odd name" and "ODD NAME"'
    ):
        match_names(regression.model, ["a", "b", "c", "odd name", "ODD NAME", "e"])


def test_untyped_nulls_and_rows_of_nulls_are_missing_values(database, regression):
    want = regression.booster.predict(np.full((1, 5), np.nan))[0]
    call = "__sqlml_value('delay', NULL, NULL, NULL, NULL, NULL)"
    assert database.execute(f"SELECT {call}").fetchone() == (want,)
    joined = "SELECT __sqlml_value('delay', t) FROM (SELECT 1 AS x) LEFT JOIN t ON false"
    assert database.execute(joined).fetchone() == (want,)
    assert database.execute("SELECT __sqlml_value('delay', t) FROM t WHERE false").fetchall() == []


def test_versions_aliases_and_qualified_names(database):
    for name in (
        "late",
        "LATE",
        "main.late",
        "memory.main.late",
        '"late"',
        "late@1",
        "late@best",
        "memory.main.late@BEST",
    ):
        assert database.execute(f"SELECT count(ml_predict('{name}', t)) FROM t").fetchone() == (3_000,)


ERRORS = [
    ("ml_predict('lat', t)", 'model "lat" does not exist; hint: Did you mean "late"?'),
    ("ml_predict('late@7', t)", 'model "late" has no version 7'),
    ("ml_predict('late@worst', t)", 'model "late" has no alias "worst"; hint: It has best'),
    ("ml_predict('a.b.c.d', t)", 'invalid model name "a.b.c.d"'),
    ("ml_predict('late', a)", "the model takes 5 columns, got 1; hint: Pass them in this order: a, b, c, Odd Name, e"),
    ("ml_predict('late', {'a': a, 'B': b})", 'missing columns "c", "Odd Name", "e"; hint: The row has a, B'),
    ("ml_predict('late', a::VARCHAR, b, c, 1, e)", 'column "a" must be a number, got VARCHAR; hint: Cast it'),
    ("ml_predict('late', [a], b, c, 1, e)", 'column "a" must be a number, got'),
    ("ml_predict('late')", "no columns given"),
    ("ml_predict('late?threshold=2', t)", 'invalid threshold "2"'),
    ("ml_predict_proba('size', t)", "Name the class whose probability you want, one of 10, 20, 30"),
    ("ml_predict_proba('size', 'x', t)", 'model "size" has no class "x"'),
    ("ml_predict_proba('delay', t)", 'model "delay" is a regression model: it has no classes'),
    ("__sqlml_value('size', t)", 'model "size" is a multiclass model: it has no single value'),
    ("ml_predict(NULL, t)", "the name of a model must not be NULL"),
    ("ml_predict(id::VARCHAR, t)", "constant"),
    (f"__sqlml_value('sha256:{'0' * 64}', t)", "is not loaded in this database"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors_are_one_line_with_a_way_out(database, call, message):
    with pytest.raises(duckdb.Error) as caught:
        database.execute(f"SELECT {call} FROM t").fetchall()
    first = str(caught.value).split("\n")[0]
    assert message in first
    assert "Traceback" not in str(caught.value)


def test_a_damaged_artifact_is_an_error_only_when_used(connect, regression):
    connection, registry = connect()
    damaged = bytearray(regression.artifact)
    damaged[len(damaged) // 2] ^= 1
    registry.put("f" * 64, bytes(damaged))
    assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(duckdb.Error, match="cannot be used"):
        connection.execute(f"SELECT __sqlml_value('sha256:{'f' * 64}', 1, 2, 3, 4, 5)").fetchall()
