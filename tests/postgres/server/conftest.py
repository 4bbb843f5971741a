"""Databases with sqlml inside the server: one is installed and trained in once a session, and copied for each test."""

import psycopg
import pytest
from psycopg import sql

from sqlml.install.installation import install

TABLE = """
CREATE TABLE customers AS
SELECT i AS id, (i * 7919 % 1000) / 10.0::float8 AS age,
    CASE WHEN i % 3 = 0 THEN 'gold' WHEN i % 3 = 1 THEN 'silver ü' END AS plan, (i * 31 % 97)::numeric(10,2) AS spend,
    timestamptz '2024-01-01 UTC' + i * interval '7 hours' AS seen, i % 5 = 0 AS is_new,
    ((i * 7919 % 1000) + (i * 31 % 97) > 500) AS churned
FROM generate_series(1, 4000) AS i
"""
CHURN = (
    "CREATE OR REPLACE MODEL churn OPTIONS (input_label_cols = ['churned'], max_iterations = 12, num_threads = 1) AS "
    "SELECT age, plan, spend, seen, is_new, churned FROM customers"
)
ROLES = {"alice": "sqlml_trainer", "bob": "sqlml_reader", "eve": "sqlml_trainer"}
NAMES = iter(range(10**6))


@pytest.fixture(scope="session")
def template(cluster):
    """The name of a database with everything installed, a table, and the model churn, of the superuser."""
    if reason := cluster.plpython_reason():
        pytest.skip(reason)
    cluster.create_database("server_template")
    dsn = cluster.dsn("server_template")
    install(dsn, "plpython", tell=lambda text: None)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLE)
        connection.execute("SELECT sqlml.execute(%s)", [CHURN])
        for role, group in ROLES.items():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(*map(sql.Identifier, (role, group))))
        connection.execute("GRANT SELECT ON customers TO alice, bob, eve; GRANT CREATE ON SCHEMA public TO alice, eve")
    return "server_template"


@pytest.fixture
def server(cluster, template):
    """The name of a database of the test's own, with sqlml in it."""
    name = f"server_{next(NAMES)}"
    cluster.create_database(name, template=template)
    yield name
    cluster.drop_database(name)


@pytest.fixture
def connect(cluster, server):
    """A function: a connection of a role, the superuser's unless said otherwise."""
    opened = []

    def open_as(role="postgres"):
        dsn = cluster.dsn(server).replace("postgres@", f"{role}@", 1)
        opened.append(psycopg.connect(dsn, autocommit=True))
        return opened[-1]

    yield open_as
    for connection in opened:
        connection.close()


@pytest.fixture
def root(connect):
    """The superuser's connection."""
    return connect()


def value(connection, query, *parameters):
    """The only value of a query."""
    return connection.execute(query, parameters or None).fetchone()[0]


def run(connection, statement):
    """The rows of a statement of the dialect, run in the server."""
    return [row for (row,) in connection.execute("SELECT result FROM sqlml.execute(%s)", [statement])]
