"""Exact path-dependent TreeSHAP: how much each feature moves a row's raw score away from the mean over the training rows.

Equal to LightGBM's ``predict(pred_contrib=True)`` but for the rounding of sums: for each output its features' attributions, then the
bias; a row's sum is its raw score. See ``udfs.forest.shap_image`` for the formula. 32 rows walk all edges of a tree together.

Measured on an AMD EPYC (Zen 5, one thread, CPU time, against LightGBM's ``pred_contrib`` on rows of the same data; trees x leaves x
features): 100 x 31 x 10 99 times as fast (4.5 against 448 microseconds a row), 500 x 63 x 20 137, 100 x 31 with categories of 20, 300
and 2,000 levels and NaN 85, 7 classes x 100 x 31 111.
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

import numpy as np

from udfs.forest import shap_image as layout
from udfs.forest.shap_lanes import (
    IS_LEAF,
    IS_RETURN,
    ROW_BYTES,
    ROWS,
    STEP_FEATURE,
    STEP_KIND,
    STEP_WORDS,
    go_down,
    go_left,
    go_up,
    reach_leaf,
)
from udfs.forest.walk import is_member
from udfs.jit import address_of, allocate, invoke, kernel, part, peek, poke, release, routine, word

BLOCK = 512  # rows that share the reading of a tree
MOST_BYTES = 1 << 23  # of a block's attributions, where 32 rows do not take more


def contributions(image: np.ndarray, features: np.ndarray) -> np.ndarray:
    """``[outputs * (features + 1), n]`` of ``features[n_features, n]``, by the image that ``build_shap_image`` made."""
    n = features.shape[1]
    out = np.empty((image[layout.OUTPUTS] * (image[layout.FEATURES] + 1), n))
    features = np.ascontiguousarray(features, np.float64)
    contributions_of_block(image.ctypes.data, shap_walk.address, features, n, out)
    return out


@kernel
def contributions_of_block(image_address, walk_address, features, n, out):
    """Fill ``out[cells, :n]``; the rows of both arrays must be contiguous."""
    strides = np.int64(features.strides[0]), np.int64(out.strides[0])
    invoke(walk_address, (image_address, address_of(features), strides[0], np.int64(n), address_of(out), strides[1]))


@part
def decide(image_address, tree, features, stride, masks):
    """For every edge of a tree, the bits of the rows that meet all conditions on its feature up to it."""
    nodes = image_address + word(image_address, layout.NODES) + word(tree, layout.FIRST_NODE)
    for k in range(word(tree, layout.NODE_COUNT)):
        node = nodes + 8 * layout.NODE_WORDS * k
        values = features + word(node, layout.NODE_FEATURE) * stride
        kind = word(node, layout.NODE_KIND)
        left = np.int64(0)
        if kind & 1:
            words = image_address + word(image_address, layout.SETS) + word(node, layout.NODE_SET)
            count = word(node, layout.NODE_SET_WORDS)
            for i in range(ROWS):
                left |= np.int64(is_member(peek(values, np.float64, i), words, count)) << i
        else:
            left = go_left(values, kind, peek(node, np.float64, layout.NODE_THRESHOLD))
        before = np.int64(peek(masks, np.uint32, word(node, layout.NODE_BEFORE)))
        poke(masks, np.uint32, word(node, layout.NODE_LEFT), np.uint32(before & left))
        poke(masks, np.uint32, word(node, layout.NODE_RIGHT), np.uint32(before & ~left))


@part
def coefficients_of_tree(image_address, tree):
    """Where the coefficients of a tree's edges are."""
    return image_address + word(image_address, layout.COEFFICIENT_TABLE) + word(tree, layout.FIRST_COEFFICIENT)


@part
def walk_edges(image_address, tree, coefficients, masks, products, sums, target, stride):
    """Take all steps of a tree for 32 rows and add the attributions to the rows of ``target``."""
    steps = image_address + word(image_address, layout.STEPS) + word(tree, layout.FIRST_STEP)
    points = word(tree, layout.POINT_COUNT)
    for k in range(word(tree, layout.STEP_COUNT)):
        step = steps + 8 * STEP_WORDS * k
        kind = word(step, STEP_KIND)
        row = target + word(step, STEP_FEATURE) * stride
        if kind & IS_LEAF:
            reach_leaf(step, coefficients, masks, points, products, sums, row)
        elif kind & IS_RETURN:
            go_up(step, coefficients, masks, points, products, sums, row)
        else:
            go_down(step, coefficients, masks, points, products)


@part
def begin_tree(image_address, tree, sign, products):
    """At the root, the products are the weights of the quadrature's points."""
    weights = image_address + word(image_address, layout.POINTS) + word(tree, layout.FIRST_POINT)
    for q in range(word(tree, layout.POINT_COUNT)):
        for i in range(ROWS):
            poke(products, np.float64, q * ROWS + i, sign * peek(weights, np.float64, q))


@part
def bring_in(features, stride, start, rows, whole, count, block, block_stride):
    """Copy the rows of a block, filled up with zeros to a whole number of groups."""
    for f in range(count):
        source, target = features + f * stride + 8 * start, block + f * block_stride
        for i in range(rows):
            poke(target, np.float64, i, peek(source, np.float64, i))
        for i in range(rows, whole):
            poke(target, np.float64, i, 0.0)


@part
def add_block(image_address, block, target, stride, whole, masks, products, sums):
    """Attribute the rows of a block, tree by tree, to ``target``, which is all zeros."""
    cells = word(image_address, layout.FEATURES) + 1
    outputs = word(image_address, layout.OUTPUTS)
    for t in range(word(image_address, layout.TREES)):
        tree = image_address + word(image_address, layout.TREE_TABLE) + 8 * layout.TREE_WORDS * t
        begin_tree(image_address, tree, 1.0, products)
        coefficients = coefficients_of_tree(image_address, tree)
        own = target + t % outputs * cells * stride
        bias = own + (cells - 1) * stride
        for i in range(whole):
            expected = peek(tree, np.float64, layout.EXPECTED)
            poke(bias, np.float64, i, peek(bias, np.float64, i) + expected)
        for start in range(0, 8 * whole, ROW_BYTES):
            decide(image_address, tree, block + start, stride, masks)
            walk_edges(image_address, tree, coefficients, masks, products, sums, own + start, stride)


@routine
def shap_walk(image_address, features, feature_stride, n, out, out_stride):
    """Attribute blocks of rows; their memory is a thread's own."""
    count = word(image_address, layout.FEATURES)
    cells = word(image_address, layout.OUTPUTS) * (count + 1)
    room = BLOCK
    while room > ROWS and room * 8 * cells > MOST_BYTES:
        room //= 2
    stride = 8 * room
    stack = word(image_address, layout.STACK_ROWS) * ROW_BYTES
    memory = allocate((count + cells) * stride + 2 * stack + 4 * word(image_address, layout.MOST_MASKS) + 64)
    if memory == 0:  # nothing can be said, and nothing must be invented
        for k in range(cells):
            for i in range(n):
                poke(out + k * out_stride, np.float64, i, np.nan)
        return
    block = (memory + 63) & ~63
    target = block + count * stride
    products = target + cells * stride
    sums = products + stack
    masks = sums + stack
    poke(masks, np.uint32, 0, np.uint32(0xFFFFFFFF))
    for start in range(0, n, room):
        rows = min(room, n - start)
        whole = (rows + ROWS - 1) // ROWS * ROWS
        bring_in(features, feature_stride, start, rows, whole, count, block, stride)
        for k in range(cells * room):
            poke(target, np.float64, k, 0.0)
        add_block(image_address, block, target, stride, whole, masks, products, sums)
        for k in range(cells):
            for i in range(rows):
                poke(out + k * out_stride, np.float64, start + i, peek(target + k * stride, np.float64, i))
    release(memory)
