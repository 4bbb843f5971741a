"""Raw scores of a block of rows: the sum of the trees' leaves, tree by tree in LightGBM's order, equal to its own bit for bit.

The coded walk is what runs. Values become ranks among a feature's thresholds, one byte for up to 255 of them
(``udfs.forest.ranks``); then 512 rows meet every node of a tree, whether on their way or not, as 64 bytes in a register: compare,
compare, blend (``udfs.forest.lanes``). A node costs a row a twentieth of a nanosecond, so that 62 nodes cost less than the 6
steps of the way would, each a cache miss or a gather away from the next. The values of up to 256 leaves are fetched by byte
permutes, eight planes of them, and unpacked to doubles. NaN, zero as missing, default directions and categories are all in the
codes: one kernel serves every model, and nothing is compiled for a model.

Measured on an AMD EPYC (Zen 5, one thread, CPU time, against ``Booster.predict`` on the same rows in the same run; trees x leaves
x features): 100 x 31 x 10 83 to 85 times as fast, 500 x 63 x 20 78 to 83, 200 x 127 x 200 31 to 34, 100 x 31 with categories of 30,
300 and 2,000 levels and NaN 74, 7 classes x 100 x 31 133 to 150, 100 x 256 x 20 36, 100 x 1,000 x 20 10. The same code for AVX2: 32,
36 and 8 (categories) times; without any vectors 16, 13 and 7. Tried and left: gathers down the levels of a tree (1.9 times
LightGBM), ranks by bucket tables and gathers only (64 times, they took 29 of 51 ns a row), category sets as one byte a class (23
times where 2,000 categories are; a bit a class made it 74), keys searched as they are made (store forwarding stalls: 72).
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

import math

import numpy as np

from udfs.forest import image, ranks
from udfs.forest.coded import SET_WORDS, TABLE_BYTES, TREE_WORDS
from udfs.forest.lanes import BLOCK, add_leaves, class_bits, find_leaves, walk_deep
from udfs.forest.ranks import code_by_cuts, make_keys, search_column
from udfs.forest.vectors import EIGHT, HAS_PERMUTES, KEYS
from udfs.jit import address_of, allocate, invoke, kernel, part, release, routine, view

_UNBOUNDED = 1 << 40


@kernel
def raw_scores(image_address, features, n, out):
    """Fill ``out[outputs, :n]`` from ``features[n_features, :n]``; NaN is missing, categories are doubles.

    The rows of both arrays must be contiguous.
    """
    walk = view(image_address, np.int64, image.HEAD_WORDS)[image.WALK]
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
    if abs(x) <= ranks.NEAR_ZERO:
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
    head = view(image_address, np.int64, image.HEAD_WORDS)
    roots = view(image_address + head[image.PLAIN_ROOTS], np.int32, _UNBOUNDED)
    split_feature = view(image_address + head[image.PLAIN_FEATURE], np.int32, _UNBOUNDED)
    decision = view(image_address + head[image.PLAIN_DECISION], np.int32, _UNBOUNDED)
    left = view(image_address + head[image.PLAIN_LEFT], np.int32, _UNBOUNDED)
    right = view(image_address + head[image.PLAIN_RIGHT], np.int32, _UNBOUNDED)
    set_start = view(image_address + head[image.PLAIN_SET_START], np.int32, _UNBOUNDED)
    set_words = view(image_address + head[image.PLAIN_SET_WORDS], np.int32, _UNBOUNDED)
    threshold = view(image_address + head[image.PLAIN_THRESHOLD], np.float64, _UNBOUNDED)
    values = view(image_address + head[image.PLAIN_VALUES], np.float64, _UNBOUNDED)
    sets = view(image_address + head[image.PLAIN_SETS], np.uint32, _UNBOUNDED)
    outputs = head[image.OUTPUTS]
    for k in range(outputs):
        total = view(out + k * out_stride, np.float64, n)
        for i in range(n):
            total[i] = 0.0
    for t in range(head[image.TREES]):
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
    head = view(image_address, np.int64, image.HEAD_WORDS)
    words = view(record, np.int64, ranks.FEATURE_WORDS)
    columns = image_address + head[image.CODED_COLUMNS]
    starts, cuts = image_address + head[image.CODED_STARTS], image_address + head[image.CODED_CUTS]
    whole = rows & ~(KEYS - 1) if HAS_PERMUTES else 0
    first = words[ranks.FIRST_COLUMN]
    if HAS_PERMUTES:
        make_keys(record, source, whole, scratch)
        for c in range(first, first + words[ranks.COLUMNS]):
            table = image_address + head[image.CODED_KEYS] + 2 * ranks.KEY_TABLE * c
            search_column(columns + 8 * ranks.COLUMN_WORDS * c, table, whole, scratch, codes + c * BLOCK)
    undecided = view(scratch + ranks.UNDECIDED, np.uint8, BLOCK // EIGHT)
    values = view(source, np.float64, rows)
    tail = view(scratch + ranks.TAIL, np.float64, EIGHT)
    for i in range(0, rows, EIGHT):
        if i >= whole or undecided[i // EIGHT]:
            at = source + 8 * i
            if i + EIGHT > rows:
                at = scratch + ranks.TAIL
                for k in range(rows - i):
                    tail[k] = values[i + k]
            code_by_cuts(record, columns, starts, cuts, at, codes + i)


@part
def prepare_sets(image_address, tree, codes, rows):
    """For every categorical node of a tree, a column that is 1 where the row's class goes right."""
    head = view(image_address, np.int64, image.HEAD_WORDS)
    record = view(tree, np.int64, TREE_WORDS)
    for s in range(record[4], record[4] + record[5]):
        entry = view(image_address + head[image.CODED_SETS] + 8 * SET_WORDS * s, np.int64, SET_WORDS)
        target = codes + (head[image.COLUMN_COUNT] + entry[2]) * BLOCK
        test_classes(image_address + head[image.CODED_TABLES] + entry[1], codes + entry[0] * BLOCK, rows, target)


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
    head = view(image_address, np.int64, image.HEAD_WORDS)
    outputs = head[image.OUTPUTS]
    columns = head[image.COLUMN_COUNT] + head[image.MOST_SETS]
    memory = allocate((columns + 1 + 8 * outputs) * BLOCK + ranks.SCRATCH + 64)
    if memory == 0:  # nothing can be said, and nothing must be invented
        for k in range(outputs):
            for i in range(n):
                view(out + k * out_stride, np.float64, n)[i] = np.nan
        return
    codes = (memory + 63) & ~63
    leaves = codes + columns * BLOCK
    sums = leaves + BLOCK
    scratch = sums + 8 * outputs * BLOCK
    sums_of = view(sums, np.float64, outputs * BLOCK)
    nodes, planes = image_address + head[image.CODED_NODES], image_address + head[image.CODED_PLANES]
    for start in range(0, n, BLOCK):
        rows = min(BLOCK, n - start)
        for f in range(head[image.FEATURE_COUNT]):
            record = image_address + head[image.CODED_FEATURES] + 8 * ranks.FEATURE_WORDS * f
            words = view(record, np.int64, ranks.FEATURE_WORDS)
            source = features + words[ranks.FEATURE] * feature_stride + 8 * start
            if words[ranks.CATEGORIES]:
                table = image_address + head[image.CODED_CLASSES] + words[ranks.CLASSES]
                encode_categories(
                    source, rows, table, words[ranks.CATEGORIES], codes + words[ranks.FIRST_COLUMN] * BLOCK
                )
            else:
                encode_numbers(image_address, record, source, rows, codes, scratch)
        for i in range(outputs * BLOCK):
            sums_of[i] = 0.0
        for t in range(head[image.TREES]):
            tree = image_address + head[image.CODED_TREES] + 8 * TREE_WORDS * t
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
