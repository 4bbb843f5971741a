"""The functions as a database's citizens: what EXPLAIN, parallel plans, views, roles and long statements make of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import psycopg
import pytest

from udfs.model import Argument, Forest, Tree
from udfs.postgres import plsql, plsql_refusal

NAME = '"Odd ""Name"."m\'1\\'  # the schema and the stem, without the closing quote


@pytest.fixture
def pair(twins, models, forests):
    pair = twins(models("binary"))
    rows = np.tile(forests.train("binary")[1], (4, 1))
    pair.load(rows.T.tolist())
    pair.wanted = pair.scorer.predictions(_batch(rows))
    return pair


def _batch(rows):
    import pyarrow as pa

    return pa.record_batch([pa.array(column) for column in rows.T], [f"x{i}" for i in range(rows.shape[1])])


def call(model, suffix="_value"):
    return f'{NAME}{suffix}"({", ".join(f"c{i}" for i in range(len(model.arguments)))})'


def test_a_long_statement_changes_its_way_and_not_its_results(pair):
    """12,000 rows take longer than 50 ms: they begin with bits and end with CASE expressions."""
    pair.check_bits(pair.call("_value"), pair.wanted)
    pair.check_bits(pair.call(), pair.wanted)


def test_parallel_plans(pair, connection):
    connection.execute("SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0; ANALYZE t")
    query = f"SELECT id, {call(pair.model)} AS p FROM t WHERE {call(pair.model)} > 0.25"
    plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN (ANALYZE) {query}").fetchall())
    assert "Workers Launched: 2" in plan or "Workers Launched: 1" in plan
    got = dict(connection.execute(query).fetchall())
    wanted = {i: p for i, p in enumerate(pair.wanted[0].tolist()) if p > 0.25}
    assert got == wanted


def test_views_and_indexes(pair, connection):
    """An immutable function may stand in a view, a generated column and an index."""
    value = call(pair.model)
    connection.execute(f"CREATE VIEW scored AS SELECT *, {value} AS p FROM t")
    connection.execute(f"ALTER TABLE t ADD stored float8 GENERATED ALWAYS AS ({value}) STORED")
    connection.execute(f"CREATE INDEX ON t (({value}))")
    rows = connection.execute("SELECT s.p, t.stored FROM scored s JOIN t USING (id) ORDER BY id").fetchall()
    pair.check_bits(np.array(rows).T.copy(), np.tile(pair.wanted, (2, 1)))
    connection.execute("DROP VIEW scored")


def test_properties(pair, connection):
    rows = connection.execute(
        "SELECT proname, provolatile, proparallel, procost, proisstrict FROM pg_proc "
        'WHERE pronamespace = \'"Odd ""Name"\'::regnamespace ORDER BY 1'
    ).fetchall()
    assert [row[0].removeprefix(pair.stem) for row in rows] == ["", "_features", "_raw", "_value"]
    for _, volatile, parallel, cost, strict in rows:
        assert (volatile, parallel, strict) == ("i", "s", False)
        assert 50 < cost < 2_000


def test_a_role_needs_no_more_than_create(models, connection, forests):
    connection.execute("DROP SCHEMA IF EXISTS own CASCADE; DROP ROLE IF EXISTS somebody; CREATE ROLE somebody")
    connection.execute("CREATE SCHEMA own AUTHORIZATION somebody; SET ROLE somebody")
    for statement in plsql.plsql_functions(models("multiclass"), "own", "m"):
        connection.execute(statement)
    shares = connection.execute("SELECT own.m(1, NULL, 'NaN', 0, 1, 2, 3, 4)").fetchone()[0]
    assert sum(shares) == pytest.approx(1.0)
    connection.execute("RESET ROLE")


@pytest.mark.parametrize("clock", ["true", "false"])
def test_sets_of_categories_are_read_alike_with_old_strings(models, twins, forests, connection, monkeypatch, clock):
    monkeypatch.setattr(plsql, "IS_SHORT", clock)
    pair = twins(models("categories"))
    rows = forests.train("categories")[1][:700]
    pair.load(rows.T.tolist())
    connection.execute("SET standard_conforming_strings = off; SET escape_string_warning = off")
    pair.check(_batch(rows))


def test_settings_do_not_matter(pair, connection):
    """Neither the digits of floats nor the way strings are read changes a function made before."""
    connection.execute("SET extra_float_digits = -15; SET standard_conforming_strings = off")
    value = f"float8send({call(pair.model)})"
    got = [row[0] for row in connection.execute(f"SELECT {value} FROM t ORDER BY id LIMIT 100").fetchall()]
    assert got == [np.array(p, ">f8").tobytes() for p in pair.wanted[0, :100]]


def test_statements_may_be_repeated(pair, connection):
    """The functions are named by what is in them: another session may have made them."""
    for statement in plsql.plsql_functions(pair.model, pair.schema, pair.stem):
        connection.execute(statement)


def test_refusals(models):
    model = models("regression")
    many = tuple(Argument(f"x{i}", "number") for i in range(101))
    assert plsql.plsql_refusal(replace(model, arguments=many)) == (
        "a PostgreSQL function takes 100 arguments, the model has 101"
    )
    trees = model.forest.trees
    leaves = sum(len(tree.leaf_value) for tree in trees)
    times = plsql_refusal.MOST_LEAVES // leaves + 1
    forest = replace(model.forest, trees=trees * times)
    assert plsql.plsql_refusal(replace(model, forest=forest)) == (
        f"the SQL scorer takes up to {plsql_refusal.MOST_LEAVES} leaves, the model has {leaves * times}"
    )


def chain(levels):
    """A tree whose every right child is the next node."""
    nodes, leaves = np.arange(levels, dtype=np.int32), np.arange(levels + 1)
    zeros = np.zeros(levels)
    return Tree(
        split_feature=nodes % 2,
        threshold=nodes / 10 - 5.0,
        decision_type=np.full(levels, 8 | 2, np.int8),
        left_child=~nodes,
        right_child=np.append(nodes[1:], ~np.int32(levels)),
        leaf_value=np.sin(leaves),
        split_gain=zeros.astype(np.float32),
        internal_value=zeros,
        internal_weight=zeros,
        internal_count=levels - nodes,
        leaf_weight=np.ones(levels + 1),
        leaf_count=np.ones(levels + 1, np.int32),
        cat_boundaries=np.zeros(0, np.int32),
        cat_threshold=np.zeros(0, np.uint32),
    )


@pytest.mark.parametrize("clock", ["true", "false"])
def test_deep_trees(models, twins, monkeypatch, clock):
    monkeypatch.setattr(plsql, "IS_SHORT", clock)
    model = models("regression")
    deep = replace(model, forest=replace(model.forest, trees=(chain(plsql_refusal.MOST_LEVELS),) * 2))
    pair = twins(deep)
    rows = np.random.default_rng(0).uniform(-10, 100, (500, 8))
    pair.load(rows.T.tolist())
    pair.check(_batch(rows))
    deeper = replace(model, forest=replace(model.forest, trees=(chain(1_001),)))
    assert plsql.plsql_refusal(deeper) == "the SQL scorer takes trees of up to 1000 levels, the model has one of 1001"


def test_leaves_that_leave_the_range_of_doubles_are_refused(models):
    model = models("regression")

    def with_leaf(value):
        first = model.forest.trees[0]
        values = first.leaf_value.copy()
        values[0] = value
        forest: Forest = replace(model.forest, trees=(replace(first, leaf_value=values), *model.forest.trees[1:]))
        return plsql.plsql_refusal(replace(model, forest=forest))

    assert with_leaf(np.nan) == with_leaf(np.inf) == "a leaf of the model is not a finite number"
    assert with_leaf(1.5e308) == "sums of the model's leaves leave the range of doubles"
    assert with_leaf(5e-324) is None


def test_operators_and_types_in_front_of_the_servers_own(pair, connection):
    """A caller's search path decides nothing in the functions' bodies."""
    connection.execute("DROP SCHEMA IF EXISTS front CASCADE; CREATE SCHEMA front")
    for name, sign in (("less", "<"), ("at_most", "<="), ("same", "="), ("sum", "+")):
        result = "float8" if sign == "+" else "boolean"
        connection.execute(
            f"CREATE FUNCTION front.{name}(float8, float8) RETURNS {result} LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'steered'; END$$"
        )
        connection.execute(
            f"CREATE OPERATOR front.{sign} (LEFTARG = float8, RIGHTARG = float8, FUNCTION = front.{name})"
        )
    connection.execute("CREATE TEMP TABLE float8 (x text); SET search_path = front, pg_catalog, public")
    try:
        with pytest.raises(psycopg.errors.RaiseException, match="steered"):
            connection.execute("SELECT 1::pg_catalog.float8 + 2::pg_catalog.float8")
        pair.check_bits(pair.call("_value"), pair.wanted)
        pair.check_bits(pair.call("_features"), pair.call("_features"))
    finally:
        connection.execute("RESET search_path; DROP TABLE pg_temp.float8; DROP SCHEMA front CASCADE")
