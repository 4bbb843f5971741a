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
from sqlml.training.memory import release_memory
from sqlml.training.parameters import HIGHER_IS_BETTER
from sqlml.training.progress import Watch
from sqlml.training.team import in_blocks, in_team, is_limitable

FloatArray = npt.NDArray[np.float64]

# Measuring the loss of all training rows costs 15 % of an iteration, so large data is measured now and then only.
SMALL_ROWS = 100_000
CURVE_STEP = 10


@dataclass(frozen=True)
class Trained:
    """A finished training: LightGBM's text, the learning curve, and the predictions for the rows that metrics are taken of."""

    text: str
    iterations: int
    curve: tuple[MetricRow, ...]
    predictions: FloatArray
    stopped: str  # why training ended: limit, early_stop or no_split


def boost(binned: Binned, parameters: Mapping[str, Any], options: TrainingOptions, watch: Watch) -> Trained:
    """Grows the trees, keeps the best number of them, and frees the bins."""
    if not is_limitable():
        return _boost(binned, parameters, options, watch)
    parameters, size = in_blocks(parameters)
    return in_team(size, lambda: _boost(binned, parameters, options, watch))


def _boost(binned: Binned, parameters: Mapping[str, Any], options: TrainingOptions, watch: Watch) -> Trained:
    booster = Booster(binned.training, parameters)
    if binned.held_out is not None:
        booster.watch(binned.held_out)
    loop = _Loop(booster, binned, options, parameters["num_iterations"])
    stopped = loop.run(watch)
    kept = max(loop.best, 1) if loop.watches else booster.iterations()
    while booster.iterations() > kept:
        booster.roll_back()
    curve = tuple(row for row in loop.curve if row.iteration is not None and row.iteration <= kept)
    trained = Trained(booster.text(kept), kept, curve, booster.predictions(loop.deciding), stopped)
    booster.close()
    binned.close()
    release_memory()
    return trained


class _Loop:
    """The state of early stopping: by patience, or by BigQuery ML's least relative progress where that is given."""

    def __init__(self, booster: Booster, binned: Binned, options: TrainingOptions, iterations: int) -> None:
        self._booster = booster
        self._iterations = iterations
        self._names = booster.metric_names()
        self.deciding = 0 if binned.held_out is None else 1
        self._is_small = binned.training.row_count <= SMALL_ROWS
        self.watches = self.deciding == 1 and options.stops_early and bool(self._names)
        self._least = options.given.get("min_rel_progress")
        rounds = options.given.get("early_stopping_rounds")
        self._patience = int(rounds or (1 if self._least is not None else DEFAULT_PATIENCE))
        self._sign = -1.0 if self._names and self._names[0] in HIGHER_IS_BETTER else 1.0
        self._best_value = np.inf
        self.best = 0
        self.curve: list[MetricRow] = []

    def run(self, watch: Watch) -> str:
        """Why it ended."""
        value: float | None = None
        for iteration in range(1, self._iterations + 1):
            watch.check()
            if not self._booster.update():
                return "no_split"
            value = self._note(iteration, value)
            watch.iteration(iteration, self._iterations, self._names[0] if self._names else None, value)
            if self.watches and value is not None and self._is_over(iteration, value):
                return "early_stop"
        return "limit"

    def _note(self, iteration: int, value: float | None) -> float | None:
        """Puts the iteration on the learning curve; the first metric of the deciding data is what progress shows."""
        if not self._names:
            return None
        if self._is_small or iteration % CURVE_STEP == 0 or iteration in (1, self._iterations):
            value = self._measure("training", 0, iteration)
        return self._measure("evaluation", 1, iteration) if self.deciding else value

    def _measure(self, split: str, data_index: int, iteration: int) -> float:
        values = self._booster.evaluate(data_index, len(self._names))
        self.curve += [MetricRow(split, name, v, iteration) for name, v in zip(self._names, values, strict=True)]
        return values[0]

    def _is_over(self, iteration: int, value: float) -> bool:
        signed = self._sign * value
        if iteration == 1 or signed < self._best_value - abs(self._best_value) * (self._least or 0.0):
            self._best_value, self.best = signed, iteration
        return iteration - self.best >= self._patience
