"""ML.LABEL_ENCODER(text [, top_k] [, frequency_threshold]): the text's number in the alphabetical vocabulary, from 1.

NULL and texts outside the vocabulary are 0. See ``vocabulary`` for which texts are kept.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.counts import TextCounter
from udfs.transforms.dictionary import texts, texts_param
from udfs.transforms.operator import Batch, Learned, Operator, Shape, Words, require_shapes, words
from udfs.transforms.text import find_text, text_table
from udfs.transforms.vocabulary import chosen_texts, in_byte_order, kept_settings


def label_encode(params, rows, n):
    """``params``: mask, table; ``rows``: addresses, lengths, nulls, out."""
    mask = view(params, np.int64, 1)[0]
    table = params + 8
    blob = table + (mask + 1) * 32
    row = view(rows, np.int64, 4)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    out = view(row[3], np.float64, n)
    for i in range(n):
        out[i] = 0.0
        if nulls[i] == 0:
            out[i] = np.float64(find_text(table, mask, blob, addresses[i], lengths[i]) + 1)


def label_encode_reference(values: list[str | None], vocabulary: list[str]) -> np.ndarray:
    """The twin in plain Python."""
    return np.array([0.0 if v not in vocabulary else vocabulary.index(v) + 1.0 for v in values])


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require_shapes(step, inputs, ("text",))
    if "vocabulary" in step.params:
        texts_param(step, "vocabulary")
    return ("number",)


def _encode(step: Step) -> Words:
    return words(*text_table(*texts_param(step, "vocabulary")))


class _Fitter:
    def __init__(self, step: Step) -> None:
        self._settings = step.params
        self._counter = TextCounter()

    def update(self, batch: Batch) -> None:
        self._counter.update(batch.values[0])

    def finish(self) -> Learned:
        kept = in_byte_order(chosen_texts(self._counter, self._settings))
        return Learned({**kept_settings(self._settings), **texts("vocabulary", kept)})


LABEL_ENCODER = Operator(_shapes, _encode, label_encode, _Fitter)
