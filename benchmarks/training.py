"""CREATE MODEL against pulling the table to pandas and calling lightgbm.train: time, and peak memory over the idle process.

python -m benchmarks.training {sqlml|pandas|arrow} DATABASE     is one contestant, in a process of its own
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks.measure import Figure, Scale, median_cost, megabytes, seconds

ROWS, COLUMNS = 2_000_000, 20
ITERATIONS = 100
PARAMETERS = {"objective": "binary", "verbose": -1, "num_leaves": 31, "learning_rate": 0.1}


def measure(threads: int, rounds: int) -> list[Figure]:
    """The table's lines on training."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "training.duckdb")
        make_table(path)
        ours, pandas, arrow = (
            median_cost("benchmarks.training", name, path, str(threads), rounds=rounds) for name in CONTESTANTS
        )
    job = f"`CREATE MODEL` on {ROWS // 10**6}M x {COLUMNS} doubles, {ITERATIONS} trees"
    lines = []
    for rival, cost, goals in (("pandas", pandas, ("1.0x", "0.6x")), ("Arrow", arrow, ("", ""))):
        name = f"pull to {rival}, `lgb.train`"
        lines += [
            Figure(job + ", time", name, seconds(ours.seconds), seconds(cost.seconds), f"{ours.seconds / cost.seconds:.2f}x the time", goals[0]),
            Figure(job + ", peak memory", name, megabytes(ours.bytes), megabytes(cost.bytes), f"{ours.bytes / cost.bytes:.2f}x the memory", goals[1]),
        ]  # fmt: skip
    return lines


def make_table(path: str) -> None:
    """Two million rows, made by the database from their numbers."""
    features = ", ".join(f"hash(i * {COLUMNS} + {j}) / 18446744073709551615.0 AS x{j}" for j in range(COLUMNS))
    with duckdb.connect(path) as connection:
        connection.execute(f"CREATE TABLE points AS SELECT {features} FROM range({ROWS}) AS r(i)")
        label = "x0 * x1 + sin(6 * x2) * x3 + (x4 > 0.7)::INT * x5 + 0.3 * hash(x0) / 18446744073709551615.0"
        connection.execute(f"CREATE TABLE training AS SELECT *, {label} > 0.9 AS y FROM points")
        connection.execute("DROP TABLE points")


def train_in_sql(path: str, threads: int) -> None:
    """One CREATE MODEL, as a user writes it, on as many threads."""
    import sqlml

    connection = sqlml.connect(path)
    connection.execute(f"SET threads = {threads}")
    # The warm-up, as for the rival: LightGBM imported, kernels loaded.
    connection.execute(create_model("warm", "SELECT * FROM training LIMIT 1000", threads))
    with Scale() as scale:
        connection.execute(create_model("points", "SELECT * FROM training", threads))
    scale.print()


def create_model(name: str, query: str, threads: int) -> str:
    return (
        f"CREATE OR REPLACE MODEL {name} OPTIONS (input_label_cols = ['y'], data_split_method = 'NO_SPLIT', "
        f"max_iterations = {ITERATIONS}, learn_rate = 0.1, num_leaves = 31, num_threads = {threads}) AS {query}"
    )


def train_with_pandas(path: str, threads: int) -> None:
    """What a notebook does."""
    import lightgbm

    connection = duckdb.connect(path)
    connection.execute(f"SET threads = {threads}")

    def train(query: str) -> None:
        frame = connection.sql(query).df()
        label = frame.pop("y")
        data = lightgbm.Dataset(frame, label)
        lightgbm.train({**PARAMETERS, "num_threads": threads}, data, ITERATIONS)

    train("SELECT * FROM training LIMIT 1000")
    with Scale() as scale:
        train("SELECT * FROM training")
    scale.print()


def train_with_arrow(path: str, threads: int) -> None:
    """What a careful notebook does."""
    import lightgbm

    connection = duckdb.connect(path)
    connection.execute(f"SET threads = {threads}")

    def train(query: str) -> None:
        table = connection.sql(query).to_arrow_table()
        data = lightgbm.Dataset(table.drop_columns("y"), table["y"].cast("float32"))
        del table
        lightgbm.train({**PARAMETERS, "num_threads": threads}, data, ITERATIONS)

    train("SELECT * FROM training LIMIT 1000")
    with Scale() as scale:
        train("SELECT * FROM training")
    scale.print()


CONTESTANTS = {"sqlml": train_in_sql, "pandas": train_with_pandas, "arrow": train_with_arrow}

if __name__ == "__main__":
    CONTESTANTS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
