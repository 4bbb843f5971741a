"""Laying out a forest for TreeSHAP: each tree as a list of steps along its edges, with coefficients for every point.

The Shapley value of feature i in a tree is, summed over leaves with value v, and with j over the other features on the leaf's path,

    v (o_i - z_i) * integral from 0 to 1 of  prod_j (o_j t + z_j (1 - t))  dt

where o is 1 if the row meets all the path's conditions on the feature, else 0, and z is the share of training rows that meet them
among those that met the path's others (products of the counts' ratios). The integral stands for the weights s!(d-s-1)!/d! of
the subsets: it is their beta function. The integrand is a polynomial of degree d - 1, so Gauss's quadrature with d/2 points is exact;
all its terms are positive, so nothing cancels. Per point the products are shared along the tree as in Linear TreeSHAP (Yu et al.,
2022): going down an edge multiplies by its factor, coming up adds the leaves, and an edge's share follows from the sum below it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from udfs.forest.image import MAGIC, ImageWriter
from udfs.forest.nodes import category_sets
from udfs.forest.shap_lanes import (
    COEFFICIENTS,
    IS_LEAF,
    IS_REPEATED,
    IS_RETURN,
    IS_SECOND,
    STEP_COEFFICIENTS,
    STEP_WORDS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from udfs.model import Forest, Tree

    Floats = npt.NDArray[np.float64]
    Path = dict[int, tuple[int, float]]  # mask and share of rows of the last edge of each feature

# Words of the head.
FEATURES, OUTPUTS, TREES, TREE_TABLE, STEPS, NODES, COEFFICIENT_TABLE, SETS, POINTS, MOST_MASKS, STACK_ROWS = range(
    1, 12
)
EDGES, OWN_FEATURES, MOST_EDGE_POINTS = range(12, 15)
# Words of a tree: steps, nodes, coefficients and points start there; how many; expected value (a double); edges and own features.
FIRST_STEP, STEP_COUNT, FIRST_NODE, NODE_COUNT, FIRST_COEFFICIENT, FIRST_POINT, POINT_COUNT, EXPECTED = range(8)
FIRST_EDGE, EDGE_COUNT, FIRST_OWN, OWN_COUNT = range(8, 12)
TREE_WORDS = 12
# Words of an edge: its feature, and its factor (doubles) where the row's value of the feature is known and meets it, or is not known.
EDGE_FEATURE, EDGE_KNOWN, EDGE_UNKNOWN = range(3)
EDGE_WORDS = 3
# Words of a node: feature, LightGBM's decision type, threshold (a double), masks of both edges and of the edge before, set, its words.
NODE_FEATURE, NODE_KIND, NODE_THRESHOLD, NODE_LEFT, NODE_RIGHT, NODE_BEFORE, NODE_SET, NODE_SET_WORDS = range(8)
NODE_WORDS = 8


@cache
def quadrature(points: int) -> tuple[Floats, Floats, Floats]:
    """Gauss's points in (0, 1), one less each of them, and the weights."""
    places, weights = np.polynomial.legendre.leggauss(points)
    return (1.0 + places) / 2, (1.0 - places) / 2, weights / 2


class _Edge(NamedTuple):
    """From a node to a child: the node's feature, the edge's mask, its share of the node's rows, its part of a step's kind."""

    child: int
    feature: int
    mask: int
    share: float
    kind: int


@dataclass
class Layout:
    """The steps and nodes of one tree, in the order they are met on a depth-first way through it."""

    tree: Tree
    steps: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    nodes: list[tuple[int, int, int, int]] = field(
        default_factory=list
    )  # node, masks of both edges and of the edge before
    edges: list[tuple[float, float, float, int]] = field(
        default_factory=list
    )  # share of rows, of the edge before; leaf's value; feature
    depth: int = 0
    most_features: int = 1
    todo: list[tuple[Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)

    def walk(self) -> None:
        """Note everything; not recursive, since a tree may be as deep as it has leaves."""
        if not len(self.tree.left_child):
            return
        self._shares = shares_of_rows(self.tree).tolist()
        self.todo.append((self._enter, (0, 0, {})))
        while self.todo:
            action, arguments = self.todo.pop()
            action(*arguments)

    def _enter(self, node: int, depth: int, path: Path) -> None:
        tree, share = self.tree, self._shares[node]
        mask = 1 + 2 * len(self.nodes)
        feature = int(tree.split_feature[node])
        self.nodes.append((node, mask, mask + 1, path.get(feature, (0, 1.0))[0]))
        self.depth = max(self.depth, depth + 1)
        right = _Edge(int(tree.right_child[node]), feature, mask + 1, 1.0 - share, IS_SECOND)
        self.todo.append((self._follow, (right, depth, path)))
        self._follow(_Edge(int(tree.left_child[node]), feature, mask, share, 0), depth, path)

    def _follow(self, edge: _Edge, depth: int, path: Path) -> None:
        child, feature = edge.child, edge.feature
        before, share_before = path.get(feature, (0, 1.0))
        share = share_before * edge.share
        below = {**path, feature: (edge.mask, share)}
        kind = edge.kind | (IS_REPEATED if feature in path else 0)
        rest = (depth, len(self.edges), edge.mask, before, feature)
        self.edges.append((share, share_before, 1.0 if child >= 0 else float(self.tree.leaf_value[~child]), feature))
        if child < 0:
            self.steps.append((kind | IS_LEAF, *rest))
            self.most_features = max(self.most_features, len(below))
            return
        self.steps.append((kind, *rest))
        self.todo.append((self.steps.append, ((kind | IS_RETURN, *rest),)))
        self.todo.append((self._enter, (child, depth + 1, below)))


def shares_of_rows(tree: Tree) -> Floats:
    """The share of a node's training rows that go left; a half where training counted none."""

    def counts(child: npt.NDArray[np.int32]) -> Floats:
        inner = tree.internal_count[np.maximum(child, 0)]
        return np.where(child >= 0, inner, tree.leaf_count[np.maximum(~child, 0)]).astype(np.float64)

    left, right = counts(tree.left_child), counts(tree.right_child)
    total = left + right
    shares = np.full(len(left), 0.5)
    np.divide(left, total, out=shares, where=total > 0)
    return shares


def expected_value(tree: Tree) -> float:
    """The mean of a tree over its training rows, by the same shares as the attributions."""
    reached = np.ones(len(tree.left_child))
    total = float(tree.leaf_value[0]) if not len(reached) else 0.0
    shares = shares_of_rows(tree)
    for node in _from_root(tree):
        for child, share in ((tree.left_child[node], shares[node]), (tree.right_child[node], 1.0 - shares[node])):
            if child >= 0:
                reached[child] = reached[node] * share
            else:
                total += reached[node] * share * float(tree.leaf_value[~child])
    return total


def _from_root(tree: Tree) -> list[int]:
    """All inner nodes, parents first."""
    order = [0] if len(tree.left_child) else []
    for node in order:
        order += [int(child) for child in (tree.left_child[node], tree.right_child[node]) if child >= 0]
    return order


def coefficients_of(layout: Layout, points: int) -> Floats:
    """``[edges, points, 5]``: see the constants of ``shap_lanes``."""
    t, rest, _ = quadrature(points)
    share, before, value = (column[:, None] for column in np.array(layout.edges).reshape(-1, 4).T[:3])
    met, met_before = t + share * rest, t + before * rest
    ratio = np.divide(share, before, out=np.zeros_like(share), where=before > 0)
    known = (1.0 - before) / met_before
    found = np.empty((len(share), points, COEFFICIENTS))
    found[..., 0] = value * (met / met_before)
    found[..., 1] = value * (share * rest / met_before)
    found[..., 2] = value * ratio
    found[..., 3] = (1.0 - share) / met - known
    found[..., 4] = -1.0 / rest - known
    return found


_STARTS = {
    STEPS: FIRST_STEP, NODES: FIRST_NODE, COEFFICIENT_TABLE: FIRST_COEFFICIENT, POINTS: FIRST_POINT, EDGES: FIRST_EDGE,
    OWN_FEATURES: FIRST_OWN,
}  # fmt: skip


def build_shap_image(forest: Forest, n_features: int) -> npt.NDArray[np.int64]:
    """Lay out a checked forest for ``contributions``; keep the array alive as long as its address is in use."""
    trees = np.zeros((len(forest.trees), TREE_WORDS), np.int64)
    parts: dict[int, list[npt.NDArray[Any]]] = {word: [] for word in (*_STARTS, SETS)}
    at = dict.fromkeys(parts, 0)
    most_masks, stack_rows, most_edge_points = 1, 1, 1
    for number, tree in enumerate(forest.trees):
        layout = Layout(tree)
        layout.walk()
        points = (layout.most_features + 1) // 2
        sections: dict[int, npt.NDArray[Any]] = {
            STEPS: _steps(layout, points),
            NODES: _nodes(layout, at[SETS]),
            COEFFICIENT_TABLE: coefficients_of(layout, points),
            SETS: tree.cat_threshold,
            POINTS: quadrature(points)[2],
            EDGES: _edges(layout),
            OWN_FEATURES: np.unique(tree.split_feature).astype(np.int64),
        }
        for word, start in _STARTS.items():
            trees[number, start] = at[word]
        for word, values in sections.items():
            parts[word].append(values.reshape(-1))
            at[word] += values.nbytes
        trees[number, STEP_COUNT], trees[number, NODE_COUNT] = len(layout.steps), len(layout.nodes)
        trees[number, POINT_COUNT] = points
        trees[number, EXPECTED] = np.float64(expected_value(tree)).view(np.int64)
        most_masks = max(most_masks, 1 + 2 * len(layout.nodes))
        trees[number, EDGE_COUNT], trees[number, OWN_COUNT] = len(layout.edges), len(sections[OWN_FEATURES])
        stack_rows = max(stack_rows, (layout.depth + 1) * points)
        most_edge_points = max(most_edge_points, len(layout.edges) * points)
    writer = ImageWriter()
    writer.head[[0, FEATURES, OUTPUTS, TREES]] = MAGIC, n_features, forest.outputs, len(forest.trees)
    writer.head[[MOST_MASKS, STACK_ROWS, MOST_EDGE_POINTS]] = most_masks, stack_rows, most_edge_points
    writer.add(TREE_TABLE, trees)
    for word, arrays in parts.items():
        writer.add(word, np.concatenate([np.zeros(0, np.uint8), *(a.view(np.uint8) for a in arrays)]))
    return writer.finish()


def _edges(layout: Layout) -> npt.NDArray[np.int64]:
    edges = np.array(layout.edges).reshape(-1, 4)
    share, before, value, feature = edges.T
    found = np.empty((len(edges), EDGE_WORDS), np.int64)
    ratio = np.divide(share, before, out=np.zeros(len(edges)), where=before > 0)
    found[:, EDGE_FEATURE] = feature
    found[:, EDGE_KNOWN], found[:, EDGE_UNKNOWN] = value.copy().view(np.int64), (value * ratio).view(np.int64)
    return found


def _steps(layout: Layout, points: int) -> npt.NDArray[np.int64]:
    steps = np.array(layout.steps, np.int64).reshape(-1, STEP_WORDS)
    steps[:, STEP_COEFFICIENTS] *= 8 * COEFFICIENTS * points
    return steps


def _nodes(layout: Layout, sets_at: int) -> npt.NDArray[np.int64]:
    """The records of a tree's inner nodes; their sets are ``sets_at`` bytes behind those of the trees before."""
    tree = layout.tree
    order = np.array(layout.nodes, np.int64).reshape(-1, 4)
    start, words = category_sets(tree)
    node = order[:, 0]
    found = np.zeros((len(order), NODE_WORDS), np.int64)
    found[:, NODE_FEATURE], found[:, NODE_KIND] = tree.split_feature[node], tree.decision_type[node]
    found[:, NODE_THRESHOLD] = tree.threshold[node].view(np.int64)
    found[:, NODE_LEFT : NODE_BEFORE + 1] = order[:, 1:]
    found[:, NODE_SET], found[:, NODE_SET_WORDS] = sets_at + 4 * start.astype(np.int64)[node], words[node]
    return found
