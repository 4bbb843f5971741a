"""TreeSHAP by its definition, in the shortest possible Python: Shapley's formula over the features of every leaf's path."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, combinations_with_replacement
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from udfs.forest.reference import goes_left

if TYPE_CHECKING:
    import numpy.typing as npt

    from udfs.model import Forest, Tree

    Floats = npt.NDArray[np.float64]
    Way = dict[int, tuple[float, bool]]  # of each feature on a path: share of training rows, whether the row meets it


def contributions_reference(forest: Forest, features: Floats) -> Floats:
    """``[outputs * (features + 1), n]``: each output's attributions and its bias."""
    cells, rows = features.shape[0] + 1, features.shape[1]
    found = np.zeros((forest.outputs * cells, rows))
    for number, tree in enumerate(forest.trees):
        own = found[number % forest.outputs * cells :][:cells]
        for i in range(rows):
            for leaf, way in _ways(tree, features[:, i]):
                _add(own[:, i], float(tree.leaf_value[leaf]), way)
    return found


def _add(cells: Floats, value: float, way: Way) -> None:
    """A leaf's part: its mean in the bias, and every feature's mean gain over all orders in which features become known."""
    cells[-1] += value * np.prod([share for share, _ in way.values()])
    for feature, (share, met) in way.items():
        polynomial = np.ones(1)  # by the number of known features that the row meets
        for other, (other_share, other_met) in way.items():
            if other != feature:
                polynomial = np.convolve(polynomial, [other_share, float(other_met)])
        weights = [1 / (len(way) * comb(len(way) - 1, known)) for known in range(len(way))]
        cells[feature] += value * (met - share) * float(polynomial @ np.array(weights))


def _ways(tree: Tree, row: Floats) -> Iterator[tuple[int, Way]]:
    """Every leaf of a tree, and what its path asks of each feature."""
    todo: list[tuple[int, Way]] = [(0 if len(tree.left_child) else -1, {})]
    while todo:
        node, way = todo.pop()
        if node < 0:
            yield ~node, way
            continue
        feature, to_left = int(tree.split_feature[node]), goes_left(tree, node, row)
        children = int(tree.left_child[node]), int(tree.right_child[node])
        counts = [tree.internal_count[child] if child >= 0 else tree.leaf_count[~child] for child in children]
        share, met = way.get(feature, (1.0, True))
        for child, count, taken in zip(children, counts, (to_left, not to_left), strict=True):
            part = float(count) / float(sum(counts)) if sum(counts) else 0.5
            todo.append((child, {**way, feature: (share * part, met and taken)}))


def interactions_reference(forest: Forest, features: Floats) -> Floats:
    """``[outputs * features * (features + 1) / 2, n]``: the triangles of ``udfs.forest.shap_interactions``, from all subsets of features."""
    count, rows = features.shape
    found = np.zeros((forest.outputs, count, count, rows))
    for number, tree in enumerate(forest.trees):
        own = sorted(set(tree.split_feature.tolist()))
        for i in range(rows):
            means = {s: _mean(tree, features[:, i], s, 0) for s in _subsets(own)} if own else {}
            for a, b in combinations_with_replacement(own, 2):
                found[number % forest.outputs, a, b, i] += _together(means, own, a, b)
    pairs = found * (1 - np.eye(count)[:, :, None])
    alone = found.diagonal(axis1=1, axis2=2).swapaxes(1, 2) - (pairs.sum(axis=1) + pairs.sum(axis=2)) / 2
    found[:, range(count), range(count)] = alone
    upper = np.triu_indices(count)
    return found[:, upper[0], upper[1]].reshape(-1, rows)


def _together(means: dict[frozenset[int], float], own: list[int], a: int, b: int) -> float:
    """Shapley's interaction index of two features, or of one its value: the mean gain over the subsets of the others."""
    others = [feature for feature in own if feature not in (a, b)]
    total = 0.0
    for known in _subsets(others):
        gain = means[known | {a, b}] - means[known] if a == b else _gain(means, known, a, b)
        total += gain / ((len(others) + 1) * comb(len(others), len(known)))
    return total


def _gain(means: dict[frozenset[int], float], known: frozenset[int], a: int, b: int) -> float:
    return means[known | {a, b}] - means[known | {a}] - means[known | {b}] + means[known]


def _subsets(features: list[int]) -> list[frozenset[int]]:
    return [frozenset(s) for size in range(len(features) + 1) for s in combinations(features, size)]


def _mean(tree: Tree, row: Floats, known: frozenset[int], node: int) -> float:
    """The mean of a tree below a node over its training rows, where some of the row's values are known."""
    if node < 0:
        return float(tree.leaf_value[~node])
    children = int(tree.left_child[node]), int(tree.right_child[node])
    if int(tree.split_feature[node]) in known:
        return _mean(tree, row, known, children[0 if goes_left(tree, node, row) else 1])
    counts = [float(tree.internal_count[c] if c >= 0 else tree.leaf_count[~c]) for c in children]
    share = counts[0] / sum(counts) if sum(counts) else 0.5
    return share * _mean(tree, row, known, children[0]) + (1 - share) * _mean(tree, row, known, children[1])
