"""A real Postgres for the tests that want one: a private cluster a session (each process of pytest-xdist has its own), a database a test."""

import os
from itertools import count

import pytest

from sqlml.cli.private_cluster import PrivateCluster
from sqlml.errors import SqlmlError

numbers = count()


def started(**options):
    """A running cluster; where there is no such Postgres the test is skipped, or fails if SQLML_TEST_POSTGRES=required."""
    try:
        cluster = PrivateCluster(**options)
    except SqlmlError as error:
        if os.environ.get("SQLML_TEST_POSTGRES") == "required":
            raise
        pytest.skip(f"{error}. {error.hint}")
    cluster.start()
    return cluster


@pytest.fixture(scope="session")
def cluster():
    running = started()
    yield running
    running.stop()


@pytest.fixture
def postgres_database(cluster):
    """The name of an empty database of the test's own."""
    name = f"test_{next(numbers)}"
    cluster.create_database(name)
    yield name
    cluster.drop_database(name)


@pytest.fixture
def superuser(cluster, postgres_database):
    """A psycopg connection of the superuser to ``postgres_database``, each statement a transaction of its own."""
    import psycopg

    with psycopg.connect(cluster.dsn(postgres_database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def plpython(cluster, superuser):
    """``superuser``, in a database with PL/Python that can import sqlml."""
    if reason := cluster.plpython_reason():
        pytest.skip(reason)
    superuser.execute("CREATE EXTENSION plpython3u")
    return superuser
