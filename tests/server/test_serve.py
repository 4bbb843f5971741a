"""`sqlml serve` and `sqlml user` as an operator runs them."""

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


def test_removing_a_user_who_is_not_there(database):
    done = run("user", "remove", "eve", "--database", str(database))
    assert (done.returncode, 'there is no user "eve"' in done.stderr) == (1, True)
