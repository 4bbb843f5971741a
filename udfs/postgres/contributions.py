"""Exact path-dependent TreeSHAP of one row, walked over LightGBM's own nodes: equal to ``pred_contrib`` but for rounding.

The recursive algorithm of Lundberg (2018), with a stack of its own: the unique path to a node is a list of (feature, share of
training rows that go on, whether the row goes on, weight of the subsets), extended going down, unwound at the leaves. A path
has at most as many elements as the tree is deep; every level of the stack has room for a copy.
"""

# ruff: noqa: PLR0917 - kernels take addresses and counts, by position

from __future__ import annotations

import numpy as np

from udfs.jit import allocate, kernel, peek, poke, release, word
from udfs.postgres import layout
from udfs.postgres.server import set_word
from udfs.postgres.walk import goes_left, section

# Words of an element of a path.
FEATURE, SHARE, ONE, WEIGHT = range(4)
ELEMENT = 32
MOST_BYTES = 1 << 30  # of a row in work: trees so deep, with so many features, are no model's
# Words of a frame: node, length of its path, share and one of the edge to it, the edge's feature, next thing to do.
NODE, LENGTH, EDGE_SHARE, EDGE_ONE, EDGE_FEATURE, STAGE = range(6)
FRAME = 48


@kernel
def deepest_of(image, root, memory):
    """The number of decisions on the longest way of a tree; ``memory`` has room for two words a node."""
    deepest, top = 0, 0
    if root >= 0:
        set_word(memory, 0, root)
        set_word(memory, 1, 1)
        top = 1
    while top > 0:
        top -= 1
        at, depth = word(memory, 2 * top), word(memory, 2 * top + 1)
        deepest = max(deepest, depth)
        node = section(image, layout.NODES) + 8 * layout.NODE_WORDS * at
        for side in range(2):
            child = np.int64(peek(node, np.int32, 2 * layout.NODE_CHILDREN + side))
            if child >= 0:
                set_word(memory, 2 * top, child)
                set_word(memory, 2 * top + 1, depth + 1)
                top += 1
    return np.int64(deepest)


@kernel
def extend(path, length, feature, share, one):
    """Append an element and spread the weights over the subsets."""
    at = path + ELEMENT * length
    set_word(at, FEATURE, feature)
    poke(at, np.float64, SHARE, share)
    poke(at, np.float64, ONE, one)
    poke(at, np.float64, WEIGHT, 1.0 if length == 0 else 0.0)
    for i in range(length - 1, -1, -1):
        own, following = path + ELEMENT * i, path + ELEMENT * (i + 1)
        weight = peek(own, np.float64, WEIGHT)
        more = peek(following, np.float64, WEIGHT) + one * weight * np.float64(i + 1) / np.float64(length + 1)
        poke(following, np.float64, WEIGHT, more)
        poke(own, np.float64, WEIGHT, share * weight * np.float64(length - i) / np.float64(length + 1))


@kernel
def unwind(path, last, index):
    """Take an element out of a path whose last element has this number."""
    item = path + ELEMENT * index
    share, one = peek(item, np.float64, SHARE), peek(item, np.float64, ONE)
    following = peek(path + ELEMENT * last, np.float64, WEIGHT)
    for i in range(last - 1, -1, -1):
        own = path + ELEMENT * i
        weight = peek(own, np.float64, WEIGHT)
        if one != 0.0:
            found = following * np.float64(last + 1) / (np.float64(i + 1) * one)
            following = weight - found * share * np.float64(last - i) / np.float64(last + 1)
        else:
            found = weight * np.float64(last + 1) / (share * np.float64(last - i))
        poke(own, np.float64, WEIGHT, found)
    for i in range(index, last):
        own, source = path + ELEMENT * i, path + ELEMENT * (i + 1)
        for k in range(WEIGHT):
            set_word(own, k, word(source, k))


@kernel
def unwound_sum(path, last, index):
    """The sum of the weights without an element."""
    item = path + ELEMENT * index
    share, one = peek(item, np.float64, SHARE), peek(item, np.float64, ONE)
    following, total = peek(path + ELEMENT * last, np.float64, WEIGHT), 0.0
    for i in range(last - 1, -1, -1):
        weight = peek(path + ELEMENT * i, np.float64, WEIGHT)
        if one != 0.0:
            found = following * np.float64(last + 1) / (np.float64(i + 1) * one)
            total += found
            following = weight - found * share * np.float64(last - i) / np.float64(last + 1)
        else:
            total += weight / share / (np.float64(last - i) / np.float64(last + 1))
    return total


@kernel
def share_of(node, side):
    """The share of a node's training rows that went left (0) or right (1); a half where training counted none."""
    left = np.float64(peek(node, np.int32, 2 * layout.NODE_COUNTS))
    right = np.float64(peek(node, np.int32, 2 * layout.NODE_COUNTS + 1))
    total = left + right
    if total <= 0.0:
        return 0.5
    return (left if side == 0 else right) / total


@kernel
def push(frame, node, length, share, one, feature):
    """Note an edge that is to be followed."""
    set_word(frame, NODE, node)
    set_word(frame, LENGTH, length)
    poke(frame, np.float64, EDGE_SHARE, share)
    poke(frame, np.float64, EDGE_ONE, one)
    set_word(frame, EDGE_FEATURE, feature)
    set_word(frame, STAGE, 0)


@kernel
def attribute_leaf(path, last, value, out):
    """Add a leaf's part to every feature on its path."""
    for i in range(1, last + 1):
        item = path + ELEMENT * i
        weight = unwound_sum(path, last, i)
        change = weight * (peek(item, np.float64, ONE) - peek(item, np.float64, SHARE)) * value
        feature = word(item, FEATURE)
        poke(out, np.float64, feature, peek(out, np.float64, feature) + change)


@kernel
def enter(image, cells, frame, below, path, out, bias):
    """Extend the path by the frame's edge; at a leaf attribute it, at a node note the first edge to follow."""
    node, length = word(frame, NODE), word(frame, LENGTH)
    share, one = peek(frame, np.float64, EDGE_SHARE), peek(frame, np.float64, EDGE_ONE)
    feature = word(frame, EDGE_FEATURE)
    for k in range(1, length):
        if word(path + ELEMENT * k, FEATURE) == feature:
            share *= peek(path + ELEMENT * k, np.float64, SHARE)
            one *= peek(path + ELEMENT * k, np.float64, ONE)
            unwind(path, length - 1, np.int64(k))
            length -= 1
            break
    extend(path, length, feature, share, one)
    if node < 0:
        value = peek(section(image, layout.VALUES), np.float64, ~node)
        attribute_leaf(path, length, value, out)
        reached = 1.0
        for k in range(length + 1):
            reached *= peek(path + ELEMENT * k, np.float64, SHARE)
        poke(out, np.float64, bias, peek(out, np.float64, bias) + reached * value)
        return
    set_word(frame, LENGTH, length + 1)
    set_word(frame, STAGE, 1)


@kernel
def attribute_tree(image, cells, root, frames, paths, width, out, bias):
    """Add a tree's part to ``out``; level ``d`` of the stack has frame ``d`` and path ``d``."""
    push(frames, root, np.int64(0), 1.0, 1.0, np.int64(-1))
    depth = np.int64(0)
    while depth >= 0:
        frame = frames + FRAME * depth
        path = paths + width * depth
        if word(frame, STAGE) == 0:
            enter(image, cells, frame, frame, path, out, bias)
            if word(frame, STAGE) == 0:
                depth -= 1
                continue
        stage = word(frame, STAGE)
        if stage == 3:
            depth -= 1
            continue
        node = section(image, layout.NODES) + 8 * layout.NODE_WORDS * word(frame, NODE)
        side = np.int64(stage - 1)
        taken = goes_left(image, node, cells) == (side == 0)
        feature = word(node, layout.NODE_PLACE) >> 32
        child = np.int64(peek(node, np.int32, 2 * layout.NODE_CHILDREN + side))
        length = word(frame, LENGTH)
        set_word(frame, STAGE, stage + 1)
        for k in range(4 * length):
            set_word(path + width, k, word(path, k))
        push(frame + FRAME, child, length, share_of(node, side), 1.0 if taken else 0.0, feature)
        depth += 1


@kernel
def contributions(image, cells, out):
    """Fill ``out[outputs * (features + 1)]`` for a row whose cells are filled; False where there is no memory for it."""
    outputs, features = word(image, layout.OUTPUTS), word(image, layout.N_FEATURES)
    trees = section(image, layout.TREE_TABLE)
    for k in range(outputs * (features + 1)):
        poke(out, np.float64, k, 0.0)
    search = allocate(16 * word(image, layout.NODES + 1) + 64)
    if search == 0:
        return False
    deepest = np.int64(0)
    for t in range(word(image, layout.TREES)):
        root = np.int64(peek(trees + 4 * layout.TREE_INTS * t, np.int32, layout.TREE_ROOT))
        deepest = max(deepest, deepest_of(image, root, search))
    release(search)
    width = ELEMENT * (min(deepest, features) + 3)
    size = (deepest + 2) * (FRAME + width) + 64
    memory = allocate(size) if size <= MOST_BYTES else np.int64(0)
    if memory == 0:
        return False
    paths = memory + FRAME * (deepest + 2)
    for t in range(word(image, layout.TREES)):
        root = np.int64(peek(trees + 4 * layout.TREE_INTS * t, np.int32, layout.TREE_ROOT))
        attribute_tree(
            image, cells, root, memory, paths, width, out + 8 * (t % outputs) * (features + 1), np.int64(features)
        )
    release(memory)
    return True
