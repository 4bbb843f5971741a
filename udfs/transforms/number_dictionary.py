"""Numbers declared categorical to codes: the position among the values training saw, most frequent first.

    code(x) = codes[i] where values[i] = x;  null_code where x is missing;  -1 otherwise

``values`` is ascending for the binary search; ``codes`` are ranks by frequency, ties to the smaller value. The limit on levels is
that of text dictionaries.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.counts import NumberCounter
from udfs.transforms.dictionary import LEVEL_LIMIT
from udfs.transforms.operator import (
    Batch,
    Learned,
    Operator,
    Output,
    Shape,
    Words,
    array_param,
    param,
    require,
    require_shapes,
    words,
)


def number_dictionary(params, rows, n):
    """``params``: count, null code, values, codes; ``rows``: x, out."""
    head = view(params, np.int64, 2)
    count = head[0]
    values = view(params + 16, np.float64, count)
    codes = view(params + 16 + 8 * count, np.int64, count)
    row = view(rows, np.int64, 2)
    x = view(row[0], np.float64, n)
    out = view(row[1], np.float64, n)
    for i in range(n):
        value = x[i]
        if np.isnan(value):
            out[i] = float(head[1])
            continue
        low = 0
        high = count
        while low < high:
            middle = (low + high) >> 1
            if values[middle] < value:
                low = middle + 1
            else:
                high = middle
        out[i] = float(codes[low]) if low < count and values[low] == value else -1.0


def number_dictionary_reference(
    x: npt.NDArray[np.float64], values: npt.NDArray[np.float64], codes: npt.NDArray[np.int64], null_code: int
) -> npt.NDArray[np.float64]:
    """The twin in plain Python."""
    table = dict(zip(values.tolist(), codes.tolist(), strict=True))
    return np.array([null_code if np.isnan(v) else table.get(v, -1) for v in x], np.float64)


def level_text(value: float) -> str:
    """A number as people write it: whole ones without a fraction."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("number",))
    values = array_param(step, "values", np.float64)
    codes = array_param(step, "codes", np.int64, len(values))
    require(bool((np.diff(values) > 0).all()) and not np.isnan(values).any(), step, "its values are not ascending")
    require(np.array_equal(np.sort(codes), np.arange(len(codes))), step, "its codes are not a permutation")
    require(-1 <= param(step, "null_code", int) <= len(values), step, "its NULL code is out of range")
    return ("number",)


def _encode(step: Step) -> Words:
    values = step.params["values"]
    return words(len(values), step.params["null_code"], values, step.params["codes"])


def _describe(step: Step) -> tuple[Output, ...]:
    order = np.argsort(step.params["codes"])
    levels: list[str | None] = [level_text(value) for value in step.params["values"][order].tolist()]
    if step.params["null_code"] == len(levels):
        levels.append(None)
    return (Output(categorical=True, levels=tuple(levels)),)


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._counter = NumberCounter()

    def update(self, batch: Batch) -> None:
        self._counter.update(batch.values[0] + 0.0)  # -0.0 is 0.0

    def finish(self) -> Learned:
        values, counts = self._counter.counts()
        ranked = np.lexsort((values, -counts))[:LEVEL_LIMIT]
        codes = np.empty(len(values), np.int64)
        codes[ranked] = np.arange(len(ranked))
        kept = np.sort(ranked)
        null_code = len(kept) if self._counter.missing else -1
        params = {"values": values[kept], "codes": codes[kept], "null_code": null_code}
        return Learned(params, dropped=len(values) - len(kept))


NUMBER_DICTIONARY = Operator(_shapes, _encode, number_dictionary, _Fitter, _describe)
