"""Raw scores of a block of rows: the sum of the trees' leaves, tree by tree in LightGBM's order, equal to its own bit for bit.

DOCSTRING
"""

from __future__ import annotations

import math

import numpy as np

from udfs.forest.coded import SET_WORDS, TABLE_BYTES, TREE_WORDS
from udfs.forest.image import (
    CODED_CLASSES,
    CODED_COLUMNS,
    CODED_CUTS,
    CODED_FEATURES,
    CODED_KEYS,
    CODED_NODES,
    CODED_PLANES,
    CODED_SETS,
    CODED_STARTS,
    CODED_TABLES,
    CODED_TREES,
    COLUMN_COUNT,
    FEATURE_COUNT,
    HEAD_WORDS,
    MOST_SETS,
    OUTPUTS,
    PLAIN_DECISION,
    PLAIN_FEATURE,
    PLAIN_LEFT,
    PLAIN_RIGHT,
    PLAIN_ROOTS,
    PLAIN_SET_START,
    PLAIN_SET_WORDS,
    PLAIN_SETS,
    PLAIN_THRESHOLD,
    PLAIN_VALUES,
    TREES,
    WALK,
)
from udfs.forest.lanes import BLOCK, add_leaves, class_bits, find_leaves, walk_deep
from udfs.forest.ranks import (
    CATEGORIES,
    CLASSES,
    COLUMN_WORDS,
    COLUMNS,
    FEATURE,
    FEATURE_WORDS,
    FIRST_COLUMN,
    KEY_TABLE,
    NEAR_ZERO,
    SCRATCH,
    TAIL,
    UNDECIDED,
    code_by_cuts,
    make_keys,
    search_column,
)
from udfs.forest.vectors import EIGHT, HAS_PERMUTES, KEYS
from udfs.jit import address_of, allocate, invoke, kernel, part, release, routine, view

_UNBOUNDED = 1 << 40


@kernel
def raw_scores(image_address, features, n, out):
    """Fill ``out[outputs, :n]`` from ``features[n_features, :n]``; NaN is missing, categories are doubles.

    The rows of both arrays must be contiguous.
    """
    walk = view(image_address, np.int64, HEAD_WORDS)[WALK]
    source, target = address_of(features), address_of(out)
    strides = np.int64(features.strides[0]), np.int64(out.strides[0])
    invoke(walk, (image_address, source, strides[0], np.int64(n), target, strides[1]))


@part
def is_left(x, kind, threshold):
    """A numeric decision as LightGBM takes it; ``kind`` is its decision type."""
    missing = (kind >> 2) & 3
    if math.isnan(x):
        if missing == 2:
            return (kind & 2) != 0
        x = 0.0
    if abs(x) <= NEAR_ZERO:
        if missing == 1:
            return (kind & 2) != 0
        x = 0.0
    return x <= threshold


@part
def is_member(x, sets, start, words):
    """A categorical decision as LightGBM takes it: missing, negative and unseen categories are in no set."""
    if not (x > -1.0 and x < 2147483648.0):
        return False
    category = np.int64(x)
    word = category >> 5
    return word < words and ((sets[start + word] >> np.uint32(category & 31)) & np.uint32(1)) != 0


@routine
def plain_walk(image_address, features, feature_stride, n, out, out_stride):
    """Sum the leaves one row after the other, one tree after the other, over LightGBM's own arrays."""
    head = view(image_address, np.int64, HEAD_WORDS)
    roots = view(image_address + head[PLAIN_ROOTS], np.int32, _UNBOUNDED)
    split_feature = view(image_address + head[PLAIN_FEATURE], np.int32, _UNBOUNDED)
    decision = view(image_address + head[PLAIN_DECISION], np.int32, _UNBOUNDED)
    left = view(image_address + head[PLAIN_LEFT], np.int32, _UNBOUNDED)
    right = view(image_address + head[PLAIN_RIGHT], np.int32, _UNBOUNDED)
    set_start = view(image_address + head[PLAIN_SET_START], np.int32, _UNBOUNDED)
    set_words = view(image_address + head[PLAIN_SET_WORDS], np.int32, _UNBOUNDED)
    threshold = view(image_address + head[PLAIN_THRESHOLD], np.float64, _UNBOUNDED)
    values = view(image_address + head[PLAIN_VALUES], np.float64, _UNBOUNDED)
    sets = view(image_address + head[PLAIN_SETS], np.uint32, _UNBOUNDED)
    outputs = head[OUTPUTS]
    for k in range(outputs):
        total = view(out + k * out_stride, np.float64, n)
        for i in range(n):
            total[i] = 0.0
    for t in range(head[TREES]):
        total = view(out + t % outputs * out_stride, np.float64, n)
        for i in range(n):
            node = roots[t]
            while node >= 0:
                x = view(features + split_feature[node] * feature_stride, np.float64, n)[i]
                kind = decision[node]
                if kind & 1:
                    goes_left = is_member(x, sets, set_start[node], set_words[node])
                else:
                    goes_left = is_left(x, kind, threshold[node])
                node = left[node] if goes_left else right[node]
            total[i] += values[~node]


@part
def encode_categories(source, rows, table, categories, target):
    """Write every row's class as a byte's number and a bit; whatever is no category of the forest has a class as well."""
    values = view(source, np.float64, rows)
    classes = view(table, np.uint16, categories + 1)
    codes = view(target, np.uint8, 2 * BLOCK)
    for i in range(rows):
        x = values[i]
        category = categories
        if x > -1.0 and x < categories:
            category = np.int64(x)
        found = np.int64(classes[category])
        codes[i] = found >> 3
        codes[BLOCK + i] = 1 << (found & 7)


@part
def encode_numbers(image_address, record, source, rows, codes, scratch):
    """Write the columns of a numeric feature: by keys, and by cuts what these leave undecided and the last few rows."""
    head = view(image_address, np.int64, HEAD_WORDS)
    words = view(record, np.int64, FEATURE_WORDS)
    columns = image_address + head[CODED_COLUMNS]
    starts, cuts = image_address + head[CODED_STARTS], image_address + head[CODED_CUTS]
    whole = rows & ~(KEYS - 1) if HAS_PERMUTES else 0
    first = words[FIRST_COLUMN]
    if HAS_PERMUTES:
        make_keys(record, source, whole, scratch)
        for c in range(first, first + words[COLUMNS]):
            table = image_address + head[CODED_KEYS] + 2 * KEY_TABLE * c
            search_column(columns + 8 * COLUMN_WORDS * c, table, whole, scratch, codes + c * BLOCK)
    undecided = view(scratch + UNDECIDED, np.uint8, BLOCK // EIGHT)
    values = view(source, np.float64, rows)
    tail = view(scratch + TAIL, np.float64, EIGHT)
    for i in range(0, rows, EIGHT):
        if i >= whole or undecided[i // EIGHT]:
            at = source + 8 * i
            if i + EIGHT > rows:
                at = scratch + TAIL
                for k in range(rows - i):
                    tail[k] = values[i + k]
            code_by_cuts(record, columns, starts, cuts, at, codes + i)


@part
def prepare_sets(image_address, tree, codes, rows):
    """For every categorical node of a tree, a column that is 1 where the row's class goes right."""
    head = view(image_address, np.int64, HEAD_WORDS)
    record = view(tree, np.int64, TREE_WORDS)
    for s in range(record[4], record[4] + record[5]):
        entry = view(image_address + head[CODED_SETS] + 8 * SET_WORDS * s, np.int64, SET_WORDS)
        target = codes + (head[COLUMN_COUNT] + entry[2]) * BLOCK
        test_classes(image_address + head[CODED_TABLES] + entry[1], codes + entry[0] * BLOCK, rows, target)


@part
def test_classes_singly(table, classes, rows, codes):
    """As ``class_bits``, row by row."""
    bits = view(table, np.uint8, TABLE_BYTES)
    numbers = view(classes, np.uint8, 2 * BLOCK)
    result = view(codes, np.uint8, BLOCK)
    for i in range(rows):
        result[i] = (bits[numbers[i]] & numbers[BLOCK + i]) != 0


@part
def add_leaves_singly(tree, planes, leaves, rows, sums):
    """As ``add_leaves``, row by row, from leaf values as they are."""
    values = view(planes + view(tree, np.int64, TREE_WORDS)[2], np.float64, 256)
    found = view(leaves, np.uint8, BLOCK)
    total = view(sums, np.float64, BLOCK)
    for i in range(rows):
        total[i] += values[found[i]]


test_classes = class_bits if HAS_PERMUTES else test_classes_singly
add_values = add_leaves if HAS_PERMUTES else add_leaves_singly


@part
def deliver(sums, out, rows):
    """Bring the sums of 512 rows back from the order of ``add_leaves`` into the order of rows."""
    given = view(sums, np.float64, BLOCK)
    wanted = view(out, np.float64, BLOCK)
    for i in range(rows):
        at = (i & ~63) + ((i >> 1 & 7) << 3) + ((i >> 4 & 3) << 1) + (i & 1) if HAS_PERMUTES else i
        wanted[i] = given[at]


@routine
def coded_walk(image_address, features, feature_stride, n, out, out_stride):
    """Score 512 rows at a time: code their features, then send all of them down one tree after the other."""
    head = view(image_address, np.int64, HEAD_WORDS)
    outputs = head[OUTPUTS]
    columns = head[COLUMN_COUNT] + head[MOST_SETS]
    memory = allocate((columns + 1 + 8 * outputs) * BLOCK + SCRATCH + 64)
    codes = (memory + 63) & ~63
    leaves = codes + columns * BLOCK
    sums = leaves + BLOCK
    scratch = sums + 8 * outputs * BLOCK
    sums_of = view(sums, np.float64, outputs * BLOCK)
    nodes, planes = image_address + head[CODED_NODES], image_address + head[CODED_PLANES]
    for start in range(0, n, BLOCK):
        rows = min(BLOCK, n - start)
        for f in range(head[FEATURE_COUNT]):
            record = image_address + head[CODED_FEATURES] + 8 * FEATURE_WORDS * f
            words = view(record, np.int64, FEATURE_WORDS)
            source = features + words[FEATURE] * feature_stride + 8 * start
            if words[CATEGORIES]:
                table = image_address + head[CODED_CLASSES] + words[CLASSES]
                encode_categories(source, rows, table, words[CATEGORIES], codes + words[FIRST_COLUMN] * BLOCK)
            else:
                encode_numbers(image_address, record, source, rows, codes, scratch)
        for i in range(outputs * BLOCK):
            sums_of[i] = 0.0
        for t in range(head[TREES]):
            tree = image_address + head[CODED_TREES] + 8 * TREE_WORDS * t
            prepare_sets(image_address, tree, codes, rows)
            target = sums + 8 * BLOCK * (t % outputs)
            if view(tree, np.int64, TREE_WORDS)[3] == 0:
                walk_deep(tree, nodes, planes, codes, rows, target)
            else:
                find_leaves(tree, nodes, codes, leaves, rows)
                add_values(tree, planes, leaves, rows, target)
        for k in range(outputs):
            deliver(sums + 8 * BLOCK * k, out + k * out_stride + 8 * start, rows)
    release(memory)
