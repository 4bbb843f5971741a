"""A server with sqlml inside, served: its scorer scores, its roles and grants decide, for clients that come through the wire server."""

import psycopg
import pytest

from tests.server.gateway.conftest import dsn_of, gateway_to

SCORES = "SELECT id, PREDICT_PROBA(churn, *) AS p FROM customers ORDER BY id LIMIT 200"


@pytest.fixture
def served(cluster, server):
    """A function: a role's client without sqlml, through the wire server."""
    opened = []
    with gateway_to(cluster) as gateway:

        def open_as(role="postgres"):
            opened.append(psycopg.connect(dsn_of(gateway, user=role, database=server), autocommit=True))
            return opened[-1]

        yield open_as
        for connection in opened:
            connection.close()


def test_the_servers_scorer(served):
    client = served()
    functions = "SELECT id, sqlml.predict_proba('churn', 'true', c) AS p FROM customers AS c ORDER BY id LIMIT 200"
    assert client.execute(SCORES).fetchall() == client.execute(functions).fetchall()
    (line,) = [text for (text,) in client.execute(f"EXPLAIN {SCORES}").fetchall() if text.startswith("sqlml: ")]
    assert "plpython scorer" in line


def test_models_are_for_those_who_were_granted_them(served):
    owner, reader = served(), served("bob")
    with pytest.raises(psycopg.errors.UndefinedObject, match='model "churn" does not exist'):
        reader.execute(SCORES)
    owner.execute("GRANT USAGE ON MODEL churn TO bob")
    assert reader.execute(SCORES).fetchall() == owner.execute(SCORES).fetchall()
    owner.execute("REVOKE USAGE ON MODEL churn FROM bob")
    with pytest.raises(psycopg.errors.UndefinedObject):
        reader.execute(SCORES)


def test_the_role_of_the_moment_counts(served):
    client = served()
    assert client.execute(SCORES).rowcount == 200
    client.execute("SET ROLE bob")
    with pytest.raises(psycopg.errors.UndefinedObject):
        client.execute(SCORES)
    client.execute("RESET ROLE")
    assert client.execute(SCORES).rowcount == 200
