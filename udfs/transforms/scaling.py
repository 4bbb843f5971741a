"""The kernel that the scalers share, and the sums they learn from.

out = clip((x - shift) / divisor, low, high)        a divisor of 0 (a constant column) is taken for 1
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from udfs.jit import kernel, view
from udfs.model import Step
from udfs.transforms.operator import Params, Shape, Words, require, require_shapes, words


def scale(params, rows, n):
    """``params``: shift, divisor, low, high; ``rows``: x, out."""
    values = view(params, np.float64, 4)
    shift, divisor, low, high = values[0], values[1], values[2], values[3]
    row = view(rows, np.int64, 2)
    x = view(row[0], np.float64, n)
    out = view(row[1], np.float64, n)
    for i in range(n):
        scaled = (x[i] - shift) / divisor
        if scaled < low:  # noqa: PLR1730 - NaN stays
            scaled = low
        if scaled > high:  # noqa: PLR1730
            scaled = high
        out[i] = scaled


def scale_reference(
    x: npt.NDArray[np.float64], shift: float, divisor: float, low: float = -np.inf, high: float = np.inf
) -> npt.NDArray[np.float64]:
    """The numpy twin."""
    return np.clip((x - shift) / divisor, low, high)


def scale_params(shift: float, divisor: float, low: float = -np.inf, high: float = np.inf) -> Params:
    """Parameters of a fitted scaler."""
    safe = divisor if np.isfinite(divisor) and divisor != 0 else 1.0
    return {"scaling": np.array([shift if np.isfinite(shift) else 0.0, safe, low, high])}


def scale_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Checks of a scaler's step, fitted or not."""
    require_shapes(step, inputs, ("number",))
    values = step.params.get("scaling")
    right = values is None or (isinstance(values, np.ndarray) and values.dtype == np.float64 and values.shape == (4,))
    require(right, step, 'parameter "scaling" is not four numbers')
    return ("number",)


def scale_words(step: Step) -> Words:
    """The kernel's parameters."""
    require(step.params.get("scaling") is not None, step, "it is not fitted")
    return words(step.params["scaling"])


@kernel
def two_sum(a, b):
    """A sum and its rounding error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@kernel
def two_square(a):
    """A square and its rounding error (Dekker, with Veltkamp's splitting)."""
    product = a * a
    big = 134217729.0 * a
    high = big - (big - a)
    low = a - high
    return product, ((high * high - product) + 2.0 * high * low) + low * low


@kernel
def accumulate(values, sums):
    """Add finite values and their squares, row by row, to double-double ``sums``: count, sum, error, squares, error."""
    for i in range(len(values)):
        x = values[i]
        if not np.isfinite(x):
            continue
        sums[0] += 1.0
        sums[1], error = two_sum(sums[1], x)
        sums[2] += error
        square, square_error = two_square(x)
        sums[3], error = two_sum(sums[3], square)
        sums[4] += error + square_error


@dataclass(frozen=True)
class Moments:
    """How many finite values there were, their mean and their variance about it (sample variance)."""

    count: int
    mean: float
    variance: float


class MomentSums:
    """Mean and variance of a column in one pass: row by row in double-double, so that the cut into batches does not matter."""

    def __init__(self) -> None:
        self._sums = np.zeros(5)

    def update(self, values: npt.NDArray[np.float64]) -> None:
        """Add values; NaN and infinite ones do not count."""
        accumulate(np.ascontiguousarray(values), self._sums)

    def finish(self) -> Moments:
        """The moments so far; NaN without values."""
        count = int(self._sums[0])
        if count == 0 or not np.isfinite(self._sums).all():
            return Moments(count, float("nan"), float("nan"))
        total = Fraction(self._sums[1]) + Fraction(self._sums[2])
        squares = Fraction(self._sums[3]) + Fraction(self._sums[4])
        spread = max(squares - total * total / count, Fraction(0))
        return Moments(count, float(total / count), float(spread / (count - 1)) if count > 1 else 0.0)
