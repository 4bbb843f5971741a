"""What is left of a forest for rows whose values of some features are known: what ``EXPLAIN`` counts, and ``benchmarks.pruning`` times."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from udfs.forest.reference import goes_left

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from udfs.model import Forest, Tree

    Values = Mapping[int, Sequence[float]]


def node_count(forest: Forest) -> int:
    """How many splits the trees have."""
    return sum(len(tree.left_child) for tree in forest.trees)


def folded(forest: Forest, values: Values) -> Forest:
    """The forest without the branches that no row can reach whose features, by number, have one of the values given for them.

    Such rows get the same sums from it, bit for bit. Of the trees' statistics nothing is kept that scoring does not read.
    """
    return replace(
        forest, trees=tuple(_Folding(tree, values, len(forest.feature_names)).tree() for tree in forest.trees)
    )


class _Folding:
    """One tree's nodes and leaves that are kept, in the order in which they are met."""

    def __init__(self, tree: Tree, values: Values, features: int) -> None:
        self._tree, self._values = tree, values
        self._row = np.zeros(features)
        self._nodes: list[int] = []
        self._leaves: list[int] = []
        self._children: list[list[int]] = []
        self._keep(0 if len(tree.left_child) else -1)

    def tree(self) -> Tree:
        nodes, tree = np.array(self._nodes, np.int64), self._tree
        children = np.array(self._children, np.int32).reshape(-1, 2)
        return replace(
            tree,
            split_feature=tree.split_feature[nodes],
            threshold=tree.threshold[nodes],
            decision_type=tree.decision_type[nodes],
            left_child=children[:, 0],
            right_child=children[:, 1],
            leaf_value=tree.leaf_value[self._leaves],
        )

    def _keep(self, node: int) -> int:
        """Keep what rows reach of the subtree at a node; tells its new number, a node's or ``~`` a leaf's."""
        ways = self._ways(node)
        while len(ways) == 1:
            node = int((self._tree.left_child if ways.pop() else self._tree.right_child)[node])
            ways = self._ways(node)
        if node < 0:
            self._leaves.append(~node)
            return -len(self._leaves)
        number = len(self._nodes)
        self._nodes.append(node)
        self._children.append([0, 0])
        for side, child in enumerate((self._tree.left_child[node], self._tree.right_child[node])):
            self._children[number][side] = self._keep(int(child))
        return number

    def _ways(self, node: int) -> set[bool]:
        """Whether rows go left, right or both ways; nothing for a leaf."""
        if node < 0:
            return set()
        feature = int(self._tree.split_feature[node])
        if feature not in self._values:
            return {True, False}
        found = set()
        for value in self._values[feature]:
            self._row[feature] = value
            found.add(goes_left(self._tree, node, self._row))
        return found
