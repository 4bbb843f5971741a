"""CREATE MODEL against pulling the rows out and calling lightgbm.train: time, peak memory over the idle process, where the time goes.

python -m benchmarks.training {sqlml|pandas|arrow|dataset} {doubles|flights} FOLDER THREADS     is one contestant, in a process of its own
One run beside other work, so that only ratios mean something: 2M doubles 0.36 times the time of pandas, 0.80 of Arrow and 0.81 of a PyArrow
Dataset; flights 0.29, 0.39 and 0.16; on an idle machine, before trees were summed row by row, 1.07, 1.21 and 1.11, and 1.21, 1.44 and 1.50:
the rivals' threads spin, which costs nothing there and everything elsewhere. Since then, idle, medians of 2: 0.91, 1.05 and 1.03, and 0.87,
1.02 and 1.15. Peak memory 0.38 and 0.50 times pandas'.

CPU seconds on one thread, beside much other work (a tenth up or down): doubles 37.8 (trees 30.6, binning 4.7, learning with the bins' borders
1.7, evaluation 0.5), pandas 37.3, Arrow 34.8, Dataset 37.5; flights 5.0 (trees 3.7, learning 0.65, binning 0.3), pandas 4.9, Arrow 4.2,
Dataset 4.2. The rivals learn no statistics, hash no rows and evaluate nothing; we also measure the training loss eleven times.
Tried on trees alone: row-wise histograms take 0.7 times the time of column-wise ones on flights, 0.85 on the first trees on doubles but only
0.96 on all hundred; 2 to 16 blocks in a team of one or two threads cost the same, but for 16 in one. Pushing rows is LightGBM's binary search,
whose branches are guessed wrong half of the time: 80 ns a value for everybody.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.measure import Cost, Figure, Scale, median_cost, megabytes, seconds

ROWS, COLUMNS = 2_000_000, 20
ITERATIONS = 100
PARAMETERS = {"objective": "binary", "verbose": -1, "num_leaves": 31, "learning_rate": 0.1}


@dataclass(frozen=True)
class Job:
    """A table of training rows: what it holds, the label, and how it is made."""

    what: str
    label: str
    make: Callable[[Path], None]


def measure(threads: int, rounds: int) -> list[Figure]:
    """The table's lines on training."""
    lines = []
    for name, job in JOBS.items():
        with tempfile.TemporaryDirectory() as folder:
            job.make(Path(folder))
            with duckdb.connect(f"{folder}/training.duckdb") as connection:
                connection.execute(f"COPY training TO '{folder}/training.parquet'")
            costs = {
                who: median_cost("benchmarks.training", who, name, folder, str(threads), rounds=rounds)
                for who in CONTESTANTS
            }
        lines += list(_lines(f"`CREATE MODEL` on {job.what}, {ITERATIONS} trees", costs))
    return lines


RIVALS = {
    "pandas": ("pull to pandas, `lgb.train`", "1.0x", "0.5x"),
    "arrow": ("pull to Arrow, `lgb.train`", "1.0x", ""),
    "dataset": ("PyArrow Dataset of a Parquet file, `lgb.train`", "1.0x", ""),
}


def _lines(job: str, costs: dict[str, Cost]) -> Iterator[Figure]:
    ours = costs["sqlml"]
    for rival, (name, time_goal, memory_goal) in RIVALS.items():
        cost = costs[rival]
        yield Figure(job + ", time", name, seconds(ours.seconds), seconds(cost.seconds), f"{ours.seconds / cost.seconds:.2f}x the time", time_goal)  # fmt: skip
        yield Figure(job + ", peak memory", name, megabytes(ours.bytes), megabytes(cost.bytes), f"{ours.bytes / cost.bytes:.2f}x the memory", memory_goal)  # fmt: skip
    spent = ", ".join(f"{phase} {seconds(value)}" for phase, value in ours.phases.items())
    yield Figure(job + ", where the time goes", "", seconds(ours.seconds), "", spent, "")


def make_doubles(folder: Path) -> None:
    """Two million rows, made by the database from their numbers."""
    features = ", ".join(f"hash(i * {COLUMNS} + {j}) / 18446744073709551615.0 AS x{j}" for j in range(COLUMNS))
    with duckdb.connect(str(folder / "training.duckdb")) as connection:
        connection.execute(f"CREATE TABLE points AS SELECT {features} FROM range({ROWS}) AS r(i)")
        label = "x0 * x1 + sin(6 * x2) * x3 + (x4 > 0.7)::INT * x5 + 0.3 * hash(x0) / 18446744073709551615.0"
        connection.execute(f"CREATE TABLE training AS SELECT *, {label} > 0.9 AS y FROM points")
        connection.execute("DROP TABLE points")


def make_flights(folder: Path) -> None:
    """The demo's rows with a known arrival: numbers, text and NULLs."""
    import sqlml
    from sqlml.cli.demo import load_flights
    from sqlml.cli.script import split_script
    from sqlml.sqltext import read_sql

    with sqlml.connect(str(folder / "training.duckdb")) as connection:
        load_flights(connection)
        view = next(piece.text for piece in split_script(read_sql("demo.sql")) if "VIEW departures" in piece.text)
        connection.execute(view)
        connection.execute(
            "CREATE TABLE training AS SELECT * EXCLUDE (flight, departs, dep_delay, arr_delay) FROM departures "
            "WHERE is_late IS NOT NULL"
        )


def train_in_sql(job: Job, folder: Path, threads: int) -> None:
    """One CREATE MODEL, as a user writes it, on as many threads."""
    import sqlml

    connection = sqlml.connect(folder / "training.duckdb")
    connection.execute(f"SET threads = {threads}")
    # The warm-up, as for the rival: LightGBM imported, kernels loaded.
    connection.execute(create_model("warm", "SELECT * FROM training LIMIT 1000", threads, job.label))
    with Scale() as scale:
        connection.execute(create_model("points", "SELECT * FROM training", threads, job.label))
    phases = connection.execute("SELECT phase, duration_ms / 1000 FROM ML.TRAINING_INFO(MODEL points) WHERE phase IS NOT NULL")  # fmt: skip
    scale.print(dict(phases.fetchall()))


def create_model(name: str, query: str, threads: int, label: str = "y") -> str:
    return (
        f"CREATE OR REPLACE MODEL {name} OPTIONS (input_label_cols = ['{label}'], data_split_method = 'NO_SPLIT', "
        f"max_iterations = {ITERATIONS}, learn_rate = 0.1, num_leaves = 31, num_threads = {threads}) AS {query}"
    )


def train_with_pandas(job: Job, folder: Path, threads: int) -> None:
    """What a notebook does."""
    import lightgbm

    connection = _opened(folder, threads)

    def train(query: str) -> None:
        frame = connection.sql(query).df()
        label = frame.pop(job.label)
        for name in frame.select_dtypes(exclude=["number", "bool"]):
            frame[name] = frame[name].astype("category")
        data = lightgbm.Dataset(frame, label)
        lightgbm.train({**PARAMETERS, "num_threads": threads}, data, ITERATIONS)

    _warm_and_weigh(train)


def train_with_arrow(job: Job, folder: Path, threads: int) -> None:
    """What a careful notebook does."""
    connection = _opened(folder, threads)
    _warm_and_weigh(lambda query: _train_arrow(connection.sql(query).to_arrow_table(), job.label, threads))


def train_with_dataset(job: Job, folder: Path, threads: int) -> None:
    """What somebody does who has left the database behind: the same rows in a Parquet file."""
    from pyarrow import dataset

    def train(query: str) -> None:
        source = dataset.dataset(folder / "training.parquet")
        read = (lambda: source.head(1000)) if "LIMIT" in query else (lambda: source.to_table(use_threads=threads > 1))
        _train_arrow(read(), job.label, threads)

    _warm_and_weigh(train)


def _train_arrow(table: Any, label: str, threads: int) -> None:
    import lightgbm
    import pyarrow as pa

    target = table[label].cast("float32")
    table = table.drop_columns(label)
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    for name in texts:
        codes = table[name].combine_chunks().dictionary_encode().indices
        table = table.set_column(table.schema.get_field_index(name), name, codes)
    data = lightgbm.Dataset(table, target, categorical_feature=texts)
    del table
    lightgbm.train({**PARAMETERS, "num_threads": threads}, data, ITERATIONS)


def _opened(folder: Path, threads: int) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(str(folder / "training.duckdb"))
    connection.execute(f"SET threads = {threads}")
    return connection


def _warm_and_weigh(train: Callable[[str], None]) -> None:
    train("SELECT * FROM training LIMIT 1000")
    with Scale() as scale:
        train("SELECT * FROM training")
    scale.print()


JOBS = {
    "doubles": Job(f"{ROWS // 10**6}M x {COLUMNS} doubles", "y", make_doubles),
    "flights": Job("327,346 flights (14 numbers, 4 texts)", "is_late", make_flights),
}
CONTESTANTS = {
    "sqlml": train_in_sql,
    "pandas": train_with_pandas,
    "arrow": train_with_arrow,
    "dataset": train_with_dataset,
}

if __name__ == "__main__":
    CONTESTANTS[sys.argv[1]](JOBS[sys.argv[2]], Path(sys.argv[3]), int(sys.argv[4]))
