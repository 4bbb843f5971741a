"""Every PostgreSQL version there is: the engine, the dialect, views, and the scorers that need nothing in the server."""

import itertools

import psycopg
import pytest

import sqlml
from sqlml.install.installation import install
from udfs.postgres import plsql_refusal

numbers = itertools.count()

TABLE = """
CREATE TABLE customers AS
SELECT i AS id, (i * 7919 % 1000) / 10.0::float8 AS age, CASE WHEN i % 3 = 0 THEN 'gold' WHEN i % 3 = 1 THEN 'silver ü' END AS plan,
    (i * 31 % 97)::numeric(10,2) AS spend, timestamptz '2024-01-01 UTC' + i * interval '7 hours' AS seen, i % 5 = 0 AS is_new,
    ((i * 7919 % 1000) + (i * 31 % 97) > 500) AS churned
FROM generate_series(1, 2000) AS i
"""
CHURN = (
    "CREATE MODEL churn OPTIONS (input_label_cols = ['churned'], max_iterations = 8, num_threads = 1) AS "
    "SELECT age, plan, spend, seen, is_new, churned FROM customers"
)
SCORES = (
    "SELECT id, predicted_churned, predicted_churned_probs FROM ML.PREDICT(MODEL churn, TABLE customers) ORDER BY id"
)


@pytest.fixture
def dsn(each_cluster):
    name = f"versions_{next(numbers)}"
    yield each_cluster.create_database(name)
    each_cluster.drop_database(name)


@pytest.fixture
def client(dsn):
    with sqlml.connect(dsn) as connection:
        connection.execute(TABLE)
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def test_the_dialect(client):
    client.execute(CHURN)
    assert len(client.execute(SCORES).fetchall()) == 2000
    for function in ("EVALUATE", "CONFUSION_MATRIX", "ROC_CURVE", "GLOBAL_EXPLAIN"):
        assert client.execute(f"SELECT * FROM ML.{function}(MODEL churn, TABLE customers)").fetchall()
    assert len(client.execute("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL churn, TABLE customers)").fetchall()) == 2000
    for text in ("SHOW MODELS", "DESCRIBE MODEL churn", "SELECT * FROM ML.FEATURE_INFO(MODEL churn)"):
        assert client.execute(text).fetchall()
    assert client.execute("EXPLAIN SELECT PREDICT(churn, *) FROM customers").fetchall()


def test_views_follow_the_default(client):
    client.execute(CHURN)
    client.execute("CREATE VIEW scores AS SELECT id, PREDICT_PROBA(churn, *) AS p FROM customers")
    before = client.execute("SELECT sum(p) FROM scores").fetchall()
    client.execute(CHURN.replace("CREATE", "CREATE OR REPLACE").replace("= 8", "= 2"))
    assert client.execute("SELECT sum(p) FROM scores").fetchall() != before
    client.execute("ALTER MODEL churn SET DEFAULT VERSION 1")
    assert client.execute("SELECT sum(p) FROM scores").fetchall() == before


def test_the_outside_scorer_gives_the_bits_of_the_sql_scorer(dsn, client, monkeypatch):
    client.execute(CHURN)
    inside = client.execute(SCORES).fetchall()
    monkeypatch.setattr(plsql_refusal, "MOST_LEAVES", 1)
    with sqlml.connect(dsn) as other:
        with pytest.raises(sqlml.errors.NotSupportedYetError, match="the server cannot score model"):
            other.execute("SELECT PREDICT(churn, *) FROM customers")
        other.execute("CREATE TABLE outside AS " + SCORES.replace(" ORDER BY id", ""))
        assert other.execute("SELECT * FROM outside ORDER BY id").fetchall() == inside


def test_transactions_and_errors(client):
    client.execute("BEGIN")
    client.execute(CHURN)
    client.execute("ROLLBACK")
    assert client.execute("SHOW MODELS").fetchall() == []
    with pytest.raises(psycopg.errors.UndefinedTable, match='"nothing" does not exist'):
        client.execute("SELECT * FROM nothing")
    with pytest.raises(sqlml.errors.SqlmlError, match='"nothing" does not exist'):
        client.execute("SELECT * FROM ML.PREDICT(MODEL nothing, TABLE customers)")


def test_the_sql_scorer_installed(dsn, client):
    """An installation without PL/Python: roles, grants, and rules for who may use which model."""
    client.execute(CHURN)
    before = client.execute(SCORES).fetchall()
    told = []
    install(dsn, "sql", tell=told.append)
    assert told[-1].endswith("with the sql scorer")
    with sqlml.connect(dsn) as other:
        assert other.execute(SCORES).fetchall() == before
        assert other.execute("SELECT scorer FROM sqlml.explain_scorer('churn')").fetchall() == [("sql",)]
        other.execute(CHURN.replace("CREATE", "CREATE OR REPLACE"))
        assert other.execute(SCORES).fetchall() == before
