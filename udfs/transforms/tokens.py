"""Text as a list of tokens between one-byte separators, and its n-grams: contiguous pieces of the text itself.

ML.NGRAMS(tokens, [low, high] [, joint]) makes n-grams of low to high tokens. Inside, an n-gram is the stretch of text from its first
token to its last, separators and all; ``joint`` stands between the tokens in names only. An empty text has no tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from udfs.jit import kernel, view
from udfs.later import Later
from udfs.model import Step
from udfs.transforms.operator import Params, param, require

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Later("pyarrow")

LIST_SEPARATOR = chr(31)  # the engine joins lists of text with it
MAX_NGRAM = 16


@kernel
def next_token(address, length, start, separator):
    """The end of the token that starts at ``start``."""
    data = view(address, np.uint8, length)
    end = start
    while end < length and data[end] != separator:
        end += 1
    return end


def check_tokens(step: Step) -> None:
    """Verify the parameters of an operator on tokens."""
    separator = param(step, "separator", str)
    require(len(separator.encode()) == 1, step, "its separator is not one byte")
    low, high = param(step, "low", int), param(step, "high", int)
    require(1 <= low <= high <= MAX_NGRAM, step, "its sizes of n-grams are out of range")


def ngram_texts(texts: pa.Array, settings: Params) -> pa.Array:
    """All n-grams of all texts, for counting."""
    separator, low, high = settings["separator"], settings["low"], settings["high"]
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    present = texts.cast(pa.large_string()).drop_null()
    import pyarrow.compute as pc  # noqa: PLC0415 - costs as much as opening a database, and scoring needs none of it

    present = present.filter(pc.not_equal(pc.binary_length(present), 0))
    lists = pc.split_pattern(present, separator)
    tokens = lists.flatten().cast(pa.large_string())
    owners = pc.list_parent_indices(lists).to_numpy()
    pieces = []
    for size in range(low, high + 1):
        if len(tokens) < size:
            break
        count = len(tokens) - size + 1
        grams = tokens.slice(0, count)
        for k in range(1, size):
            joint = pa.scalar(separator, pa.large_string())
            grams = pc.binary_join_element_wise(grams, tokens.slice(k, count), joint)
        whole = owners[:count] == owners[size - 1 :]
        pieces.append(grams.filter(pa.array(whole)))
    if not pieces:
        return pa.array([], pa.large_string())
    return pa.concat_arrays(pieces)


def ngrams_reference(text: str, separator: str, low: int, high: int) -> list[str]:
    """The n-grams of a text in plain Python."""
    tokens = text.split(separator) if text else []
    return [
        separator.join(tokens[i : i + size]) for size in range(low, high + 1) for i in range(len(tokens) - size + 1)
    ]


def display(term: str, settings: Params) -> str:
    """An n-gram as people write it."""
    return term.replace(settings["separator"], settings.get("joint", " "))
