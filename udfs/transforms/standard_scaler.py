"""ML.STANDARD_SCALER(x): (x - mean) / standard deviation, the sample's (n - 1), as BigQuery ML has it."""

from __future__ import annotations

import math

from udfs.model import Step
from udfs.transforms.operator import Batch, Learned, Operator
from udfs.transforms.scaling import MomentSums, scale, scale_params, scale_shapes, scale_words


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._sums = MomentSums()

    def update(self, batch: Batch) -> None:
        self._sums.update(batch.values[0])

    def finish(self) -> Learned:
        moments = self._sums.finish()
        return Learned(scale_params(moments.mean, math.sqrt(moments.variance)))


STANDARD_SCALER = Operator(scale_shapes, scale_words, scale, _Fitter)
