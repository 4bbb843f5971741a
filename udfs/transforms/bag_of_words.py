"""ML.BAG_OF_WORDS(tokens [, top_k] [, frequency_threshold]): one feature a term, how often the row's text has it.

``tokens`` is text (split at blanks, or by split(text, separator)), a list of text, or ML.NGRAMS of either; the terms are its tokens
or n-grams. A NULL text has no terms. See ``vocabulary`` for which terms are kept, ``tokens`` for what an n-gram is.

ML.MULTI_HOT_ENCODER(list [, top_k] [, frequency_threshold]) is the same with 1 for any number of times: see ``multi_hot_encoder``.
"""

from __future__ import annotations

import numpy as np

from udfs.jit import kernel, view
from udfs.model import Step
from udfs.transforms.counts import TextCounter
from udfs.transforms.dictionary import texts, texts_param
from udfs.transforms.operator import Batch, Learned, Operator, Shape, Words, numbers, require, require_shapes, words
from udfs.transforms.text import find_text, text_table
from udfs.transforms.tokens import check_tokens, display, next_token, ngram_texts, ngrams_reference
from udfs.transforms.vocabulary import OUTPUT_LIMIT, chosen_texts, in_byte_order, kept_settings, suffixes


@kernel
def count_terms(params, rows, address, length, i):
    """Find the n-grams of the text of row i among the terms, and count them in their rows."""
    head = view(params, np.int64, 6)
    mask, count, separator, low, high, presence = head[0], head[1], head[2], head[3], head[4], head[5]
    table = params + 48
    blob = table + (mask + 1) * 32
    row = view(rows, np.int64, 3 + count)
    start = 0
    while start <= length:
        end = start
        after = next_token(address, length, start, separator)
        for size in range(1, high + 1):
            end = next_token(address, length, end, separator)
            code = find_text(table, mask, blob, address + start, end - start) if size >= low else np.int64(-1)
            if 0 <= code < count:
                term = view(row[3 + code], np.float64, i + 1)
                term[i] = 1.0 if presence else term[i] + 1.0
            end += 1
            if end > length:
                break
        start = after + 1


def bag_of_words(params, rows, n):
    """``params``: mask, terms, separator, low, high, presence only, table; ``rows``: text, one out a term."""
    count = view(params, np.int64, 2)[1]
    row = view(rows, np.int64, 3 + count)
    addresses = view(row[0], np.int64, n)
    lengths = view(row[1], np.int64, n)
    nulls = view(row[2], np.uint8, n)
    for k in range(count):
        out = view(row[3 + k], np.float64, n)
        for i in range(n):
            out[i] = 0.0
    for i in range(n):
        if nulls[i] == 0 and lengths[i] > 0:
            count_terms(params, rows, addresses[i], lengths[i], i)


def bag_of_words_reference(values: list[str | None], vocabulary: list[str], separator: str, low: int, high: int):
    """The twin in plain Python: one row a term."""
    found = [[] if v is None else ngrams_reference(v, separator, low, high) for v in values]
    return np.array([[float(terms.count(word)) for terms in found] for word in vocabulary])


def tokens_shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Checks of a step on tokens, fitted or not."""
    require_shapes(step, inputs, ("text",))
    check_tokens(step)
    if "vocabulary" in step.params:
        _, offsets = texts_param(step, "vocabulary")
        require(len(offsets) - 1 == len(step.outputs), step, "it has not one output a term")
    return numbers(len(step.outputs))


def tokens_words(step: Step, *, presence: bool) -> Words:
    """The kernel's parameters."""
    mask, table = text_table(*texts_param(step, "vocabulary"))
    separator = step.params["separator"].encode()[0]
    low, high = step.params["low"], step.params["high"]
    return words(mask, len(step.outputs), separator, low, high, int(presence), table)


class TokensFitter:
    """Learns which terms to keep."""

    def __init__(self, step: Step) -> None:
        self._settings = step.params
        self._counter = TextCounter()

    def update(self, batch: Batch) -> None:
        """Count the terms of a batch."""
        self._counter.update(ngram_texts(batch.values[0], self._settings))

    def finish(self) -> Learned:
        """The vocabulary."""
        kept = in_byte_order(chosen_texts(self._counter, self._settings, OUTPUT_LIMIT))
        names = ("separator", "low", "high", "joint")
        settings = {name: self._settings[name] for name in names if name in self._settings}
        names_of_terms = suffixes([display(term, self._settings) for term in kept])
        return Learned({**kept_settings(self._settings), **settings, **texts("vocabulary", kept)}, names_of_terms)


BAG_OF_WORDS = Operator(tokens_shapes, lambda step: tokens_words(step, presence=False), bag_of_words, TokensFitter)
