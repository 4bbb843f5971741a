"""Labels in their own SQL type, and features from the less common types; the native scorer's business, checked against casts."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pytest

from udfs.artifact import artifact_hash, write_artifact
from udfs.model import Argument, Feature, Input, Label, Step

LABELS = [
    ("BOOLEAN", (False, True)),
    ("TINYINT", (-5, 7)),
    ("SMALLINT", (-500, 7)),
    ("INTEGER", (0, 1)),
    ("BIGINT", (-(2**60), 2**60)),
    ("UBIGINT", (0, 2**64 - 1)),
    ("HUGEINT", (-(2**100), 2**100)),
    ("FLOAT", (0.5, 1.25)),
    ("DOUBLE", (0.1, 1e300)),
    ("DECIMAL(4,1)", ("-12.5", "99.9")),
    ("DECIMAL(9,2)", ("-1234567.89", "0.01")),
    ("DECIMAL(18,3)", ("-123456789012345.678", "1.000")),
    ("DECIMAL(38,5)", ("-123456789012345678901234567890.12345", "1.00000")),
    ("DATE", ("1969-12-31", "2024-02-29")),
    ("TIMESTAMP", ("1969-12-31 23:59:59.5", "2024-02-29 01:02:03")),
    ("UUID", ("00000000-0000-0000-0000-000000000001", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6")),
    ("ENUM('x', 'no', 'a long word of an enum')", ("a long word of an enum", "no")),
    ("VARCHAR", ("no", "a label that does not fit into sixteen bytes")),
    ("VARCHAR", ("", "ünï")),
]


def put(registry, model):
    artifact = write_artifact(model)
    registry.put(artifact_hash(artifact), artifact)
    return f"'sha256:{artifact_hash(artifact)}'"


@pytest.mark.parametrize(("sql_type", "classes"), LABELS)
def test_labels_have_their_own_type(connect, binary, uses_arrow, sql_type, classes):
    connection, registry = connect()
    reference = put(registry, dataclasses.replace(binary.model, label=Label("y", sql_type, classes)))
    connection.execute("CREATE TABLE t AS SELECT (i % 9 - 4) / 2 AS a, (i % 5 - 2) AS b FROM range(4500) r(i)")
    call = f"__sqlml_label({reference}, a, b, a, b, a)"
    index = f"__sqlml_class({reference}, a, b, a, b, a)"
    texts = ", ".join("'" + str(label) + "'" for label in classes)
    wrong = f"SELECT count(*) FROM t WHERE {call} IS DISTINCT FROM CAST([{texts}][{index} + 1] AS {sql_type})"
    if not uses_arrow:
        assert connection.execute(wrong).fetchone() == (0,)
        (kind,) = connection.execute(f"SELECT typeof({call}) FROM t LIMIT 1").fetchone()
        assert kind == sql_type
    assert len(connection.execute(f"SELECT DISTINCT CAST({call} AS {sql_type}) FROM t").fetchall()) == 2


def test_labels_of_unknown_types_are_text(connect, binary):
    connection, registry = connect()
    for sql_type, classes in (("no_such_type", ("a", "b")), ("INTERVAL", ("1 day", "2 days")), ("INTEGER", ("x", "y"))):
        reference = put(registry, dataclasses.replace(binary.model, label=Label("y", sql_type, classes)))
        got = connection.execute(f"SELECT typeof(ml_predict({reference}, 1, 2, 3, 4, 5))").fetchone()
        assert got == ("VARCHAR",)


def times_model(regression, kind):
    """A model whose five features are parts of one moment."""
    parts = ["hour", "minute", "second", "month", "day"]
    return dataclasses.replace(
        regression.model,
        inputs=(Input("moment", kind, "?"),),
        arguments=(Argument("moment", kind),),
        steps=(Step("calendar", ("moment",), tuple(parts), {"parts": parts}),),
        features=tuple(Feature(part) for part in parts),
    )


@pytest.mark.parametrize(
    ("kind", "expression"),
    [
        ("timestamp", "moment"),
        ("timestamp", "moment::TIMESTAMP_S"),
        ("timestamp", "moment::TIMESTAMP_MS"),
        ("timestamp", "moment::TIMESTAMP_NS"),
        ("timestamp", "moment::DATE"),
        ("timestamptz", "moment::TIMESTAMP AT TIME ZONE 'UTC'"),
    ],
)
def test_points_in_time(connect, regression, kind, expression):
    connection, registry = connect()
    reference = put(registry, times_model(regression, kind))
    connection.execute(
        "CREATE TABLE t AS SELECT i, TIMESTAMP '1969-12-25 20:00:00' + i * INTERVAL '5 minutes 17 seconds' AS moment FROM range(6000) r(i)"
    )
    parts = "hour(m), minute(m), second(m), month(m), day(m)"
    plain = expression.replace("AT TIME ZONE 'UTC'", "")
    wrong = (
        f"SELECT count(*) FROM (SELECT __sqlml_features({reference}, {expression}) AS got, ({plain})::TIMESTAMP AS m FROM t)"
        f" WHERE got IS DISTINCT FROM [x::DOUBLE FOR x IN [{parts}]]"
    )
    assert connection.execute(wrong).fetchone() == (0,)


@pytest.mark.parametrize(
    "literal", ["'infinity'::TIMESTAMP", "'-infinity'::DATE", "NULL::TIMESTAMP", "'infinity'::TIMESTAMP_NS"]
)
def test_infinite_times_are_missing(connect, regression, literal):
    connection, registry = connect()
    reference = put(registry, times_model(regression, "timestamp"))
    got = connection.execute(f"SELECT __sqlml_features({reference}, {literal})").fetchone()[0]
    assert np.isnan(got).all()


def test_uuids_and_enums_are_text(connect, mixed):
    connection, registry = connect()
    levels = ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "00000000-0000-0000-0000-00000000000a"]
    from udfs.transforms.dictionary import texts

    step = dataclasses.replace(mixed.model.steps[0], params=texts("levels", levels) | {"null_code": 2})
    model = dataclasses.replace(mixed.model, steps=(step, *mixed.model.steps[1:]))
    reference = put(registry, model)
    call = f"__sqlml_features({reference}, u, true, DATE '2020-01-01', TIMESTAMP '2020-01-01', 1)[1]"
    rows = ", ".join(f"('{text}')" for text in (*levels, "11111111-1111-1111-1111-111111111111"))
    codes = connection.execute(f"SELECT {call} FROM (SELECT u::UUID AS u FROM (VALUES {rows}, (NULL)) v(u))").fetchall()
    assert codes == [(0.0,), (1.0,), (-1.0,), (2.0,)]


@pytest.mark.parametrize(
    "bad", ["[1]", "{'x': 1}", "'a'", "DATE '2020-01-01'", "'a'::BLOB", "INTERVAL 1 DAY", "TIME '10:00'"]
)
def test_types_that_do_not_convert(connect, regression, bad):
    connection, registry = connect()
    reference = put(registry, regression.model)
    with pytest.raises(duckdb.Error, match='column "b" must be a number, got'):
        connection.execute(f"SELECT __sqlml_value({reference}, 1, {bad}, 3, 4, 5)").fetchall()
    zoned = put(registry, times_model(regression, "timestamptz"))
    with pytest.raises(duckdb.Error, match="must be a TIMESTAMP WITH TIME ZONE, got TIMESTAMP"):
        connection.execute(f"SELECT __sqlml_value({zoned}, TIMESTAMP '2020-01-01')").fetchall()
