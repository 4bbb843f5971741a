"""Whether a value is in a list of constants: x IN (...), three-valued.

1 where x is in the list;  missing where x is, or where the list holds NULL and x is not in it;  else 0
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.dictionary import texts_param
from udfs.transforms.operator import Operator, Shape, Words, array_param, param, require_shapes, words
from udfs.transforms.text import find_text, text_table


def number_membership(params, rows, n):
    """``params``: count, has null, values; ``rows``: x, out."""
    head = view(params, np.int64, 2)
    values = view(params + 16, np.float64, head[0])
    absent = np.nan if head[1] else 0.0
    row = view(rows, np.int64, 2)
    x = view(row[0], np.float64, n)
    out = view(row[1], np.float64, n)
    for i in range(n):
        result = np.nan if np.isnan(x[i]) else absent
        for k in range(head[0]):
            if x[i] == values[k]:
                result = 1.0
        out[i] = result


def text_membership(params, rows, n):
    """``params``: mask, has null, table; ``rows``: addresses, lengths, nulls, out."""
    head = view(params, np.int64, 2)
    mask = head[0]
    absent = np.nan if head[1] else 0.0
    table = params + 16
    blob = table + (mask + 1) * 32
    row = view(rows, np.int64, 4)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    out = view(row[3], np.float64, n)
    for i in range(n):
        if nulls[i]:
            out[i] = np.nan
        else:
            out[i] = 1.0 if find_text(table, mask, blob, addresses[i], lengths[i]) >= 0 else absent


def number_membership_reference(
    x: npt.NDArray[np.float64], values: npt.NDArray[np.float64], *, has_null: bool
) -> npt.NDArray[np.float64]:
    """The numpy twin."""
    found = np.where(np.isin(x, values), 1.0, np.nan if has_null else 0.0)
    return np.asarray(np.where(np.isnan(x), np.nan, found))


def _number_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("number",))
    array_param(step, "values", np.float64)
    param(step, "has_null", bool)
    return ("number",)


def _number_words(step: Step) -> Words:
    values = step.params["values"]
    return words(len(values), int(step.params["has_null"]), values)


def _text_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("text",))
    texts_param(step, "values")
    param(step, "has_null", bool)
    return ("number",)


def _text_words(step: Step) -> Words:
    mask, table = text_table(*texts_param(step, "values"))
    return words(mask, int(step.params["has_null"]), table)


NUMBER_MEMBERSHIP = Operator(_number_shapes, _number_words, number_membership)
TEXT_MEMBERSHIP = Operator(_text_shapes, _text_words, text_membership)
