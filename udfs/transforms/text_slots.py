"""Text as two numeric rows, its address and its length (-1 = NULL), so that a fit can look at computed text."""

from __future__ import annotations

import numpy as np

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, require_shapes


def text_slots(params, rows, n):
    """``rows``: addresses, lengths, nulls, out addresses, out lengths (as bits)."""
    row = view(rows, np.int64, 5)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    out_addresses = view(row[3], np.int64, n)
    out_lengths = view(row[4], np.int64, n)
    for i in range(n):
        out_addresses[i] = addresses[i]
        out_lengths[i] = -1 if nulls[i] else lengths[i]


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("text",))
    return ("number", "number")


def _encode(step: Step) -> Words:
    return np.zeros(0, np.int64)


TEXT_SLOTS = Operator(_shapes, _encode, text_slots)
