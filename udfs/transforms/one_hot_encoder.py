"""ML.ONE_HOT_ENCODER(text [, drop] [, top_k] [, frequency_threshold]): one feature a category, 1 where the text is it, else 0.

NULL and categories outside the vocabulary are 0 everywhere. With drop = 'most_frequent' that category has no feature (dummy
encoding). See ``vocabulary`` for which categories are kept.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.counts import TextCounter
from udfs.transforms.dictionary import texts, texts_param
from udfs.transforms.operator import Batch, Learned, Operator, Shape, Words, numbers, require, require_shapes, words
from udfs.transforms.text import find_text, text_table
from udfs.transforms.vocabulary import OUTPUT_LIMIT, chosen_texts, in_byte_order, kept_settings, suffixes


def one_hot(params, rows, n):
    """``params``: mask, count, table; ``rows``: addresses, lengths, nulls, one out a category."""
    head = view(params, np.int64, 2)
    mask = head[0]
    count = head[1]
    table = params + 16
    blob = table + (mask + 1) * 32
    row = view(rows, np.int64, 3 + count)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    for k in range(count):
        out = view(row[3 + k], np.float64, n)
        for i in range(n):
            out[i] = 0.0
    for i in range(n):
        if nulls[i] == 0:
            code = find_text(table, mask, blob, addresses[i], lengths[i])
            if 0 <= code < count:
                hit = view(row[3 + code], np.float64, n)
                hit[i] = 1.0


def one_hot_reference(values: list[str | None], vocabulary: list[str]) -> np.ndarray:
    """The numpy twin: one row a category."""
    return np.array([[float(value == word) for value in values] for word in vocabulary])


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("text",))
    if "vocabulary" not in step.params:
        return numbers(len(step.outputs))
    _, offsets = texts_param(step, "vocabulary")
    require(len(offsets) - 1 == len(step.outputs), step, "it has not one output a category")
    return numbers(len(step.outputs))


def _encode(step: Step) -> Words:
    mask, table = text_table(*texts_param(step, "vocabulary"))
    return words(mask, len(step.outputs), table)


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._settings = step.params
        self._counter = TextCounter()

    def update(self, batch: Batch) -> None:
        self._counter.update(batch.values[0])

    def finish(self) -> Learned:
        dropped = self._settings.get("drop", "none") == "most_frequent"
        chosen = chosen_texts(self._counter, self._settings, OUTPUT_LIMIT)
        kept = in_byte_order(chosen[1:] if dropped else chosen)
        return Learned({**kept_settings(self._settings), **texts("vocabulary", kept)}, suffixes(kept))


ONE_HOT_ENCODER = Operator(_shapes, _encode, one_hot, _Fitter)
