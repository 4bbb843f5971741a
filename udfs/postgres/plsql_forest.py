"""Trees as PL/pgSQL: registers of features in, statements that add one leaf a tree to the raw scores out.

A tree is one CASE expression, and up to ``CHUNK`` trees of an output stand in one sum: additions go from left to right, so the
order is LightGBM's. Missing values are NULL, and a comparison with NULL is never true: the branch that a missing value takes is
the ELSE one.

    missing goes right, or never is   CASE WHEN x <= t THEN left ELSE right END
    missing goes left                 CASE WHEN x > t THEN right ELSE left END
    categories                        CASE WHEN c IN (1, 5) THEN left ELSE right END, or get_bit(set, c) = 1 for larger sets

A feature has up to three variables, one for each way its nodes look at missing values (LightGBM's missing types), and one for
its category as an integer, which is NULL for what no set of the forest holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from udfs.forest.ranks import NEAR_ZERO
from udfs.model import Forest, Tree
from udfs.postgres.plsql_literals import bare_double, double
from udfs.postgres.plsql_scope import Scope

CHUNK = 25
SMALL_SET = 8  # a longer IN list is hashed anew in every transaction; get_bit needs no preparation
ZERO, NAN = 1, 2  # LightGBM's missing types that look for a missing value at all


@dataclass
class _Features:
    """The variables of features, made when a node first asks for one."""

    registers: Sequence[str]
    scope: Scope
    zeroed: set[int]  # features whose values near zero must be zeros, because a threshold lies among them
    categories: dict[int, int]  # the largest category of any set on a feature
    known: dict[tuple[int, str], str] = field(default_factory=dict)

    def number(self, feature: int, missing: int) -> str:
        """The variable for nodes of a missing type."""
        key = (feature, str(missing))
        if key not in self.known:
            x = self.registers[feature]
            tiny = double(NEAR_ZERO)
            if missing == ZERO:
                self.known[key] = self.scope.let("float8", f"CASE WHEN abs({x}) > {tiny} THEN {x} END")
            else:
                clean = f"CASE WHEN abs({x}) <= {tiny} THEN {double(0.0)} ELSE {x} END" if feature in self.zeroed else x
                if missing != NAN:
                    clean = f"coalesce({clean}, {double(0.0)})"
                self.known[key] = clean if clean == x else self.scope.let("float8", clean)
        return self.known[key]

    def category(self, feature: int) -> str:
        """The variable for categorical nodes: the value without its fraction, as LightGBM truncates it."""
        key = (feature, "category")
        if key not in self.known:
            x, end = self.registers[feature], double(self.categories[feature] + 1.0)
            self.known[key] = self.scope.let("int4", f"CASE WHEN {x} > '-1' AND {x} < {end} THEN trunc({x})::int4 END")
        return self.known[key]


def write_sums(forest: Forest, registers: Sequence[str], scope: Scope) -> list[str]:
    """Add the trees up; returns the variables of the raw scores."""
    features = _Features(registers, scope, _zeroed_features(forest), _largest_categories(forest))
    sums = [scope.let("float8", double(0.0)) for _ in range(forest.outputs)]
    for start in range(0, len(forest.trees), CHUNK * forest.outputs):
        for output, total in enumerate(sums):
            trees = forest.trees[start + output : start + CHUNK * forest.outputs : forest.outputs]
            terms = "\n + ".join(_tree(tree, features) for tree in trees)
            scope.emit(f"{total} := {total} + {terms};" if terms else "")
    return sums


def _tree(tree: Tree, features: _Features) -> str:
    """One CASE expression, children before their parents: a tree may be deeper than Python likes to recurse."""
    texts = [""] * len(tree.left_child)
    leaves = [double(value) for value in tree.leaf_value.tolist()]
    for node in range(len(texts) - 1, -1, -1):
        left, right = (
            texts[child] if child >= 0 else leaves[~child]
            for child in (int(tree.left_child[node]), int(tree.right_child[node]))
        )
        condition, swapped = _condition(tree, node, features)
        first, second = (right, left) if swapped else (left, right)
        texts[node] = f"CASE WHEN {condition} THEN {first} ELSE {second} END"
        for child in (int(tree.left_child[node]), int(tree.right_child[node])):
            if child >= 0:
                texts[child] = ""
    return texts[0] if texts else leaves[0]


def _condition(tree: Tree, node: int, features: _Features) -> tuple[str, bool]:
    """What a node asks, and whether a yes goes right."""
    feature, kind = int(tree.split_feature[node]), int(tree.decision_type[node])
    if kind & 1:
        return _membership(members(tree, node), features.category(feature), features.categories[feature]), False
    threshold = bare_double(float(tree.threshold[node]))
    missing = kind >> 2 & 3
    x = features.number(feature, missing)
    if kind & 2 and missing in (ZERO, NAN):
        return f"{x}>'{threshold}'", True
    return f"{x}<='{threshold}'", False


def _membership(categories: list[int], code: str, largest: int) -> str:
    if not categories:
        return "false"
    if len(categories) == 1:
        return f"{code}={categories[0]}"
    if len(categories) <= SMALL_SET:
        return f"{code} IN ({','.join(map(str, categories))})"
    bits = np.zeros(largest // 8 + 1, np.uint8)
    for category in categories:
        bits[category >> 3] |= 1 << (category & 7)
    return f"get_bit('\\x{bits.tobytes().hex()}'::bytea,{code})=1"


def members(tree: Tree, node: int) -> list[int]:
    """The categories that a categorical node sends left."""
    which = int(tree.threshold[node])
    words = tree.cat_threshold[tree.cat_boundaries[which] : tree.cat_boundaries[which + 1]]
    bits = np.unpackbits(np.ascontiguousarray(words, "<u4").view(np.uint8), bitorder="little")
    return [int(category) for category in np.flatnonzero(bits)]


def _largest_categories(forest: Forest) -> dict[int, int]:
    largest: dict[int, int] = {}
    for tree in forest.trees:
        for node in np.flatnonzero(tree.decision_type & 1).tolist():
            feature = int(tree.split_feature[node])
            largest[feature] = max(largest.get(feature, 0), *members(tree, node), 0)
    return largest


def _zeroed_features(forest: Forest) -> set[int]:
    """LightGBM takes values up to 1e-35 for zero; it matters only where a threshold lies between such a value and zero."""
    found: set[int] = set()
    for tree in forest.trees:
        near = (tree.threshold >= -NEAR_ZERO) & (tree.threshold < NEAR_ZERO) & (tree.decision_type & 1 == 0)
        found.update(tree.split_feature[near].tolist())
    return found


def used_features(forest: Forest) -> set[int]:
    """The features that any node looks at."""
    return {int(feature) for tree in forest.trees for feature in tree.split_feature}


def average_path(forest: Forest) -> float:
    """How many nodes a row meets, all trees taken together, if every leaf were as likely as LightGBM saw it."""
    total = 0.0
    for tree in forest.trees:
        rows = float(tree.leaf_count.sum())
        visits = float(tree.internal_count.sum()) / rows if rows > 0 else math.log2(len(tree.leaf_value) + 1)
        total += visits
    return total
