"""Lays out what the walk by bits (``udfs.forest.slices``) reads: where the results of every test go, and trees level by level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from udfs.forest.vectors import LANES

if TYPE_CHECKING:
    import numpy.typing as npt

    from udfs.forest.coded import Shape

    Ints = npt.NDArray[np.int64]

# A node's test and the rows that reach it or its right child, as offsets in bytes.
SLICED_NODE = np.dtype([("test", "<u4"), ("first", "<u2"), ("middle", "<u2")])
MAX_TEST_BYTES = 8 << 20  # of a block: more would not stay in a cache


@dataclass
class Slices:
    """``test_bytes`` is 0 for forests that are better walked by bytes."""

    test_bytes: int
    places: (
        Ints  # of the results of a column's tests, of a set's; then for every column how many bits its codes have, or 0
    )
    nodes: npt.NDArray[np.void]  # of every tree that is not deep, where its nodes in preorder are


@dataclass
class Tests:
    """Of every node the column and the code of its threshold, or the number of its set among its tree's, else -1."""

    column: Ints
    code: Ints
    set_number: Ints


def slice_forest(shape: Shape, is_shallow: npt.NDArray[np.bool_], tests: Tests, cuts: Ints) -> Slices:
    """The tables for the nodes of trees that are not deep; ``cuts`` counts those of every column."""
    column, set_number = tests.column, tests.set_number
    is_tested = np.zeros(len(cuts), np.bool_)
    is_tested[column[is_shallow & (set_number < 0)]] = True
    bits = np.where(is_tested, np.frexp(cuts)[1], 0).astype(np.int64)
    sizes = np.concatenate((np.where(is_tested, 1 << bits, 0), np.ones(set_number.max() + 1, np.int64)))
    places = LANES * np.concatenate(([0], np.cumsum(sizes)))
    test_bytes = int(places[-1]) + LANES  # the last of them is of what never goes right
    trees = np.bincount(shape.tree[is_shallow], minlength=len(shape.leaves)) > 0
    if test_bytes > MAX_TEST_BYTES or not pays(int(is_shallow.sum()), int(trees.sum()), int(sizes.sum())):
        return Slices(0, np.zeros(0, np.int64), np.zeros(0, SLICED_NODE))
    test = np.where(set_number < 0, places[column] + LANES * tests.code, places[len(cuts) + set_number])
    nodes = _by_level(shape, is_shallow, test, int(places[-1]))
    return Slices(test_bytes, np.concatenate((places[:-1], bits)), nodes)


def pays(nodes: int, trees: int, tests: int) -> bool:
    """By bits a node costs 14 cycles a block less, but a tree 70 more and a test 3 (Zen 4, AVX2)."""
    return 14 * nodes > 70 * trees + 3 * tests


def _by_level(shape: Shape, is_shallow: npt.NDArray[np.bool_], test: Ints, never: int) -> npt.NDArray[np.void]:
    """Nodes that follow one another seldom wait for each other: in preorder, a node's rows are known just before they are needed."""
    inner = np.bincount(shape.tree[is_shallow], minlength=len(shape.leaves))
    counts = np.where((inner == 0) & (shape.leaves == 1), 1, inner)
    start = np.concatenate(([0], np.cumsum(counts)))
    nodes = np.zeros(int(start[-1]), SLICED_NODE)
    nodes["test"], nodes["middle"] = never, LANES  # of trees of one leaf
    order = np.lexsort((shape.place, shape.depth, shape.tree))
    order = order[is_shallow[order]]
    owner = shape.tree[order]
    at = start[owner] + np.arange(len(order)) - (np.cumsum(inner) - inner)[owner]
    nodes["test"][at] = test[order]
    nodes["first"][at], nodes["middle"][at] = LANES * shape.first[order], LANES * shape.middle[order]
    return nodes
