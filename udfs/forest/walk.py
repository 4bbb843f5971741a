"""Raw scores of a block of rows: the sum of the trees' leaves, tree by tree in LightGBM's order, equal to its own bit for bit."""

from __future__ import annotations

import math

import numpy as np
from numba import types

from udfs.forest.coded import (
    BY_BITS, CATEGORIES, CLASSES, COLUMN_WORDS, COLUMNS, CUT, FEATURE, FEATURE_WORDS, FIRST_COLUMN, KEY_APART,
    KEY_BY_BITS, KEY_LOW, KEY_SCALE, KEY_TABLE, LAST, LOW, SCALE, SET_WORDS, STARTS, STEP, TABLE_BYTES,
    TREE_WORDS,
)  # fmt: skip
from udfs.forest.lanes import (
    BLOCK, HAS_PERMUTES, KEYS, LANES, MISSING_BYTES, add_leaves_64, add_leaves_128, add_leaves_256, class_bits, column_codes,
    find_leaves, make_keys, rank_eight, search_31, search_63, search_127, search_255,
)  # fmt: skip
from udfs.forest.nodes import (
    CODED, CODED_COLUMNS, CODED_FEATURES, CODED_SETS, FEWEST_ROWS, HEAD_WORDS, METHOD, OUTPUTS, PLAIN, TREES,
)  # fmt: skip
from udfs.jit import address_of, allocate, kernel, part, release, routine, view

_ZERO = float(np.float32(1e-35))  # LightGBM's kZeroThreshold: nearer to zero is zero
_UNBOUNDED = 1 << 40


@part
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


@part
def is_member(x, sets, start, words):
    """A categorical decision as LightGBM takes it: missing, negative and unseen categories are in no set."""
    if not (x > -1.0 and x < 2147483648.0):
        return False
    category = np.int64(x)
    word = category >> 5
    return word < words and ((sets[start + word] >> np.uint32(category & 31)) & np.uint32(1)) != 0


@routine(types.void(*[types.int64] * 6))
def plain_walk(image_address, features, feature_stride, n, out, out_stride):
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


# Where things are in the scratch memory of a feature: keys, bits of the missing (none, NaN, zero or NaN), of the undecided.
MISSING, UNDECIDED, TAIL = 2 * BLOCK, 2 * BLOCK + 3 * MISSING_BYTES, 2 * BLOCK + 4 * MISSING_BYTES
SCRATCH = TAIL + 8 * KEYS


@part
def search_column(levels, scratch, rows, table, absent, code, target):
    """Write a column of codes from the keys of up to 512 rows."""
    close = scratch + UNDECIDED
    for i in range(0, rows, KEYS):
        bits = i // 8
        if levels == 8:
            search_255(scratch + 2 * i, table, absent + bits, code, target + i, close + bits)
        elif levels == 7:
            search_127(scratch + 2 * i, table, absent + bits, code, target + i, close + bits)
        elif levels == 6:
            search_63(scratch + 2 * i, table, absent + bits, code, target + i, close + bits)
        else:
            search_31(scratch + 2 * i, table, absent + bits, code, target + i, close + bits)


@part
def code_by_cuts(image_address, record, values, codes, scratch):
    """Code 8 values of a feature by comparing them with the cuts themselves."""
    head = view(image_address, np.int64, HEAD_WORDS)
    words = view(record, np.int64, FEATURE_WORDS)
    numbers = view(record, np.float64, FEATURE_WORDS)
    columns = view(image_address + head[CODED + 1], np.int64, _UNBOUNDED)
    starts = image_address + head[CODED + 6] + words[STARTS]
    cuts = image_address + head[CODED + 7] + words[CUT]
    by_bits = words[BY_BITS] != 0
    rank_eight(values, numbers[LOW], numbers[SCALE], numbers[LAST], by_bits, starts, cuts, words[STEP], scratch)
    first = words[FIRST_COLUMN]
    for c in range(first, first + words[COLUMNS]):
        d = c * COLUMN_WORDS
        column_codes(values, scratch, columns[d], columns[d + 1], columns[d + 2], codes + c * BLOCK)


@part
def code_by_keys(image_address, record, values, rows, codes, scratch):
    """Code a feature's values by 16-bit keys, 32 at once, and once more and exactly the few whose key is a cut's."""
    head = view(image_address, np.int64, HEAD_WORDS)
    words = view(record, np.int64, FEATURE_WORDS)
    numbers = view(record, np.float64, FEATURE_WORDS)
    apart, low, scale, by_bits = numbers[KEY_APART], numbers[KEY_LOW], numbers[KEY_SCALE], words[KEY_BY_BITS] != 0
    missing = scratch + MISSING
    none_missing = view(missing, np.int32, BLOCK // KEYS)
    undecided = view(scratch + UNDECIDED, np.int32, BLOCK // KEYS)
    for i in range(BLOCK // KEYS):
        none_missing[i] = undecided[i] = 0
    for i in range(0, rows, KEYS):
        make_keys(values + 8 * i, apart, low, scale, by_bits, scratch + 2 * i, missing + MISSING_BYTES + i // 8)
    columns = view(image_address + head[CODED + 1], np.int64, _UNBOUNDED)
    first = words[FIRST_COLUMN]
    for c in range(first, first + words[COLUMNS]):
        d = c * COLUMN_WORDS
        table = image_address + head[CODED + 10] + 2 * KEY_TABLE * c
        kind, code, levels = columns[d + 1], columns[d + 2], columns[d + 3]
        absent = missing + MISSING_BYTES * (0 if kind == 0 else 3 - kind)
        search_column(levels, scratch, rows, table, absent, code, codes + c * BLOCK)
    for i in range(0, rows, KEYS):
        if undecided[i // KEYS]:
            for k in range(0, KEYS, 8):
                if (undecided[i // KEYS] >> k) & 255:
                    code_by_cuts(image_address, record, values + 8 * (i + k), codes + i + k, scratch + TAIL)


@part
def encode_categories(values, rows, table, categories, codes):
    """Write every row's class as a byte's number and a bit; whatever is no category of the forest has a class as well."""
    for i in range(rows):
        x = values[i]
        category = categories
        if x > -1.0 and x < categories:
            category = np.int64(x)
        found = np.int64(table[category])
        codes[i] = found >> 3
        codes[BLOCK + i] = 1 << (found & 7)


@routine(types.void(*[types.int64] * 6))
def encode(image_address, values, stride, rows, codes, scratch):
    """Code all features of up to 512 rows; ``values`` is the address of the first, ``stride`` the bytes to the next feature."""
    head = view(image_address, np.int64, HEAD_WORDS)
    words = view(image_address + head[CODED], np.int64, _UNBOUNDED)
    for f in range(head[CODED_FEATURES]):
        record = image_address + head[CODED] + 8 * f * FEATURE_WORDS
        at = f * FEATURE_WORDS
        source = values + words[at + FEATURE] * stride
        if words[at + CATEGORIES]:
            table = view(image_address + head[CODED + 8] + words[at + CLASSES], np.uint16, _UNBOUNDED)
            target = view(codes + words[at + FIRST_COLUMN] * BLOCK, np.uint8, 2 * BLOCK)
            encode_categories(view(source, np.float64, rows), rows, table, words[at + CATEGORIES], target)
            continue
        whole = rows & ~(KEYS - 1)
        if HAS_PERMUTES:
            code_by_keys(image_address, record, source, whole, codes, scratch)
        else:
            for i in range(0, whole, 8):
                code_by_cuts(image_address, record, source + 8 * i, codes + i, scratch)
        if whole < rows:
            tail = view(scratch + TAIL, np.float64, KEYS)
            rest = view(source + 8 * whole, np.float64, KEYS)
            for i in range(KEYS):
                tail[i] = rest[i] if i < rows - whole else 0.0
            for i in range(0, KEYS, 8):
                code_by_cuts(image_address, record, scratch + TAIL + 8 * i, codes + whole + i, scratch)


@part
def prepare_sets(image_address, first, count, codes, columns, groups):
    """For every categorical node of a tree, a column that is 1 where the row's class goes right."""
    head = view(image_address, np.int64, HEAD_WORDS)
    sets = view(image_address + head[CODED + 5], np.int64, _UNBOUNDED)
    tables = image_address + head[CODED + 9]
    for s in range(first * SET_WORDS, (first + count) * SET_WORDS, SET_WORDS):
        bytes_ = codes + sets[s] * BLOCK
        target = codes + (columns + sets[s + 2]) * BLOCK
        table = tables + sets[s + 1]
        if HAS_PERMUTES:
            for g in range(0, groups * LANES, LANES):
                class_bits(table, bytes_ + g, bytes_ + BLOCK + g, target + g)
        else:
            numbers = view(bytes_, np.uint8, 2 * BLOCK)
            bits = view(table, np.uint8, TABLE_BYTES)
            result = view(target, np.uint8, BLOCK)
            for i in range(groups * LANES):
                result[i] = (bits[numbers[i]] & numbers[BLOCK + i]) != 0


@part
def add_values(planes, capacity, leaves, groups, sums):
    """Add the values of the leaves that ``find_leaves`` found to the sums of one output."""
    if HAS_PERMUTES:
        for g in range(groups):
            if capacity == 64:
                add_leaves_64(planes, leaves + g * LANES, sums + 8 * g * LANES)
            elif capacity == 128:
                add_leaves_128(planes, leaves + g * LANES, sums + 8 * g * LANES)
            else:
                add_leaves_256(planes, leaves + g * LANES, sums + 8 * g * LANES)
    else:
        values = view(planes, np.float64, 256)
        found = view(leaves, np.uint8, BLOCK)
        total = view(sums, np.float64, BLOCK)
        for i in range(groups * LANES):
            total[i] += values[found[i]]


@part
def deliver(sums_address, out_address, rows):
    """Bring the sums of 512 rows back from the order of ``add_leaves`` into the order of rows."""
    sums = view(sums_address, np.float64, BLOCK)
    out = view(out_address, np.float64, BLOCK)
    for i in range(rows):
        if HAS_PERMUTES:
            out[i] = sums[(i & ~63) + ((i >> 1 & 7) << 3) + ((i >> 4 & 3) << 1) + (i & 1)]
        else:
            out[i] = sums[i]


@routine(types.void(*[types.int64] * 6))
def coded_walk(image_address, features, feature_stride, n, out, out_stride):
    """Score 512 rows at a time: code their features, then send all of them down one tree after the other."""
    head = view(image_address, np.int64, HEAD_WORDS)
    outputs = head[OUTPUTS]
    columns = head[CODED_COLUMNS]
    memory = allocate((columns + head[CODED_SETS] + 1 + 8 * outputs) * BLOCK + SCRATCH + 64)
    if memory == 0:
        plain_walk(image_address, features, feature_stride, n, out, out_stride)
        return
    codes = (memory + 63) & ~63
    leaves = codes + (columns + head[CODED_SETS]) * BLOCK
    sums = leaves + BLOCK
    scratch = sums + 8 * outputs * BLOCK
    sums_of = view(sums, np.float64, outputs * BLOCK)
    trees = view(image_address + head[CODED + 2], np.int64, _UNBOUNDED)
    nodes = image_address + head[CODED + 3]
    planes = image_address + head[CODED + 4]
    for start in range(0, n, BLOCK):
        rows = min(BLOCK, n - start)
        encode(image_address, features + 8 * start, feature_stride, rows, codes, scratch)
        for i in range(outputs * BLOCK):
            sums_of[i] = 0.0
        groups = (rows + LANES - 1) // LANES
        for t in range(head[TREES]):
            record = t * TREE_WORDS
            if trees[record + 5]:
                prepare_sets(image_address, trees[record + 4], trees[record + 5], codes, columns, groups)
            find_leaves(nodes + trees[record], trees[record + 1], codes, leaves)
            target = sums + 8 * BLOCK * (t % outputs)
            add_values(planes + trees[record + 2], trees[record + 3], leaves, groups, target)
        for k in range(outputs):
            deliver(sums + 8 * BLOCK * k, out + k * out_stride + 8 * start, rows)
    release(memory)


@kernel
def raw_scores(image_address, features, n, out):
    """Fill ``out[outputs, :n]`` from ``features[n_features, :n]``; NaN is missing, categories are doubles.

    Rows of both arrays must be contiguous.
    """
    head = view(image_address, np.int64, HEAD_WORDS)
    source, target = address_of(features), address_of(out)
    if head[METHOD] == 0 or n < head[FEWEST_ROWS]:
        plain_walk(image_address, source, features.strides[0], n, target, out.strides[0])
    else:
        coded_walk(image_address, source, features.strides[0], n, target, out.strides[0])
