"""ML.IMPUTER(x, 'mean' | 'median' | 'most_frequent'): x, or where it is missing the value that training found.

mean            of the finite values           median   exact, the mean of the middle two
most_frequent   ties to the smaller number (text: see ``dictionary``, where NULL takes the code of the most frequent level)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.counts import NumberCounter
from udfs.transforms.operator import Batch, Learned, Operator, Shape, Words, require, require_shapes, words
from udfs.transforms.scaling import MomentSums

STRATEGIES = ("mean", "median", "most_frequent")


def impute(params, rows, n):
    """``params``: value; ``rows``: x, out."""
    value = view(params, np.float64, 1)[0]
    row = view(rows, np.int64, 2)
    x = view(row[0], np.float64, n)
    out = view(row[1], np.float64, n)
    for i in range(n):
        out[i] = value if np.isnan(x[i]) else x[i]


def impute_reference(x: npt.NDArray[np.float64], value: float) -> npt.NDArray[np.float64]:
    """The numpy twin."""
    return np.where(np.isnan(x), value, x)


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("number",))
    value = step.params.get("value", 0.0)
    require(isinstance(value, int | float), step, "its value is not a number")
    return ("number",)


def _encode(step: Step) -> Words:
    require("value" in step.params, step, "it is not fitted")
    return words(float(step.params["value"]))


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._strategy = step.params["strategy"]
        self._sums = MomentSums()
        self._counter = NumberCounter()

    def update(self, batch: Batch) -> None:
        if self._strategy == "mean":
            self._sums.update(batch.values[0])
        else:
            self._counter.update(batch.values[0])

    def finish(self) -> Learned:
        if self._strategy == "mean":
            value = self._sums.finish().mean
        elif self._strategy == "median":
            value = float(self._counter.quantiles((0.5,))[0])
        else:
            values, counts = self._counter.counts()
            value = float(values[np.argmax(counts)]) if len(values) else float("nan")
        return Learned({"value": value, "strategy": self._strategy})


IMPUTER = Operator(_shapes, _encode, impute, _Fitter)
