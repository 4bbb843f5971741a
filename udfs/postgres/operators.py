"""The operators of the transform program by number, as images name them: a number is an operator's for ever.

``cells`` writes an operator's operands as letters, inputs then outputs: w any 64-bit value, a the address of a text, l its
length, n null bytes. ``*k`` after a group repeats it as often as word k of the parameters says. A server refuses an image whose
operands are others, since a kernel believes that an address is one.
"""

from __future__ import annotations

from typing import NamedTuple


class Signature(NamedTuple):
    """An operator's name and the letters of its operands."""

    name: str
    inputs: str
    outputs: str


NUMBERED = (
    Signature("text_slots", "aln", "ww"),
    Signature("number_constant", "", "w"),
    Signature("time_constant", "", "wn"),
    Signature("text_constant", "", "aln"),
    Signature("dictionary", "aln", "w"),
    Signature("number_dictionary", "w", "w"),
    Signature("calendar", "wn", "w*0"),
    Signature("arithmetic", "ww", "w"),
    Signature("elementwise", "w", "w"),
    Signature("number_comparison", "ww", "w"),
    Signature("time_comparison", "wnwn", "w"),
    Signature("text_comparison", "alnaln", "w"),
    Signature("logic", "ww", "w"),
    Signature("truth", "w", "w"),
    Signature("time_is_null", "wn", "w"),
    Signature("text_is_null", "aln", "w"),
    Signature("number_choice", "www", "w"),
    Signature("time_choice", "wwnwn", "wn"),
    Signature("text_choice", "walnaln", "aln"),
    Signature("number_membership", "w", "w"),
    Signature("text_membership", "aln", "w"),
    Signature("time_difference", "wnwn", "w"),
    Signature("time_floor", "wn", "wn"),
    Signature("standard_scaler", "w", "w"),
    Signature("min_max_scaler", "w", "w"),
    Signature("max_abs_scaler", "w", "w"),
    Signature("robust_scaler", "w", "w"),
    Signature("normalizer", "w*0", "w*0"),
    Signature("imputer", "w", "w"),
    Signature("bucketize", "w", "w"),
    Signature("quantile_bucketize", "w", "w"),
    Signature("one_hot_encoder", "aln", "w*1"),
    Signature("multi_hot_encoder", "aln", "w*1"),
    Signature("label_encoder", "aln", "w"),
    Signature("target_encoder", "aln", "w*2"),
    Signature("feature_cross", "aln*0", "w"),
    Signature("polynomial_expand", "w*0", "w*1"),
    Signature("hash_bucketize", "aln", "w"),
    Signature("bag_of_words", "aln", "w*1"),
)
NUMBERS = {signature.name: number for number, signature in enumerate(NUMBERED)}
