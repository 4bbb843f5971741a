"""Statistics of columns in one pass: raw blocks in, count, extremes, mean and standard deviation out, however rows are cut.

Sums run row by row with Neumaier's compensation, so that they depend on the sequence of rows only and are right to the last bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udfs.columns import RawBlock
from udfs.jit import kernel

# Columns of the table of sums, one row a number column.
COUNT, LOW, HIGH, SHIFT, SUM, SUM_ERROR, SQUARES, SQUARES_ERROR = range(8)


@kernel
def add_values(values, sums):
    """Takes one column's values in; NaN is missing. Values are shifted by the first so that squares do not cancel."""
    for i in range(values.shape[0]):
        value = values[i]
        if value != value:  # noqa: PLR0124 - NaN alone differs from itself
            continue
        if sums[COUNT] == 0.0:
            sums[LOW] = value
            sums[HIGH] = value
            sums[SHIFT] = value
        sums[COUNT] += 1.0
        sums[LOW] = min(sums[LOW], value)
        sums[HIGH] = max(sums[HIGH], value)
        term = value - sums[SHIFT]
        for place in range(SUM, SQUARES + 1, 2):
            total = sums[place] + term
            if abs(sums[place]) >= abs(term):
                sums[place + 1] += (sums[place] - total) + term
            else:
                sums[place + 1] += (term - total) + sums[place]
            sums[place] = total
            term = term * term


class ColumnSums:
    """Sums of some number columns, given by their rows in the raw block."""

    def __init__(self, rows: list[int]) -> None:
        self._rows = rows
        self._sums = np.zeros((len(rows), 8))

    def add(self, block: RawBlock) -> None:
        """Takes a block in."""
        for row, sums in zip(self._rows, self._sums, strict=True):
            add_values(block.raw[row].view(np.float64), sums)

    def summary(self, index: int) -> tuple[int, float, float, float, float] | None:
        """Count, minimum, maximum, mean and sample standard deviation of a column; None where it is all missing."""
        sums: npt.NDArray[np.float64] = self._sums[index]
        count = sums[COUNT]
        if count == 0:
            return None
        offset = (sums[SUM] + sums[SUM_ERROR]) / count
        squares = sums[SQUARES] + sums[SQUARES_ERROR]
        variance = max(squares - count * offset * offset, 0.0) / (count - 1) if count > 1 else 0.0
        mean = float(sums[SHIFT] + offset)
        return int(count), float(sums[LOW]), float(sums[HIGH]), mean, float(np.sqrt(variance))
