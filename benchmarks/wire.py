"""The wire server against a real Postgres that holds the same table: a million rows, one row, 32 sessions; each in its own process."""

from __future__ import annotations

import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

import sqlml
from benchmarks.measure import Figure, take_turns
from sqlml.cli.private_cluster import PrivateCluster

ROWS = 1_000_000
TABLE = "SELECT i::int AS i, i * 0.1::float8 AS x, 'abc' || i AS s, i % 7 AS k, date '2020-01-01' AS d FROM"
MODEL = """
    CREATE MODEL late OPTIONS (model_type = 'boosted_tree_classifier', input_label_cols = ['late'], num_iterations = 100,
        num_threads = 1) AS SELECT i % 100 AS a, k AS b, x % 13 AS c, i % 3 = 0 AS late FROM big LIMIT 20000
"""
ONE = "SELECT PREDICT(late, 1 + %s AS a, 3 AS b, 2.5::double AS c) AS p"
QUERIES = 100  # of each of the sessions


def measure(_threads: int, rounds: int) -> list[Figure]:
    """The figures of the table."""
    with tempfile.TemporaryDirectory() as folder, PrivateCluster() as cluster:
        database = Path(folder) / "warehouse.duckdb"
        with sqlml.connect(database) as connection:
            connection.execute(f"CREATE TABLE big AS {TABLE} range({ROWS}) AS t(i)")
            connection.execute(MODEL)
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE TABLE big AS {TABLE} generate_series(0, {ROWS - 1}) AS t(i)")
            connection.execute("VACUUM ANALYZE big")
        with served(database) as dsn:
            return [*fetching(dsn, cluster.dsn(), rounds), latency(dsn), *sessions(dsn)]


@contextmanager
def served(database: Path) -> Iterator[str]:
    """A server in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "sqlml.cli.main",
        "serve",
        str(database),
        "--listen",
        "127.0.0.1:0",
        "--trust",
        "--no-shadow",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = re.search(r":(\d+)$", process.stdout.readline().strip())
            assert port is not None
            yield f"postgresql://bench@127.0.0.1:{port[1]}/warehouse"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def fetching(ours: str, theirs: str, rounds: int) -> Iterator[Figure]:
    """A million rows of five columns into a client that reads them all and keeps none."""
    for binary in (False, True):
        with psycopg.connect(ours, autocommit=True) as first, psycopg.connect(theirs, autocommit=True) as second:
            times = take_turns(
                {
                    "ours": lambda first=first, binary=binary: fetch(first, binary=binary),
                    "theirs": lambda second=second, binary=binary: fetch(second, binary=binary),
                },
                rounds,
            )
        yield Figure(
            f"1M x 5 rows over the wire, {'binary' if binary else 'text'}",
            "PostgreSQL",
            f"{times['ours']:.2f} s",
            f"{times['theirs']:.2f} s",
            f"{times['theirs'] / times['ours']:.2f}x as fast",
            "1x",
        )


def fetch(connection: psycopg.Connection, *, binary: bool) -> None:
    """All rows, as libpq has them."""
    result = connection.pgconn.exec_params(b"SELECT * FROM big", [], result_format=int(binary))
    assert result.ntuples == ROWS


def latency(dsn: str) -> Figure:
    """One row through a warm prepared statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        times = []
        for number in range(600):
            began = time.perf_counter()
            connection.execute(ONE, (number,), prepare=True).fetchone()
            times.append(time.perf_counter() - began)
    median = statistics.median(times[100:]) * 1000
    return Figure("one-row PREDICT over the wire, p50", "", f"{median:.2f} ms", "", "", "1 ms")


def sessions(dsn: str) -> Iterator[Figure]:
    """32 sessions at once, nothing lost."""
    answers: list[int] = []

    def work() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            answers.append(sum(1 for i in range(QUERIES) if connection.execute(ONE, (i,)).fetchone() is not None))

    threads = [threading.Thread(target=work) for _ in range(32)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answers) == 32 * QUERIES
    rate = 32 * QUERIES / (time.perf_counter() - began)
    yield Figure("one-row PREDICT, 32 sessions", "", f"{rate:,.0f} a second", "", "", "nothing lost")
