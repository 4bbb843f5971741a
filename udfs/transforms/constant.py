"""A register that holds one value in every row: a number, a point in time, a text, or NULL."""

from __future__ import annotations

import numpy as np

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, param, require, require_shapes, words


def number_constant(params, rows, n):
    """``params``: the value; ``rows``: out."""
    value = view(params, np.float64, 1)[0]
    out = view(view(rows, np.int64, 1)[0], np.float64, n)
    for i in range(n):
        out[i] = value


def time_constant(params, rows, n):
    """``params``: microseconds, null; ``rows``: out, out nulls."""
    values = view(params, np.int64, 2)
    row = view(rows, np.int64, 2)
    out = view(row[0], np.int64, n)
    nulls = view(row[1], np.uint8, n)
    for i in range(n):
        out[i] = values[0]
        nulls[i] = np.uint8(values[1])


def text_constant(params, rows, n):
    """``params``: length, null, bytes; ``rows``: out addresses, lengths, nulls."""
    values = view(params, np.int64, 2)
    row = view(rows, np.int64, 3)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    for i in range(n):
        addresses[i] = params + 16
        lengths[i] = values[0]
        nulls[i] = np.uint8(values[1])


def _number_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ())
    value = step.params.get("value")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    require(value is None or number, step, "its value is not a number")
    return ("number",)


def _number_words(step: Step) -> Words:
    value = step.params["value"]
    return words(float("nan") if value is None else float(value))


def _time_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ())
    value = step.params.get("value")
    micros = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    require(value is None or micros, step, "its value is not a count of microseconds")
    return ("time",)


def _time_words(step: Step) -> Words:
    value = step.params["value"]
    return words(0 if value is None else value, int(value is None))


def _text_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ())
    require(step.params.get("value") is None or param(step, "value", str) is not None, step, "its value is not text")
    return ("text",)


def _text_words(step: Step) -> Words:
    value = step.params["value"]
    data = np.frombuffer((value or "").encode("utf-8", "surrogateescape"), np.uint8)
    return words(len(data), int(value is None), data)


NUMBER_CONSTANT = Operator(_number_shapes, _number_words, number_constant)
TIME_CONSTANT = Operator(_time_shapes, _time_words, time_constant)
TEXT_CONSTANT = Operator(_text_shapes, _text_words, text_constant)
