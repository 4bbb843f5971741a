"""Boolean logic of three values (0, 1, missing) and tests for NULL.

and     0 if either is 0, else missing if either is, else 1        or   the same with 1 and 0 exchanged
truth   x <> 0: a number as a boolean
is_true, is_false: never missing
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, param, require, require_shapes, words

BINARY = ("and", "or")
UNARY = ("not", "truth", "is_null", "is_true", "is_false")


def logic(params, rows, n):
    """``params``: 0 for and, 1 for or; ``rows``: a, b, out."""
    decisive = float(view(params, np.int64, 1)[0])
    row = view(rows, np.int64, 3)
    a = view(row[0], np.float64, n)
    b = view(row[1], np.float64, n)
    out = view(row[2], np.float64, n)
    for i in range(n):
        if a[i] == decisive or b[i] == decisive:
            out[i] = decisive
        elif np.isnan(a[i]) or np.isnan(b[i]):
            out[i] = np.nan
        else:
            out[i] = 1.0 - decisive


def logic_reference(function: str, a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numpy twin."""
    decisive = float(BINARY.index(function))
    known = np.where(np.isnan(a) | np.isnan(b), np.nan, 1 - decisive)
    return np.asarray(np.where((a == decisive) | (b == decisive), decisive, known))


def truth(params, rows, n):
    """``params``: function; ``rows``: x, out."""
    function = view(params, np.int64, 1)[0]
    row = view(rows, np.int64, 2)
    x = view(row[0], np.float64, n)
    out = view(row[1], np.float64, n)
    for i in range(n):
        missing = np.isnan(x[i])
        if function == 0:
            out[i] = np.nan if missing else np.float64(x[i] == 0)
        elif function == 1:
            out[i] = np.nan if missing else np.float64(x[i] != 0)
        elif function == 2:
            out[i] = np.float64(missing)
        elif function == 3:
            out[i] = np.float64(not missing and x[i] != 0)
        else:
            out[i] = np.float64(x[i] == 0)


def truth_reference(function: str, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numpy twin."""
    missing = np.isnan(x)
    result = {
        "not": np.where(missing, np.nan, x == 0),
        "truth": np.where(missing, np.nan, x != 0),
        "is_null": missing,
        "is_true": ~missing & (x != 0),
        "is_false": x == 0,
    }[function]
    return np.asarray(result, np.float64)


def null_byte(params, rows, n):
    """``params``: number of rows before the null bytes; ``rows``: those rows, null bytes, out."""
    skip = view(params, np.int64, 1)[0]
    row = view(rows, np.int64, skip + 2)
    nulls = view(row[skip], np.uint8, n)
    out = view(row[skip + 1], np.float64, n)
    for i in range(n):
        out[i] = np.float64(nulls[i] != 0)


def _logic_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("number", "number"))
    require(param(step, "function", str) in BINARY, step, "it names an unknown function")
    return ("number",)


def _truth_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("number",))
    require(param(step, "function", str) in UNARY, step, "it names an unknown function")
    return ("number",)


def _null_shapes_of(shape: Shape):
    def shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        require_shapes(step, inputs, (shape,))
        return ("number",)

    return shapes


LOGIC = Operator(_logic_shapes, lambda step: words(BINARY.index(step.params["function"])), logic)
TRUTH = Operator(_truth_shapes, lambda step: words(UNARY.index(step.params["function"])), truth)
TIME_IS_NULL = Operator(_null_shapes_of("time"), lambda step: words(1), null_byte)
TEXT_IS_NULL = Operator(_null_shapes_of("text"), lambda step: words(2), null_byte)
