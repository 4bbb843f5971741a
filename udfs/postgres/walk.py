"""The raw score of one row, bit-equal to LightGBM: values to codes, codes to leaves, leaves summed tree by tree.

    cells ──► codes ──► states (a leaf of each tree) ──► sums in LightGBM's order

``scratch`` is memory of a row in work: codes, states, gathered codes (``scratch_bytes``). See ``udfs.postgres.lanes``.
"""

from __future__ import annotations

import math

import numpy as np

from udfs.forest import ranks
from udfs.forest.walk import is_left, is_member
from udfs.jit import kernel, peek, poke, word
from udfs.postgres import layout
from udfs.postgres.steps import walk_steps


@kernel
def ordered_bits(x):
    """As ``udfs.forest.cuts.ordered_bits``, of one value."""
    bits = np.float64(x).view(np.int64)
    return np.float64(bits ^ ((bits >> 63) & np.int64(0x7FFFFFFFFFFFFFFF)))


@kernel
def section(image, number):
    """The address of a section."""
    return image + word(image, number)


@kernel
def codes_bytes(image):
    """Room for codes, in whole chunks and one more vector."""
    return (word(image, layout.CODES) + 2 * layout.WIDTH) & ~15


@kernel
def scratch_bytes(image):
    """Of the memory that scoring a row needs beside its cells."""
    return codes_bytes(image) + word(image, layout.LANES) + layout.WIDTH * (word(image, layout.LONGEST) + 1)


@kernel
def rank_of(record, starts, cuts, x):
    """How many thresholds are below a value that is not NaN: by its bucket, then a search of a few steps."""
    chosen = ordered_bits(x) if word(record, layout.BY_BITS) else x
    scaled = (chosen - peek(record, np.float64, layout.LOW)) * peek(record, np.float64, layout.SCALE)
    last = peek(record, np.float64, layout.LAST)
    scaled = min(last, scaled)
    scaled = max(scaled, 0.0)
    rank = np.int64(peek(starts, np.int32, np.int64(scaled)))
    size = word(record, layout.STEP)
    while size > 0:
        rank += size if x > peek(cuts, np.float64, rank + size - 1) else 0
        size >>= 1
    return rank


@kernel
def code_numbers(image, cells, codes):
    """Write the codes of all numeric features."""
    columns = section(image, layout.COLUMNS)
    for f in range(word(image, layout.NUMERIC + 1)):
        record = section(image, layout.NUMERIC) + 8 * layout.NUMERIC_WORDS * f
        starts = section(image, layout.STARTS) + 4 * word(record, layout.FIRST_START)
        cuts = section(image, layout.CUTS) + 8 * word(record, layout.FIRST_CUT)
        x = peek(cells, np.float64, word(record, layout.NUMERIC_CELL))
        is_nan = math.isnan(x)
        value = 0.0 if is_nan else x
        rank = rank_of(record, starts, cuts, value)
        first = word(record, layout.FIRST_COLUMN)
        for c in range(first, first + word(record, layout.COLUMN_COUNT)):
            column = columns + 8 * layout.COLUMN_WORDS * c
            code = min(max(rank - word(column, layout.BASE), 0), 255)
            missing = word(column, layout.MISSING)
            if missing and (is_nan or (missing == 1 and abs(value) <= ranks.NEAR_ZERO)):
                code = word(column, layout.MISSING_CODE)
            poke(codes, np.uint8, c, np.uint8(code))


@kernel
def code_sets(image, cells, codes):
    """Write the codes of all sets of categories: the row of bytes of the category's class."""
    for f in range(word(image, layout.CATEGORICAL + 1)):
        record = section(image, layout.CATEGORICAL) + 8 * layout.CATEGORICAL_WORDS * f
        class_of = section(image, layout.CLASS_OF) + 2 * word(record, layout.FIRST_CLASS)
        x = peek(cells, np.float64, word(record, layout.SET_CELL))
        others = word(record, layout.CATEGORIES)
        category = np.int64(x) if x > -1.0 and x < np.float64(others) else others
        found = np.int64(peek(class_of, np.uint16, category))
        count = word(record, layout.SET_COUNT)
        source = section(image, layout.TABLES) + word(record, layout.FIRST_TABLE) + found * count
        target = codes + word(record, layout.SET_CODE)
        for k in range(count):
            poke(target, np.uint8, k, peek(source, np.uint8, k))


@kernel
def gather_codes(steps, count, codes, gathered):
    """Collect the codes of every step of a group whose codes are too many for permutes."""
    for step in range(count):
        at = steps + layout.GATHERED_STEP_BYTES * step
        for lane in range(layout.WIDTH):
            poke(gathered, np.uint8, layout.WIDTH * step + lane, peek(codes, np.uint8, peek(at, np.uint32, lane)))


@kernel
def find_leaves(image, cells, scratch):
    """Fill the states of all lanes."""
    codes = scratch
    states = codes + codes_bytes(image)
    gathered = states + word(image, layout.LANES)
    code_numbers(image, cells, codes)
    code_sets(image, cells, codes)
    for g in range(word(image, layout.GROUPS + 1)):
        group = section(image, layout.GROUPS) + 8 * layout.GROUP_WORDS * g
        steps = section(image, layout.STEPS) + word(group, layout.GROUP_STEPS)
        count, chunks = word(group, layout.GROUP_COUNT), word(group, layout.GROUP_CHUNKS)
        target = states + layout.WIDTH * g
        if count == 0:
            for k in range(layout.WIDTH):
                poke(target, np.uint8, k, np.uint8(0))
            continue
        if chunks == 0:
            gather_codes(steps, count, codes, gathered)
        walk_steps(steps, count, codes, chunks, gathered, target)


@kernel
def goes_left(image, node, cells):
    """A node's decision about a row."""
    place = word(node, layout.NODE_PLACE)
    x = peek(cells, np.float64, place & 0xFFFFFF)
    kind = (place >> 24) & 0xFF
    if kind & 1:
        span = word(node, layout.NODE_THRESHOLD)
        return is_member(x, section(image, layout.SETS) + 4 * (span & 0xFFFFFFFF), span >> 32)
    return is_left(x, kind, peek(node, np.float64, layout.NODE_THRESHOLD))


@kernel
def walk_tree(image, root, cells):
    """The value of a tree that is walked by itself, node by node."""
    at = root
    while at >= 0:
        node = section(image, layout.NODES) + 8 * layout.NODE_WORDS * at
        left = goes_left(image, node, cells)
        at = np.int64(peek(node, np.int32, 2 * layout.NODE_CHILDREN + (0 if left else 1)))
    return peek(section(image, layout.VALUES), np.float64, ~at)


@kernel
def raw_scores(image, cells, scratch, out):
    """Fill ``out[outputs]``: each output's trees summed in LightGBM's order."""
    find_leaves(image, cells, scratch)
    states = scratch + codes_bytes(image)
    trees, values = section(image, layout.TREE_TABLE), section(image, layout.VALUES)
    outputs, count = word(image, layout.OUTPUTS), word(image, layout.TREES)
    for k in range(outputs):
        total = 0.0
        for t in range(k, count, outputs):
            tree = trees + 4 * layout.TREE_INTS * t
            lane = np.int64(peek(tree, np.int32, layout.TREE_LANE))
            if lane >= 0:
                leaf = np.int64(peek(states, np.uint8, lane))
                total += peek(values, np.float64, np.int64(peek(tree, np.int32, layout.TREE_VALUE)) + leaf)
            else:
                total += walk_tree(image, np.int64(peek(tree, np.int32, layout.TREE_ROOT)), cells)
        poke(out, np.float64, k, total)
