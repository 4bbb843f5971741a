"""One of two values of a shape, by a condition: the first where it is true, the second where it is false or missing.

CASE is a chain of choices from its last branch to its first; COALESCE(a, b) chooses b where a is NULL.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.operator import ROWS, Operator, Shape, Words, require, words


def choice(params, rows, n):
    """``params``: rows of 64 bits, rows of bytes; ``rows``: condition, first value, second value, out."""
    head = view(params, np.int64, 2)
    wide = head[0]
    count = head[0] + head[1]
    row = view(rows, np.int64, 1 + 3 * count)
    condition = view(row[0], np.float64, n)
    for k in range(count):
        if k < wide:
            first = view(row[1 + k], np.int64, n)
            second = view(row[1 + count + k], np.int64, n)
            out = view(row[1 + 2 * count + k], np.int64, n)
            for i in range(n):
                out[i] = first[i] if condition[i] == 1.0 else second[i]
        else:
            first_byte = view(row[1 + k], np.uint8, n)
            second_byte = view(row[1 + count + k], np.uint8, n)
            out_byte = view(row[1 + 2 * count + k], np.uint8, n)
            for i in range(n):
                out_byte[i] = first_byte[i] if condition[i] == 1.0 else second_byte[i]


def choice_reference(condition, first, second):
    """The numpy twin."""
    return np.where(condition == 1, first, second)


def _encode_of(shape: Shape):
    def encode(step: Step) -> Words:
        return words(1, 0) if shape == "number" else words(ROWS[shape] - 1, 1)

    return encode


def _shapes_of(shape: Shape):
    def shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        require(
            inputs == ("number", shape, shape), step, f"its inputs are not a condition and two registers of {shape}"
        )
        return (shape,)

    return shapes


NUMBER_CHOICE = Operator(_shapes_of("number"), _encode_of("number"), choice)
TIME_CHOICE = Operator(_shapes_of("time"), _encode_of("time"), choice)
TEXT_CHOICE = Operator(_shapes_of("text"), _encode_of("text"), choice)
