"""The first score of a fresh process, from the start of Python to the rows in hand, in CPU time: what an idle machine takes.

python -m benchmarks.first_score [--rounds N]                 prints the lines
python -m benchmarks.first_score FOLDER WHO MODEL             is one contestant, in a process of its own

Three ways: installed from a wheel, which brings machine code along, so that there is nothing to compile; from a checkout (or
an editable installation) whose kernel cache is empty; and the same with what that left in the cache.

Measured beside other work that kept both processors busy several times over, which makes CPU time a third longer or more, medians of
3, 10 doubles and two classes | text, a date, NULLs | 7 classes: from a wheel 0.55 | 0.50 | 0.49 s, from a checkout 6.0 | 8.0 | 5.6 s
and with a warm cache 0.48 | 0.56 | 0.50 s; LightGBM 1.9 to 2.0 s. In turn with the sources of before what is told below, 8 times each,
under less load, with a warm cache: before 0.82 | 0.76 | 0.70 s (at best 0.75 | 0.67 | 0.64), now 0.56 | 0.47 | 0.51 s (0.50 | 0.45 | 0.41).
The wheel's code for x86-64-v4 walks trees no slower than what is compiled for this very CPU (39 ms and 43 ms for the same rows).

Where the time of a warm start goes, of 0.43 s under little load: 0.15 s in importing duckdb and opening the file, as a plain connection does, 0.06 s in
numpy, 0.1 s in our own modules, half of which is the making of 90 data classes, 0.02 s in reading the committed models, 0.05 s in the
statement. What saved the 0.25 s that it took more: asking DuckDB for a function by calling it, not by a list of all functions, which it
then makes (35 ms); tokens by a regular expression in place of sqlglot, which is now loaded for TRANSFORM only (110 ms); no pyarrow
unless there are batches (50 ms); machine code placed in memory by ``udfs.object_file``, and trampolines kept with the other code, so that
LLVM's library is not loaded (60 ms); a hash of the sources that makes no objects of pathlib's (10 ms); artifacts asked for by their
hashes and not by the view over again (5 ms). Not importing what trains and what reads files unless it is used, nor ``numpy.ma`` (by
way of ``numpy.unique``), was done before. No garbage collection while modules are imported would save another 0.03 s: left alone, as the
process is the user's.

Where the time of a checkout's cold start goes, of 3.5 to 4.5 s: 0.4 s as above, 0.5 s in numba's imports,
1.5 s in LLVM and the linker, the rest in numba's Python code, most of it in type inference and in the copies and analyses that each
inlined ``part`` costs. Tried for it: no garbage collection while a routine is compiled (a sixth less, kept); threads (nothing: it is
Python that runs, under one lock); asking numba to look for new registrations only where a value is new (a hundredth); compiling nothing that the statement does not
need (was so already: attributions, other types of columns and operators of no step are not compiled); machine code at build time (nothing
is left to compile: kept, for wheels). An editable installation gets none, as the first change of a source would make it stale, and all
routines of one level take half a minute of one processor, those of a first score 4 s: at ``make`` time that is what ``make demo`` and
``make test``, which leave a filled cache behind, need anyway, and no user of a checkout would wait less in all. Not
tried: more processes, which would take no less CPU time and half the wait at best.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measure import Figure, seconds

ROOT = Path(__file__).resolve().parents[1]
ROWS = 5_000
MODELS = {
    "numbers": ("10 doubles, two classes", "SELECT * EXCLUDE (plan, since, number) FROM customers"),
    "customers": ("doubles, text, a date, NULLs", "SELECT * EXCLUDE (number, x7, x8, x9) FROM customers"),
    "classes": ("10 doubles, 7 classes", "SELECT * EXCLUDE (plan, since, answer) FROM customers"),
}
RIVAL = "pull 10 doubles to Arrow, LightGBM predict, two classes, in a fresh process"
LABELS = {"numbers": "answer", "customers": "answer", "classes": "number"}
WAYS = (
    ("from a wheel", "1.5 s"),
    ("from a checkout, no kernel cache", "1.5 s"),
    ("from a checkout, warm kernel cache", "0.5 s"),
)


def measure(threads: int, rounds: int) -> list[Figure]:
    """The table's lines on the first score."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        install(Path(folder))
        one_round(folder, "numbers")  # compiles Python's own byte code, as pip does
        for model, (description, _) in MODELS.items():
            *ours, rival = map(statistics.median, zip(*(one_round(folder, model) for _ in range(rounds)), strict=True))
            job = f"first score of a fresh process, {description}"
            for (way, goal), took in zip(WAYS, ours, strict=True):
                lines.append(
                    Figure(f"{job}, {way}", RIVAL, seconds(took), seconds(rival), f"{rival / took:.2f}x as fast", goal)
                )
    return lines


def install(folder: Path) -> None:
    """What a wheel leaves behind: the packages, and machine code for them."""
    for package, target in (("sqlml", "sqlml"), ("udfs", "udfs"), ("sql", "sqlml/sql")):
        shutil.copytree(
            ROOT / package, folder / "installed" / target, ignore=shutil.ignore_patterns("__pycache__", "shipped")
        )
    command = [sys.executable, "-m", "udfs.ship", str(folder / "installed/udfs/shipped")]
    subprocess.run(command, check=True, cwd=ROOT)


def one_round(folder: str, model: str) -> list[float]:
    """Seconds of each way, and of the rival."""
    installed = os.pathsep.join([f"{folder}/installed", str(ROOT)])  # the benchmarks are in the checkout
    with tempfile.TemporaryDirectory() as kernels:
        ours = [
            in_fresh_process(
                folder, "sqlml", model, {"PYTHONPATH": installed, "SQLML_KERNEL_CACHE": f"{kernels}/none"}
            ),
            *(in_fresh_process(folder, "sqlml", model, {"SQLML_KERNEL_CACHE": f"{kernels}/some"}) for _ in range(2)),
        ]
        if Path(kernels, "none").exists():
            raise SystemExit("the wheel's machine code was not enough")
    return [*ours, in_fresh_process(folder, "lightgbm", "numbers", {})]


def in_fresh_process(folder: str, who: str, model: str, variables: Mapping[str, str]) -> float:
    """Seconds of CPU from starting Python until the scores are there; its end does not count."""
    command = [sys.executable, "-P", "-m", "benchmarks.first_score", folder, who, model]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": f"{folder}/bytecode", **variables}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


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
        print(time.process_time())
        return
    parser = argparse.ArgumentParser("benchmarks.first_score")
    parser.add_argument("--rounds", type=int, default=5)
    for line in measure(1, parser.parse_args().rounds):
        print(f"{line.what}: {line.ours}; {line.rival}: {line.theirs} ({line.ratio}); goal {line.goal}")


CONTESTANTS = {"sqlml": score_in_sql, "lightgbm": score_with_lightgbm}

if __name__ == "__main__":
    main()
