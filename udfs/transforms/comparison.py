"""Two values of one shape to a boolean: numbers, points in time, or text in the order of its UTF-8 bytes.

A missing operand gives a missing result, but for ``distinct`` and ``not_distinct``, which never do. NaN counts as NULL here, where
DuckDB takes it for a number above all others.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel, view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, param, require, words
from udfs.transforms.text import compare_bytes, same_bytes

FUNCTIONS = ("eq", "ne", "lt", "le", "gt", "ge", "distinct", "not_distinct")


@kernel
def verdict(function, order, a_missing, b_missing):  # noqa: PLR0911 - compiled
    """The result for an order (below, equal or above zero) of two operands."""
    if a_missing or b_missing:
        if function < 6:
            return np.nan
        return np.float64((a_missing != b_missing) == (function == 6))
    if function == 0 or function == 7:  # noqa: PLR1714 - compiled: a set would be built
        return np.float64(order == 0)
    if function == 1 or function == 6:  # noqa: PLR1714
        return np.float64(order != 0)
    if function == 2:
        return np.float64(order < 0)
    if function == 3:
        return np.float64(order <= 0)
    return np.float64(order > 0) if function == 4 else np.float64(order >= 0)


def number_comparison(params, rows, n):
    """``params``: function; ``rows``: a, b, out."""
    function = view(params, np.int64, 1)[0]
    row = view(rows, np.int64, 3)
    a = view(row[0], np.float64, n)
    b = view(row[1], np.float64, n)
    out = view(row[2], np.float64, n)
    for i in range(n):
        order = np.int64(a[i] > b[i]) - np.int64(a[i] < b[i])
        out[i] = verdict(function, order, np.isnan(a[i]), np.isnan(b[i]))


def time_comparison(params, rows, n):
    """``params``: function; ``rows``: a, nulls, b, nulls, out."""
    function = view(params, np.int64, 1)[0]
    row = view(rows, np.int64, 5)
    a = view(row[0], np.int64, n)
    a_nulls = view(row[1], np.uint8, n)
    b = view(row[2], np.int64, n)
    b_nulls = view(row[3], np.uint8, n)
    out = view(row[4], np.float64, n)
    for i in range(n):
        order = np.int64(a[i] > b[i]) - np.int64(a[i] < b[i])
        out[i] = verdict(function, order, a_nulls[i] != 0, b_nulls[i] != 0)


def text_comparison(params, rows, n):
    """``params``: function; ``rows``: addresses, lengths, nulls of a, then of b, out."""
    function = view(params, np.int64, 1)[0]
    row = view(rows, np.int64, 7)
    a = view(row[0], np.int64, n)
    a_lengths = view(row[1], np.int64, n)
    a_nulls = view(row[2], np.uint8, n)
    b = view(row[3], np.int64, n)
    b_lengths = view(row[4], np.int64, n)
    b_nulls = view(row[5], np.uint8, n)
    out = view(row[6], np.float64, n)
    for i in range(n):
        order = np.int64(0)
        if a_nulls[i] == 0 and b_nulls[i] == 0:
            if function < 2 or function > 5:
                same = a_lengths[i] == b_lengths[i] and same_bytes(a[i], b[i], a_lengths[i])
                order = np.int64(not same)
            else:
                order = compare_bytes(a[i], a_lengths[i], b[i], b_lengths[i])
        out[i] = verdict(function, order, a_nulls[i] != 0, b_nulls[i] != 0)


def comparison_reference(function, a, b):
    """The twin in plain Python; None is missing."""
    if a is None or b is None:
        if function == "distinct":
            return float((a is None) != (b is None))
        return float(a is None and b is None) if function == "not_distinct" else None
    return float(
        {
            "eq": a == b,
            "ne": a != b,
            "lt": a < b,
            "le": a <= b,
            "gt": a > b,
            "ge": a >= b,
            "distinct": a != b,
            "not_distinct": a == b,
        }[function]
    )


def _shapes_of(shape: Shape):
    def shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        require(inputs == (shape, shape), step, f"its inputs are not two registers of {shape}")
        require(param(step, "function", str) in FUNCTIONS, step, "it names an unknown function")
        return ("number",)

    return shapes


def _encode(step: Step) -> Words:
    return words(FUNCTIONS.index(step.params["function"]))


NUMBER_COMPARISON = Operator(_shapes_of("number"), _encode, number_comparison)
TIME_COMPARISON = Operator(_shapes_of("time"), _encode, time_comparison)
TEXT_COMPARISON = Operator(_shapes_of("text"), _encode, text_comparison)
