"""Random nested expressions against plain DuckDB: types and values of what the list of examples does not think of."""

from __future__ import annotations

import random

import duckdb
import numpy as np
import pytest
import sqlglot

from sqlml.planning.column_types import column_type
from sqlml.planning.expressions import Compiler
from sqlml.planning.kinds import kind_of
from sqlml.planning.values import Emitter, NotPortableError, Value
from udfs.columns import raw_block
from udfs.model import Argument, Feature
from udfs.transforms import Pipeline, apply_program

TABLE = """
CREATE TABLE t AS
SELECT CASE WHEN random() > 0.1 THEN (random() * 20 - 10)::INTEGER END AS i,
    CASE WHEN random() > 0.1 THEN (random() * 8 - 4)::BIGINT END AS b,
    CASE WHEN random() > 0.1 THEN (random() * 20 - 10)::FLOAT END AS f,
    CASE WHEN random() > 0.1 THEN random() * 20 - 10 END AS x,
    CASE WHEN random() > 0.1 THEN (random() * 20 - 10)::DECIMAL(6, 2) END AS m,
    CASE WHEN random() > 0.1 THEN (random() * 4)::DECIMAL(5, 1) END AS n,
    CASE WHEN random() > 0.1 THEN random() > 0.5 END AS k,
    CASE WHEN random() > 0.1 THEN ['a', 'b', 'żó', ''][1 + (random() * 3)::INTEGER] END AS s,
    CASE WHEN random() > 0.1 THEN DATE '2020-02-20' + (random() * 20)::INTEGER END AS d,
    CASE WHEN random() > 0.1 THEN TIMESTAMP '2020-02-20' + to_seconds((random() * 1e6)::BIGINT) END AS ts
FROM range(300)
"""


def number(rng, depth):
    if depth == 0:
        return rng.choice(["i", "b", "f", "x", "m", "n", "1", "2.5", "0.25", "3", "-1", "1e1"])
    a, b = (lambda: number(rng, depth - 1)), (lambda: boolean(rng, depth - 1))
    form = rng.randrange(15)
    if form < 4:
        return f"({a()} {rng.choice(['+', '-', '*'])} {a()})"
    return [
        lambda: f"({a()} / {rng.choice(['2', '4.0', 'x', 'f'])})",
        lambda: f"({a()} % {rng.choice(['3', '2.5', '7'])})",
        lambda: f"CASE WHEN {b()} THEN {a()} ELSE {a()} END",
        lambda: f"coalesce({a()}, {a()})",
        lambda: f"{rng.choice(['greatest', 'least'])}({a()}, {a()})",
        lambda: f"{rng.choice(['abs', 'floor', 'ceil', 'round', 'sign', 'trunc'])}({a()})",
        lambda: f"sqrt(abs({a()}))",  # of a negative number DuckDB gives NaN, which is NULL here
        lambda: f"nullif({a()}, {a()})",
        lambda: f"CAST({a()} AS {rng.choice(['DOUBLE', 'FLOAT', 'INTEGER'])})",
        lambda: rng.choice(["day(d)", "dayofweek(ts)", "date_diff('day', d, ts)", "hour(ts)", "epoch(ts)"]),
        lambda: f"CAST({b()} AS INTEGER)",
    ][form - 4]()


def boolean(rng, depth):
    if depth == 0:
        return rng.choice(["k", "s = 'a'", "d > '2020-03-01'", "x IS NULL", "s IN ('b', '')", "ts < d", "true"])
    a, b = (lambda: number(rng, depth - 1)), (lambda: boolean(rng, depth - 1))
    return rng.choice(
        [
            lambda: f"({a()} {rng.choice(['=', '<>', '<', '<=', '>', '>='])} {a()})",
            lambda: f"({b()} {rng.choice(['AND', 'OR'])} {b()})",
            lambda: f"(NOT {b()})",
            lambda: f"({a()} IS NOT NULL)",
            lambda: f"({a()} BETWEEN {a()} AND {a()})",
            lambda: f"({a()} IN ({a()}, {a()}))",
            lambda: f"({a()} IS DISTINCT FROM {a()})",
            lambda: f"({b()} IS {rng.choice(['TRUE', 'NOT FALSE'])})",
        ]
    )()


@pytest.mark.parametrize("seed", range(4))
def test_random_expressions_equal_duckdb(seed):
    rng = random.Random(seed)
    connection = duckdb.connect()
    connection.execute("SET threads = 1; SELECT setseed(0.1)").fetchall()
    connection.execute(TABLE)
    columns = {row[0]: row[1] for row in connection.execute("DESCRIBE t").fetchall()}
    arguments = tuple(Argument(name, kind_of(sql_type)) for name, sql_type in columns.items())
    block = raw_block(connection.sql("FROM t").to_arrow_table().combine_chunks().to_batches()[0], arguments)
    compared = 0
    for _ in range(150):
        text = rng.choice([number, boolean])(rng, rng.randrange(1, 4))
        emitter = Emitter(columns)
        compiler = Compiler(emitter, lambda node: Value(node.name, column_type(columns[node.name])), "UTC")
        try:
            value = compiler.compile(sqlglot.parse_one(text, dialect="duckdb"))
            found = connection.sql(f"SELECT CAST(({text}) AS DOUBLE) AS v, typeof({text}) AS kind FROM t")
            want = found.to_arrow_table()
        except (NotPortableError, duckdb.Error):
            continue
        register = emitter.double(value)
        got = apply_program(Pipeline(arguments, tuple(emitter.steps), (Feature(register),)), block)[0]
        expected = want["v"].to_numpy(zero_copy_only=False).astype(float)
        if value.type.base != "null":
            assert column_type(want["kind"][0].as_py()) == value.type, text
        np.testing.assert_array_equal(got, expected, err_msg=text)
        compared += 1
    assert compared > 60
