"""Building the image of a forest: the plain walk's arrays, the coded walk's where it can be taken, and the objective."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.errors import ArtifactError
from udfs.forest import image
from udfs.forest.coded import code_forest
from udfs.forest.image import ImageWriter
from udfs.forest.objective import parse_objective
from udfs.forest.walk import coded_walk, plain_walk

if TYPE_CHECKING:
    import numpy.typing as npt

    from udfs.model import Forest, Tree


def build_forest_image(forest: Forest, n_features: int, *, allow_coded: bool = True) -> npt.NDArray[np.int64]:
    """Lay out a checked forest for the kernels; keep the array alive as long as its address is in use.

    The image holds addresses of machine code: it is for this process only. Without ``allow_coded`` the forest is walked
    plainly, as any forest can be.
    """
    if len(forest.trees) % forest.outputs:
        raise ArtifactError(f"the forest has {len(forest.trees)} trees, wanted a multiple of {forest.outputs}")
    convert, parameter = parse_objective(forest.objective, forest.outputs)
    writer = ImageWriter()
    head = writer.head
    head[0] = image.MAGIC
    head[image.N_FEATURES], head[image.OUTPUTS], head[image.TREES] = n_features, forest.outputs, len(forest.trees)
    head[image.DIVISOR] = len(forest.trees) // forest.outputs if forest.average_output else 0
    head[image.CONVERT] = convert.address if convert else 0
    head[image.PARAMETER] = np.float64(parameter).view(np.int64)
    plain = plain_sections(forest)
    coded = code_forest(forest, plain) if allow_coded else None
    if coded is None:
        head[image.WALK] = plain_walk.address
        for word, values in enumerate(plain, start=image.PLAIN):
            writer.add(word, values)
        return writer.finish()
    head[image.WALK] = coded_walk.address
    head[image.FEATURE_COUNT], head[image.COLUMN_COUNT] = len(coded.arrays[0]), coded.columns
    head[image.MOST_SETS], head[image.SET_COUNT] = coded.most_sets, coded.sets
    head[image.TEST_BYTES] = coded.slices.test_bytes
    writer.add(image.TEST_PLACES, coded.slices.places)
    writer.add(image.SLICED_NODES, coded.slices.nodes)
    for word, values in enumerate(coded.arrays, start=image.CODED):
        writer.add(word, values)
    return writer.finish()


def category_sets(tree: Tree) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Start and length, in words of the tree's ``cat_threshold``, of every node's set of categories; 0 for other nodes."""
    categorical = (tree.decision_type & 1).astype(bool)
    start = np.zeros(len(categorical), np.int32)
    words = np.zeros(len(categorical), np.int32)
    if categorical.any():
        index = tree.threshold[categorical].astype(np.int64)
        start[categorical] = tree.cat_boundaries[index]
        words[categorical] = tree.cat_boundaries[index + 1] - tree.cat_boundaries[index]
    return start, words


def plain_sections(forest: Forest) -> list[npt.NDArray[Any]]:
    """The arrays of the plain walk: LightGBM's own, tree after tree, with children and sets counted over all trees."""
    leaves = np.array([len(tree.leaf_value) for tree in forest.trees], np.int64)
    words = np.array([len(tree.cat_threshold) for tree in forest.trees], np.int64)
    first_node, first_leaf, first_word = (
        np.concatenate(([0], np.cumsum(sizes)))[: len(leaves)].astype(np.int32) for sizes in (leaves - 1, leaves, words)
    )
    sets = [category_sets(tree) for tree in forest.trees]

    def joined(parts: list[npt.NDArray[Any]], kind: Any) -> npt.NDArray[Any]:
        return np.concatenate([np.zeros(0, kind), *parts]).astype(kind)

    def counted(child: npt.NDArray[np.int32], number: int) -> npt.NDArray[np.int32]:
        moved: npt.NDArray[np.int32] = np.where(child >= 0, child + first_node[number], ~(~child + first_leaf[number]))
        return moved

    trees = forest.trees
    roots = np.where(leaves > 1, first_node, ~first_leaf).astype(np.int32)
    return [
        roots,
        joined([t.split_feature for t in trees], np.int32),
        joined([t.decision_type for t in trees], np.int32),
        joined([counted(t.left_child, i) for i, t in enumerate(trees)], np.int32),
        joined([counted(t.right_child, i) for i, t in enumerate(trees)], np.int32),
        joined([start + first_word[i] for i, (start, _) in enumerate(sets)], np.int32),
        joined([length for _, length in sets], np.int32),
        joined([t.threshold for t in trees], np.float64),
        joined([t.leaf_value for t in trees], np.float64),
        joined([t.cat_threshold for t in trees], np.uint32),
    ]
