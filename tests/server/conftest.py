"""A server on a free port of this machine, with the tables that its tests share, and real clients to ask it."""

import shutil
import subprocess
from contextlib import contextmanager

import psycopg
import pytest

import sqlml
from sqlml.server.limits import Limits
from sqlml.server.login import Door
from sqlml.server.server import Address, Server
from sqlml.server.warehouse import Warehouse

TABLES = """
    CREATE TABLE churn AS SELECT i::INTEGER AS id, i * 0.5::DOUBLE AS amount, 'n' || i AS name, i % 3 = 0 AS gone,
        DATE '2020-01-01' + i::INTEGER AS day FROM range(1000) t(i);
    CREATE TABLE numbers AS SELECT i::INTEGER AS i FROM range(100000) t(i);
"""


@contextmanager
def serving(database=":memory:", *, tables=TABLES, door=None, limits=None, log=None, **more):
    """A running server; everybody is trusted unless a door says otherwise."""
    with sqlml.connect(database) as connection:
        if tables:
            connection.execute(tables)
        behind = Warehouse(connection, door or Door(trust=True))
        server = Server(behind, Address(port=0), limits or Limits(), log, **more)
        with server:
            yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served") / "warehouse.duckdb") as server:
        yield server


@pytest.fixture
def dsn(server):
    return dsn_of(server)


def dsn_of(server, user="ann", **more):
    words = " ".join(f"{key}={value}" for key, value in more.items())
    return f"host=127.0.0.1 port={server.port} user={user} dbname=warehouse {words}"


@pytest.fixture
def client(dsn):
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def psql(server):
    """Runs psql; gives its output and what it complained about."""
    program = shutil.which("psql")
    if program is None:
        pytest.skip("psql is not installed")

    def run(*arguments, script=None, user="ann"):
        done = subprocess.run(
            [program, "-X", "-w", f"host=127.0.0.1 port={server.port} user={user} dbname=warehouse", *arguments],
            capture_output=True, text=True, input=script, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout, done.stderr

    return run
