"""ML.ROBUST_SCALER(x [, [low, high]] [, with_median] [, with_quantile_range]): (x - median) / (quantile(high) - quantile(low)).

The quantiles are exact, with linear interpolation (numpy's default), the range in percent, [25, 75] unless given.
"""

from __future__ import annotations

from udfs.model import Step
from udfs.transforms.counts import NumberCounter
from udfs.transforms.operator import Batch, Learned, Operator
from udfs.transforms.scaling import scale, scale_params, scale_shapes, scale_words


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._settings = step.params
        self._counter = NumberCounter()

    def update(self, batch: Batch) -> None:
        self._counter.update(batch.values[0])

    def finish(self) -> Learned:
        low, high = self._settings.get("quantile_range", (25.0, 75.0))
        below, median, above = self._counter.quantiles((low / 100, 0.5, high / 100)).tolist()
        shift = median if self._settings.get("with_median", True) else 0.0
        divisor = above - below if self._settings.get("with_quantile_range", True) else 1.0
        return Learned(scale_params(shift, divisor))


ROBUST_SCALER = Operator(scale_shapes, scale_words, scale, _Fitter)
