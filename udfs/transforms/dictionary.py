"""Text to category codes: the position of the text among the levels that training saw, most frequent first.

    code(x) = i where levels[i] = x;  len(levels) where x is NULL and training saw NULL;  -1 otherwise

Levels are ordered by how often training saw them, ties by their UTF-8 bytes. At most ``LEVEL_LIMIT`` are kept: rarer ones are
scored as unseen, as LightGBM treats any category it does not know. ``null_code`` is -1 where training saw no NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.jit import peek, poke, scratch, word
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

if TYPE_CHECKING:
    import pyarrow as pa

LEVEL_LIMIT = 65_535


def dictionary(params, rows, n):
    """``params``: mask, null code, table; ``rows``: addresses, lengths, nulls, out.

    A column that is compressed by a dictionary has few addresses, all of texts that stay where they are: most rows have the address
    of a row before them, hence its code. (Nothing is at address 0, where an empty text may be said to be.)
    """
    mask, null_code = word(params, 0), float(word(params, 1))
    table = params + 16
    blob = table + (mask + 1) * 32
    addresses, lengths, nulls, out = word(rows, 0), word(rows, 1), word(rows, 2), word(rows, 3)
    known = scratch()
    for i in range(n):
        address, length = word(addresses, i), word(lengths, i)
        slot = known + 32 * ((address >> 4) & 31)
        if peek(nulls, np.uint8, i) != 0:
            poke(out, np.float64, i, null_code)
        elif address != 0 and word(slot, 0) == address and word(slot, 1) == length:
            poke(out, np.float64, i, peek(slot, np.float64, 2))
        else:
            code = float(find_text(table, mask, blob, address, length))
            poke(out, np.float64, i, code)
            poke(slot, np.int64, 0, address)
            poke(slot, np.int64, 1, length)
            poke(slot, np.float64, 2, code)


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
