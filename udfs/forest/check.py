"""Verify that a forest is one: every index in range, every node reached once, from above, at a bounded depth.

A kernel follows child indices without looking, so a forest that was not checked is memory corruption waiting for a row. All
trees are checked together, in a handful of passes over concatenated arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from udfs.model import Forest, Tree

MAX_LEAVES = 1 << 20
MAX_DEPTH = 100_000  # LightGBM grows leaf by leaf: a chain of all leaves is a legal tree
MAX_CATEGORY_WORDS = 1 << 22
_INTERNAL = (
    "split_feature", "threshold", "decision_type", "left_child", "right_child",
    "split_gain", "internal_value", "internal_weight", "internal_count",
)  # fmt: skip
_LEAF = ("leaf_value", "leaf_weight", "leaf_count")
_KINDS = {
    "split_feature": np.int32, "threshold": np.float64, "decision_type": np.int8, "left_child": np.int32,
    "right_child": np.int32, "split_gain": np.float32, "internal_value": np.float64, "internal_weight": np.float64,
    "internal_count": np.int32, "leaf_value": np.float64, "leaf_weight": np.float64, "leaf_count": np.int32,
    "cat_boundaries": np.int32, "cat_threshold": np.uint32,
}  # fmt: skip


def check_forest(forest: Forest, n_features: int) -> None:
    """Raise ArtifactError unless every kernel can walk this forest on ``n_features`` features without a wild access."""
    _check_head(forest, n_features)
    for number, tree in enumerate(forest.trees):
        _check_lengths(number, tree)
    if not forest.trees:
        return
    owner = np.repeat(np.arange(len(forest.trees)), [len(t.left_child) for t in forest.trees])
    _check_features(forest, owner, n_features)
    _check_children(forest, owner)
    _check_categories(forest)


def _check_head(forest: Forest, n_features: int) -> None:
    if forest.outputs < 1:
        raise ArtifactError(f"the forest has {forest.outputs} outputs, wanted at least 1")
    if len(forest.trees) % forest.outputs:
        raise ArtifactError(f"the forest has {len(forest.trees)} trees, wanted a multiple of {forest.outputs}")
    if len(forest.feature_names) != n_features:
        raise ArtifactError(f"the forest names {len(forest.feature_names)} features, wanted {n_features}")
    if forest.feature_infos and len(forest.feature_infos) != n_features:
        raise ArtifactError(f"the forest describes {len(forest.feature_infos)} features, wanted {n_features}")
    if forest.monotone_constraints and len(forest.monotone_constraints) != n_features:
        raise ArtifactError(f"the forest has {len(forest.monotone_constraints)} constraints, wanted {n_features}")


def _check_lengths(number: int, tree: Tree) -> None:
    leaves = len(tree.leaf_value)
    if not 1 <= leaves <= MAX_LEAVES:
        raise ArtifactError(f"tree {number} has {leaves} leaves, wanted 1 to {MAX_LEAVES}")
    for names, wanted in ((_INTERNAL, leaves - 1), (_LEAF, leaves)):
        for name in names:
            got = len(getattr(tree, name))
            if got != wanted:
                raise ArtifactError(f'tree {number} has {got} values of "{name}", wanted {wanted}')
    for name, kind in _KINDS.items():
        values = getattr(tree, name)
        if values.dtype != kind or values.ndim != 1:
            raise ArtifactError(f'tree {number} has "{name}" of type {values.dtype}, wanted {np.dtype(kind)}')


def _joined(forest: Forest, name: str) -> npt.NDArray[Any]:
    return np.concatenate([getattr(tree, name) for tree in forest.trees])


def _refuse(wrong: npt.NDArray[np.bool_], owner: npt.NDArray[np.int64], what: str) -> None:
    if wrong.any():
        raise ArtifactError(f"tree {owner[np.argmax(wrong)]} {what}")


def _check_features(forest: Forest, owner: npt.NDArray[np.int64], n_features: int) -> None:
    feature = _joined(forest, "split_feature")
    _refuse((feature < 0) | (feature >= n_features), owner, f"splits on a feature outside 0 to {n_features - 1}")
    _refuse(np.isnan(_joined(forest, "threshold")), owner, "has a threshold that is not a number")
    missing = (_joined(forest, "decision_type") >> 2) & 3
    _refuse(missing == 3, owner, "has an unknown missing type")


def _check_children(forest: Forest, owner: npt.NDArray[np.int64]) -> None:
    """Child after parent and every node and leaf with exactly one parent: together they make it a tree."""
    leaves = np.array([len(tree.leaf_value) for tree in forest.trees])
    first_node = np.concatenate(([0], np.cumsum(leaves - 1)))[:-1]
    first_leaf = np.concatenate(([0], np.cumsum(leaves)))[:-1]
    own = np.arange(len(owner)) - first_node[owner]
    seen_nodes = np.zeros(len(owner), np.int64)
    seen_leaves = np.zeros(int(leaves.sum()), np.int64)
    for name in ("left_child", "right_child"):
        child = _joined(forest, name).astype(np.int64)
        _refuse((child >= leaves[owner] - 1) | (~child >= leaves[owner]), owner, "has a child out of range")
        _refuse((child >= 0) & (child <= own), owner, "has a child that does not come after its parent")
        inner = child >= 0
        np.add.at(seen_nodes, (first_node[owner] + child)[inner], 1)
        np.add.at(seen_leaves, (first_leaf[owner] + ~child)[~inner], 1)
    _refuse((seen_nodes != 1) & (own > 0), owner, "has a node without exactly one parent")
    _refuse(
        (seen_leaves != 1) & (np.repeat(leaves, leaves) > 1),
        np.repeat(np.arange(len(leaves)), leaves),
        "has a leaf without exactly one parent",
    )
    deepest = max((tree_depth(tree) for tree, n in zip(forest.trees, leaves, strict=True) if n > MAX_DEPTH), default=0)
    if deepest > MAX_DEPTH:
        raise ArtifactError(f"a tree is {deepest} levels deep, wanted at most {MAX_DEPTH}")


def tree_depth(tree: Tree) -> int:
    """The number of decisions on the longest way to a leaf; the children come after their parents."""
    depth = [0] * len(tree.left_child)
    deepest = 0
    pairs: Iterable[tuple[int, int]] = zip(tree.left_child.tolist(), tree.right_child.tolist(), strict=True)
    for node, children in enumerate(pairs):
        below = depth[node] + 1
        deepest = max(deepest, below)
        for child in children:
            if child >= 0:
                depth[child] = below
    return deepest


def _check_categories(forest: Forest) -> None:
    for number, tree in enumerate(forest.trees):
        categorical = (tree.decision_type & 1).astype(bool)
        if not categorical.any() and not len(tree.cat_boundaries) and not len(tree.cat_threshold):
            continue
        bounds = tree.cat_boundaries
        if not len(bounds) or bounds[0] != 0 or (np.diff(bounds) < 0).any():
            raise ArtifactError(f"tree {number} has category sets that do not follow one another")
        if bounds[-1] != len(tree.cat_threshold) or len(tree.cat_threshold) > MAX_CATEGORY_WORDS:
            raise ArtifactError(
                f"tree {number} has category sets of {len(tree.cat_threshold)} words, wanted {bounds[-1]}"
            )
        chosen = tree.threshold[categorical]
        if ((chosen < 0) | (chosen >= len(bounds) - 1) | (chosen != np.floor(chosen))).any():
            raise ArtifactError(f"tree {number} splits on a category set outside 0 to {len(bounds) - 2}")
