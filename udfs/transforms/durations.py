"""Points in time to whole units between them, and to the start of a unit.

    time_difference   floor(b / unit) - floor(a / unit): how many boundaries of the unit lie between a and b, as date_diff
    time_floor        the start of the unit: a timestamp's date is its floor to a day

``offset`` moves the boundaries: weeks begin on Mondays, 1970-01-01 was a Thursday.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, param, require, require_shapes, words


def time_difference(params, rows, n):
    """``params``: unit, offset; ``rows``: a, nulls, b, nulls, out."""
    head = view(params, np.int64, 2)
    row = view(rows, np.int64, 5)
    a = view(row[0], np.int64, n)
    a_nulls = view(row[1], np.uint8, n)
    b = view(row[2], np.int64, n)
    b_nulls = view(row[3], np.uint8, n)
    out = view(row[4], np.float64, n)
    for i in range(n):
        if a_nulls[i] or b_nulls[i]:
            out[i] = np.nan
        else:
            out[i] = float((b[i] + head[1]) // head[0] - (a[i] + head[1]) // head[0])


def time_floor(params, rows, n):
    """``params``: unit, offset; ``rows``: time, nulls, out, out nulls."""
    head = view(params, np.int64, 2)
    row = view(rows, np.int64, 4)
    times = view(row[0], np.int64, n)
    nulls = view(row[1], np.uint8, n)
    out = view(row[2], np.int64, n)
    out_nulls = view(row[3], np.uint8, n)
    for i in range(n):
        out[i] = (times[i] + head[1]) // head[0] * head[0] - head[1]
        out_nulls[i] = nulls[i]


def time_difference_reference(a, b, unit, offset=0):
    """The numpy twin, on int64 without NULLs."""
    return ((b + offset) // unit - (a + offset) // unit).astype(np.float64)


def _shapes_of(inputs_wanted: tuple[Shape, ...], output: Shape):
    def shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        require_shapes(step, inputs, inputs_wanted)
        unit = param(step, "unit", int)
        require(0 < unit <= 10**13 and 0 <= step.params.get("offset", 0) < unit, step, "its unit is out of range")
        return (output,)

    return shapes


def _encode(step: Step) -> Words:
    return words(step.params["unit"], step.params.get("offset", 0))


TIME_DIFFERENCE = Operator(_shapes_of(("time", "time"), "number"), _encode, time_difference)
TIME_FLOOR = Operator(_shapes_of(("time",), "time"), _encode, time_floor)
