"""Exact attributions against LightGBM's ``pred_contrib``: one thread, CPU time for a row, the kernel on rows in memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import lightgbm
import numpy as np

from benchmarks.measure import Figure, seconds
from benchmarks.scoring import Flights
from udfs.forest.shap import contributions
from udfs.forest.shap_image import build_shap_image
from udfs.forest.text import parse_lightgbm
from udfs.scorer import build_scorer

ROWS, RIVAL_ROWS = 4096, 100


def synthetic(trees: int, leaves: int, features: int) -> tuple[lightgbm.Booster, np.ndarray[Any, Any]]:
    """A model of two classes and rows it was trained on."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((20_000, features))
    score = (
        np.tanh(rows[:, 0]) + np.sin(3 * rows[:, 1]) + 0.3 * rows[:, 2:].sum(axis=1) + 0.3 * rng.standard_normal(20_000)
    )
    parameters = {"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 5, "num_threads": 1, "verbose": -1}
    return lightgbm.train(parameters, lightgbm.Dataset(rows, score > 0), trees), rows[:ROWS]


def late_flights(folder: Path) -> tuple[lightgbm.Booster, np.ndarray[Any, Any]]:
    """The demo's model, with categories and NULLs, and features of some of its flights."""
    flights = Flights(folder)
    batch = flights.connection.engine_connection.sql(
        f"SELECT {flights.columns} FROM rows LIMIT {ROWS}"
    ).to_arrow_table()
    features = build_scorer(flights.model).features(batch.combine_chunks().to_batches()[0])
    flights.connection.close()
    return flights.booster, np.ascontiguousarray(features.T)


def contestants(folder: Path) -> Iterator[tuple[str, lightgbm.Booster, np.ndarray[Any, Any]]]:
    for trees, leaves, features in ((100, 31, 10), (500, 63, 20)):
        yield (f"{trees} trees x {leaves} leaves x {features} features", *synthetic(trees, leaves, features))
    yield ("the flights model", *late_flights(folder))


def cpu_seconds(run: Callable[[], Any], rounds: int) -> float:
    """The median of this thread's CPU time, after one round that does not count."""
    times = []
    for _ in range(rounds + 1):
        began = time.thread_time()
        run()
        times.append(time.thread_time() - began)
    return median(times[1:])


def measure(_threads: int, rounds: int) -> list[Figure]:
    """The table's lines on explanations."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name, booster, rows in contestants(Path(folder)):
            image = build_shap_image(parse_lightgbm(booster.model_to_string()), rows.shape[1])
            features, few = np.ascontiguousarray(rows.T), rows[:RIVAL_ROWS]
            wanted = booster.predict(few, pred_contrib=True, num_threads=1)
            np.testing.assert_allclose(contributions(image, features)[:, : len(few)].T, wanted, rtol=0, atol=1e-9)
            ours = cpu_seconds(partial(contributions, image, features), rounds) / len(rows)
            predict = partial(booster.predict, few, pred_contrib=True, num_threads=1)
            theirs = cpu_seconds(predict, rounds) / len(few)
            figures.append(
                Figure(
                    f"attributions of a row, {name}, one thread",
                    "LightGBM `pred_contrib`",
                    seconds(ours),
                    seconds(theirs),
                    f"{theirs / ours:.0f}x faster",
                    "5x",
                )
            )
    return figures
