"""Small costs: what a statement without ML pays for passing through, and one scored row on a warm connection."""

from __future__ import annotations

import duckdb

import sqlml
from benchmarks.measure import Figure, seconds, take_turns

QUERIES = 500
PLAIN = "SELECT a, b FROM small WHERE a = 42"


def measure(threads: int, rounds: int) -> list[Figure]:
    """The table's lines on latency."""
    native = duckdb.connect()
    ours = sqlml.connect()
    for connection in (native, ours):
        connection.execute(f"SET threads = {threads}")
        connection.execute(
            "CREATE TABLE small AS SELECT i AS a, i / 7 AS b, i % 3 AS c, (i % 2) = 0 AS y FROM range(1000) AS r(i)"
        )
    ours.execute(
        "CREATE MODEL even OPTIONS (input_label_cols = ['y'], data_split_method = 'NO_SPLIT') AS SELECT * FROM small"
    )

    def passing(connection: duckdb.DuckDBPyConnection | sqlml.Connection) -> None:
        for _ in range(QUERIES):
            connection.execute(PLAIN).fetchall()

    def lookup() -> None:
        for i in range(QUERIES):
            ours.execute("SELECT PREDICT_PROBA(even, *) FROM small WHERE a = ?", [i]).fetchall()

    times = take_turns(
        {"plain": lambda: passing(native), "ours": lambda: passing(ours), "lookup": lookup}, max(rounds, 5)
    )
    times = {name: value / QUERIES for name, value in times.items()}
    ours.close()
    return [
        Figure(
            "a statement without ML",
            "plain DuckDB connection",
            seconds(times["ours"]),
            seconds(times["plain"]),
            f"{seconds(max(times['ours'] - times['plain'], 0))} added",
            "50 µs",
        ),
        Figure(
            "one row found and scored, warm connection",
            "the same look-up without a score",
            seconds(times["lookup"]),
            seconds(times["plain"]),
            f"{seconds(max(times['lookup'] - times['plain'], 0))} added",
            "1 ms",
        ),
    ]
