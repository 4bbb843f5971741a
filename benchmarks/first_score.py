"""The first score of a fresh process, from the start of Python to the rows in hand: with and without machine code on the disk.

python -m benchmarks.first_score [--rounds N]                 prints the table
python -m benchmarks.first_score FOLDER WHO MODEL             is one contestant, in a process of its own
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

from benchmarks.measure import Figure, seconds

ROWS = 5_000
MODELS = {
    "numbers": ("10 doubles, two classes", "SELECT * EXCLUDE (plan, number) FROM customers"),
    "customers": ("doubles, text, a date, NULLs", "SELECT * EXCLUDE (number, x7, x8, x9) FROM customers"),
    "classes": ("10 doubles, 7 classes", "SELECT * EXCLUDE (plan, answer) FROM customers"),
}
LABELS = {"numbers": "answer", "customers": "answer", "classes": "number"}


def measure(threads: int, rounds: int) -> list[Figure]:
    """The table's lines on the first score."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        lines = []
        for model, (description, _) in MODELS.items():
            cold, warm, rival = (
                statistics.median(times)
                for times in zip(*(one_round(folder, model) for _ in range(rounds)), strict=True)
            )
            job = f"first score of a fresh process, {description}"
            name = "pull to Arrow, LightGBM predict, a fresh process too"
            lines += [
                Figure(f"{job}, warm kernel cache", name, seconds(warm), seconds(rival), f"{rival / warm:.1f}x faster", "0.5 s"),
                Figure(f"{job}, no kernel cache", name, seconds(cold), seconds(rival), f"{rival / cold:.1f}x faster", "1.5 s"),
            ]  # fmt: skip
    return lines


def one_round(folder: str, model: str) -> tuple[float, float, float]:
    """Seconds without a cache, with the one that this left, and of the rival."""
    with tempfile.TemporaryDirectory() as kernels:
        cold, warm = (in_fresh_process(folder, "sqlml", model, {"SQLML_KERNEL_CACHE": kernels}) for _ in range(2))
    return cold, warm, in_fresh_process(folder, "lightgbm", model, {})


def in_fresh_process(folder: str, who: str, model: str, variables: Mapping[str, str]) -> float:
    """Seconds from starting Python until the scores are there; its end does not count."""
    command = [sys.executable, "-m", "benchmarks.first_score", folder, who, model]
    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | dict(variables))
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1]) - began


def prepare(folder: str) -> None:
    """A database with a table and three models, and the same models as LightGBM's text."""
    import sqlml

    numbers = ", ".join(
        f"CASE WHEN hash(i, {j}) % 11 <> 0 THEN (hash(i, {j}) % 1000) / 10 END AS x{j}" for j in range(10)
    )
    with sqlml.connect(f"{folder}/first.duckdb") as connection:
        connection.execute(
            f"CREATE TABLE customers AS SELECT {numbers}, ['basic', 'plus', 'pro'][1 + (hash(i) % 3)::INT] AS plan, "
            f"DATE '2024-01-01' + (hash(i, 11) % 365)::INT AS since, (hash(i, 12) % 7)::INT AS number, "
            f"hash(i, 1) % 1000 > 500 AS answer FROM range({ROWS}) AS r(i)"
        )
        for model, (_, query) in MODELS.items():
            options = f"input_label_cols = ['{LABELS[model]}'], max_iterations = 100, early_stop = false"
            connection.execute(f"CREATE MODEL {model} OPTIONS ({options}) AS {query}")
            connection.execute(f"EXPORT MODEL {model} TO '{folder}/{model}.txt' OPTIONS (format = 'lightgbm')")


def score_in_sql(folder: str, model: str) -> None:
    """What a user's script does."""
    import sqlml

    what = "PREDICT(classes, *)" if model == "classes" else f"PREDICT_PROBA({model}, *)"
    connection = sqlml.connect(f"{folder}/first.duckdb")
    assert len(connection.execute(f"SELECT {what} FROM customers").fetchall()) == ROWS


def score_with_lightgbm(folder: str, model: str) -> None:
    """The same with the model's own library: rows pulled from the database to Arrow."""
    import duckdb
    import lightgbm

    booster = lightgbm.Booster(model_file=f"{folder}/{model}.txt")
    columns = ", ".join(booster.feature_name())
    with duckdb.connect(f"{folder}/first.duckdb", read_only=True) as connection:
        table = connection.sql(f"SELECT {columns} FROM customers").to_arrow_table()
    assert len(booster.predict(table)) == ROWS


def main() -> None:
    """The table, or one contestant."""
    if len(sys.argv) == 4 and sys.argv[2] in CONTESTANTS:
        folder, who, model = sys.argv[1:]
        CONTESTANTS[who](folder, model)
        print(time.time())
        return
    parser = argparse.ArgumentParser("benchmarks.first_score")
    parser.add_argument("--rounds", type=int, default=5)
    for line in measure(1, parser.parse_args().rounds):
        print(f"{line.what}: {line.ours}; {line.rival}: {line.theirs} ({line.ratio}); goal {line.goal}")


CONTESTANTS = {"sqlml": score_in_sql, "lightgbm": score_with_lightgbm}

if __name__ == "__main__":
    main()
