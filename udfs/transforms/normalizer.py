"""ML.NORMALIZER([a, b, ...] [, p]): the values of a row divided by their p-norm (2 unless given).

    p = 0: the number of values that are not 0;  p = infinity: the largest magnitude;  else (sum |x|^p)^(1/p)

A row with a missing value is missing altogether; a norm of 0 leaves the row as it is.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, require, words


def normalize(params, rows, n):
    """``params``: count, p; ``rows``: the inputs, the outputs."""
    count = view(params, np.int64, 1)[0]
    p = view(params + 8, np.float64, 1)[0]
    row = view(rows, np.int64, 2 * count)
    for i in range(n):
        norm = 0.0
        for k in range(count):
            x = abs(view(row[k], np.float64, n)[i])
            if np.isnan(x):
                norm = np.nan
            elif p == 0.0:
                norm += np.float64(x != 0.0)
            elif np.isinf(p):
                norm = x if x > norm else norm  # noqa: FURB136 - NaN stays
            elif p == 1.0:
                norm += x
            elif p == 2.0:
                norm += x * x
            else:
                norm += math.pow(x, p)
        if p == 2.0:
            norm = np.sqrt(norm)
        elif p not in (0.0, 1.0) and not np.isinf(p):
            norm = math.pow(norm, 1.0 / p)
        for k in range(count):
            out = view(row[count + k], np.float64, n)
            out[i] = view(row[k], np.float64, n)[i] / (1.0 if norm == 0.0 else norm)


def normalize_reference(x: npt.NDArray[np.float64], p: float) -> npt.NDArray[np.float64]:
    """The numpy twin, one row a value."""
    norm = np.linalg.norm(x, p, axis=0)
    return np.asarray(x / np.where(norm == 0, 1, norm))


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require(inputs and set(inputs) == {"number"}, step, "its inputs are not numbers")
    require(len(inputs) == len(step.outputs), step, "it has not one output an input")
    p = step.params.get("p")
    require(isinstance(p, int | float) and (p == 0 or p >= 1), step, "its p is out of range")
    return inputs


def _encode(step: Step) -> Words:
    return words(len(step.inputs), float(step.params["p"]))


NORMALIZER = Operator(_shapes, _encode, normalize)
