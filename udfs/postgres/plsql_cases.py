"""Trees as CASE expressions in PL/pgSQL: registers of features in, statements that add one leaf a tree to the raw scores out.

A tree is one CASE expression, and up to ``CHUNK`` trees of an output stand in one sum: additions go from left to right, so the
order is LightGBM's. Missing values are NULL, and a comparison with NULL is never true: the branch that a missing value takes is
the ELSE one.

    missing goes right, or never is   CASE WHEN x <= t THEN left ELSE right END
    missing goes left                 CASE WHEN x > t THEN right ELSE left END
    categories                        CASE WHEN c IN (1, 5) THEN left ELSE right END, or get_bit(set, c) = 1 for larger sets
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from udfs.model import Forest, Tree
from udfs.postgres.plsql_features import NAN, ZERO, FeatureVariables, members
from udfs.postgres.plsql_literals import bare_double, double
from udfs.postgres.plsql_scope import Scope

CHUNK = 25
SMALL_SET = 8  # a longer IN list is hashed anew in every transaction; get_bit needs no preparation


def write_sums(forest: Forest, registers: Sequence[str], sums: Sequence[str], scope: Scope) -> None:
    """Add the trees of every output to its variable."""
    features = FeatureVariables(registers, scope, forest)
    for start in range(0, len(forest.trees), CHUNK * forest.outputs):
        for output, total in enumerate(sums):
            trees = forest.trees[start + output : start + CHUNK * forest.outputs : forest.outputs]
            terms = "\n + ".join(_tree(tree, features) for tree in trees)
            if terms:
                scope.emit(f"{total} := {total} + {terms};")


def _tree(tree: Tree, features: FeatureVariables) -> str:
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


def _condition(tree: Tree, node: int, features: FeatureVariables) -> tuple[str, bool]:
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
    return f"get_bit(E'\\\\x{bits.tobytes().hex()}'::bytea,{code})=1"
