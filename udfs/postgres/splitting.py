"""Machine code that splits packed columns into values and validity: see ``packed`` for the bytes, and for the plain twins."""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel


@kernel
def split_fixed(data, width, values, valid):
    """Copy the elements' bytes (``width`` each) to ``values``, and to ``valid`` whether they are there."""
    at = 0
    for i in range(valid.shape[0]):
        present = data[at] < 128  # the length's sign
        at += 4
        valid[i] = present
        if present:
            for k in range(width):
                values[i * width + k] = data[at + k]
            at += width


@kernel
def split_variable(data, offsets, content, valid):
    """Copy the elements' bytes to ``content``, one after the other, with Arrow's offsets; NULLs are empty."""
    at = filled = np.int64(0)
    offsets[0] = 0
    for i in range(valid.shape[0]):
        present = data[at] < 128
        length = np.int64(0)
        if present:
            for k in range(4):
                length = length << 8 | np.int64(data[at + k])
        at += 4
        valid[i] = present
        for k in range(length):
            content[filled + k] = data[at + k]
        at += length
        filled += length
        offsets[i + 1] = filled
