"""The training loop: iterations until the wanted number, until the held-out metric gets no better, or until somebody stops it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.catalog.records import MetricRow
from sqlml.planning.options import DEFAULT_PATIENCE, TrainingOptions
from sqlml.training.binning import Binned
from sqlml.training.lightgbm import Booster
from sqlml.training.parameters import HIGHER_IS_BETTER
from sqlml.training.progress import Watch

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """A finished training: LightGBM's text, the learning curve, and the predictions for the rows that metrics are taken of."""

    text: str
    iterations: int
    curve: tuple[MetricRow, ...]
    predictions: FloatArray
    stopped: str  # why training ended: limit, early_stop or no_split


def boost(binned: Binned, parameters: Mapping[str, Any], options: TrainingOptions, watch: Watch) -> Trained:
    """Grows the trees and keeps the best number of them."""
    booster = Booster(binned.training, parameters)
    data_index = 0
    if binned.held_out is not None:
        booster.watch(binned.held_out)
        data_index = 1
    loop = _Loop(booster, data_index, options, parameters["num_iterations"])
    stopped = loop.run(watch)
    kept = max(loop.best, 1) if loop.watches else booster.iterations()
    while booster.iterations() > kept:
        booster.roll_back()
    curve = tuple(row for row in loop.curve if row.iteration is not None and row.iteration <= kept)
    trained = Trained(booster.text(kept), kept, curve, booster.predictions(data_index), stopped)
    booster.close()
    return trained


class _Loop:
    """The state of early stopping: by patience, or by BigQuery ML's least relative progress where that is given."""

    def __init__(self, booster: Booster, data_index: int, options: TrainingOptions, iterations: int) -> None:
        self._booster = booster
        self._data_index = data_index
        self._iterations = iterations
        self._names = booster.metric_names()
        self.watches = data_index == 1 and options.stops_early and bool(self._names)
        self._least = options.given.get("min_rel_progress")
        rounds = options.given.get("early_stopping_rounds")
        self._patience = int(rounds or (1 if self._least is not None else DEFAULT_PATIENCE))
        self._sign = -1.0 if self._names and self._names[0] in HIGHER_IS_BETTER else 1.0
        self._best_value = np.inf
        self.best = 0
        self.curve: list[MetricRow] = []

    def run(self, watch: Watch) -> str:
        """Why it ended."""
        for iteration in range(1, self._iterations + 1):
            watch.check()
            if not self._booster.update():
                self.best = max(self.best, 1)
                return "no_split"
            value = self._note(iteration)
            watch.iteration(iteration, self._iterations, self._names[0] if self._names else None, value)
            if value is not None and self._is_over(iteration, value):
                return "early_stop"
        return "limit"

    def _note(self, iteration: int) -> float | None:
        """Puts the iteration on the learning curve; the first metric is the one that decides."""
        if not self._names:
            return None
        parts = [("training", 0)] if self._data_index == 0 else [("evaluation", 1)]
        values: list[float] = []
        for split, index in parts:
            values = self._booster.evaluate(index, len(self._names))
            self.curve += [
                MetricRow(split, name, value, iteration) for name, value in zip(self._names, values, strict=True)
            ]
        return values[0]

    def _is_over(self, iteration: int, value: float) -> bool:
        if not self.watches:
            return False
        signed = self._sign * value
        wanted = self._best_value - abs(self._best_value) * (self._least or 0.0) if iteration > 1 else np.inf
        if signed < wanted:
            self._best_value, self.best = signed, iteration
        return iteration - self.best >= self._patience
