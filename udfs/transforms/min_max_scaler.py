"""ML.MIN_MAX_SCALER(x): (x - min) / (max - min), kept within 0 and 1 for values outside what training saw."""

from __future__ import annotations

import math

import numpy as np

from udfs.model import Step
from udfs.transforms.operator import Batch, Learned, Operator
from udfs.transforms.scaling import scale, scale_params, scale_shapes, scale_words


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._low = math.inf
        self._high = -math.inf

    def update(self, batch: Batch) -> None:
        finite = batch.values[0][np.isfinite(batch.values[0])]
        if len(finite):
            self._low = min(self._low, float(finite.min()))
            self._high = max(self._high, float(finite.max()))

    def finish(self) -> Learned:
        return Learned(scale_params(self._low, self._high - self._low, 0.0, 1.0))


MIN_MAX_SCALER = Operator(scale_shapes, scale_words, scale, _Fitter)
