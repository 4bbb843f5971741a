"""Feature plans: which columns become which features, what TRANSFORM may say, and what is refused with which words."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from sqlml.engines.engine import Column
from sqlml.errors import (
    DataError,
    DuplicateColumnError,
    EngineError,
    MissingColumnError,
    OptionValueError,
    SqlSyntaxError,
    TransformError,
    UnsupportedTypeError,
)
from sqlml.planning.features import FeatureOptions, plan_features

COLUMNS = [
    Column("a", "DOUBLE"),
    Column("B", "INTEGER"),
    Column("s", "VARCHAR"),
    Column("en", "ENUM('x', 'y')"),
    Column("d", "DATE"),
    Column("ts", "TIMESTAMP_NS"),
    Column("flag", "BOOLEAN"),
    Column("y", "BIGINT"),
]


def quote(*parts):
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def plan(transform=None, columns=COLUMNS, label="y", type_of=None, **options):
    return plan_features(columns, label=label, transform=transform, options=FeatureOptions(**options), type_of=type_of)


def names(found):
    return [feature.name for feature in found.features]


def test_kinds_are_inferred():
    found = plan()
    day = ["d_year", "d_month", "d_day", "d_dow", "d_doy"]
    clock = [f"ts_{part}" for part in ("year", "month", "day", "dow", "doy", "hour", "minute", "second")]
    assert names(found) == ["a", "B", "s", "en", *day, *clock, "flag"]
    assert [f.name for f in found.features if f.categorical] == ["s", "en"]
    assert [item.kind for item in found.inputs] == ["number", "number", "text", "text", "date", "timestamp", "boolean"]
    assert found.dialect == "portable"


def test_options_override():
    found = plan(categorical_features=("b",), exclude=("D", "ts"), carried=("flag",))
    assert names(found) == ["a", "B", "s", "en"]
    assert [f.name for f in found.features if f.categorical] == ["B", "s", "en"]
    assert [item.name for item in found.inputs] == ["a", "B", "s", "en"]


def test_source_sql_quotes_and_survives_comments():
    columns = [Column('o"dd', "DOUBLE"), Column("y", "DOUBLE")]
    sql = plan(columns=columns).source_sql('SELECT 1.5::DOUBLE AS "o""dd", 2 AS y -- end', ["y"], quote)
    assert duckdb.sql(sql).fetchall() == [(1.5, 2)]


@pytest.mark.parametrize(
    ("columns", "options", "error", "match"),
    [
        ([Column("y", "DOUBLE")], {}, DataError, "no column to use as a feature"),
        ([Column("a", "DOUBLE"), Column("A", "DOUBLE")], {}, DuplicateColumnError, 'two columns called "A"'),
        ([Column("", "DOUBLE")], {}, DataError, "a column without a name"),
        ([Column("a", "STRUCT(x INTEGER)")], {}, UnsupportedTypeError, r'"a" of type STRUCT\(x INTEGER\) cannot be'),
        ([Column("a", "INTEGER[]")], {}, UnsupportedTypeError, "cannot be a feature"),
        ([Column("a", "DOUBLE[3]")], {}, UnsupportedTypeError, "cannot be a feature"),
        ([Column("a", "MAP(VARCHAR, INTEGER)")], {}, UnsupportedTypeError, "cannot be a feature"),
        ([Column("a", "JSON")], {}, UnsupportedTypeError, "cannot be a feature"),
        ([Column("a", "BLOB")], {}, UnsupportedTypeError, "cannot be a feature"),
        ([Column("a", "INTERVAL")], {}, UnsupportedTypeError, "cannot be a feature"),
        ([Column("a", "BIGNUM")], {}, UnsupportedTypeError, "cannot be a feature"),
        ([Column("a", "TIME WITH TIME ZONE")], {}, UnsupportedTypeError, "cannot be a feature"),
        ([Column("a", "UNION(num INTEGER, str VARCHAR)")], {}, UnsupportedTypeError, "cannot be a feature"),
        (COLUMNS, {"exclude": ("aa",)}, OptionValueError, 'option "exclude" names column "aa"'),
        (COLUMNS, {"categorical_features": ("d",)}, UnsupportedTypeError, '"d" of type DATE cannot be categorical'),
        (
            [Column("d", "DATE"), Column("d_year", "DOUBLE")],
            {},
            DuplicateColumnError,
            'two features would be called "d_year"',
        ),
    ],
)
def test_refused_columns(columns, options, error, match):
    with pytest.raises(error, match=match) as caught:
        plan(columns=columns, **options)
    assert caught.value.hint


def test_star_leaves_out_and_replaces():
    assert names(plan("* EXCEPT (d, ts, flag)")) == ["a", "B", "s", "en"]
    assert names(plan("* EXCLUDE (d, ts, flag, en), a + 1 AS c,")) == ["a", "B", "s", "c"]
    found = plan("* EXCEPT (d, ts) REPLACE (a * 2 AS a, upper(s) AS s)", type_of=lambda _: "VARCHAR")
    assert names(found) == ["a", "B", "s", "en", "flag"]
    assert [argument.expression for argument in found.arguments if argument.expression] == ["upper(s)"]


def test_only_used_columns_are_inputs():
    found = plan("a, B + 1 AS c, y")
    assert [item.name for item in found.inputs] == ["a", "B"]
    assert names(found) == ["a", "c"]


def test_names_may_be_exchanged(fit_transform):
    table = pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0], "s": ["u", "v"]})
    got = fit_transform(table, 'b AS a, a AS b, a + b AS "S", s AS "$1"').apply()
    assert {name: values.tolist() for name, values in got.items()} == {
        "a": [3, 4],
        "b": [1, 2],
        "S": [4, 6],
        "$1": [0, 1],
    }


def test_label_may_be_computed():
    found = plan("a, y > 3 AS y")
    assert found.expressions == (("y", "y > 3"),)
    assert duckdb.sql(found.source_sql("SELECT 1.0::DOUBLE AS a, 5 AS y", ["y"], quote)).fetchall() == [(1.0, True)]


def test_engine_bound_expressions_keep_their_text(fit_transform):
    table = pa.table({"s": ["Abc", None, "abC"], "x": [1.0, 2.0, 3.0]})
    text = "lower( s /* as it is */ ) AS l, regexp_matches(s, 'b') AS r, x"
    fitted = fit_transform(table, text)
    assert [argument.expression for argument in fitted.plan.arguments] == [
        "lower( s /* as it is */ )",
        "regexp_matches(s, 'b')",
        None,
    ]
    assert fitted.plan.dialect == "duckdb"
    assert fitted.features[0].levels == ("abc", None)
    np.testing.assert_array_equal(fitted.apply()["r"], [1, np.nan, 1])


def test_dates_and_text_from_expressions(fit_transform):
    table = pa.table({"ts": pa.array([0, 10**15, None], pa.timestamp("us")), "s": ["a", "b", None]})
    fitted = fit_transform(table, "CAST(ts AS DATE) AS day, coalesce(s, 'none') AS s")
    assert fitted.names == ["day_year", "day_month", "day_day", "day_dow", "day_doy", "s"]
    assert fitted.features[5].levels == ("a", "b", "none")
    assert fitted.apply()["s"].tolist() == [0, 1, 2]


def word_at(error, text):
    assert error.text == text
    return text[error.position :].split()[0].rstrip(",()")


@pytest.mark.parametrize(
    ("transform", "error", "match", "word"),
    [
        ("a, bb + 1 AS c", MissingColumnError, 'column "bb" does not exist', "bb"),
        ("a, * EXCEPT (zz)", MissingColumnError, 'column "zz" does not exist', "zz"),
        ("a, a + 1", TransformError, "has no name", "a"),
        ("a, y + 1 AS z", TransformError, 'feature "z" is computed from the label "y"', "y"),
        ("a, ML.SCALER(a) OVER() AS z", TransformError, "preprocessor ML.SCALER does not exist", "ML.SCALER(a"),
        ("ML.STANDARD_SCALER(a, B) OVER() AS z", TransformError, "expects 1 argument, got 2", "ML.STANDARD_SCALER(a"),
        ("ML.STANDARD_SCALER(s) OVER() AS z", TransformError, "expects a number, got text", "s"),
        ("ML.LABEL_ENCODER(a) OVER() AS z", TransformError, "expects text, got double", "a"),
        ("ML.STANDARD_SCALER(ML.IMPUTER(a) OVER()) OVER() AS z", TransformError, "cannot stand inside", "ML.IMPUTER(a"),
        ("ML.ONE_HOT_ENCODER(s) OVER() + 1 AS z", TransformError, "is not one number", "ML.ONE_HOT_ENCODER(s"),
        ("strange(ML.IMPUTER(a) OVER()) AS z", TransformError, "cannot compute with the result", "ML.IMPUTER(a"),
        ("ML.BUCKETIZE(a, 5) AS z", OptionValueError, "expects a list of numbers as argument 2, got 5", "5"),
        ("ML.BUCKETIZE(a, [B]) AS z", SqlSyntaxError, "expected a constant", "B]"),
        ("ML.IMPUTER(a, 'mode') OVER() AS z", OptionValueError, "expects one of 'mean'", "'mode'"),
        ("ML.IMPUTER(s, 'mean') OVER() AS z", TransformError, "cannot take the mean of text", "ML.IMPUTER(s"),
        ("ML.ONE_HOT_ENCODER(s, 'none', 5000) OVER() AS z", OptionValueError, "from 1 to 1000", "5000"),
        ("ML.FEATURE_CROSS(s) AS z", TransformError, r"expects STRUCT\(a, b\)", "s"),
        ("ML.STANDARD_SCALER(a) OVER (PARTITION BY s) AS z", SqlSyntaxError, r"expected OVER \(\)", "OVER"),
        ("a, (B", SqlSyntaxError, 'unpaired "\\("', "B"),
        ("a,, B", SqlSyntaxError, "expected an expression", ""),
        ("* WITHOUT (a)", SqlSyntaxError, "expected EXCEPT or REPLACE", "WITHOUT"),
        ("* REPLACE (a + 1)", SqlSyntaxError, "expected AS and a column name", "1"),
        ("a, B AS a", DuplicateColumnError, 'two features would be called "a"', None),
        ("y", TransformError, "TRANSFORM has no feature", None),
        ("lower(s) AS l", TransformError, r"only the engine can compute lower\(s\)", "lower(s"),
    ],
)
def test_refused_transforms(transform, error, match, word):
    with pytest.raises(error, match=match) as caught:
        plan(transform)
    if word is not None and caught.value.position is not None:
        assert word_at(caught.value, transform) == word or transform[caught.value.position] == "("
    assert word is None or caught.value.position is not None


def test_engine_errors_point_at_the_expression():
    def type_of(expression):
        raise EngineError("no such function", position=1)

    with pytest.raises(EngineError, match="no such function") as caught:
        plan("a, strange(s) AS z", type_of=type_of)
    assert caught.value.text == "a, strange(s) AS z"
    assert caught.value.position == 4


def test_nested_types_from_the_engine_are_refused():
    with pytest.raises(UnsupportedTypeError, match="cannot be a feature"):
        plan("struct_pack(x := a) AS z", type_of=lambda _: "STRUCT(x DOUBLE)")


def test_endless_expressions_are_left_to_the_engine():
    found = plan("a" + " + a" * 5_000 + " AS z", type_of=lambda _: "DOUBLE")
    assert found.dialect in ("portable", "duckdb")
    found = plan("(" * 900 + "a" + ")" * 900 + " AS z", type_of=lambda _: "DOUBLE")
    assert names(found) == ["z"]
