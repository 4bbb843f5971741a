"""Raw scores of a block of rows: the sum of the trees' leaves, tree by tree in LightGBM's order, equal to its own bit for bit."""

from __future__ import annotations

import math

import numpy as np

from udfs.forest.nodes import HEAD_WORDS, OUTPUTS, PLAIN, TREES
from udfs.jit import kernel, view

_ZERO = float(np.float32(1e-35))  # LightGBM's kZeroThreshold: nearer to zero is zero
_UNBOUNDED = 1 << 40


@kernel
def raw_scores(image_address, features, n, out):
    """Fill ``out[outputs, :n]`` from ``features[n_features, :n]``; NaN is missing, categories are doubles."""
    plain_walk(image_address, features, n, out)


@kernel
def plain_walk(image_address, features, n, out):
    """Sum the leaves one row after the other, one tree after the other, over LightGBM's own arrays."""
    head = view(image_address, np.int64, HEAD_WORDS)
    roots = view(image_address + head[PLAIN], np.int32, _UNBOUNDED)
    split_feature = view(image_address + head[PLAIN + 1], np.int32, _UNBOUNDED)
    decision = view(image_address + head[PLAIN + 2], np.int32, _UNBOUNDED)
    left = view(image_address + head[PLAIN + 3], np.int32, _UNBOUNDED)
    right = view(image_address + head[PLAIN + 4], np.int32, _UNBOUNDED)
    set_start = view(image_address + head[PLAIN + 5], np.int32, _UNBOUNDED)
    set_words = view(image_address + head[PLAIN + 6], np.int32, _UNBOUNDED)
    threshold = view(image_address + head[PLAIN + 7], np.float64, _UNBOUNDED)
    values = view(image_address + head[PLAIN + 8], np.float64, _UNBOUNDED)
    sets = view(image_address + head[PLAIN + 9], np.uint32, _UNBOUNDED)
    outputs = head[OUTPUTS]
    for k in range(outputs):
        for i in range(n):
            out[k, i] = 0.0
    for t in range(head[TREES]):
        k = t % outputs
        for i in range(n):
            node = roots[t]
            while node >= 0:
                x = features[split_feature[node], i]
                kind = decision[node]
                if kind & 1:
                    goes_left = is_member(x, sets, set_start[node], set_words[node])
                else:
                    goes_left = is_left(x, kind, threshold[node])
                node = left[node] if goes_left else right[node]
            out[k, i] += values[~node]


@kernel
def is_left(x, kind, threshold):
    """A numeric decision as LightGBM takes it; ``kind`` is its decision type."""
    missing = (kind >> 2) & 3
    if math.isnan(x):
        if missing == 2:
            return (kind & 2) != 0
        x = 0.0
    if abs(x) <= _ZERO:
        if missing == 1:
            return (kind & 2) != 0
        x = 0.0
    return x <= threshold


@kernel
def is_member(x, sets, start, words):
    """A categorical decision as LightGBM takes it: missing, negative and unseen categories are in no set."""
    if not (x > -1.0 and x < 2147483648.0):
        return False
    category = np.int64(x)
    word = category >> 5
    return word < words and ((sets[start + word] >> np.uint32(category & 31)) & np.uint32(1)) != 0
