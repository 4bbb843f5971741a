"""Scoring inside the database against pulling the rows out: the demo's model over all flights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

import sqlml
from benchmarks.measure import Figure, seconds, take_turns
from sqlml.cli.demo import load_flights
from sqlml.cli.script import split_script
from sqlml.sqltext import read_sql
from udfs.artifact import read_artifact
from udfs.forest.nodes import build_forest_image
from udfs.forest.objective import apply_objective
from udfs.forest.walk import raw_scores
from udfs.model import Model
from udfs.scorer import build_scorer

COPIES = 4  # 336,776 flights, four times over


class Flights:
    """A database with the demo's model ``late`` and a table of rows to score, and the same model as LightGBM has it."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlml.connect(str(folder / "flights.duckdb"))
        load_flights(self.connection)
        for piece in split_script(read_sql("demo.sql")):
            if (
                "VIEW departures" in piece.text
                or "VIEW past" in piece.text
                or ("CREATE OR REPLACE MODEL late" in piece.text and "TRANSFORM" not in piece.text)
            ):
                self.connection.execute(piece.text)
        self.connection.execute(f"CREATE TABLE rows AS SELECT d.* FROM departures AS d, range({COPIES})")
        self.model = self._export(folder / "late.sqlml", "sqlml")
        self.booster = lightgbm.Booster(model_file=str(self._path(folder / "late.txt", "lightgbm")))
        self.columns = ", ".join(f'"{item.name}"' for item in self.model.inputs)

    def _path(self, path: Path, form: str) -> Path:
        self.connection.execute(f"EXPORT MODEL late TO '{path}' OPTIONS (format = '{form}')")
        return path

    def _export(self, path: Path, form: str) -> Model:
        return read_artifact(self._path(path, form).read_bytes())

    def in_sql(self) -> float:
        """The whole job as a user writes it."""
        return self.connection.execute("SELECT sum(PREDICT_PROBA(late, *)) FROM rows").fetchall()[0][0]

    def with_pandas(self, threads: int) -> np.ndarray[Any, Any]:
        """Pull to pandas, turn text into the model's codes, predict."""
        frame = self.connection.engine_connection.sql(f"SELECT {self.columns} FROM rows").df()
        for feature in self.model.features:
            if feature.categorical:
                levels = [level for level in feature.levels if level is not None]
                codes = frame[feature.name].astype(pd.CategoricalDtype(levels)).cat.codes.to_numpy(np.float64)
                frame[feature.name] = with_null_level(codes, feature.levels, frame[feature.name].isna().to_numpy())
        matrix = frame[[feature.name for feature in self.model.features]]
        return np.asarray(self.booster.predict(matrix, num_threads=threads))

    def with_arrow(self, threads: int) -> np.ndarray[Any, Any]:
        """Pull to Arrow, turn text into the model's codes, predict."""
        table = self.connection.engine_connection.sql(f"SELECT {self.columns} FROM rows").to_arrow_table()
        columns = [self._coded(table[feature.name], feature) for feature in self.model.features]
        matrix = pa.table(columns, names=[feature.name for feature in self.model.features])
        return np.asarray(self.booster.predict(matrix, num_threads=threads))

    def _coded(self, column: pa.ChunkedArray, feature: Any) -> pa.ChunkedArray:
        if not feature.categorical:
            return column.cast(pa.float64())
        return pc.cast(pc.index_in(column, value_set=pa.array(list(feature.levels), pa.string())), pa.float64())

    def kernel(self, threads: int) -> Callable[[], float]:
        """The bare kernel on a matrix that is ready in memory, one part a thread."""
        table = self.connection.engine_connection.sql(f"SELECT {self.columns} FROM rows").to_arrow_table()
        features = build_scorer(self.model).features(table.combine_chunks().to_batches()[0])
        parts = [np.ascontiguousarray(part) for part in np.array_split(features, threads, axis=1)]
        image = build_forest_image(self.model.forest, len(self.model.features))
        pool = ThreadPoolExecutor(threads)

        def score(part: np.ndarray[Any, Any]) -> float:
            out = np.zeros((1, part.shape[1]))
            raw_scores(image.ctypes.data, part, part.shape[1], out)
            apply_objective(image.ctypes.data, out, part.shape[1])
            return float(out.sum())

        return lambda: float(sum(pool.map(score, parts)))


def with_null_level(codes: np.ndarray[Any, Any], levels: tuple[str | None, ...], nulls: np.ndarray[Any, Any]) -> Any:
    """Pandas gives every NULL the code -1 and numbers the other levels without it."""
    if None not in levels:
        return codes
    at = levels.index(None)
    codes = np.where(codes >= at, codes + 1, codes)
    return np.where(nulls, at, codes)


def measure(threads: int, rounds: int) -> list[Figure]:
    """The table's lines on scoring."""
    with tempfile.TemporaryDirectory() as folder:
        flights = Flights(Path(folder))
        flights.connection.execute(f"SET threads = {threads}")
        total = flights.in_sql()
        for predict in (flights.with_pandas, flights.with_arrow):
            # They must do the same work: the sum is over another order of rows, hence the tolerance.
            np.testing.assert_allclose(predict(threads).sum(), total, rtol=1e-9)
        times = take_turns(
            {
                "sql": flights.in_sql,
                "pandas": lambda: flights.with_pandas(threads),
                "arrow": lambda: flights.with_arrow(threads),
                "kernel": flights.kernel(threads),
            },
            rounds,
        )
        count = flights.connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
        flights.connection.close()
    job = f"`SELECT sum(PREDICT_PROBA(late, *))` over {count:,} flights"
    rivals = {"pandas": ("pull to pandas, LightGBM predict", "3x"), "arrow": ("pull to Arrow, LightGBM predict", "")}
    return [
        Figure(job, rival, seconds(times["sql"]), seconds(times[key]), f"{times[key] / times['sql']:.1f}x faster", goal)
        for key, (rival, goal) in rivals.items()
    ] + [
        Figure(
            job,
            "the bare kernel on rows in memory",
            seconds(times["sql"]),
            seconds(times["kernel"]),
            f"{times['sql'] / times['kernel']:.2f}x the time",
            "1.15x",
        )
    ]
