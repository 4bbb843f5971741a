"""Vocabularies: the texts an encoder keeps, chosen by BigQuery ML's rules.

Kept are the ``top_k`` most frequent texts (ties by UTF-8 bytes) that occur at least ``frequency_threshold`` times, in the order of
their UTF-8 bytes. An encoder with an output a text keeps at most ``OUTPUT_LIMIT``.
"""

from __future__ import annotations

from udfs.transforms.counts import TextCounter
from udfs.transforms.operator import Params

TOP_K = 32_000
FREQUENCY_THRESHOLD = 5
OUTPUT_LIMIT = 1_000  # features are dense: each costs a column of the training matrix


def chosen_texts(counter: TextCounter, settings: Params, limit: int = TOP_K) -> list[str]:
    """The vocabulary, most frequent first."""
    texts, counts = counter.most_frequent(min(settings.get("top_k", TOP_K), limit))
    threshold = settings.get("frequency_threshold", FREQUENCY_THRESHOLD)
    return [text for text, count in zip(texts, counts, strict=True) if count >= threshold]


def in_byte_order(texts: list[str]) -> list[str]:
    """Texts in the order of their UTF-8 bytes."""
    return sorted(texts, key=lambda text: text.encode("utf-8", "surrogateescape"))


def kept_settings(settings: Params) -> Params:
    """The settings that stay in the model, for people to read."""
    names = ("top_k", "frequency_threshold", "drop")
    return {name: settings[name] for name in names if name in settings}


def suffixes(texts: list[str]) -> tuple[str, ...]:
    """Endings of feature names: the texts themselves."""
    return tuple(text or "(empty)" for text in texts)
