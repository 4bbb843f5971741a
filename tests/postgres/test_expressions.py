"""Portable expressions of TRANSFORM by Postgres' rules: what the kernels compute is what the server computes, bit for bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import sqlml
from sqlml.engines.postgres import PostgresEngine, open_connection
from sqlml.planning.features import FeatureOptions, plan_features
from udfs.columns import raw_block
from udfs.transforms import Pipeline, apply_program, start_fit

TABLE = """
CREATE TABLE t AS SELECT (i % 17) - 8 AS i4, ((i * 7919) % 1001 - 500)::bigint AS i8, ((i % 9) - 4)::smallint AS i2,
    (sin(i) * 100)::float8 AS f8, (cos(i) * 10)::float4 AS f4, ((i * 37 % 2003 - 1000) / 100.0)::numeric(10, 2) AS n2,
    ((i * 13 % 997) / 1000.0)::numeric(8, 3) AS n3, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 2 = 0 END AS b,
    (ARRAY['x', 'y', 'Zz', '', NULL])[1 + i % 5] AS s, date '1999-12-25' + (i * 31 % 4000) AS d,
    timestamp '1969-12-31 22:00:00' + i * interval '37 hours 11 minutes 13.125 seconds' AS ts,
    timestamptz '2021-03-27 22:00:00+00' + i * interval '61 minutes' AS tz, (i * 1.5)::numeric AS loose
FROM generate_series(1, 400) AS i;
"""

PORTABLE = [
    "i4 + i8",
    "i4 - 3",
    "i4 * i2",
    "i4 / 3",
    "i8 / nullif(i4, 0)",
    "i8 % 7",
    "-i8 % nullif(i2, 0)",
    "f8 * 2",
    "f8 / 3",
    "f8 + f4",
    "f4 + f4",
    "f4 * i4",
    "f4 * 1.1",
    "f8 ^ 2",
    "i4 ^ 2",
    "n2 + n3",
    "n2 * n3",
    "n2 - 1.125",
    "n2 % 3",
    "n2::float8 / 3",
    "i4 / 2.0::float8",
    "abs(n2)",
    "sign(f8)",
    "floor(f8)",
    "ceil(n2)",
    "round(f8)",
    "round(n3, 1)",
    "round(n2)",
    "trunc(f8)",
    "sqrt(abs(f8))",
    "ln(abs(f8) + 1)",
    "exp(f8 / 100)",
    "log(abs(f8) + 1)",
    "sin(f8)",
    "f8::int",
    "n2::int",
    "f8::real",
    "i4::float",
    "f8::float4",
    "n3::numeric(8, 2)",
    "CASE WHEN i4 > 2 THEN f8 WHEN b THEN 1 ELSE i8 END",
    "coalesce(nullif(i4, 3), i8)",
    "greatest(i4, i8, 2)",
    "least(f8, i4)",
    "(i4 BETWEEN -2 AND 3)::int",
    "CASE WHEN s IN ('x', 'Zz') THEN 1 ELSE 0 END",
    "CASE WHEN s = 'y' THEN 1 WHEN s IS NULL THEN 2 ELSE 0 END",
    "CASE WHEN b IS TRUE THEN 1 WHEN b IS NOT NULL THEN 0 END",
    "CASE WHEN i4 IS DISTINCT FROM i2 THEN 1 ELSE 0 END",
    "CASE WHEN d >= '2003-05-06' THEN 1 ELSE 0 END",
    "CASE WHEN ts < '1970-06-01 10:00:00' THEN 1 ELSE 0 END",
    "b::int",
    "CASE WHEN b IS NOT TRUE THEN 1 WHEN NOT b IS NULL THEN 2 END",
    "d - date '2000-01-01'",
    "ts::date - d",
    *(
        f"extract({part} FROM {column})"
        for part in ("year", "month", "day", "dow", "doy", "quarter", "week", "isoyear", "isodow")
        for column in ("d", "ts", "tz")
    ),
    *(f"extract({part} FROM {column})" for part in ("hour", "minute") for column in ("ts", "tz")),
    "date_part('month', d) * 2",
]
BOUND = [
    "n2 / 3",
    "ln(n3 + 1)",
    "n2 ^ 2",
    "round(loose)",
    "loose * 2",
    "f8::numeric(10, 2)",
    "CASE WHEN s < 'y' THEN 1 ELSE 0 END",
    "extract(second FROM ts)",
    "extract(epoch FROM tz)",
    "length(s)",
    "date_part('month', d) / 5",
]


@pytest.fixture(scope="module")
def engine(cluster):
    engine = PostgresEngine(open_connection(cluster.create_database("expressions")))
    engine.run("SET TimeZone = 'Europe/Berlin'")
    engine.run(TABLE)
    yield engine
    engine.close()


def plan(engine, expression):
    columns = engine.columns("TABLE t")

    def type_of(text):
        return engine.columns(f"SELECT {text} AS v FROM t")[0].sql_type

    return plan_features(
        columns,
        label=None,
        transform=f"{expression} AS v",
        options=FeatureOptions(time_zone=engine.time_zone()),
        dialect="postgres",
        type_of=type_of,
    )


def computed(engine, plan):
    fit = start_fit(plan)
    batches = list(engine.stream(plan.source_sql("TABLE t", [], engine.quote)))
    for batch in batches:
        fit.update(raw_block(batch, plan.arguments), None, None)
    steps, features = fit.finish()
    program = Pipeline(plan.arguments, steps, features)
    return np.hstack([apply_program(program, raw_block(batch, plan.arguments)) for batch in batches])[0]


def asked(engine, expression):
    table = pa.Table.from_batches(list(engine.stream(f"SELECT ({expression})::float8 AS v FROM t")))
    return table.column("v").to_numpy(zero_copy_only=False).astype(np.float64)


@pytest.mark.parametrize("expression", PORTABLE)
def test_the_kernels_compute_what_the_server_does(engine, expression):
    made = plan(engine, expression)
    assert made.dialect == "portable"
    np.testing.assert_array_equal(computed(engine, made), asked(engine, expression))


@pytest.mark.parametrize("expression", BOUND)
def test_the_server_keeps_what_only_it_can_compute(engine, expression):
    made = plan(engine, expression)
    assert made.dialect == "postgres"
    assert [a.expression for a in made.arguments if a.expression is not None]


@pytest.mark.parametrize("function", ["year(d)", "if(b, 1, 2)", "date_diff('day', d, d)", "nonsense(f8)"])
def test_functions_the_server_does_not_have_are_its_own_error(engine, function):
    with pytest.raises(sqlml.SqlmlError, match=r"function .* does not exist"):
        plan(engine, function)
