"""Two numbers to one, as DuckDB computes them on doubles; a missing operand gives a missing result.

    divide             a / b                      (IEEE: 1 / 0 is infinite)
    truncated_divide   trunc(a / b), b = 0: NULL  (whole numbers; DuckDB raises an error for b = 0)
    modulo             fmod(a, b), b = 0: NULL    (the sign of a; DuckDB raises an error for whole numbers and b = 0)
    least, greatest    skip missing operands

With ``single`` the result is rounded to float32, which equals float32 arithmetic for one operation on float32 operands.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, param, require, require_shapes, words

FUNCTIONS = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "truncated_divide",
    "modulo",
    "power",
    "least",
    "greatest",
)


def arithmetic(params, rows, n):
    """``params``: function, single; ``rows``: a, b, out."""
    head = view(params, np.int64, 2)
    function = head[0]
    row = view(rows, np.int64, 3)
    a = view(row[0], np.float64, n)
    b = view(row[1], np.float64, n)
    out = view(row[2], np.float64, n)
    if function == 0:
        for i in range(n):
            out[i] = a[i] + b[i]
    elif function == 1:
        for i in range(n):
            out[i] = a[i] - b[i]
    elif function == 2:
        for i in range(n):
            out[i] = a[i] * b[i]
    elif function == 3:
        for i in range(n):
            out[i] = a[i] / b[i]
    elif function == 4:
        for i in range(n):
            # fmod first: the plain quotient may round up to the next whole number
            out[i] = np.nan if b[i] == 0 else np.trunc((a[i] - np.fmod(a[i], b[i])) / b[i])
    elif function == 5:
        for i in range(n):
            out[i] = np.nan if b[i] == 0 else np.fmod(a[i], b[i])
    elif function == 6:
        for i in range(n):
            missing = np.isnan(a[i]) or np.isnan(b[i])
            out[i] = np.nan if missing else math.pow(a[i], b[i])
    elif function == 7:
        for i in range(n):
            out[i] = b[i] if np.isnan(a[i]) or b[i] < a[i] else a[i]
    else:
        for i in range(n):
            out[i] = b[i] if np.isnan(a[i]) or b[i] > a[i] else a[i]
    if head[1]:
        for i in range(n):
            out[i] = np.float64(np.float32(out[i]))


def arithmetic_reference(
    function: str, a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The numpy twin."""
    with np.errstate(all="ignore"):
        return np.asarray(
            {
                "add": lambda: a + b,
                "subtract": lambda: a - b,
                "multiply": lambda: a * b,
                "divide": lambda: a / b,
                "truncated_divide": lambda: np.where(b == 0, np.nan, np.trunc((a - np.fmod(a, b)) / b)),
                "modulo": lambda: np.where(b == 0, np.nan, np.fmod(a, b)),
                "power": lambda: np.where(np.isnan(a) | np.isnan(b), np.nan, np.power(a, b)),
                "least": lambda: np.fmin(a, b),
                "greatest": lambda: np.fmax(a, b),
            }[function]()
        )


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("number", "number"))
    require(param(step, "function", str) in FUNCTIONS, step, "it names an unknown function")
    return ("number",)


def _encode(step: Step) -> Words:
    return words(FUNCTIONS.index(step.params["function"]), int(bool(step.params.get("single"))))


ARITHMETIC = Operator(_shapes, _encode, arithmetic)
