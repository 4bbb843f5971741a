"""Text to category codes: the position of the text among the levels that training saw, most frequent first.

    code(x) = i where levels[i] = x;  len(levels) where x is NULL and training saw NULL;  -1 otherwise

Levels are ordered by how often training saw them, ties by their UTF-8 bytes. At most ``LEVEL_LIMIT`` are kept: rarer ones are
scored as unseen, as LightGBM treats any category it does not know. ``null_code`` is -1 where training saw no NULL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.counts import TextCounter
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
from udfs.transforms.text import find_text, pack_texts, text_table, unpack_texts

LEVEL_LIMIT = 65_535


def dictionary(params, rows, n):
    """``params``: mask, null code, table; ``rows``: addresses, lengths, nulls, out."""
    head = view(params, np.int64, 2)
    mask = head[0]
    null_code = float(head[1])
    table = params + 16
    blob = table + (mask + 1) * 32
    row = view(rows, np.int64, 4)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    out = view(row[3], np.float64, n)
    for i in range(n):
        if nulls[i]:
            out[i] = null_code
        else:
            out[i] = float(find_text(table, mask, blob, addresses[i], lengths[i]))


def dictionary_reference(values: list[str | None], levels: list[str], null_code: int) -> np.ndarray[Any, Any]:
    """The twin in plain Python."""
    codes = {level: code for code, level in enumerate(levels)}
    return np.array([null_code if v is None else codes.get(v, -1) for v in values], np.float64)


def texts_param(step: Step, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A list of texts kept as the byte array ``name`` and its ``name_offsets``, checked."""
    blob = array_param(step, name, np.uint8)
    offsets = array_param(step, f"{name}_offsets", np.int64)
    require(len(offsets) >= 1 and offsets[0] == 0 and offsets[-1] == len(blob), step, "its texts do not add up")
    require(bool((np.diff(offsets) >= 0).all()), step, "its texts run backwards")
    return blob, offsets


def texts(name: str, values: list[str]) -> dict[str, Any]:
    """Texts as parameters, the inverse of ``texts_param``."""
    blob, offsets = pack_texts(values)
    return {name: blob, f"{name}_offsets": offsets}


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("text",))
    _, offsets = texts_param(step, "levels")
    code = param(step, "null_code", int)
    require(-1 <= code <= len(offsets) - 1, step, "its NULL code is out of range")
    return ("number",)


def _encode(step: Step) -> Words:
    mask, table = text_table(*texts_param(step, "levels"))
    return words(mask, step.params["null_code"], table)


def _describe(step: Step) -> tuple[Output, ...]:
    levels: list[str | None] = [*unpack_texts(*texts_param(step, "levels"))]
    if step.params["null_code"] == len(levels):
        levels.append(None)
    return (Output(categorical=True, levels=tuple(levels)),)


class _Fitter:
    """Counts texts; ``impute`` gives NULL the code of the most frequent one instead of its own."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._counter = TextCounter()

    def update(self, batch: Batch) -> None:
        array: pa.Array = batch.values[0]
        self._counter.update(array)

    def finish(self) -> Learned:
        levels, _ = self._counter.most_frequent(LEVEL_LIMIT)
        null_code = len(levels) if self._counter.nulls else -1
        if self._step.params.get("impute") and levels:
            null_code = 0
        dropped = self._counter.distinct() - len(levels)
        return Learned({**texts("levels", levels), "null_code": null_code}, dropped=dropped)


DICTIONARY = Operator(_shapes, _encode, dictionary, _Fitter, _describe)
