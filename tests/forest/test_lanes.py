"""The loops over a block of rows, one by one, against what they are said to do: on any CPU, in the way that is taken there."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.forest.lanes import BLOCK, find_leaves
from udfs.forest.slices import SLICES_BYTES, find_leaves_by_bits, pack_column, slice_column
from udfs.forest.walk import add_values, deliver
from udfs.forest.walk import test_classes as find_classes  # as it is, pytest would take it for a test
from udfs.jit import kernel

SEEDS = st.integers(0, 2**32 - 1)


@kernel
def tell_sets(table, pieces, classes, rows, codes):
    find_classes(table, pieces, classes, rows, codes)


@kernel
def add_one_tree(tree, planes, leaves, rows, sums, out):
    add_values(tree, planes, leaves, rows, sums)
    deliver(sums, out, rows)


@kernel
def walk_one_tree(tree, nodes, codes, leaves, rows):
    find_leaves(tree, nodes, codes, leaves, rows)


@kernel
def slice_one_column(codes, bits, slices, tests):
    slice_column(codes, bits, slices, tests)


@kernel
def pack_one_column(codes, target):
    pack_column(codes, target)


@kernel
def walk_one_tree_by_bits(tree, nodes, tests, slices, leaves):
    find_leaves_by_bits(tree, nodes, tests, slices, leaves)


def aligned(size):
    """Bytes on a 64-byte boundary that are not 0 before somebody writes them."""
    memory = np.full(size + 64, 0xA5, np.uint8)
    return memory[-memory.ctypes.data % 64 :][:size]


def placed(values):
    memory = aligned(values.nbytes)
    memory[:] = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
    return memory


def of_rows(bits):
    """One of 64 bytes' bits for each of 512 rows: bit ``k`` of byte ``j`` is row ``64 k + j``."""
    return np.unpackbits(bits.reshape(1, 64), axis=0, bitorder="little").reshape(-1)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, classes=st.one_of(st.integers(1, 2048), st.sampled_from([128, 129, 256, 257, 1024, 1025, 2048])))
def test_sets_of_any_number_of_classes(seed, classes):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, BLOCK + 1))
    goes_right = rng.random(classes) < rng.random()
    table = aligned(256)
    table[:] = 0
    packed = np.packbits(goes_right, bitorder="little")
    table[: len(packed)] = packed
    found = rng.integers(0, classes, rows)
    encoded = aligned(2 * BLOCK)
    encoded[:rows], encoded[BLOCK : BLOCK + rows] = found >> 3, 1 << (found & 7)
    codes = aligned(BLOCK)
    pieces = next(count for count in (1, 2, 4, 8, 16) if classes <= 128 * count)
    tell_sets(table.ctypes.data, pieces, encoded.ctypes.data, rows, codes.ctypes.data)
    np.testing.assert_array_equal(codes[:rows], goes_right[found])
    bits = aligned(64)
    pack_one_column(codes.ctypes.data, bits.ctypes.data)
    np.testing.assert_array_equal(of_rows(bits)[:rows], goes_right[found])


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, bits=st.integers(1, 8))
def test_the_results_of_all_tests_of_a_column(seed, bits):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << bits, BLOCK).astype(np.uint8)
    codes[rng.random(BLOCK) < 0.1] = 255  # what is missing, whatever the other codes are
    slices, tests = aligned(512), aligned(64 << bits)
    at = placed(codes)
    slice_one_column(at.ctypes.data, bits, slices.ctypes.data, tests.ctypes.data)
    for threshold in range((1 << bits) - 1):
        result = of_rows(tests[64 * threshold : 64 * (threshold + 1)])
        np.testing.assert_array_equal(result, codes > threshold)
    assert not tests[-64:].any()


def grown(rng, leaves):
    """A tree's nodes in preorder: the first leaf, the first leaf to the right and the depth of each."""
    nodes, waiting = [], [(0, leaves, 0)]
    while waiting:
        first, count, depth = waiting.pop()
        if count > 1:
            left = int(rng.integers(1, count))
            nodes.append((first, first + left, depth))
            waiting += [(first + left, count - left, depth + 1), (first, left, depth + 1)]
    return np.array(nodes).reshape(-1, 3).T


def followed(codes, column, threshold, first, middle):
    """The leaf of one row: a node's left child is the next one, its right child comes after as many nodes as the left has leaves."""
    low, high, node = 0, len(first) + 1, 0
    while high - low > 1:
        if codes[column[node]] > threshold[node]:
            node, low = node + int(middle[node] - first[node]), int(middle[node])
        else:
            node, high = node + 1, int(middle[node])
    return low


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, leaves=st.one_of(st.integers(2, 256), st.sampled_from([8, 9, 63, 64, 65, 256])))
def test_trees_of_any_shape(seed, leaves):
    rng = np.random.default_rng(seed)
    columns, rows = 3, int(rng.integers(1, BLOCK + 1))
    codes = rng.integers(0, 256, (columns, BLOCK)).astype(np.uint8)
    first, middle, depth = grown(rng, leaves)
    column, threshold = rng.integers(0, columns, leaves - 1), rng.integers(0, 256, leaves - 1)
    wanted = [followed(codes[:, row], column, threshold, first, middle) for row in range(BLOCK)]
    nodes = np.zeros(leaves - 1, "u4,u1,u1,u1,u1")
    nodes["f0"], nodes["f1"], nodes["f2"], nodes["f3"] = column * BLOCK, threshold, first, middle
    tree = np.array([0, leaves - 1, 0, 64 if leaves <= 64 else 128 if leaves <= 128 else 256], np.int64)
    at, node_at, found = placed(codes), placed(nodes), aligned(BLOCK)
    walk_one_tree(tree.ctypes.data, node_at.ctypes.data, at.ctypes.data, found.ctypes.data, rows)
    np.testing.assert_array_equal(found[:rows], wanted[:rows])

    slices, tests, again = aligned(SLICES_BYTES), aligned(columns * 256 * 64), aligned(BLOCK)
    for k in range(columns):
        place = tests[k * 256 * 64 :]
        slice_one_column(at[k * BLOCK :].ctypes.data, 8, slices.ctypes.data, place.ctypes.data)
    order = np.argsort(depth, kind="stable")
    sliced = np.zeros(leaves - 1, "u4,u2,u2")
    sliced["f0"], sliced["f1"] = 64 * (256 * column + threshold)[order], 64 * first[order]
    sliced["f2"] = 64 * middle[order]
    node_at = placed(sliced)
    walk_one_tree_by_bits(
        tree.ctypes.data, node_at.ctypes.data, tests.ctypes.data, slices.ctypes.data, again.ctypes.data
    )
    np.testing.assert_array_equal(again, wanted)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, capacity=st.sampled_from([64, 128, 256]))
def test_leaf_values_are_added_to_the_last_bit(seed, capacity):
    from udfs.forest.vectors import HAS_PERMUTES

    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, BLOCK + 1))
    values = rng.standard_normal(capacity) * 10.0 ** rng.integers(-300, 300, capacity)
    leaves = aligned(BLOCK)
    leaves[:] = rng.integers(0, capacity, BLOCK)
    planes = placed(values.view(np.uint8).reshape(-1, 8).T if HAS_PERMUTES else values)
    tree = np.array([0, 0, 0, capacity], np.int64)
    sums, out = placed(np.full(BLOCK, 0.1)), np.full(BLOCK, 99.0)
    add_one_tree(tree.ctypes.data, planes.ctypes.data, leaves.ctypes.data, rows, sums.ctypes.data, out.ctypes.data)
    np.testing.assert_array_equal(out[:rows].view(np.int64), (0.1 + values[leaves[:rows]]).view(np.int64))
    assert (out[rows:] == 99.0).all()
