"""`sqlml serve` and `sqlml user` as an operator runs them."""

import json
import os
import re
import signal
import subprocess
import sys

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
    command = [sys.executable, "-m", "sqlml.cli.main", "serve", str(database), "--listen", "127.0.0.1:0", "--no-shadow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            port = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", process.stdout.readline())[1]
            dsn = f"host=127.0.0.1 port={port} user=ann dbname=warehouse"
            with psycopg.connect(f"{dsn} password=secret", autocommit=True) as client:
                assert client.execute("SELECT a FROM t").fetchone() == (1,)
                client.execute("INSERT INTO t VALUES (2)")
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(f"{dsn} password=other")
        finally:
            os.kill(process.pid, signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
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
