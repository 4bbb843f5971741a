"""Scopes against DuckDB itself: ``COLUMNS(*)`` in the call's place says which columns the engine sees there.

Every cell of the test's tables holds its own name (``t.a``), so the list of a row's cells is the list of visible columns.
"""

import duckdb
import pytest

from sqlml.language.parser import parse
from sqlml.language.splice import splice

TABLES = {"t": "kab", "u": "kcd", "v": "kef", "w": "ab"}


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        for name, columns in TABLES.items():
            cells = ", ".join(f"'{'k' if c == 'k' else name + '.' + c}' AS {c}" for c in columns)
            connection.execute(f"CREATE TABLE {name} AS SELECT {cells}")
        yield connection


def _with_clause(scope, text):
    """The definitions that this scope sees and the one around it does not."""
    own = [span for span in scope.ctes if scope.outer is None or span not in scope.outer.ctes]
    definitions = [span.of(text) for span in own] + [span.of(text) + ")" for span in scope.anchors]
    if not definitions:
        return ""
    return f"WITH {'RECURSIVE ' if scope.recursive else ''}{', '.join(definitions)} "


def _source(scope, text):
    if scope.source is not None:
        return scope.source.of(text)
    return ", ".join(item.span.of(text) for item in scope.items)


def _columns_of_scope(engine, scope, text):
    query = f"{_with_clause(scope, text)}SELECT list_value(*COLUMNS(*)) AS cells FROM {_source(scope, text)}"
    while scope.outer is not None:
        scope = scope.outer
        query = f"{_with_clause(scope, text)}SELECT i.cells FROM {_source(scope, text)}, LATERAL ({query}) i"
    return engine.execute(query).fetchall()[0][0]


QUERIES = [
    "SELECT PREDICT(m, *) FROM t",
    "FROM t SELECT PREDICT(m, *)",
    "SELECT PREDICT(m, *) FROM t x, u AS y",
    "SELECT PREDICT(m, *) FROM t JOIN u USING (k)",
    "SELECT PREDICT(m, *) FROM t JOIN u ON t.k = u.k JOIN v ON v.k = u.k",
    "SELECT PREDICT(m, *) FROM t NATURAL JOIN u",
    "SELECT PREDICT(m, *) FROM t LEFT JOIN (u JOIN v USING (k)) USING (k) WHERE t.a IS NOT DISTINCT FROM t.a",
    "SELECT PREDICT(m, *) FROM t SEMI JOIN u USING (k)",
    "SELECT PREDICT(m, *) FROM t POSITIONAL JOIN w",
    "SELECT PREDICT(m, *) FROM (SELECT a, b AS z FROM t) s",
    "SELECT (SELECT PREDICT(m, *) FROM u WHERE u.k = t.k) FROM t",
    "SELECT l.p FROM t, LATERAL (SELECT PREDICT(m, *) AS p FROM (SELECT t.a AS x, u.c FROM u)) l",
    "WITH c AS (SELECT a AS x FROM t) SELECT PREDICT(m, *) FROM c, w",
    "WITH c AS (FROM t), d AS (SELECT k FROM c) SELECT PREDICT(m, *) FROM c JOIN d USING (k)",
    "WITH c AS (SELECT a FROM t) SELECT * FROM (WITH c AS (SELECT c FROM u) SELECT PREDICT(m, *) FROM c)",
    "SELECT p FROM (SELECT PREDICT(m, *) AS p FROM v) UNION ALL SELECT NULL WHERE FALSE",
    "SELECT NULL WHERE FALSE UNION ALL (FROM w SELECT PREDICT(m, *))",
    "SELECT PREDICT(m, *) FROM t,",
    "SELECT DISTINCT PREDICT(m, *) FROM t AS x(p, q, r)",
    "SELECT PREDICT(m, *) AS from FROM t ORDER BY 1 LIMIT 5 OFFSET 0",
    "SELECT PREDICT(m, *) FROM t WHERE a IN (FROM t SELECT a) GROUP BY ALL",
    "SELECT PREDICT(m, *) FROM t, unnest(['x']) AS z(y)",
    "SELECT PREDICT(m, *) FROM VALUES ('p', 'q') AS z(x, y), w",
    "SELECT PREDICT(m, *) FROM y: t, w",
    "SELECT PREDICT(m, *) FROM t TABLESAMPLE 100%, w USING SAMPLE 100%",
    "SELECT PREDICT(m, *) FROM (FROM t UNPIVOT (val FOR nam IN (a))) q",
    "SELECT CASE WHEN TRUE THEN PREDICT(m, *) END FROM t",
    "SELECT coalesce(PREDICT(m, *), NULL) FROM t",
    "SELECT list_reverse(list_reverse(PREDICT(m, *))) FROM t JOIN w ON t.a = 't.a' AND w.a IN (SELECT a FROM w)",
    "SELECT PREDICT(m, *) FROM (t JOIN u USING (k)) AS z",
    "SELECT PREDICT(m, *) FROM t ASOF JOIN u ON t.k = u.k AND t.a >= u.c RIGHT JOIN w ON TRUE",
    "SELECT z.p FROM (WITH c AS (FROM u) SELECT PREDICT(m, *) AS p FROM c, t) z",
    "SELECT (WITH c AS (SELECT t.a AS outer_a) SELECT PREDICT(m, *) FROM c) FROM t",
    "(SELECT PREDICT(m, *) FROM t) ORDER BY ALL LIMIT 1",
    "((FROM w SELECT PREDICT(m, *)))",
    "SELECT PREDICT(m, *) FROM (VALUES ('p', 'q')) z(x, y) WHERE EXISTS (FROM t WHERE t.a <> z.x)",
    "SELECT PREDICT(m, *) FROM t WINDOW win AS (ORDER BY a)",
    "SELECT PREDICT(m, *) FROM t QUALIFY row_number() OVER (ORDER BY a) = 1",
]


@pytest.mark.parametrize("text", QUERIES)
def test_the_scope_shows_what_the_engine_sees(engine, text):
    (statement,) = parse(text, "duckdb", lambda parts: True)
    (call,) = statement.calls
    replaced, _ = splice(text, [(call.span, "list_value(*COLUMNS(*))")])
    seen_by_engine = engine.execute(replaced).fetchall()[0][0]
    assert _columns_of_scope(engine, call.scope, text) == seen_by_engine


CHANGES = [
    ("UPDATE t SET a = PREDICT(m, *)", "t"),
    ("UPDATE t AS x SET a = PREDICT(m, *) FROM u WHERE x.k = u.k", "t, u"),
    ("UPDATE t SET a = PREDICT(m, *) FROM u x JOIN v y ON x.k = y.k WHERE t.k = x.k", "t, u, v"),
    ("DELETE FROM t WHERE PREDICT(m, *) IS NULL", "t"),
    ("DELETE FROM t USING u, v WHERE PREDICT(m, *) IS NULL", "t, u, v"),
    ("MERGE INTO t USING u ON t.k = u.k WHEN MATCHED THEN UPDATE SET a = PREDICT(m, *)", "t, u"),
    ("MERGE INTO t USING u ON t.k = u.k WHEN NOT MATCHED THEN INSERT (a) VALUES (PREDICT(m, *))", "u"),
    ("MERGE INTO t USING u ON t.k = u.k WHEN NOT MATCHED BY SOURCE THEN UPDATE SET a = PREDICT(m, *)", "t"),
    ("INSERT INTO t (a) SELECT PREDICT(m, *) FROM w", "w"),
    ("INSERT INTO t (a) SELECT 'x' RETURNING PREDICT(m, *)", "t"),
]


@pytest.mark.parametrize(("text", "source"), CHANGES)
def test_changing_statements_show_target_and_source(engine, text, source):
    (statement,) = parse(text, "duckdb", lambda parts: True)
    (call,) = statement.calls
    expected = engine.execute(f"SELECT list_value(*COLUMNS(*)) FROM {source}").fetchall()[0][0]
    assert _columns_of_scope(engine, call.scope, text) == expected


def test_a_call_in_a_recursive_term_sees_the_first_term(engine):
    text = (
        "WITH RECURSIVE r(n, x) AS (SELECT '1', 'r.x' UNION ALL SELECT '2', PREDICT(m, *) FROM r WHERE n = '1') "
        "SELECT * FROM r"
    )
    (statement,) = parse(text, "duckdb", lambda parts: True)
    (call,) = statement.calls
    assert _columns_of_scope(engine, call.scope, text) == ["1", "r.x"]


def test_the_engine_accepts_every_statement(engine):
    """The statements of this file are DuckDB's own once the calls are constants."""
    for text in [*QUERIES, *(text for text, _ in CHANGES)]:
        (statement,) = parse(text, "duckdb", lambda parts: True)
        replaced, _ = splice(text, [(call.span, "['x']") for call in statement.calls])
        engine.execute("BEGIN")
        engine.execute(replaced).fetchall()
        engine.execute("ROLLBACK")
