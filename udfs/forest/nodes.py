"""The forest as kernels read it: one 64-byte aligned block of memory that begins with a head of offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.errors import ArtifactError
from udfs.forest.coded import code_forest
from udfs.forest.objective import parse_objective

if TYPE_CHECKING:
    import numpy.typing as npt

    from udfs.model import Forest, Tree

# Words of the head. Offsets are in bytes from the start of the image.
N_FEATURES, OUTPUTS, TREES, DIVISOR, OBJECTIVE, PARAMETER, METHOD = range(1, 8)
PLAIN = 8  # first of the offsets of the plain walk's arrays, in the order of plain_sections
CODED = 20  # first of the offsets of the coded walk's arrays, in the order of coded.Sections
CODED_FEATURES, CODED_COLUMNS, CODED_SETS, FEWEST_ROWS = range(32, 36)
HEAD_WORDS = 64
MAGIC = 0x54534552_4F464C4D
ALIGNMENT = 64


class ImageWriter:
    """Collects arrays, each on a 64-byte boundary, and writes them behind a head that holds their offsets."""

    def __init__(self) -> None:
        self.head = np.zeros(HEAD_WORDS, np.int64)
        self._parts: list[npt.NDArray[np.uint8]] = []
        self._size = HEAD_WORDS * 8

    def add(self, word: int, values: npt.NDArray[Any]) -> None:
        """Append an array and note its offset in a word of the head."""
        self.head[word] = self._size
        data = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
        room = -(-(len(data) + 1) // ALIGNMENT) * ALIGNMENT
        padded = np.zeros(room, np.uint8)
        padded[: len(data)] = data
        self._parts.append(padded)
        self._size += room

    def finish(self) -> npt.NDArray[np.int64]:
        """The image, in memory of its own that starts on a 64-byte boundary."""
        memory = np.empty(self._size // 8 + ALIGNMENT // 8, np.int64)
        skip = -memory.ctypes.data % ALIGNMENT // 8
        image = memory[skip : skip + self._size // 8]
        image[:HEAD_WORDS] = self.head
        image[HEAD_WORDS:] = np.concatenate(self._parts).view(np.int64)
        return image


def build_forest_image(forest: Forest, n_features: int, *, allow_coded: bool = True) -> npt.NDArray[np.int64]:
    """Lay out a checked forest for the kernels; keep the array alive as long as its address is in use.

    Without ``allow_coded`` the kernel takes the plain walk, which any forest can take.
    """
    if len(forest.trees) % forest.outputs:
        raise ArtifactError(f"the forest has {len(forest.trees)} trees, wanted a multiple of {forest.outputs}")
    code, parameter = parse_objective(forest.objective, forest.outputs)
    writer = ImageWriter()
    head = writer.head
    head[0] = MAGIC
    head[N_FEATURES], head[OUTPUTS], head[TREES] = n_features, forest.outputs, len(forest.trees)
    head[DIVISOR] = len(forest.trees) // forest.outputs if forest.average_output else 0
    head[OBJECTIVE] = code
    head[PARAMETER] = np.float64(parameter).view(np.int64)
    plain = plain_sections(forest)
    for word, values in enumerate(plain, start=PLAIN):
        writer.add(word, values)
    coded = code_forest(forest, plain) if allow_coded else None
    if coded is not None:
        head[METHOD] = 1
        head[CODED_FEATURES], head[CODED_COLUMNS], head[CODED_SETS] = (
            len(coded.arrays[0]),
            coded.columns,
            coded.most_sets,
        )
        head[FEWEST_ROWS] = max(1, sum(len(tree.leaf_value) for tree in forest.trees) // len(forest.trees) // 8)
        for word, values in enumerate(coded.arrays, start=CODED):
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

    def moved(child: npt.NDArray[np.int32], number: int) -> npt.NDArray[np.int32]:
        return np.where(child >= 0, child + first_node[number], ~(~child + first_leaf[number]))

    trees = forest.trees
    roots = np.where(leaves > 1, first_node, ~first_leaf).astype(np.int32)
    return [
        roots,
        joined([t.split_feature for t in trees], np.int32),
        joined([t.decision_type for t in trees], np.int32),
        joined([moved(t.left_child, i) for i, t in enumerate(trees)], np.int32),
        joined([moved(t.right_child, i) for i, t in enumerate(trees)], np.int32),
        joined([start + first_word[i] for i, (start, _) in enumerate(sets)], np.int32),
        joined([length for _, length in sets], np.int32),
        joined([t.threshold for t in trees], np.float64),
        joined([t.leaf_value for t in trees], np.float64),
        joined([t.cat_threshold for t in trees], np.uint32),
    ]
