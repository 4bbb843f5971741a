"""A server with a real Postgres behind it, and the same tables on both ways to it: through us and directly."""

from contextlib import contextmanager

import psycopg
import pytest

import sqlml
from sqlml.server.gateway.address import ServerAddress
from sqlml.server.gateway.gateway import Gateway
from sqlml.server.limits import Limits
from sqlml.server.login import Door
from sqlml.server.server import Address, Server
from tests.server.wire import Wire

TABLES = """
    CREATE TABLE churn AS SELECT i AS id, i * 0.5::float8 AS amount, 'n' || i AS name, i % 3 = 0 AS gone,
        DATE '2020-01-01' + i AS day FROM generate_series(0, 999) AS t(i);
    CREATE TABLE numbers AS SELECT i FROM generate_series(0, 99999) AS t(i);
    CREATE TABLE taken (a integer PRIMARY KEY, b text);
"""
MODEL = (
    "CREATE OR REPLACE MODEL {} OPTIONS (model_type = 'boosted_tree_classifier', input_label_cols = ['gone'], num_iterations = 5, "
    "num_threads = 1) AS SELECT id % 3 AS r, amount, gone FROM churn"
)


@contextmanager
def gateway_to(cluster, *, door=None, limits=None, log=None, tls=None, **more):
    """A running server; everybody of this machine is trusted unless a door says otherwise."""
    behind = Gateway(ServerAddress("127.0.0.1", cluster.port, **more), door or Door(trust=True))
    with Server(behind, Address(port=0, tls=tls), limits or Limits(), log) as server:
        yield server


@pytest.fixture(scope="module")
def fleet(cluster):
    """The address of a database with the tables, one for all tests of a module."""
    address = cluster.create_database("fleet")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(TABLES)
    yield address
    cluster.drop_database("fleet")


@pytest.fixture(scope="module")
def gateway(cluster, fleet):
    with gateway_to(cluster) as server:
        yield server


@pytest.fixture
def dsn(gateway):
    return dsn_of(gateway)


def dsn_of(server, user="postgres", database="fleet", **more):
    words = " ".join(f"{key}={value}" for key, value in more.items())
    return f"host=127.0.0.1 port={server.port} user={user} dbname={database} {words}"


@pytest.fixture
def client(dsn):
    """A client without sqlml, through us."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def direct(fleet):
    """The dialect in Python, without us."""
    with sqlml.connect(fleet) as connection:
        yield connection


@pytest.fixture
def model(direct):
    direct.execute(MODEL.format("leaves"))
    yield "leaves"
    direct.execute("DROP MODEL leaves CASCADE")


class FleetWire(Wire):
    """The client of a few lines, logged in."""

    def __init__(self, port, timeout=15):
        super().__init__(port, timeout)
        self.startup(user="postgres", database="fleet", client_encoding="UTF8")
        self.greeting = self.until(b"Z")


@pytest.fixture
def wire(gateway):
    with FleetWire(gateway.port) as wire:
        yield wire
