"""`sqlml serve` and `sqlml user` as an operator runs them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import psycopg
import pytest

import sqlml


def run(*words, stdin=None):
    return subprocess.run(
        [sys.executable, "-m", "sqlml.cli.main", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def serving(database, *words):
    """A server as an operator starts it; its port. It ends in order and says nothing."""
    command = [sys.executable, "-m", "sqlml.cli.main", "serve", str(database), "--listen", "127.0.0.1:0", "--no-shadow"]
    with subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", process.stdout.readline())[1]
        finally:
            os.kill(process.pid, signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with sqlml.connect(path) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    return path


def test_users_and_a_server(database):
    added = run(
        "user", "add", "ann", "--role", "admin", "--password-file", "-", "--database", str(database), stdin="secret\n"
    )
    assert (added.returncode, added.stderr) == (0, "")
    assert run("user", "list", "--database", str(database)).stdout == "ann\tadmin\n"
    with serving(database) as port:
        dsn = f"host=127.0.0.1 port={port} user=ann dbname=warehouse"
        with psycopg.connect(f"{dsn} password=secret", autocommit=True) as client:
            assert client.execute("SELECT a FROM t").fetchone() == (1,)
            client.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"{dsn} password=other")
    with sqlml.connect(database) as connection:
        assert connection.execute("SELECT sum(a) FROM t").fetchone() == (3,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nobody could log in"),
        (("--listen", "nowhere"), '"nowhere" is no address'),
        (("--listen", "0.0.0.0:0", "--trust"), "passwords and rows would go unencrypted"),
    ],
)
def test_servers_that_would_be_unsafe_or_useless(database, words, message):
    done = run("serve", str(database), "--no-shadow", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert "HINT:" in done.stderr


def test_a_postgres_server(cluster, postgres_database):
    address = f"postgresql://127.0.0.1:{cluster.port}/{postgres_database}"
    command = [sys.executable, "-m", "sqlml.cli.main", "serve", address, "--listen", "127.0.0.1:0", "--trust", "--log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            port = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", process.stdout.readline())[1]
            dsn = f"host=127.0.0.1 port={port} user=postgres dbname={postgres_database}"
            with psycopg.connect(dsn, autocommit=True) as client:
                client.execute(
                    "CREATE TABLE t AS SELECT i AS a, i % 2 = 0 AS even FROM generate_series(1, 500) AS s(i)"
                )
                client.execute(
                    "CREATE MODEL m OPTIONS (input_label_cols = ['even'], num_iterations = 3, num_threads = 1) AS SELECT * FROM t"
                )
                assert client.execute("SELECT count(PREDICT(m, *)) FROM t").fetchone() == (500,)
        finally:
            os.kill(process.pid, signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert events == ["started", "connected", "statement", "statement", "statement", "disconnected", "stopped"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("postgresql://ann@127.0.0.1/x",), "no user or password"),
        (("postgresql://127.0.0.1/x", "--read-only"), "--read-only is for DuckDB databases"),
        (("postgresql://127.0.0.1/x", "--max-rows", "5"), "--max-rows is for DuckDB databases"),
        (("postgresql://127.0.0.1:1/x",), "could not connect to the server at 127.0.0.1:1"),
    ],
)
def test_postgres_servers_that_cannot_be_served(words, message):
    done = run("serve", *words)
    assert done.returncode == 1
    assert message in done.stderr


def test_removing_a_user_who_is_not_there(database):
    done = run("user", "remove", "eve", "--database", str(database))
    assert (done.returncode, 'there is no user "eve"' in done.stderr) == (1, True)


def test_limits_of_users_and_of_all(database):
    place = ("--database", str(database))
    run("user", "add", "ann", "--role", "admin", "--password-file", "-", "--max-rows", "10", *place, stdin="secret\n")
    assert run("user", "list", *place).stdout == "ann\tadmin\trows=10\n"
    assert run("user", "limit", "ann", "--max-rows", "default", "--session-memory", "64MB", *place).stderr == ""
    assert run("user", "list", *place).stdout == "ann\tadmin\tmemory=64000000\n"
    assert 'role "eve" does not exist' in run("user", "limit", "eve", "--max-rows", "1", *place).stderr
    words = ["--max-rows", "5", "--engine-memory", "500MiB", "--engine-disk", "1GiB"]
    with serving(database, *words) as port:
        dsn = f"host=127.0.0.1 port={port} user=ann password=secret"
        with psycopg.connect(dsn, autocommit=True) as client:
            sizes = "SELECT current_setting('memory_limit'), current_setting('max_temp_directory_size')"
            assert client.execute(sizes).fetchone() == ("500.0 MiB", "1.0 GiB")
            assert len(client.execute("SELECT * FROM range(5)").fetchall()) == 5
            with pytest.raises(psycopg.Error, match="more than 5 rows"):
                client.execute("SELECT * FROM range(6)")


def test_a_port_that_is_taken(database):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", str(database), "--trust", "--no-shadow", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    assert "HINT:" in done.stderr
