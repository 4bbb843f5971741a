"""ML.MULTI_HOT_ENCODER(list [, top_k] [, frequency_threshold]): one feature a category, 1 where the row's list holds it, else 0.

The list arrives as text joined with the unit separator (chr(31)), which the engine does; NULL elements are gone by then. See
``bag_of_words`` for the kernel and ``vocabulary`` for which categories are kept.
"""

from __future__ import annotations

from udfs.transforms.bag_of_words import TokensFitter, bag_of_words, tokens_shapes, tokens_words
from udfs.transforms.operator import Operator

MULTI_HOT_ENCODER = Operator(tokens_shapes, lambda step: tokens_words(step, presence=True), bag_of_words, TokensFitter)
