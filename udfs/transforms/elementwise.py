"""One number to one, as DuckDB computes it on a double; missing stays missing, and so does a result that is no number.

scaled        round_half_away(x * factor)     decimals to units of 10^-s: exact up to 2^51 units
unscaled      x / factor                      units back to a double, as CAST(decimal AS DOUBLE)
to_units      round_half_away(x * factor + sign(x) * 1e-9)   CAST(double AS DECIMAL): DuckDB nudges 2.675 over the half
rescaled      round_half_away(x / factor)     to fewer digits
round_digits  as DuckDB's round(double, digits): by ``factor`` = 10^digits (digits >= 0)
round_tens    the same for negative digits: ``factor`` = 10^-digits
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from udfs.jit import kernel, view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, param, require, require_shapes, words

FUNCTIONS = (
    "negate",
    "abs",
    "ln",
    "log10",
    "log2",
    "exp",
    "sqrt",
    "floor",
    "ceil",
    "trunc",
    "sign",
    "single",
    "half_even",
    "half_away",
    "scaled",
    "unscaled",
    "rescaled",
    "round_digits",
    "round_tens",
    "multiply",
    "sin",
    "cos",
    "tan",
    "to_units",
)


@kernel
def half_away(x):
    """Round to a whole number, halves away from zero, as C's round."""
    whole = np.trunc(x)
    return whole + np.copysign(1.0, x) if abs(x - whole) >= 0.5 else whole


@kernel
def round_digits(x, factor):
    """A value too large for the product is already whole."""
    product = x * factor
    return x if np.isinf(product) else half_away(product) / factor


@kernel
def apply_one(function, x, factor):  # noqa: PLR0911 - compiled
    """The functions without a loop of their own."""
    if function == 9:
        return np.trunc(x)
    if function == 10:
        return np.sign(x)
    if function == 11:
        return np.float64(np.float32(x))
    if function == 12:
        return np.rint(x)
    if function == 13:
        return half_away(x)
    if function == 14:
        return half_away(x * factor)
    if function == 16:
        return half_away(x / factor)
    if function == 17:
        return round_digits(x, factor)
    if function == 18:
        return half_away(x / factor) * factor
    if function == 19:
        return x * factor
    if function == 20:
        return math.sin(x)
    if function == 21:
        return math.cos(x)
    if function == 22:
        return math.tan(x)
    return half_away(x * factor + 1e-9 * np.sign(x))


def elementwise(params, rows, n):
    """``params``: function, factor; ``rows``: x, out."""
    function = view(params, np.int64, 1)[0]
    factor = view(params + 8, np.float64, 1)[0]
    row = view(rows, np.int64, 2)
    x = view(row[0], np.float64, n)
    out = view(row[1], np.float64, n)
    if function == 0:
        for i in range(n):
            out[i] = -x[i]
    elif function == 1:
        for i in range(n):
            out[i] = abs(x[i])
    elif function == 2:
        for i in range(n):
            out[i] = np.log(x[i])
    elif function == 3:
        for i in range(n):
            out[i] = np.log10(x[i])
    elif function == 4:
        for i in range(n):
            out[i] = np.log2(x[i])
    elif function == 5:
        for i in range(n):
            out[i] = np.exp(x[i])
    elif function == 6:
        for i in range(n):
            out[i] = np.sqrt(x[i])
    elif function == 7:
        for i in range(n):
            out[i] = np.floor(x[i])
    elif function == 8:
        for i in range(n):
            out[i] = np.ceil(x[i])
    elif function == 15:
        for i in range(n):
            out[i] = x[i] / factor
    else:
        for i in range(n):
            out[i] = apply_one(function, x[i], factor)


def elementwise_reference(function: str, x: npt.NDArray[np.float64], factor: float = 1.0) -> npt.NDArray[np.float64]:
    """The numpy twin."""

    def away(v: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        whole = np.trunc(v)
        return np.asarray(np.where(np.abs(v - whole) >= 0.5, whole + np.copysign(1.0, v), whole))

    with np.errstate(all="ignore"):
        return np.asarray(
            {
                "negate": lambda: -x,
                "abs": lambda: np.abs(x),
                "ln": lambda: np.log(x),
                "log10": lambda: np.log10(x),
                "log2": lambda: np.log2(x),
                "exp": lambda: np.exp(x),
                "sqrt": lambda: np.sqrt(x),
                "floor": lambda: np.floor(x),
                "ceil": lambda: np.ceil(x),
                "trunc": lambda: np.trunc(x),
                "sign": lambda: np.sign(x),
                "single": lambda: x.astype(np.float32).astype(np.float64),
                "half_even": lambda: np.rint(x),
                "half_away": lambda: away(x),
                "scaled": lambda: away(x * factor),
                "unscaled": lambda: x / factor,
                "rescaled": lambda: away(x / factor),
                "round_digits": lambda: np.where(np.isinf(x * factor), x, away(x * factor) / factor),
                "round_tens": lambda: away(x / factor) * factor,
                "multiply": lambda: x * factor,
                "sin": lambda: np.sin(x),
                "cos": lambda: np.cos(x),
                "tan": lambda: np.tan(x),
                "to_units": lambda: away(x * factor + 1e-9 * np.sign(x)),
            }[function]()
        )


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("number",))
    require(param(step, "function", str) in FUNCTIONS, step, "it names an unknown function")
    factor = step.params.get("factor", 1.0)
    require(isinstance(factor, int | float), step, "its factor is not a number")
    return ("number",)


def _encode(step: Step) -> Words:
    return words(FUNCTIONS.index(step.params["function"]), float(step.params.get("factor", 1.0)))


ELEMENTWISE = Operator(_shapes, _encode, elementwise)
