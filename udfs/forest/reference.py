"""The same scores by the shortest possible Python: what the kernels are compared with where LightGBM is not at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.forest.ranks import NEAR_ZERO

if TYPE_CHECKING:
    import numpy.typing as npt

    from udfs.model import Forest, Tree

    Floats = npt.NDArray[np.float64]


def raw_scores_reference(forest: Forest, features: Floats) -> Floats:
    """``scores[outputs, n]`` of ``features[n_features, n]``, one row and one tree after the other."""
    scores = np.zeros((forest.outputs, features.shape[1]))
    for number, tree in enumerate(forest.trees):
        for i in range(features.shape[1]):
            scores[number % forest.outputs, i] += tree.leaf_value[leaf_of(tree, features[:, i])]
    return scores


def leaf_of(tree: Tree, row: Floats) -> int:
    """The leaf that a row of features reaches."""
    node = 0 if len(tree.left_child) else -1
    while node >= 0:
        node = int(tree.left_child[node] if goes_left(tree, node, row) else tree.right_child[node])
    return ~node


def goes_left(tree: Tree, node: int, row: Floats) -> bool:
    """The decision that a node takes on a row of features."""
    x = float(row[tree.split_feature[node]])
    return _is_member(tree, node, x) if tree.decision_type[node] & 1 else _is_left(tree, node, x)


def _is_left(tree: Tree, node: int, x: float) -> bool:
    kind = int(tree.decision_type[node])
    missing = kind >> 2 & 3
    if math.isnan(x) and missing != 2:
        x = 0.0
    if abs(x) <= NEAR_ZERO:
        x = 0.0
    if (missing == 1 and x == 0.0) or math.isnan(x):
        return bool(kind & 2)
    return x <= float(tree.threshold[node])


def _is_member(tree: Tree, node: int, x: float) -> bool:
    if not -1.0 < x < 2**31:
        return False
    which = int(tree.threshold[node])
    words = tree.cat_threshold[tree.cat_boundaries[which] : tree.cat_boundaries[which + 1]]
    category = int(x)
    return category // 32 < len(words) and bool(int(words[category // 32]) >> category % 32 & 1)


def predictions_reference(forest: Forest, scores: Floats) -> Floats:
    """What the forest's objective makes of its raw scores, with Python's own ``math``, which is libm's."""
    if forest.average_output:
        scores = scores / (len(forest.trees) // forest.outputs)
    name, _, settings = forest.objective.partition(" ")
    if name == "multiclass":
        return np.stack([_softmax(column) for column in scores.T], axis=1) if scores.size else scores
    return np.vectorize(_operation(name, settings), otypes=[np.float64])(scores) if scores.size else scores


def _softmax(column: Floats) -> Floats:
    powers = [math.exp(x - max(column)) for x in column]
    return np.array(powers) / sum(powers)


def _operation(name: str, settings: str) -> Any:
    factor = float(dict(word.split(":") for word in settings.split() if ":" in word).get("sigmoid", 1))
    if name in {"binary", "multiclassova", "cross_entropy"}:
        return lambda x: 1 / (1 + math.exp(-factor * x))
    if name in {"poisson", "gamma", "tweedie"}:
        return math.exp
    if name == "cross_entropy_lambda":
        return lambda x: math.log1p(math.exp(x))
    if settings == "sqrt":
        return lambda x: math.copysign(x * x, x)
    return lambda x: x
