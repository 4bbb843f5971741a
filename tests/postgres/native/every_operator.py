"""A model whose program has every operator, in all of its forms that memory depends on, and a forest over what they make."""

from __future__ import annotations

import numpy as np

from udfs.model import Argument, Feature, Forest, Input, Label, Model, Step, Tree
from udfs.transforms.calendar import PARTS
from udfs.transforms.dictionary import texts
from udfs.transforms.polynomial_expand import polynomial_terms
from udfs.transforms.zones import zone_params

KINDS = {
    **dict.fromkeys("ab", "number"), "k": "boolean", **dict.fromkeys("su", "text"), **dict.fromkeys("tv", "timestamp"),
    "z": "timestamptz", "d": "date",
}  # fmt: skip
WORDS = ["", "a", "b", "a b", "żółć", "abcdefgh", *(f"word {i}" for i in range(20))]
TERMS = polynomial_terms(2, 3)
TOKENS = {**texts("vocabulary", WORDS), "separator": " ", "low": 1, "high": 3}
CROSS = {
    **texts("part_0", WORDS[:3]), **texts("part_1", WORDS[2:6]), **texts("part_2", WORDS[:2]),
    "keys": np.array([1, 7, 12]), "codes": np.array([2, 0, 1]),
}  # fmt: skip
# Operator, inputs, number of outputs, parameters.
USES = [
    ("text_slots", "s", 2, {}),
    ("number_constant", "", 1, {"value": 2.5}),
    ("time_constant", "", 1, {"value": 1_600_000_000_000_001}),
    ("text_constant", "", 1, {"value": "word 3"}),
    ("dictionary", "s", 1, {**texts("levels", WORDS), "null_code": -1}),
    ("number_dictionary", "a", 1, {"values": np.array([-3.0, 0.0, 1.5]), "codes": np.array([2, 0, 1]), "null_code": -1}),
    ("calendar", "t", len(PARTS), {"parts": list(PARTS)}),
    ("calendar", "z", 3, {"parts": list(PARTS[:3]), **zone_params("Europe/Warsaw")}),
    ("arithmetic", "ab", 1, {"function": "divide", "single": True}),
    ("elementwise", "a", 1, {"function": "round_digits", "factor": 100.0}),
    ("number_comparison", "ab", 1, {"function": "lt"}),
    ("time_comparison", "tv", 1, {"function": "distinct"}),
    ("text_comparison", "su", 1, {"function": "le"}),
    ("text_comparison", "us", 1, {"function": "eq"}),
    ("logic", "kb", 1, {"function": "and"}),
    ("truth", "k", 1, {"function": "not"}),
    ("time_is_null", "d", 1, {}),
    ("text_is_null", "u", 1, {}),
    ("number_choice", "kab", 1, {}),
    ("time_choice", "ktv", 1, {}),
    ("text_choice", "ksu", 1, {}),
    ("number_membership", "a", 1, {"values": np.array([0.0, 1.5]), "has_null": True}),
    ("text_membership", "u", 1, {**texts("values", WORDS[1:4]), "has_null": False}),
    ("time_difference", "tz", 1, {"unit": 1_000_000}),
    ("time_floor", "v", 1, {"unit": 7 * 86_400_000_000, "offset": 3 * 86_400_000_000}),
    *((f"{name}_scaler", "a", 1, {"scaling": np.array([1.0, 3.0, -2.0, 2.0])}) for name in ("standard", "min_max", "max_abs", "robust")),
    ("normalizer", "ab", 2, {"p": 3.0}),
    ("imputer", "b", 1, {"value": 4.5}),
    ("bucketize", "a", 1, {"points": np.array([-1.0, 0.0, 2.0])}),
    ("quantile_bucketize", "b", 1, {"points": np.array([0.5])}),
    ("one_hot_encoder", "s", len(WORDS), texts("vocabulary", WORDS)),
    ("multi_hot_encoder", "u", len(WORDS), TOKENS),
    ("label_encoder", "s", 1, texts("vocabulary", WORDS)),
    ("target_encoder", "s", 2, {"encodings": np.arange(2.0 * (len(WORDS) + 2)), **texts("levels", WORDS)}),
    ("feature_cross", "sus", 1, CROSS),
    ("polynomial_expand", "ab", len(TERMS), {"sizes": np.array([len(t) for t in TERMS]), "terms": np.array([f for t in TERMS for f in t])}),
    ("hash_bucketize", "u", 1, {"buckets": 17}),
    ("bag_of_words", "s", len(WORDS), TOKENS),
]  # fmt: skip
# What is made of registers that are no numbers.
AFTER = {
    "time_constant": ("time_difference", ("{}", "t"), {"unit": 60_000_000}),
    "time_choice": ("time_comparison", ("{}", "v"), {"function": "not_distinct"}),
    "time_floor": ("time_difference", ("v", "{}"), {"unit": 1}),
    "text_constant": ("text_comparison", ("{}", "s"), {"function": "eq"}),
    "text_choice": ("dictionary", ("{}",), {**texts("levels", WORDS), "null_code": len(WORDS)}),
}


def every_operator() -> Model:
    """The model."""
    steps, features = [], []
    for number, (op, inputs, outputs, params) in enumerate(USES):
        names = tuple(f"r{number}_{k}" for k in range(outputs))
        steps.append(Step(op, tuple(inputs), names, params))
        if op in AFTER:
            following, wanted, settings = AFTER[op]
            made = (f"r{number}_after",)
            steps.append(Step(following, tuple(name.format(*names) for name in wanted), made, settings))
            names = made
        features += names
    generator = np.random.default_rng(8)
    trees = tuple(_tree(generator, len(features), leaves) for leaves in (2, 15, 31, 31, 300, 8))
    return Model(
        "regression",
        Label("y", "float8"),
        tuple(Input(name, kind, "?") for name, kind in KINDS.items()),
        tuple(Argument(name, kind) for name, kind in KINDS.items()),
        tuple(steps),
        tuple(Feature(name) for name in features),
        Forest(trees, 1, "regression", False, tuple(features)),
    )


def _tree(generator, features, leaves) -> Tree:
    """A random tree: node k takes the place of a random leaf of the tree before it."""
    sides = np.zeros((2, leaves - 1), np.int32)
    ends = []
    for node in range(leaves - 1):
        if node:
            sides[ends.pop(int(generator.integers(len(ends))))[::-1]] = node
        ends += [(node, 0), (node, 1)]
    for leaf, (parent, side) in enumerate(ends):
        sides[side, parent] = ~leaf
    inner = leaves - 1
    return Tree(
        generator.integers(0, features, inner).astype(np.int32), generator.normal(size=inner) * 3,
        generator.choice(np.array([0, 2, 4, 6, 8, 10], np.int8), inner), sides[0], sides[1], generator.normal(size=leaves),
        np.zeros(inner, np.float32), np.zeros(leaves - 1), np.zeros(inner), generator.integers(1, 9, inner).astype(np.int32),
        np.zeros(leaves), generator.integers(1, 9, leaves).astype(np.int32), np.zeros(0, np.int32), np.zeros(0, np.uint32),
    )  # fmt: skip
