"""What the plan tells of queries of Postgres: whether their rows come in one order, and whether two runs can differ.

The oracle is the server: queries said to keep their order, or to be steady, are run again and again under other plans.
"""

import pytest

# query, keeps its order, is volatile
QUERIES = [
    ("SELECT * FROM t", True, False),
    ("TABLE t", True, False),
    ("SELECT i + 1 AS z FROM t WHERE x > 0.5 AND k IN (1, 2, 3)", True, False),
    ("SELECT * FROM plain", True, False),
    ("SELECT twice(i) AS z FROM t", True, False),
    ("SELECT now(), current_timestamp, i FROM t", True, False),
    ("SELECT * FROM t LIMIT 10", True, False),
    ("SELECT * FROM t OFFSET 2", True, False),
    ("SELECT * FROM u ORDER BY id", True, False),
    ("SELECT s, id + 0 AS z, id FROM u WHERE d > 1 ORDER BY id", True, False),
    ("SELECT s FROM u ORDER BY id", True, False),
    ("SELECT * FROM t ORDER BY 1, 2, 3, 4", True, False),
    ("SELECT i, k FROM t ORDER BY i DESC NULLS LAST, k", True, False),
    ("VALUES (1), (2)", True, False),
    ("SELECT * FROM generate_series(1, 10)", True, False),
    ("WITH c AS (SELECT * FROM t) SELECT * FROM c", True, False),
    ("SELECT s FROM u ORDER BY id + 1", False, False),
    ("SELECT * FROM t ORDER BY i", False, False),
    ("SELECT * FROM t ORDER BY k LIMIT 3", False, False),
    ("SELECT * FROM t JOIN u ON t.i = u.id", False, False),
    ("SELECT k, count(*), max(x) FROM t GROUP BY k", False, False),
    ("SELECT k, count(*) FROM t GROUP BY k ORDER BY k", False, False),
    ("SELECT DISTINCT k FROM t", False, False),
    ("SELECT * FROM t UNION ALL SELECT * FROM t", False, False),
    ("SELECT * FROM t WHERE i = 7", False, False),  # by the index, whose order among equal keys is not the table's
    ("SELECT random() AS q FROM t", True, True),
    ("SELECT * FROM random_view", True, True),
    ("SELECT noisy(i) AS z FROM t", True, True),
    ("SELECT nextval('numbers'), i FROM t", True, True),
    ("SELECT i, gen_random_uuid() FROM t", True, True),
    ("SELECT clock_timestamp() FROM t", True, True),
    ("SELECT i FROM t WHERE random() < 0.5", True, True),
    ("SELECT i FROM t ORDER BY random()", False, True),
    ('SELECT "Odd Name"(i) AS z FROM t', True, True),
    ("SELECT i ==> 1 AS z FROM t", True, True),
    ("SELECT CAST(s AS odd_type) FROM t", True, True),
    ("SELECT * FROM t TABLESAMPLE BERNOULLI (10)", False, True),
    ("SELECT * FROM t TABLESAMPLE SYSTEM (10) REPEATABLE (3)", False, False),
    ("SELECT i, (SELECT random()) AS q FROM t", False, True),
    ("WITH c AS MATERIALIZED (SELECT random() AS q FROM t) SELECT * FROM c", False, True),
    ("SELECT 'random()' AS s FROM t", True, False),
]


@pytest.fixture
def engine_name():
    return "postgres"


@pytest.fixture
def engine(open_engine):
    found = open_engine()
    found.run("""
        CREATE TABLE t AS SELECT i, hash(i) / 9.3e18 AS x, i % 10 AS k, 'a' AS s FROM range(3000) r(i);
        CREATE INDEX ON t (i);
        CREATE TABLE u (id integer PRIMARY KEY, s text, d numeric(10, 2));
        CREATE VIEW random_view AS SELECT i, random() AS r FROM t;
        CREATE VIEW plain AS SELECT i FROM t;
        CREATE FUNCTION noisy(a bigint) RETURNS float8 LANGUAGE sql RETURN a + random();
        CREATE FUNCTION twice(a bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN a * 2;
        CREATE FUNCTION "Odd Name"(a bigint) RETURNS float8 LANGUAGE plpgsql AS 'BEGIN RETURN random() + a; END';
        CREATE FUNCTION behind(a bigint, b integer) RETURNS float8 LANGUAGE plpgsql AS 'BEGIN RETURN random(); END';
        CREATE OPERATOR ==> (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = behind);
        CREATE TYPE odd_type AS (v float8);
        CREATE FUNCTION made(t text) RETURNS odd_type LANGUAGE plpgsql AS 'BEGIN RETURN ROW(random())::odd_type; END';
        CREATE CAST (text AS odd_type) WITH FUNCTION made(text);
        CREATE SEQUENCE numbers;
        ANALYZE t;
    """)
    return found


def test_facts(engine):
    """All in one, as the tables are made anew for each test."""
    found = {sql: (engine.keeps_row_order(sql), engine.is_volatile(sql)) for sql, _, _ in QUERIES}
    assert found == {sql: (ordered, volatile) for sql, ordered, volatile in QUERIES}


def test_ordered_queries_repeat_their_order_in_a_snapshot(engine, open_engine):
    """Also beside another scan of a big table, which synchronised scans would join half way."""
    other = open_engine()
    other.run("SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0")
    other.run("CREATE TABLE big AS SELECT i, repeat('x', 900) AS s FROM range(20000) r(i)")
    sql = "SELECT i FROM big WHERE i % 3 = 0"
    assert other.keeps_row_order(sql) or not other.in_transaction()
    seen = []
    for _ in range(3):
        beside = engine.stream("SELECT * FROM big", 1_000)
        next(beside)
        other.begin_snapshot()
        assert other.keeps_row_order(sql)
        seen.append([value for batch in other.stream(sql) for value in batch.column(0).to_pylist()])
        other.commit()
        beside.close()
    assert seen[0] == sorted(seen[0])
    assert seen[0] == seen[1] == seen[2]


def test_sums_of_parallel_workers_are_volatile_where_there_are_any(engine):
    engine.run("SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0")
    sql = "SELECT k, sum(x) FROM t GROUP BY k"
    engine.begin()
    assert engine.is_volatile(sql)
    assert not engine.is_volatile("SELECT k, count(*) FROM t GROUP BY k")
    engine.commit()
    assert not engine.is_volatile(sql)  # our own snapshot runs it without workers
    assert engine.rows("SHOW max_parallel_workers_per_gather") != [("0",)]


def test_nothing_runs_and_a_transaction_survives(engine):
    before = engine.rows("SELECT last_value, is_called FROM numbers")
    engine.begin()
    engine.run("CREATE TABLE fresh AS SELECT 1 AS one")
    assert engine.keeps_row_order("SELECT * FROM fresh")
    assert engine.is_volatile("SELECT nextval('numbers') FROM fresh")
    engine.commit()
    assert engine.rows("SELECT one FROM fresh") == [(1,)]
    assert engine.rows("SELECT last_value, is_called FROM numbers") == before
