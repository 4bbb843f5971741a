"""A forest over byte codes: every numeric test becomes ``code > threshold`` of one byte, every tree a list of nodes in preorder.

A feature's value is replaced by its rank among all thresholds of that feature, which loses nothing: ``x <= t`` holds if and
only if fewer thresholds are below ``x`` than ``t``'s index plus one. A column of codes serves up to 255 thresholds and one way
to treat missing values; a feature gets as many columns as it needs, often one. The categories of a feature are first merged into
classes that no set of the forest tells apart, and a set becomes a table from class to 0 (left) or 1 (right).
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.forest.cuts import best_buckets, best_keys, search_tree
from udfs.forest.lanes import BLOCK
from udfs.forest.ranks import KEY_TABLE, NEAR_ZERO
from udfs.forest.slice_tables import Slices, Tests, slice_forest
from udfs.forest.vectors import EIGHT, HAS_PERMUTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from udfs.model import Forest

    Ints = npt.NDArray[np.int64]

CUTS = 255  # thresholds a column of bytes can tell apart
MAX_LEAVES = 256  # of a tree whose rows' states are bytes; larger ones are walked row by row
MAX_DEEP_LEAVES = 1 << 22  # two of its places must be told apart in 24 bits
MAX_SETS = 4096  # categorical nodes of a tree
MAX_COLUMNS = 1 << 22  # whose offsets, 512 bytes apart, fit into 32 bits
MAX_CLASSES = 8 * 256
MAX_MEMBERSHIPS = 1 << 27
# Ways to treat missing values: none (NaN is 0), zero or NaN goes left / right, NaN goes left / right.
ORDINARY, ZERO_LEFT, ZERO_RIGHT, NAN_LEFT, NAN_RIGHT, CATEGORY = range(6)
NODE = np.dtype([("column", "<u4"), ("threshold", "u1"), ("first", "u1"), ("middle", "u1"), ("high", "u1")])
TREE_WORDS = 8  # nodes (offset), count, planes (offset), leaf capacity (0: a deep tree), first set, sets, ways (offset), values (offset)
SET_WORDS = 4  # class column, table (offset), number within the tree, pieces of 16 bytes of the table that have bits
TABLE_BYTES = 256  # of a set: a bit for every class


@dataclass
class Shape:
    """All trees' nodes side by side, with places in preorder and leaves numbered from left to right in every tree."""

    leaves: Ints
    tree: Ints  # of a node
    first: Ints  # first leaf of a node's subtree
    middle: Ints  # first leaf of its right subtree
    place: Ints  # in preorder
    depth: Ints
    leaf_place: Ints
    roots: Ints
    left: Ints
    right: Ints


@dataclass
class Sections:
    """What the coded walk reads: arrays for the image, in the order of the head's words, and three counts for it."""

    columns: int
    most_sets: int
    sets: int
    slices: Slices
    arrays: list[npt.NDArray[Any]]


def forest_shape(forest: Forest, roots: Ints, left: Ints, right: Ints) -> Shape:
    """Number nodes and leaves, level by level over all trees at once; children are counted over all trees."""
    leaves = np.array([len(tree.leaf_value) for tree in forest.trees], np.int64)
    tree = np.repeat(np.arange(len(leaves)), leaves - 1)
    levels = []
    level = roots[roots >= 0]
    while len(level):
        levels.append(level)
        children = np.concatenate((left[level], right[level]))
        level = children[children >= 0]
    below = np.ones(len(left) + 1, np.int64)  # leaves below a node; the last entry stands for any leaf
    for level in reversed(levels):
        below[level] = below[np.maximum(left[level], -1)] + below[np.maximum(right[level], -1)]
    first = np.zeros(len(left), np.int64)
    place = np.zeros(len(left), np.int64)
    middle = np.zeros(len(left), np.int64)
    leaf_place = np.zeros(int(leaves.sum()), np.int64)
    depth = np.zeros(len(left), np.int64)
    for number, level in enumerate(levels):
        depth[level] = number
        left_leaves = below[np.maximum(left[level], -1)]
        middle[level] = first[level] + left_leaves
        # A subtree of k leaves has k - 1 nodes, and the left one comes right after its parent.
        for child, leaf, node in (
            (left[level], first[level], place[level] + 1),
            (right[level], middle[level], place[level] + left_leaves),
        ):
            inner = child >= 0
            first[child[inner]], place[child[inner]] = leaf[inner], node[inner]
            leaf_place[~child[~inner]] = leaf[~inner]
    return Shape(leaves, tree, first, middle, place, depth, leaf_place, roots, left, right)


def code_forest(forest: Forest, plain: list[npt.NDArray[Any]]) -> Sections | None:
    """Lay the forest out for the coded walk, or None where its trees, sets or columns are too large for it."""
    roots, feature, decision, left, right, set_start, set_words, threshold, values, words = plain
    if not len(feature) or max(len(tree.leaf_value) for tree in forest.trees) > MAX_DEEP_LEAVES:
        return None
    shape = forest_shape(forest, roots.astype(np.int64), left.astype(np.int64), right.astype(np.int64))
    mode = modes(decision)
    cuts = moved_off_zero(threshold)
    coder = Coder()
    column = np.zeros(len(feature), np.int64)
    code = np.zeros(len(feature), np.int64)
    table = np.zeros((len(feature), SET_WORDS), np.int64)
    for number in distinct(feature)[0].tolist():
        numeric = np.flatnonzero((feature == number) & (mode != CATEGORY))
        if len(numeric):
            column[numeric], code[numeric] = coder.add_numeric(number, cuts[numeric], mode[numeric])
        sets = np.flatnonzero((feature == number) & (mode == CATEGORY))
        if len(sets):
            entries = coder.add_categorical(number, set_start[sets], set_words[sets], words)
            if entries is None:
                return None
            table[sets] = entries
    return _assemble(shape, coder, mode == CATEGORY, column, code, table, values)


def distinct(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Ints]:
    """The different values, sorted, and the place of each value among them: ``np.unique`` without ``numpy.ma``, which it imports."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    is_new = np.concatenate((np.ones(1, np.bool_), ordered[1:] != ordered[:-1]))
    places = np.empty(len(values), np.int64)
    places[order] = np.cumsum(is_new) - 1
    return ordered[is_new], places


def modes(decision: npt.NDArray[np.int32]) -> Ints:
    """How every node treats missing values, by LightGBM's decision types."""
    missing, goes_right = (decision >> 2) & 3, (decision & 2) == 0
    kinds = np.select([missing == 1, missing == 2], [ZERO_LEFT + goes_right, NAN_LEFT + goes_right], ORDINARY)
    return np.where(decision & 1, CATEGORY, kinds).astype(np.int64)


def moved_off_zero(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """LightGBM takes values within its zero threshold for 0: move thresholds that would tell them apart to the range's ends."""
    below = np.nextafter(-NEAR_ZERO, -np.inf)
    small = np.abs(threshold) <= NEAR_ZERO
    return np.where(small, np.where(threshold >= 0, NEAR_ZERO, below), threshold)


def merge_categories(
    start: Any, length: Any, words: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]] | None:
    """The class of every category (the last: any other) and, ``[sets, classes]``, 1 where it goes right; None if too many."""
    width = max(int(length.max()), 1)
    if len(start) * width * 32 > MAX_MEMBERSHIPS:
        return None
    padded = np.zeros((len(start), width), np.uint32)
    for row, (begin, size) in enumerate(zip(start.tolist(), length.tolist(), strict=True)):
        padded[row, :size] = words[begin : begin + size]
    members = np.unpackbits(padded.astype("<u4").view(np.uint8), axis=1, bitorder="little")
    members = np.concatenate((members, np.zeros((len(start), 1), np.uint8)), axis=1)
    signature = np.packbits(members, axis=0).T.copy()
    kinds, which = np.unique(signature, axis=0, return_inverse=True)
    if len(kinds) > MAX_CLASSES:
        return None
    return which.reshape(-1).astype(np.uint16), 1 - np.unpackbits(kinds, axis=1, count=len(start)).T


class Coder:
    """Gathers the columns of codes, feature by feature."""

    def __init__(self) -> None:
        self.features: list[list[int]] = []
        self.columns: list[list[int]] = []
        self.starts: list[npt.NDArray[np.int32]] = []
        self.cuts: list[npt.NDArray[np.float64]] = []
        self.classes: list[npt.NDArray[np.uint16]] = []
        self.tables: list[npt.NDArray[np.uint8]] = []
        self.lengths: list[int] = []  # cuts of a column
        self.keys: list[npt.NDArray[np.uint16]] = []

    def add_numeric(self, feature: int, cuts: npt.NDArray[np.float64], mode: Ints) -> tuple[Ints, Ints]:
        """The column and the threshold's code of every numeric node of a feature."""
        unique, index = distinct(cuts)
        chunk = index // CUTS
        pairs, which = distinct(mode << 32 | chunk)
        first = len(self.columns)
        mapping = best_keys(unique)
        for kind, number in ((pair >> 32, pair & 0xFFFFFFFF) for pair in pairs.tolist()):
            missing = 0 if kind == ORDINARY else 1 if kind in {ZERO_LEFT, ZERO_RIGHT} else 2
            table, levels = search_tree(mapping.keys[number * CUTS : (number + 1) * CUTS])
            self.columns.append([number * CUTS, missing, 255 if kind in {ZERO_RIGHT, NAN_RIGHT} else 0, levels])
            self.keys.append(table)
            self.lengths.append(min(len(unique) - number * CUTS, CUTS))
        buckets = best_buckets(unique)
        record = [feature, first, len(pairs), *buckets.words()]
        record += [_length(self.starts) * 4, _length(self.cuts) * 8, buckets.step, 0, 0, *mapping.words()]
        self.features.append(record)
        self.starts.append(buckets.starts)
        self.cuts.append(np.concatenate((unique, np.full(2 * max(buckets.step, 1), np.inf))))
        return first + which, index.reshape(-1) - chunk * CUTS

    def add_categorical(self, feature: int, start: Any, length: Any, words: npt.NDArray[np.uint32]) -> Ints | None:
        """The set record of every categorical node of a feature, without the number within its tree."""
        merged = merge_categories(start, length, words)
        if merged is None:
            return None
        which, goes_right = merged
        first = len(self.columns)
        self.columns += [[0, 0, 0, 0]] * 2
        self.lengths += [0] * 2
        self.keys += [np.zeros(KEY_TABLE, np.uint16)] * 2
        record = [feature, first, 2, *[0] * 7, _length(self.classes) * 2, len(which) - 1, 0, 0, 0, 0]
        self.features.append(record)
        self.classes.append(which)
        entries = np.zeros((len(start), SET_WORDS), np.int64)
        entries[:, 0] = first
        entries[:, 1] = _length(self.tables) + np.arange(len(start)) * TABLE_BYTES
        entries[:, 3] = 1 << ((goes_right.shape[1] - 1) // 128).bit_length()  # a power of two
        tables = np.zeros((len(start), TABLE_BYTES), np.uint8)
        packed = np.packbits(goes_right, axis=1, bitorder="little")
        tables[:, : packed.shape[1]] = packed
        self.tables.append(tables.reshape(-1))
        return entries


def _length(parts: list[Any]) -> int:
    return sum(len(part) for part in parts)


def _assemble(
    shape: Shape, coder: Coder, is_set: npt.NDArray[np.bool_], column: Ints, code: Ints, sets: Ints, values: Any
) -> Sections | None:
    set_nodes = np.lexsort((shape.place, shape.tree))
    set_nodes = set_nodes[is_set[set_nodes]]
    per_tree = np.bincount(shape.tree[set_nodes], minlength=len(shape.leaves))
    if per_tree.max() > MAX_SETS or len(coder.columns) > MAX_COLUMNS:
        return None
    first_set = np.concatenate(([0], np.cumsum(per_tree)))
    sets[set_nodes, 2] = np.arange(len(set_nodes)) - first_set[shape.tree[set_nodes]]
    # Where a few rows are walked, the sets of all trees have columns of their own, and columns are of eight rows.
    own = np.zeros(len(column), np.int64)
    own[set_nodes] = np.arange(len(set_nodes))
    few = _Splits(np.where(is_set, len(coder.columns) + own, column) * EIGHT, code)
    many = _Splits(np.where(is_set, len(coder.columns) + sets[:, 2], column) * BLOCK, code)
    trees, nodes, planes = _trees(shape, many, few, values)
    trees[:, 4], trees[:, 5] = first_set[:-1], per_tree
    is_shallow = (shape.leaves <= MAX_LEAVES)[shape.tree]
    tests = Tests(column, code, np.where(is_set, sets[:, 2], -1))
    slices = slice_forest(shape, is_shallow, tests, np.array(coder.lengths, np.int64))
    arrays: list[npt.NDArray[Any]] = [
        np.array(coder.features, np.int64),
        np.array(coder.columns, np.int64),
        trees,
        nodes,
        planes,
        sets[set_nodes],
        np.concatenate([np.zeros(0, np.int32), *coder.starts]),
        np.concatenate([np.zeros(0), *coder.cuts]),
        np.concatenate([np.zeros(0, np.uint16), *coder.classes]),
        np.concatenate([np.zeros(0, np.uint8), *coder.tables]),
        np.concatenate(coder.keys),
    ]
    return Sections(len(coder.columns), int(per_tree.max()), len(set_nodes), slices, arrays)


@dataclass
class _Splits:
    """Of every node the offset of its column and the code of its threshold."""

    column: Ints
    code: Ints


def _trees(
    shape: Shape, many: _Splits, few: _Splits, values: npt.NDArray[np.float64]
) -> tuple[Ints, npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """The trees' records without their sets, their nodes and the values of their leaves: for many rows, then for few."""
    is_deep = shape.leaves > MAX_LEAVES
    shallow = ~is_deep[shape.tree]
    # A tree of one leaf has one node that moves no row.
    counts = np.where(is_deep, 0, np.maximum(shape.leaves - 1, 1))
    start = np.concatenate(([0], np.cumsum(counts)))
    nodes = np.zeros(int(start[-1]), NODE)
    nodes["threshold"] = 255
    at = (start[shape.tree] + shape.place)[shallow]
    nodes["column"][at], nodes["threshold"][at] = many.column[shallow], many.code[shallow]
    nodes["first"][at], nodes["middle"][at] = shape.first[shallow], shape.middle[shallow]
    planes, plane_at, capacity = _leaf_planes(shape, values, is_deep)
    deep = _ways(shape, np.flatnonzero(is_deep), many, values)
    ways = _ways(shape, np.arange(len(shape.leaves)), few, values)
    deep.move(len(nodes), len(planes))
    ways.move(len(nodes) + len(deep.nodes), len(planes) + deep.values.nbytes)
    trees = np.zeros((len(shape.leaves), TREE_WORDS), np.int64)
    trees[:, 0], trees[:, 1], trees[:, 2], trees[:, 3] = start[:-1] * 8, counts, plane_at[:-1], capacity
    trees[is_deep, 0], trees[is_deep, 2] = deep.node_at, deep.value_at
    trees[:, 6], trees[:, 7] = ways.node_at, ways.value_at
    return (
        trees,
        np.concatenate((nodes, deep.nodes, ways.nodes)),
        np.concatenate((planes, deep.values.view(np.uint8), ways.values.view(np.uint8))),
    )


def _leaf_planes(
    shape: Shape, values: npt.NDArray[np.float64], is_deep: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint8], Ints, Ints]:
    """The leaf values of every tree that is not deep: byte by byte for permutes, else as they are."""
    capacity = np.select([is_deep, shape.leaves <= 64, shape.leaves <= 128], [0, 64, 128], 256)
    start = np.concatenate(([0], np.cumsum(capacity * 8)))
    planes = np.zeros(int(start[-1]), np.uint8)
    owner = np.repeat(np.arange(len(shape.leaves)), shape.leaves)
    shallow = ~is_deep[owner]
    bytes_of = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)[shallow]
    owner, places = owner[shallow], shape.leaf_place[shallow]
    for p in range(8):
        place = p * capacity[owner] + places if HAS_PERMUTES else places * 8 + p
        planes[start[owner] + place] = bytes_of[:, p]
    return planes, start, capacity


@dataclass
class _Ways:
    """Trees to be walked node by node: their nodes and, at the same places, the values of their leaves."""

    nodes: npt.NDArray[Any]
    values: npt.NDArray[np.float64]
    node_at: Ints  # offset of a tree's first node
    value_at: Ints

    def move(self, nodes: int, size: int) -> None:
        """Put so many nodes and so many bytes of values before these."""
        self.node_at = self.node_at + 8 * nodes
        self.value_at = self.value_at + size


def _ways(shape: Shape, trees: Ints, splits: _Splits, values: npt.NDArray[np.float64]) -> _Ways:
    """Trees level by level, siblings side by side: column, threshold, place of the left child (in the bytes that nodes in
    preorder use for leaves). Leaves stay where they are.
    """
    counts = 2 * shape.leaves[trees] - 1
    start = np.concatenate(([0], np.cumsum(counts)))
    nodes, found = np.zeros(int(start[-1]), NODE), np.zeros(int(start[-1]))
    nodes["threshold"] = 255
    left = np.arange(len(nodes)) - np.repeat(start[:-1], counts)
    level, owner, places = shape.roots[trees], np.arange(len(trees)), np.zeros(len(trees), np.int64)
    used = np.ones(len(trees), np.int64)
    while len(level):
        at, is_leaf = start[owner] + places, level < 0
        found[at[is_leaf]] = values[~level[is_leaf]]
        inner, at, owner = level[~is_leaf], at[~is_leaf], owner[~is_leaf]
        nodes["column"][at], nodes["threshold"][at] = splits.column[inner], splits.code[inner]
        more = np.bincount(owner, minlength=len(trees))
        number = np.arange(len(owner)) - (np.cumsum(more) - more)[owner]  # among its tree's nodes of this level
        left[at] = used[owner] + 2 * number
        used += 2 * more
        level = np.column_stack((shape.left[inner], shape.right[inner])).reshape(-1)
        places = np.column_stack((left[at], left[at] + 1)).reshape(-1)
        owner = np.repeat(owner, 2)
    nodes["first"], nodes["middle"], nodes["high"] = left & 255, left >> 8 & 255, left >> 16
    return _Ways(nodes, found, start[:-1] * 8, start[:-1] * 8)
