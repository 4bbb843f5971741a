"""What BI tools write for Postgres: the same answer as from a real one, or an entry in the list of what differs."""

import psycopg
import pytest

from tests.server.conftest import dsn_of

SAME = [
    "SELECT 7 / 2, -7 / 2, 7 % 3, 7.0 / 2 > 3.4",
    "SELECT a FROM (VALUES (1), (NULL), (2)) AS t (a) ORDER BY a",
    "SELECT a FROM (VALUES (1), (NULL), (2)) AS t (a) ORDER BY a DESC",
    "SELECT a FROM (VALUES (1), (NULL), (2)) AS t (a) ORDER BY a DESC NULLS LAST",
    "SELECT to_char(timestamp '2024-02-09 13:05:06', 'YYYY-MM-DD HH24:MI:SS')",
    "SELECT to_char(date '2024-02-09', 'DD.MM.YY'), to_char(date '2024-02-09', 'Mon YYYY'), to_char(date '2024-02-09', 'DDD')",
    "SELECT to_char(timestamp '2024-02-09 13:05:06', 'HH12:MI AM')",
    "SELECT to_date('09.02.2024', 'DD.MM.YYYY')",
    "SELECT to_timestamp('2024-02-09 13:05', 'YYYY-MM-DD HH24:MI')",
    "SELECT to_timestamp(86400)",
    "SELECT date_trunc('month', timestamp '2024-02-09 13:05:06')",
    "SELECT date_trunc('quarter', timestamp '2024-02-09 13:05:06'), date_trunc('week', timestamp '2024-02-09')",
    "SELECT extract(year FROM date '2024-02-09')::int, extract(dow FROM date '2024-02-09')::int",
    "SELECT date '2024-02-09' + 1, date '2024-02-09' - date '2024-01-01'",
    "SELECT timestamp '2024-02-09' + interval '1 month' - interval '2 days'",
    "SELECT timestamp '2024-02-09 13:00' - timestamp '2024-02-08 12:00'",
    "SELECT interval '90 minutes', 2 * interval '1 day'",
    "SELECT * FROM generate_series(1, 4) AS g (n)",
    "SELECT * FROM generate_series(1, 10, 3) AS g",
    "SELECT g FROM generate_series(timestamp '2024-01-01', timestamp '2024-01-03', interval '1 day') AS g",
    "SELECT 'abc' ILIKE 'A%', 'abc' ~ 'b', 'abc' !~ 'z', 'abc' || 'd'",
    "SELECT substring('abcdef' FROM 2 FOR 3), position('c' IN 'abc'), split_part('a,b,c', ',', 2)",
    "SELECT string_agg(x, ',' ORDER BY x) FROM (VALUES ('b'), ('a')) AS t (x)",
    "SELECT count(*) FILTER (WHERE a > 1), bool_or(a > 1) FROM (VALUES (1), (2)) AS t (a)",
    "SELECT btrim('  x '), initcap('two words'), char_length('abc'), left('abc', 2), lpad('7', 3, '0')",
    "SELECT DISTINCT ON (a) a, b FROM (VALUES (1, 2), (1, 1), (2, 5)) AS t (a, b) ORDER BY a, b",
    "SELECT coalesce(NULL, 'x'), nullif(1, 1), greatest(1, 2), least(1, 2)",
    "SELECT CASE WHEN true THEN 1 ELSE 2 END, 1 = ANY (ARRAY[1, 2])",
    "SELECT round(2.567, 2), round(1234.5::numeric, -2) = 1200, ceil(1.2::float8), floor(-1.2::float8), abs(-1), power(2::float8, 3)",
    "SELECT '2024-02-09'::date, '1.5'::numeric(10, 2), 'true'::boolean, '42'::int",
    "SELECT row_number() OVER (ORDER BY a DESC) AS n, a FROM (VALUES (1), (2)) AS t (a)",
    "SELECT date_part('epoch', timestamp '1970-01-02')",
    "SELECT make_date(2024, 2, 9), age(timestamp '2024-03-01', timestamp '2024-02-01')",
    "SELECT a FROM (VALUES (1), (2), (3)) AS t (a) ORDER BY a LIMIT 1 OFFSET 1",
    "SELECT a FROM (VALUES (1), (2), (3)) AS t (a) ORDER BY a FETCH FIRST 2 ROWS ONLY",
]
# What does not behave as in Postgres; the reference of the README tells the same.
DIFFERENT = [
    "SELECT generate_series(1, 3)",
    "SELECT '{1,2}'::int[]",
    "SELECT 1 / 0",
    "SELECT extract(year FROM date '2024-02-09')",
    "SELECT to_char(1234.5, '9,999.99')",
    "SELECT ARRAY[1, 2]",
]


@pytest.fixture(scope="module")
def both(server, cluster):
    with (
        psycopg.connect(dsn_of(server), autocommit=True) as ours,
        psycopg.connect(cluster.dsn(), autocommit=True) as theirs,
    ):
        yield ours, theirs


def texts(connection, query):
    result = connection.pgconn.exec_(query.encode())
    if result.error_message:
        return result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
    return [tuple(result.get_value(row, column) for column in range(result.nfields)) for row in range(result.ntuples)]


@pytest.mark.parametrize("query", SAME)
def test_same_as_postgres(both, query):
    assert texts(both[0], query) == texts(both[1], query)


@pytest.mark.parametrize("query", DIFFERENT)
def test_the_list_of_differences_is_true(both, query):
    ours, theirs = (texts(connection, query) for connection in both)
    types = [both[0].execute(query).pgresult.ftype(0) if isinstance(ours, list) else None]
    types.append(both[1].execute(query).pgresult.ftype(0) if isinstance(theirs, list) else None)
    assert ours != theirs or types[0] != types[1]
