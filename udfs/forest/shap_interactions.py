"""Exact path-dependent SHAP interaction values: how much of a row's raw score two features give only together.

The interaction of features i and j is the attribution of j where i is known less that where i is not (Lundberg et al., 2018): two
walks of TreeSHAP a feature, over the trees that ask for it, with the factors of that feature's edges replaced. For each output the
cells are the upper triangle of the matrix, row by row. A cell off the diagonal holds both halves of the pair, which SHAP's matrix
has in two places; one on it, what the feature gives alone. So all cells of a row and the bias sum to its raw score, and a feature's
attribution is its own cell and half of its pairs'.

Measured on a busy AMD EPYC (Zen 5, one thread, CPU time): all pairs of a row take as long as 20 of its attributions in a model of 100 x
31 x 10 and as 40 in one of 500 x 63 x 20, which is 0.4 and 0.5 of what LightGBM's ``pred_contrib`` takes for the attributions alone.
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

import numpy as np

from udfs.forest import shap_image as layout
from udfs.forest.shap import BLOCK, MOST_BYTES, begin_tree, bring_in, coefficients_of_tree, decide, walk_edges
from udfs.forest.shap_lanes import (
    COEFFICIENTS,
    FACTOR_LEFT,
    FACTOR_MET,
    FACTOR_OUT,
    ROW_BYTES,
    ROWS,
    SHARE_LEFT,
    SHARE_MET,
)
from udfs.jit import address_of, allocate, invoke, kernel, part, peek, poke, release, routine, word


def interaction_cells(features: int) -> int:
    """Numbers that an output has for a row: one a pair of features and one a feature."""
    return features * (features + 1) // 2


def interactions(image: np.ndarray, features: np.ndarray) -> np.ndarray:
    """``[outputs * cells, n]`` of ``features[n_features, n]``, by the image that ``build_shap_image`` made."""
    n = features.shape[1]
    out = np.empty((image[layout.OUTPUTS] * interaction_cells(int(image[layout.FEATURES])), n))
    features = np.ascontiguousarray(features, np.float64)
    interactions_of_block(image.ctypes.data, interaction_walk.address, features, n, out)
    return out


@kernel
def interactions_of_block(image_address, walk_address, features, n, out):
    """Fill ``out[cells, :n]``; the rows of both arrays must be contiguous."""
    strides = np.int64(features.strides[0]), np.int64(out.strides[0])
    invoke(walk_address, (image_address, address_of(features), strides[0], np.int64(n), address_of(out), strides[1]))


@part
def copy_coefficients(image_address, tree, target):
    """A thread's own copy of a tree's coefficients."""
    source = coefficients_of_tree(image_address, tree)
    for k in range(word(tree, layout.EDGE_COUNT) * word(tree, layout.POINT_COUNT) * COEFFICIENTS):
        poke(target, np.float64, k, peek(source, np.float64, k))


@part
def hold(image_address, tree, feature, known, coefficients):
    """Let a feature be known, or not known, whatever else is: its edges' factors no longer depend on the point, it has no share."""
    edges = image_address + word(image_address, layout.EDGES) + word(tree, layout.FIRST_EDGE)
    points = word(tree, layout.POINT_COUNT)
    for e in range(word(tree, layout.EDGE_COUNT)):
        edge = edges + 8 * layout.EDGE_WORDS * e
        if word(edge, layout.EDGE_FEATURE) != feature:
            continue
        met = peek(edge, np.float64, layout.EDGE_KNOWN if known else layout.EDGE_UNKNOWN)
        for q in range(points):
            at = coefficients + 8 * COEFFICIENTS * (points * e + q)
            poke(at, np.float64, FACTOR_MET, met)
            poke(at, np.float64, FACTOR_LEFT, 0.0 if known else met)
            poke(at, np.float64, FACTOR_OUT, 0.0 if known else met)
            poke(at, np.float64, SHARE_MET, 0.0)
            poke(at, np.float64, SHARE_LEFT, 0.0)


@part
def let_go(image_address, tree, feature, coefficients):
    """The coefficients of a feature's edges as they were."""
    source = coefficients_of_tree(image_address, tree)
    edges = image_address + word(image_address, layout.EDGES) + word(tree, layout.FIRST_EDGE)
    size = word(tree, layout.POINT_COUNT) * COEFFICIENTS
    for e in range(word(tree, layout.EDGE_COUNT)):
        if word(edges + 8 * layout.EDGE_WORDS * e, layout.EDGE_FEATURE) == feature:
            for k in range(size * e, size * (e + 1)):
                poke(coefficients, np.float64, k, peek(source, np.float64, k))


@part
def pair_tree(image_address, tree, coefficients, masks, products, sums, target, stride, whole):
    """Add what pairs of a tree's features give together to ``target``, whose row ``features * i + j`` is of i and j."""
    count = word(image_address, layout.FEATURES)
    own = image_address + word(image_address, layout.OWN_FEATURES) + word(tree, layout.FIRST_OWN)
    mask_bytes = 4 * word(image_address, layout.MOST_MASKS)
    copy_coefficients(image_address, tree, coefficients)
    for k in range(word(tree, layout.OWN_COUNT) - 1):  # the last one has no feature behind it
        feature = word(own, k)
        row = target + feature * count * stride
        for known in range(2):
            hold(image_address, tree, feature, known, coefficients)
            for group in range(whole // ROWS):
                begin_tree(image_address, tree, 1.0 if known else -1.0, products)
                own_masks, place = masks + group * mask_bytes, row + group * ROW_BYTES
                walk_edges(image_address, tree, coefficients, own_masks, products, sums, place, stride)
        let_go(image_address, tree, feature, coefficients)


@part
def add_pairs(image_address, block, target, stride, whole, memory):
    """Attribute the rows of a block, tree by tree: features alone and in pairs, to ``target``, which is all zeros."""
    count = word(image_address, layout.FEATURES)
    outputs = word(image_address, layout.OUTPUTS)
    mask_bytes = 4 * word(image_address, layout.MOST_MASKS)
    products = memory
    sums = products + word(image_address, layout.STACK_ROWS) * ROW_BYTES
    coefficients = sums + word(image_address, layout.STACK_ROWS) * ROW_BYTES
    masks = coefficients + 8 * COEFFICIENTS * word(image_address, layout.MOST_EDGE_POINTS)
    for t in range(word(image_address, layout.TREES)):
        tree = image_address + word(image_address, layout.TREE_TABLE) + 8 * layout.TREE_WORDS * t
        own = target + t % outputs * (count + 1) * count * stride
        begin_tree(image_address, tree, 1.0, products)
        alone = coefficients_of_tree(image_address, tree)
        for group in range(whole // ROWS):
            own_masks, start = masks + group * mask_bytes, group * ROW_BYTES
            poke(own_masks, np.uint32, 0, np.uint32(0xFFFFFFFF))
            decide(image_address, tree, block + start, stride, own_masks)
            walk_edges(image_address, tree, alone, own_masks, products, sums, own + start, stride)
        pair_tree(image_address, tree, coefficients, masks, products, sums, own + count * stride, stride, whole)


@part
def bring_out(target, stride, count, rows, out, out_stride):
    """Write the triangle of one output: pairs as they are, and what is left of a feature's attribution without half of them."""
    pairs = target + count * stride
    at = out
    for i in range(count):
        alone = target + i * stride
        for j in range(count):
            pair = pairs + (min(i, j) * count + max(i, j)) * stride
            for r in range(rows if i != j else 0):
                poke(alone, np.float64, r, peek(alone, np.float64, r) - 0.5 * peek(pair, np.float64, r))
        for j in range(i, count):
            source = alone if i == j else pairs + (i * count + j) * stride
            for r in range(rows):
                poke(at, np.float64, r, peek(source, np.float64, r))
            at += out_stride


@routine
def interaction_walk(image_address, features, feature_stride, n, out, out_stride):
    """Find the interactions of blocks of rows; their memory is a thread's own."""
    count, outputs = word(image_address, layout.FEATURES), word(image_address, layout.OUTPUTS)
    cells, kept = outputs * (count * (count + 1) // 2), outputs * (count + 1) * count
    room = BLOCK
    while room > ROWS and room * 8 * kept > MOST_BYTES:
        room //= 2
    stride = 8 * room
    more = 2 * word(image_address, layout.STACK_ROWS) * ROW_BYTES + 4 * word(image_address, layout.MOST_MASKS) * (
        room // ROWS
    )
    more += 8 * COEFFICIENTS * word(image_address, layout.MOST_EDGE_POINTS)
    memory = allocate((count + kept) * stride + more + 64)
    if memory == 0:  # nothing can be said, and nothing must be invented
        for k in range(cells):
            for i in range(n):
                poke(out + k * out_stride, np.float64, i, np.nan)
        return
    block = (memory + 63) & ~63
    target = block + count * stride
    for start in range(0, n, room):
        rows = min(room, n - start)
        whole = (rows + ROWS - 1) // ROWS * ROWS
        bring_in(features, feature_stride, start, rows, whole, count, block, stride)
        for k in range(kept * room):
            poke(target, np.float64, k, 0.0)
        add_pairs(image_address, block, target, stride, whole, target + kept * stride)
        for k in range(outputs):
            place = out + 8 * start + k * (cells // outputs) * out_stride
            bring_out(target + k * (count + 1) * count * stride, stride, count, rows, place, out_stride)
    release(memory)
