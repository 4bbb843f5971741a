"""What is told of queries without running them: whether their rows come in one order, and whether two runs can differ."""

import inspect

import duckdb
import pyarrow as pa
import pytest

from sqlml.engines.duckdb import DuckDBEngine

# query, keeps its order, is volatile
QUERIES = [
    ("SELECT * FROM t", True, False),
    ("SELECT i + 1 AS z FROM t WHERE x > 0.5 AND k IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)", True, False),
    ("FROM plain", True, False),
    ("SELECT twice(i) AS z FROM t", True, False),
    ("SELECT now(), i FROM t", True, False),
    ("SELECT CASE WHEN i < 0 THEN error('x') END FROM t", True, False),
    ("FROM t LIMIT 10", True, False),
    ("FROM t ORDER BY ALL", True, False),
    ("FROM t ORDER BY ALL LIMIT 3", True, False),
    ("FROM u ORDER BY id", True, False),
    ("SELECT s, id + 0 AS z, id FROM u WHERE d > 1 ORDER BY id", True, False),
    ("SELECT s FROM u ORDER BY id", True, False),
    ("SELECT s FROM u ORDER BY id + 1", False, False),
    ("FROM t ORDER BY i", False, False),
    ("FROM t JOIN u ON t.i = u.id", False, False),
    ("SELECT k, count(*), max(x) FROM t GROUP BY k", False, False),
    ("SELECT avg(d), sum(id) FROM u", False, False),
    ("SELECT DISTINCT k FROM t", False, False),
    ("SELECT rank() OVER (ORDER BY x), sum(k) OVER (PARTITION BY s) FROM t", False, False),
    ("SELECT unnest([1, 2]) FROM t", False, False),
    ("FROM range(10)", False, False),
    ("FROM t UNION ALL FROM t", False, False),
    ("WITH c AS MATERIALIZED (FROM t) FROM c, c AS d", False, False),
    ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) FROM r", False, False),
    ("SELECT (SELECT max(x) FROM t) AS z, i FROM u, t", False, False),
    ("VALUES (1), (2)", False, False),
    ("SELECT random() AS q FROM t", True, True),
    ("FROM random_view", True, True),
    ("SELECT noisy(i) AS z FROM t", True, True),
    ("SELECT nextval('numbers'), i FROM t", True, True),
    ("SELECT i, uuid() FROM t", True, True),
    ("SELECT volatile_function(x) FROM t", True, True),
    ("SELECT i FROM t WHERE random() < 0.5", True, True),
    ("FROM t TABLESAMPLE 10%", False, True),
    ("FROM t USING SAMPLE reservoir(10 ROWS) REPEATABLE (3)", False, True),
    ("FROM t ORDER BY i LIMIT 3", False, True),
    ("SELECT * FROM t JOIN u ON t.i = u.id LIMIT 3", False, True),
    ("SELECT k, avg(x) FROM t GROUP BY k", False, True),
    ("SELECT stddev(k) FROM t", False, True),
    ("SELECT first(i) FROM t", False, True),
    ("SELECT list(i) FROM t", False, True),
    ("SELECT DISTINCT ON (k) * FROM t", False, True),
    ("SELECT row_number() OVER (ORDER BY x) FROM t", False, True),
    ("SELECT count(*) OVER (ORDER BY x ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM t", False, True),
    ("FROM t POSITIONAL JOIN u", False, True),
    ("FROM t ASOF JOIN u ON t.i >= u.id", False, True),
    ("FROM '{folder}/t.parquet'", True, False),
    ("FROM '{folder}/t.csv'", True, False),
    ("SELECT lower(s) FROM read_parquet('{folder}/t.parquet') WHERE x > 0.3", True, False),
    ("SELECT random() FROM '{folder}/t.parquet'", True, True),
    ("SELECT noisy(i) FROM '{folder}/t.parquet'", True, True),
    ("SELECT * FROM '{folder}/t.parquet' AS p JOIN random_view AS v ON p.i = v.i", False, True),
    ("SELECT k, avg(x) FROM '{folder}/t.parquet' GROUP BY k", False, True),
    ("SELECT p.i FROM '{folder}/t.parquet' AS p JOIN t ON p.i = t.i LIMIT 2", False, True),
    ("FROM '{folder}/t.parquet' USING SAMPLE 10%", False, True),
    ("SELECT a FROM arrow_frame", False, False),
    ("SELECT a FROM pandas_frame", True, False),
    ("SELECT a FROM arrow_reader", False, True),
    ("SELECT random() FROM arrow_frame", False, True),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def engine(folder):
    connection = duckdb.connect()
    connection.execute("""
        SET threads = 2;
        CREATE TABLE t AS SELECT range AS i, random() AS x, range % 10 AS k, 'a' AS s FROM range(3000);
        CREATE TABLE u (id INTEGER PRIMARY KEY, s VARCHAR, d DECIMAL(10, 2));
        CREATE VIEW random_view AS SELECT i, random() AS r FROM t;
        CREATE VIEW plain AS SELECT i FROM t;
        CREATE MACRO noisy(a) AS a + random();
        CREATE MACRO twice(a) AS a * 2;
        CREATE SEQUENCE numbers;
    """)
    connection.execute(f"COPY t TO '{folder}/t.csv'; COPY t TO '{folder}/t.parquet'")
    connection.create_function("volatile_function", lambda a: a, ["DOUBLE"], "DOUBLE", side_effects=True)
    yield DuckDBEngine(connection)
    connection.close()


@pytest.mark.parametrize(("sql", "ordered", "volatile"), QUERIES, ids=[query[0] for query in QUERIES])
def test_facts(engine, folder, sql, ordered, volatile):
    arrow_frame = pa.table({"a": [1, 2, 3]})
    pandas_frame, arrow_reader = arrow_frame.to_pandas(), arrow_frame.to_reader()
    assert (len(pandas_frame), arrow_reader.schema.names) == (3, ["a"])
    sql = sql.replace("{folder}", str(folder))
    with engine.seeing(inspect.currentframe()):
        assert (engine.keeps_row_order(sql), engine.is_volatile(sql)) == (ordered, volatile)


def test_nothing_is_consumed_and_nothing_runs(engine):
    before = engine.rows("SELECT last_value FROM duckdb_sequences()")
    arrow_reader = pa.table({"a": [1, 2, 3]}).to_reader()
    with engine.seeing(inspect.currentframe()):
        engine.is_volatile("SELECT a, nextval('numbers') FROM arrow_reader")
        assert len(engine.rows("FROM arrow_reader")) == 3
    assert arrow_reader.schema.names == ["a"]
    assert engine.rows("SELECT last_value FROM duckdb_sequences()") == before


def test_without_insertion_order_a_scan_has_none(engine):
    engine.run("SET preserve_insertion_order = false")
    assert not engine.keeps_row_order("FROM t")
    engine.run("RESET preserve_insertion_order")
    assert engine.keeps_row_order("FROM t")


def test_a_transaction_survives(engine):
    engine.begin()
    engine.run("CREATE TABLE fresh AS SELECT 1 AS one")
    assert engine.keeps_row_order("FROM fresh")
    assert not engine.is_volatile("FROM fresh")
    engine.commit()
    engine.run("DROP TABLE fresh")
