"""ML.MAX_ABS_SCALER(x): x / max|x|, kept within -1 and 1 for values outside what training saw."""

from __future__ import annotations

import numpy as np

from udfs.model import Step
from udfs.transforms.operator import Batch, Learned, Operator
from udfs.transforms.scaling import scale, scale_params, scale_shapes, scale_words


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._largest = 0.0

    def update(self, batch: Batch) -> None:
        finite = batch.values[0][np.isfinite(batch.values[0])]
        if len(finite):
            self._largest = max(self._largest, float(np.abs(finite).max()))

    def finish(self) -> Learned:
        return Learned(scale_params(0.0, self._largest, -1.0, 1.0))


MAX_ABS_SCALER = Operator(scale_shapes, scale_words, scale, _Fitter)
