"""The variables of features as a forest's nodes look at them: registers in, names of variables out.

A feature has up to three variables for numbers, one for each of LightGBM's missing types, NULL where a node takes its default
direction, and one for its category as an integer, NULL for what no set of the forest holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from udfs.forest.ranks import NEAR_ZERO
from udfs.model import Forest, Tree
from udfs.postgres.plsql_literals import double
from udfs.postgres.plsql_scope import Scope

ZERO, NAN = 1, 2  # LightGBM's missing types that look for a missing value at all


class FeatureVariables:
    """Variables are made when a node first asks for one."""

    def __init__(self, registers: Sequence[str], scope: Scope, forest: Forest) -> None:
        self.categories = _largest_categories(forest)
        self._zeroed = _zeroed_features(forest)
        self._registers, self._scope = registers, scope
        self._known: dict[tuple[int, str], str] = {}

    def number(self, feature: int, missing: int) -> str:
        """The variable for nodes of a missing type."""
        key = (feature, str(missing))
        if key not in self._known:
            x, expression = self._registers[feature], self._number(feature, missing)
            self._known[key] = x if expression == x else self._scope.let("float8", expression)
        return self._known[key]

    def _number(self, feature: int, missing: int) -> str:
        x, tiny = self._registers[feature], double(NEAR_ZERO)
        if missing == ZERO:
            return f"CASE WHEN abs({x}) > {tiny} THEN {x} END"
        if feature in self._zeroed:
            x = f"CASE WHEN abs({x}) <= {tiny} THEN {double(0.0)} ELSE {x} END"
        return x if missing == NAN else f"coalesce({x}, {double(0.0)})"

    def category(self, feature: int) -> str:
        """The variable for categorical nodes: the value without its fraction, as LightGBM truncates it."""
        key = (feature, "category")
        if key not in self._known:
            x, end = self._registers[feature], double(self.categories[feature] + 1.0)
            self._known[key] = self._scope.let(
                "int4", f"CASE WHEN {x} > '-1' AND {x} < {end} THEN trunc({x})::int4 END"
            )
        return self._known[key]


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


def depth(tree: Tree) -> int:
    """The longest way from the root to a leaf, in nodes; children come after their parents."""
    levels = [1] * len(tree.left_child)
    for node, children in enumerate(zip(tree.left_child.tolist(), tree.right_child.tolist(), strict=True)):
        for child in children:
            if child >= 0:
                levels[child] = levels[node] + 1
    return max(levels, default=0)
