"""The five models of the comparison and the rows they score, made once and kept under ``.bench/forests``.

A folder holds ``model.txt`` as LightGBM writes it, ``rows.npy`` (10,000 rows that no model was trained on) and ``wanted.npy``, what
LightGBM predicts for them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BENCH = Path(__file__).parent.parent / ".bench"
ROWS = 10_000

Array = np.ndarray[Any, Any]
Made = "tuple[lightgbm.Booster, Array]"


def two_classes(trees: int, leaves: int, features: int) -> Callable[[], Made]:
    """A model of doubles, as the other benchmarks have it."""

    def make() -> Made:
        from benchmarks.explaining import synthetic

        booster, _ = synthetic(trees, leaves, features)
        return booster, np.random.default_rng(2).standard_normal((ROWS, features))

    return make


def seven_classes() -> Made:
    """100 trees of 31 leaves for each of seven classes."""
    import lightgbm

    rng = np.random.default_rng(1)
    rows = rng.standard_normal((20_000, 10))
    score = np.tanh(rows[:, 0]) + np.sin(3 * rows[:, 1]) + 0.3 * rows[:, 2:].sum(axis=1)
    label = np.digitize(score, np.quantile(score, np.linspace(0, 1, 8)[1:-1]))
    parameters = {
        "objective": "multiclass", "num_class": 7, "num_leaves": 31, "min_data_in_leaf": 5, "num_threads": 1, "verbose": -1,
    }  # fmt: skip
    return lightgbm.train(parameters, lightgbm.Dataset(rows, label), 100), rng.standard_normal((ROWS, 10))


def flights() -> Made:
    """The demo's model: categories of airports, carriers and aircraft, NULLs; flights of the whole year."""
    from benchmarks.scoring import Flights
    from udfs.scorer import build_scorer

    with tempfile.TemporaryDirectory() as folder:
        database = Flights(Path(folder))
        query = f"SELECT {database.columns} FROM rows USING SAMPLE reservoir({ROWS} ROWS) REPEATABLE (1)"
        batch = database.connection.engine_connection.sql(query).to_arrow_table().combine_chunks().to_batches()[0]
        rows = np.ascontiguousarray(build_scorer(database.model).features(batch).T)
        database.connection.close()
        return database.booster, rows


FORESTS: dict[str, Callable[[], Made]] = {
    "100 x 31 x 10": two_classes(100, 31, 10),
    "500 x 63 x 20": two_classes(500, 63, 20),
    "200 x 127 x 200": two_classes(200, 127, 200),
    "flights": flights,
    "7 x 100 x 31 x 10": seven_classes,
}
TITLES = {
    "100 x 31 x 10": "100 trees x 31 leaves x 10 features",
    "500 x 63 x 20": "500 trees x 63 leaves x 20 features",
    "200 x 127 x 200": "200 trees x 127 leaves x 200 features",
    "flights": "flights: 100 trees x 31 leaves, categories and NULLs",
    "7 x 100 x 31 x 10": "7 classes x 100 trees x 31 leaves x 10 features",
}


def forest_folder(name: str) -> Path:
    """Where a model is, which is made if it is not there yet."""
    folder = BENCH / "forests" / name.replace(" ", "")
    if not (folder / "wanted.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        booster, rows = FORESTS[name]()
        booster.save_model(folder / "model.txt")
        np.save(folder / "rows.npy", rows)
        np.save(folder / "wanted.npy", booster.predict(rows, num_threads=1))
    return folder
