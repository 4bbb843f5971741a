"""The PL/Python scorer a block of rows at a time gives what it gives row by row, wherever it is chosen."""

import psycopg
import pytest

import sqlml
from sqlml.planning.postgres.blocks import takes_all_rows

from .conftest import run, value
from .test_scoring import ROWS

MANY = "(SELECT id + 1000 * k AS id, age, plan, spend, seen, is_new, id % 3 = 0 AS churned FROM odd, generate_series(1, 20) AS k)"


@pytest.fixture
def client(cluster, server, root):
    root.execute(ROWS)
    with sqlml.connect(cluster.dsn(server)) as connection:
        yield connection


def both(client, query):
    """What a query gives in blocks, in its order, and what it gives where a condition that holds everywhere keeps it from them."""
    plan = str(client.execute(f"EXPLAIN {query}").fetchall())
    assert "__sqlml_blocks" in plan
    rows = f"SELECT string_agg(q::text, chr(10)) FROM ({query}) AS q"
    assert "__sqlml_blocks" not in str(client.execute(f"EXPLAIN {rows} WHERE true").fetchall())
    ((in_blocks,),) = client.execute(rows).fetchall()
    ((rowwise,),) = client.execute(f"{rows} WHERE true").fetchall()
    return in_blocks, rowwise


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT * FROM ML.PREDICT(MODEL churn, {MANY})",
        f"SELECT * FROM ML.PREDICT(MODEL churn, {MANY}, STRUCT(true AS flat, false AS keep_original_columns))",
        "SELECT * FROM ML.EXPLAIN_PREDICT(MODEL churn, TABLE odd)",
        "SELECT * FROM ML.TRANSFORM(MODEL churn, TABLE odd)",
        f"SELECT * FROM ML.PREDICT(MODEL churn, (SELECT * FROM {MANY} AS m LIMIT 0))",
    ],
)
def test_rows_in_blocks(client, query):
    in_blocks, rowwise = both(client, query)
    assert in_blocks == rowwise


def test_aggregates_equal_those_of_single_rows(client):
    query = f"SELECT * FROM ML.CONFUSION_MATRIX(MODEL churn, {MANY})"
    assert "__sqlml_blocks" in str(client.execute(f"EXPLAIN {query} WHERE true").fetchall())
    scored = client.execute(f"SELECT churned, PREDICT_PROBA(churn, *) > 0.5 FROM {MANY} AS m").fetchall()
    expected = [
        (label, *(sum(row == (label, guess) for row in scored) for guess in (False, True))) for label in (False, True)
    ]
    assert client.execute(query).fetchall() == expected


def test_classes_by_name(client, root):
    statement = (
        "CREATE MODEL kinds OPTIONS (input_label_cols = ['kind'], max_iterations = 4, num_threads = 1) AS "
        "SELECT age, plan, seen::date AS day, seen AT TIME ZONE 'UTC' AS moment, is_new, id % 3 AS kind FROM customers"
    )
    run(root, statement)
    source = "(SELECT id, age, plan, CASE WHEN id % 6 < 4 THEN seen::date END AS day, seen AT TIME ZONE 'UTC' AS moment, is_new FROM odd)"
    in_blocks, rowwise = both(client, f"SELECT * FROM ML.PREDICT(MODEL kinds, {source})")
    assert in_blocks == rowwise


def test_a_text_in_any_encoding_of_the_client(cluster, server, client):
    query = "SELECT result::text FROM sqlml.execute('SELECT * FROM ML.PREDICT(MODEL churn, TABLE customers)')"
    answers = []
    for encoding in ("utf8", "latin1"):
        with psycopg.connect(cluster.dsn(server), autocommit=True) as connection:
            connection.execute(f"SET client_encoding = '{encoding}'")
            answers.append([repr(row) for row in connection.execute(query)])
    assert answers[0] == answers[1]


def test_few_rows_are_scored_one_by_one():
    assert takes_all_rows("CREATE TABLE scores AS SELECT * FROM ", "predict")
    assert takes_all_rows("SELECT count(*) FROM  WHERE true", "evaluate")
    for text in (
        "SELECT * FROM  LIMIT 5",
        "SELECT * FROM  AS p WHERE p.id = 7",
        "SELECT * FROM a JOIN  AS p USING (id)",
    ):
        assert not takes_all_rows(text, "predict")


def test_a_condition_still_reaches_the_table(client, root):
    root.execute("CREATE UNIQUE INDEX ON customers (id); ANALYZE customers")
    plan = client.execute(
        "EXPLAIN SELECT * FROM ML.PREDICT(MODEL churn, TABLE customers) AS p WHERE p.id = 7"
    ).fetchall()
    assert "Index Scan" in str(plan)


def test_rights_are_asked_in_blocks_too(connect, root):
    bob = connect("eve")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for model"):
        bob.execute("SELECT sqlml._py_block_value('public.churn', 'x', '{}')")


def test_columns_that_do_not_fit_are_refused(root):
    keys = "array_send(ARRAY[1, 2]::bigint[])"
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="takes 6 packed columns, got 1"):
        root.execute(f"SELECT sqlml._py_block_value('churn', {keys}, ARRAY[array_send(ARRAY[1.0, 2.0]::float8[])])")
    floats = "array_send('{1,1}'::float8[])"
    with pytest.raises(psycopg.Error, match="texts of 12 bytes were announced, 3 came"):
        root.execute(
            f"SELECT sqlml._py_block_value('churn', {keys}, ARRAY[{floats}, array_send('{{6,6}}'::int[]), 'abc'::bytea, "
            f"{floats}, array_send('{{infinity,infinity}}'::timestamptz[]), {floats}])"
        )


def test_who_asks_cannot_be_made_up(connect, root):
    """A definer's function that scores lends nobody its right, not even within the same statement."""
    root.execute(
        "CREATE FUNCTION public.hers() RETURNS float8 LANGUAGE sql SECURITY DEFINER AS "
        "'SELECT sqlml.predict(''public.churn'', c) FROM public.customers AS c LIMIT 1'"
    )
    bob = connect("bob")
    assert value(bob, "SELECT public.hers()") is not None
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for model"):
        bob.execute(
            "SELECT public.hers(), sqlml._py_row_value('public.churn', record_send(ROW(x)), to_json(x)::text) "
            "FROM (SELECT 1 AS age, NULL AS plan, 1 AS spend, NULL AS seen, NULL AS is_new) AS x"
        )
