"""TreeSHAP by its definition, in the shortest possible Python: Shapley's formula over the features of every leaf's path."""

from __future__ import annotations

from collections.abc import Iterator
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
