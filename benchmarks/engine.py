"""The kernel inside DuckDB: what queries over 10 and 200 columns cost over it, what a second thread gives, what a TRANSFORM costs; lesser CPUs."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa

import sqlml
from benchmarks.explaining import cpu_seconds
from benchmarks.forests import forest_folder
from benchmarks.measure import Figure, cpu_turns, seconds, take_turns
from sqlml.training.foreign import ImportOptions, model_of_text
from udfs.artifact import read_artifact
from udfs.columns import BLOCK_ROWS
from udfs.forest.nodes import build_forest_image
from udfs.forest.objective import apply_objective
from udfs.forest.text import parse_lightgbm
from udfs.forest.walk import raw_scores
from udfs.scorer import STAGE_BITS, STAGE_FEATURES, STAGE_PREDICTION, build_scorer, score_address

ROWS = {10: 2_000_000, 200: 200_000}
MODELS = {10: (100, 31), 200: (200, 127)}
LESSER_ROWS = 20_000
CPUS = {"AVX2 only": "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2", "no vectors": ""}
LESSER_GOALS = {
    ("AVX2 only", 100): "2.5x",
    ("AVX2 only", 500): "1.5x",
    ("no vectors", 100): "1x",
    ("no vectors", 500): "1x",
}


def kept(trees: int, leaves: int, features: int) -> lightgbm.Booster:
    """A model of the comparison with other libraries, trained once."""
    return lightgbm.Booster(model_file=forest_folder(f"{trees} x {leaves} x {features}") / "model.txt")


class Scene:
    """A table of doubles in DuckDB, a model over it, and the same rows as the bare kernel likes them."""

    def __init__(self, features: int) -> None:
        trees, leaves = MODELS[features]
        self.booster = kept(trees, leaves, features)
        self.connection = sqlml.connect()
        with tempfile.TemporaryDirectory() as folder:
            self.booster.save_model(Path(folder) / "m.txt")
            self.connection.execute(f"IMPORT MODEL m FROM '{folder}/m.txt'")
        rows = np.random.default_rng(2).standard_normal((features, ROWS[features]))
        table = pa.table(list(rows), names=self.booster.feature_name())
        self.connection.engine_connection.register("given", table)
        self.connection.execute("CREATE TABLE points AS SELECT * FROM given")
        self.rows = rows
        self.image = build_forest_image(parse_lightgbm(self.booster.model_to_string()), features)
        self.out = np.zeros((1, rows.shape[1]))

    def query(self) -> float:
        found: float = self.connection.execute("SELECT sum(PREDICT_PROBA(m, *)) FROM points").fetchall()[0][0]
        return found

    def kernel(self) -> float:
        """As the query does: a sum of all predictions."""
        raw_scores(self.image.ctypes.data, self.rows, self.rows.shape[1], self.out)
        apply_objective(self.image.ctypes.data, self.out, self.rows.shape[1])
        return float(self.out.sum())

    def threads(self, count: int) -> None:
        self.connection.execute(f"SET threads = {count}")


def queries(rounds: int) -> Iterator[Figure]:
    """The whole statement on one thread against the bare kernel; then two threads against one."""
    for features, count in ROWS.items():
        scene = Scene(features)
        scene.threads(1)
        np.testing.assert_allclose(scene.query(), scene.kernel(), rtol=1e-9)
        times = cpu_turns({"query": scene.query, "kernel": scene.kernel}, rounds)
        trees, leaves = MODELS[features]
        job = f"`SELECT sum(PREDICT_PROBA(m, *))`, {count:,} rows, {trees} trees x {leaves} leaves x {features} columns, one thread"
        ratio = f"{times['query'] / times['kernel']:.2f}x the time"
        bare = "the bare kernel on a ready matrix"
        yield Figure(job, bare, seconds(times["query"]), seconds(times["kernel"]), ratio, "1.15x")
        if features == min(ROWS):
            times = take_turns(
                dict(zip(("one", "two"), map(partial(_with_threads, scene), (1, 2)), strict=True)), rounds
            )
            ratio = f"{times['one'] / times['two']:.2f}x as fast"
            yield Figure(
                "the same, two threads", "one thread", seconds(times["two"]), seconds(times["one"]), ratio, "1.8x"
            )
        scene.connection.close()


def _with_threads(scene: Scene, count: int) -> Callable[[], float]:
    def run() -> float:
        scene.threads(count)
        return scene.query()

    return run


TRANSFORM = ", ".join(
    [
        *(f"ML.STANDARD_SCALER(x{k}) OVER () AS x{k}" for k in range(3)),
        *(f"ML.MIN_MAX_SCALER(x{k}) OVER () AS x{k}" for k in range(3, 5)),
        *(f"ML.QUANTILE_BUCKETIZE(x{k}, 20) OVER () AS x{k}" for k in range(5, 8)),
        *(f"ML.BUCKETIZE(x{k}, [-2, -1, -0.5, 0, 0.5, 1, 2]) AS x{k}" for k in range(8, 10)),
    ]
)


def transforms(rounds: int) -> list[Figure]:
    """The kernels of a TRANSFORM of ten scalers and buckets, against those of the forest behind it, on the same rows."""
    with tempfile.TemporaryDirectory() as folder, sqlml.connect() as connection:
        rng = np.random.default_rng(1)
        rows = rng.standard_normal((10, 20_000))
        score = np.tanh(rows[0]) + np.sin(3 * rows[1]) + 0.3 * rows[2:].sum(axis=0)
        table = pa.table([*rows, score > 0], names=[*(f"x{k}" for k in range(10)), "y"])
        connection.engine_connection.register("given", table)
        connection.execute("CREATE TABLE points AS SELECT * FROM given")
        connection.execute(f"""CREATE MODEL m TRANSFORM ({TRANSFORM}, y) OPTIONS (input_label_cols = ['y'], num_leaves = 31,
            max_iterations = 100, early_stop = FALSE, data_split_method = 'NO_SPLIT') AS SELECT * FROM points""")
        connection.execute(f"EXPORT MODEL m TO '{folder}/m.sqlml'")
        model = read_artifact((Path(folder) / "m.sqlml").read_bytes())
    block = _block(build_scorer(model), rows)
    booster = kept(100, 31, 10)
    plain = _block(build_scorer(model_of_text(booster.model_to_string(), ImportOptions())), rows)
    transform = cpu_seconds(partial(block, STAGE_FEATURES), 200 * rounds) / BLOCK_ROWS
    score = cpu_seconds(partial(plain, STAGE_PREDICTION), 200 * rounds) / BLOCK_ROWS
    what = "the kernels of a TRANSFORM of ten scalers and buckets, a row, one thread"
    rival = "scoring the row by 100 trees x 31 leaves x 10 doubles"
    return [
        Figure(what, rival, seconds(transform), seconds(score), f"{transform / score * 100:.0f} % of its time", "25 %")
    ]


def _block(scorer: Any, rows: np.ndarray[Any, Any]) -> Callable[[int], None]:
    """A call that takes a block of rows in memory to a stage, as engines do."""
    memory = np.zeros(scorer.workspace_bytes() + 64, np.uint8)
    block = memory[-memory.ctypes.data % 64 :]
    block[: 8 * BLOCK_ROWS * len(rows)].view(np.float64).reshape(len(rows), BLOCK_ROWS)[:] = rows[:, :BLOCK_ROWS]
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(score_address())

    def run(stage: int) -> None:
        call(scorer.address, int(block.ctypes.data), BLOCK_ROWS << STAGE_BITS | stage)

    return run


def lesser_cpus(rounds: int) -> Iterator[Figure]:
    """The kernel compiled for less than this CPU, in processes of their own, against LightGBM's ``predict``."""
    for trees, leaves, features in ((100, 31, 10), (500, 63, 20)):
        for cpu, instructions in CPUS.items():
            environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": instructions}
            command = [sys.executable, "-m", "benchmarks.engine", *map(str, (trees, leaves, features, rounds))]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            ours, theirs = json.loads(done.stdout.splitlines()[-1])
            what = f"a row on one thread with {cpu}, {trees} trees x {leaves} leaves x {features} features"
            goal = LESSER_GOALS[cpu, trees]
            ratio = f"{theirs / ours:.1f}x as fast"
            yield Figure(what, "LightGBM `predict`, its own build", seconds(ours), seconds(theirs), ratio, goal)


def lesser_cpu(trees: int, leaves: int, features: int, rounds: int) -> None:
    """Prints the seconds a row of the kernel and of LightGBM, in turns, bits compared."""
    booster = kept(trees, leaves, features)
    rows = np.random.default_rng(2).standard_normal((LESSER_ROWS, features))
    image = build_forest_image(parse_lightgbm(booster.model_to_string()), features)
    columns, out = np.ascontiguousarray(rows.T), np.zeros((1, LESSER_ROWS))

    def ours() -> None:
        raw_scores(image.ctypes.data, columns, LESSER_ROWS, out)
        apply_objective(image.ctypes.data, out, LESSER_ROWS)

    few = rows[: LESSER_ROWS // 10]
    theirs = partial(booster.predict, few, num_threads=1)
    ours()
    assert (out[0, : len(few)] == theirs()).all()
    print(json.dumps([cpu_seconds(ours, rounds) / LESSER_ROWS, cpu_seconds(theirs, rounds) / len(few)]))


def measure(_threads: int, rounds: int) -> list[Figure]:
    """The table's lines on scoring inside the engine and on lesser CPUs."""
    return [*queries(rounds), *transforms(rounds), *lesser_cpus(rounds)]


def main() -> None:
    from benchmarks.__main__ import table

    if len(sys.argv) > 2:
        lesser_cpu(*map(int, sys.argv[1:]))
        return
    figures = []
    for part in (queries, transforms, lesser_cpus):
        for figure in part(5):
            print(f"{figure.what}: {figure.ours} against {figure.theirs}, {figure.ratio}", flush=True)
            figures.append(figure)
    print(table(figures, 2, 5))


if __name__ == "__main__":
    main()
