"""Raw scores of a block of rows: the sum of the trees' leaves, tree by tree in LightGBM's order, equal to its own bit for bit.

The coded walk is what runs. Values become ranks among a feature's thresholds, one byte for up to 255 of them
(``udfs.forest.ranks``). Then no row's way is followed: 512 rows meet every node of a tree, whether on their way or not. A whole
block goes by bits (``udfs.forest.slices``): the results of every test that any node takes are made once, a bit a row, and a node is
two instructions on 512 bits. Blocks of fewer rows and small trees go by bytes (``udfs.forest.lanes``), 64 in a register: compare,
compare, blend. The values of up to 256 leaves are fetched by byte permutes, eight planes of them, and unpacked to doubles; without
such permutes by eight loads at a time. NaN, zero as missing, default directions and categories are all in the codes: one kernel
serves every model, and nothing is compiled for a model. Up to four rows are not worth that: each of them follows its way, down
eight trees at a time, which wait for memory together.

Measured one thread, CPU time, against ``Booster.predict`` on the same rows in the same run (trees x leaves x features; times as
fast), on an AMD EPYC (Zen 4) with AVX2 only:

    model                               by bytes, as it was   by bits   SSSE3 only   plain
    100 x 31 x 10                       53                    112       72           74
    500 x 63 x 20                       67                    170       104          107
    200 x 127 x 200                     19                    35
    100 x 31 with categories and NaN    8                     56        34           8.5
    7 classes x 100 x 31 x 10           54 to 65              140

What made it so for the first model (145 ns a row, 69 in the end) and that with categories (886, 130): sets tested by shuffles
(886 to 200), leaf values by eight loads (145 to 119), no more vectors than registers (to 112), bits (to 92), ranks in one loop that
keeps what it needs of a feature (to 69). A block by bits takes as long for 1 row as for 512, which is why 256 or fewer go by bytes.

With AVX-512 (Zen 5), all by bytes: 83 to 85, 78 to 83, 31 to 34, 74, 133 to 150, 100 x 256 x 20 36, 100 x 1,000 x 20 10; by bits it was
not measured there, a node is 9 instructions instead of 40. Tried and left: gathers down the levels of a tree (1.9 times LightGBM),
ranks by bucket tables and gathers only (64 times, they took 29 of 51 ns a row), category sets as one byte a class (23 times where
2,000 categories are; a bit a class made it 74), keys searched as they are made (store forwarding stalls: 72). On AVX2: codes turned
around so that bytes compare as signed (3 to 8%, before there were bits), nodes by bits in preorder (they wait for each other: no
gain over bytes), leaf numbers loaded byte by byte or as pairs (10% slower).
"""

# ruff: noqa: PLR0917 - kernels and what writes them take addresses and counts, by position

from __future__ import annotations

import math

import numpy as np

from udfs.forest import image, ranks
from udfs.forest.coded import SET_WORDS, TREE_WORDS
from udfs.forest.lanes import (
    BLOCK,
    add_leaves,
    add_leaves_singly,
    class_bits,
    find_leaves,
    shuffled_class_bits,
    walk_deep,
    walk_trees,
)
from udfs.forest.ranks import code_by_cuts, code_missing, code_ranks, make_keys, rank_values, search_column
from udfs.forest.slices import SLICES_BYTES, find_leaves_by_bits, pack_column, slice_column
from udfs.forest.vectors import EIGHT, HAS_PERMUTES, KEYS, SHUFFLED
from udfs.jit import address_of, allocate, invoke, kernel, part, peek, poke, release, routine, word

FEW_ROWS = 4  # that are walked one by one: a block costs as much as five of them
MANY_ROWS = 257  # that are walked by bits if the forest can be: the bits are those of whole blocks


@kernel
def raw_scores(image_address, features, n, out):
    """Fill ``out[outputs, :n]`` from ``features[n_features, :n]``; NaN is missing, categories are doubles.

    The rows of both arrays must be contiguous.
    """
    source, target = address_of(features), address_of(out)
    strides = np.int64(features.strides[0]), np.int64(out.strides[0])
    invoke(word(image_address, image.WALK), (image_address, source, strides[0], np.int64(n), target, strides[1]))


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
def is_member(x, words, count):
    """A categorical decision as LightGBM takes it: missing, negative and unseen categories are in no set."""
    if not (x > -1.0 and x < 2147483648.0):
        return False
    category = np.int64(x)
    at = category >> 5
    return at < count and (np.int64(peek(words, np.uint32, at)) >> (category & 31)) & 1 != 0


@part
def row_of(features, stride, feature):
    """The address of a feature's row; without a stride, ``features`` is the address of a table of them."""
    return word(features, feature) if stride == 0 else features + feature * stride


@routine
def plain_walk(image_address, features, feature_stride, n, out, out_stride):
    """Sum the leaves one row after the other, one tree after the other, over LightGBM's own arrays."""
    roots = image_address + word(image_address, image.PLAIN_ROOTS)
    split_feature = image_address + word(image_address, image.PLAIN_FEATURE)
    decision = image_address + word(image_address, image.PLAIN_DECISION)
    left = image_address + word(image_address, image.PLAIN_LEFT)
    right = image_address + word(image_address, image.PLAIN_RIGHT)
    set_start = image_address + word(image_address, image.PLAIN_SET_START)
    set_words = image_address + word(image_address, image.PLAIN_SET_WORDS)
    threshold = image_address + word(image_address, image.PLAIN_THRESHOLD)
    values = image_address + word(image_address, image.PLAIN_VALUES)
    sets = image_address + word(image_address, image.PLAIN_SETS)
    outputs = word(image_address, image.OUTPUTS)
    for k in range(outputs):
        for i in range(n):
            poke(out + k * out_stride, np.float64, i, 0.0)
    for t in range(word(image_address, image.TREES)):
        total = out + t % outputs * out_stride
        for i in range(n):
            node = np.int64(peek(roots, np.int32, t))
            while node >= 0:
                x = peek(row_of(features, feature_stride, np.int64(peek(split_feature, np.int32, node))), np.float64, i)
                kind = np.int64(peek(decision, np.int32, node))
                if kind & 1:
                    words = sets + 4 * np.int64(peek(set_start, np.int32, node))
                    goes_left = is_member(x, words, np.int64(peek(set_words, np.int32, node)))
                else:
                    goes_left = is_left(x, kind, peek(threshold, np.float64, node))
                node = np.int64(peek(left if goes_left else right, np.int32, node))
            poke(total, np.float64, i, peek(total, np.float64, i) + peek(values, np.float64, ~node))


@part
def encode_categories(source, rows, table, categories, target, stride):
    """Write every row's class as a byte's number and a bit; whatever is no category of the forest has a class as well."""
    for i in range(rows):
        x = peek(source, np.float64, i)
        category = np.int64(x) if x > -1.0 and x < categories else categories
        found = np.int64(peek(table, np.uint16, category))
        poke(target, np.uint8, i, found >> 3)
        poke(target, np.uint8, stride + i, 1 << (found & 7))


@part
def encode_by_keys(image_address, record, source, rows, codes, scratch):
    """Write the columns of a numeric feature: by keys, and by cuts what these leave undecided and the last few rows."""
    columns = image_address + word(image_address, image.CODED_COLUMNS)
    starts = image_address + word(image_address, image.CODED_STARTS)
    cuts = image_address + word(image_address, image.CODED_CUTS)
    whole = rows & ~(KEYS - 1)
    make_keys(record, source, whole, scratch)
    first = word(record, ranks.FIRST_COLUMN)
    for c in range(first, first + word(record, ranks.COLUMNS)):
        table = image_address + word(image_address, image.CODED_KEYS) + 2 * ranks.KEY_TABLE * c
        search_column(columns + 8 * ranks.COLUMN_WORDS * c, table, whole, scratch, codes + c * BLOCK)
    for i in range(0, rows, EIGHT):
        if i >= whole or peek(scratch + ranks.UNDECIDED, np.uint8, i // EIGHT) != 0:
            at = source + 8 * i
            if i + EIGHT > rows:
                at = scratch + ranks.TAIL
                for k in range(rows - i):
                    poke(at, np.float64, k, peek(source, np.float64, i + k))
            code_by_cuts(record, columns, starts, cuts, at, codes + i, np.int64(BLOCK))


@part
def encode_by_cuts(image_address, record, source, rows, codes, scratch):
    """Write the columns of a numeric feature by cuts only; the last few rows, beyond which nothing may be read, from a copy."""
    starts = image_address + word(image_address, image.CODED_STARTS)
    cuts = image_address + word(image_address, image.CODED_CUTS)
    first, found, whole = word(record, ranks.FIRST_COLUMN), scratch + ranks.RANKS, rows & ~(EIGHT - 1)
    for k in range(rows - whole):
        poke(scratch + ranks.TAIL, np.float64, k, peek(source, np.float64, whole + k))
    for start in range(0, rows, max(whole, EIGHT)):
        at = source if start < whole else scratch + ranks.TAIL
        rank_values(record, starts, cuts, at, min(rows - start, max(whole, EIGHT)), found + 4 * start)
    for c in range(first, first + word(record, ranks.COLUMNS)):
        column = image_address + word(image_address, image.CODED_COLUMNS) + 8 * ranks.COLUMN_WORDS * c
        target = codes + c * BLOCK
        code_ranks(column, found, rows, target)
        for start in range(0, rows, max(whole, EIGHT)):
            at = source if start < whole else scratch + ranks.TAIL
            code_missing(column, at, min(rows - start, max(whole, EIGHT)), target + start)


encode_numbers = encode_by_keys if HAS_PERMUTES else encode_by_cuts


@part
def slices_bytes(image_address, n):
    """How much memory the walk by bits takes; 0 where it is not taken."""
    size = word(image_address, image.TEST_BYTES)
    return size + SLICES_BYTES if size and n >= MANY_ROWS else 0


@part
def slice_columns(image_address, codes, slices):
    """The results of all numeric tests for a block of codes."""
    columns = word(image_address, image.COLUMN_COUNT)
    places = image_address + word(image_address, image.TEST_PLACES)
    bits = places + 8 * (columns + word(image_address, image.MOST_SETS))
    for c in range(columns):
        if word(bits, c):
            slice_column(codes + c * BLOCK, word(bits, c), slices, slices + SLICES_BYTES + word(places, c))
    never = slices + SLICES_BYTES + word(image_address, image.TEST_BYTES) - BLOCK // 8
    for k in range(BLOCK // 64):
        poke(never, np.int64, k, 0)


@part
def walk_by_bits(image_address, tree, codes, slices, leaves):
    """Send a block down a tree by the results of its tests; those of sets are made of the sets' columns."""
    columns = word(image_address, image.COLUMN_COUNT)
    places = image_address + word(image_address, image.TEST_PLACES)
    tests = slices + SLICES_BYTES
    for s in range(columns, columns + word(tree, 5)):
        pack_column(codes + s * BLOCK, tests + word(places, s))
    find_leaves_by_bits(tree, image_address + word(image_address, image.SLICED_NODES), tests, slices, leaves)


@part
def prepare_sets(image_address, tree, codes, rows):
    """For every categorical node of a tree, a column that is 1 where the row's class goes right."""
    first = word(tree, 4)
    for s in range(first, first + word(tree, 5)):
        entry = image_address + word(image_address, image.CODED_SETS) + 8 * SET_WORDS * s
        table = image_address + word(image_address, image.CODED_TABLES) + word(entry, 1)
        target = codes + (word(image_address, image.COLUMN_COUNT) + word(entry, 2)) * BLOCK
        test_classes(table, word(entry, 3), codes + word(entry, 0) * BLOCK, rows, target)


@part
def test_classes_singly(table, classes, rows, codes, stride):
    """As ``class_bits``, row by row; the bits are ``stride`` bytes after the bytes' numbers."""
    for i in range(rows):
        byte = peek(table, np.uint8, np.int64(peek(classes, np.uint8, i)))
        poke(codes, np.uint8, i, (byte & peek(classes, np.uint8, stride + i)) != 0)


@part
def test_classes_of_block(table, pieces, classes, rows, codes):
    """For a whole block, whose columns are further apart."""
    test_classes_singly(table, classes, rows, codes, BLOCK)


test_classes = class_bits if HAS_PERMUTES else shuffled_class_bits if SHUFFLED else test_classes_of_block
add_values = add_leaves if HAS_PERMUTES else add_leaves_singly


@part
def deliver(sums, out, rows):
    """Bring the sums of 512 rows back from the order of ``add_leaves`` into the order of rows."""
    for i in range(rows):
        at = (i & ~63) + ((i >> 1 & 7) << 3) + ((i >> 4 & 3) << 1) + (i & 1) if HAS_PERMUTES else i
        poke(out, np.float64, i, peek(sums, np.float64, at))


@part
def deliver_nothing(image_address, n, out, out_stride):
    """Without memory nothing can be said, and nothing must be invented."""
    for k in range(word(image_address, image.OUTPUTS)):
        for i in range(n):
            poke(out + k * out_stride, np.float64, i, np.nan)


@part
def encode_few(image_address, features, feature_stride, n, codes, scratch):
    """The columns of up to eight rows, eight bytes each, those of all sets of the forest included."""
    columns = image_address + word(image_address, image.CODED_COLUMNS)
    starts = image_address + word(image_address, image.CODED_STARTS)
    cuts = image_address + word(image_address, image.CODED_CUTS)
    for f in range(word(image_address, image.FEATURE_COUNT)):
        record = image_address + word(image_address, image.CODED_FEATURES) + 8 * ranks.FEATURE_WORDS * f
        source = row_of(features, feature_stride, word(record, ranks.FEATURE))
        categories = word(record, ranks.CATEGORIES)
        if categories:
            table = image_address + word(image_address, image.CODED_CLASSES) + word(record, ranks.CLASSES)
            target = codes + word(record, ranks.FIRST_COLUMN) * EIGHT
            encode_categories(source, n, table, categories, target, EIGHT)
        else:
            for i in range(n):
                poke(scratch, np.float64, i, peek(source, np.float64, i))
            code_by_cuts(record, columns, starts, cuts, scratch, codes, np.int64(EIGHT))
    count = word(image_address, image.COLUMN_COUNT)
    for s in range(word(image_address, image.SET_COUNT)):
        entry = image_address + word(image_address, image.CODED_SETS) + 8 * SET_WORDS * s
        table = image_address + word(image_address, image.CODED_TABLES) + word(entry, 1)
        test_classes_singly(table, codes + word(entry, 0) * EIGHT, n, codes + (count + s) * EIGHT, EIGHT)


@part
def walk_few(image_address, features, feature_stride, n, out, out_stride):
    """Score up to eight rows: send one after the other down eight trees at a time, which wait for memory together."""
    columns = word(image_address, image.COLUMN_COUNT) + word(image_address, image.SET_COUNT)
    memory = allocate(EIGHT * columns + 8 * EIGHT)
    if memory == 0:
        deliver_nothing(image_address, n, out, out_stride)
        return
    values, codes = memory, memory + 8 * EIGHT
    encode_few(image_address, features, feature_stride, n, codes, values)
    nodes = image_address + word(image_address, image.CODED_NODES)
    planes = image_address + word(image_address, image.CODED_PLANES)
    trees, outputs = word(image_address, image.TREES), word(image_address, image.OUTPUTS)
    for i in range(n):
        for k in range(outputs):
            poke(out + k * out_stride, np.float64, i, 0.0)
        for t in range(0, trees, EIGHT):
            tree = image_address + word(image_address, image.CODED_TREES) + 8 * TREE_WORDS * t
            walk_trees(tree, np.int64(8 * TREE_WORDS), trees - t, nodes, planes, codes + i, values)
            for k in range(min(trees - t, EIGHT)):
                total = out + (t + k) % outputs * out_stride
                poke(total, np.float64, i, peek(total, np.float64, i) + peek(values, np.float64, k))
    release(memory)


@part
def is_same(source, rows):
    """Whether all doubles of a column have the same bits, as where a query fixes a feature; most columns tell at their second."""
    first, same, i = peek(source, np.int64, 0), True, 1
    while same and i < rows:
        same = peek(source, np.int64, i) == first
        i += 1
    return same


@part
def spread(codes, rows):
    """The first code of a column in all rows."""
    first = peek(codes, np.uint8, 0)
    for i in range(1, rows):
        poke(codes, np.uint8, i, first)


@part
def encode_block(image_address, features, feature_stride, start, rows, codes, scratch):
    """Write the columns of codes of up to 512 rows: of a feature that is the same in all, the first few, whose code goes for all."""
    for f in range(word(image_address, image.FEATURE_COUNT)):
        record = image_address + word(image_address, image.CODED_FEATURES) + 8 * ranks.FEATURE_WORDS * f
        source = row_of(features, feature_stride, word(record, ranks.FEATURE)) + 8 * start
        coded = min(rows, EIGHT) if is_same(source, rows) else rows
        first, categories = word(record, ranks.FIRST_COLUMN), word(record, ranks.CATEGORIES)
        if categories:
            table = image_address + word(image_address, image.CODED_CLASSES) + word(record, ranks.CLASSES)
            encode_categories(source, coded, table, categories, codes + first * BLOCK, BLOCK)
        else:
            encode_numbers(image_address, record, source, coded, codes, scratch)
        if coded < rows:
            for c in range(first, first + word(record, ranks.COLUMNS)):
                spread(codes + c * BLOCK, rows)


@routine
def coded_walk(image_address, features, feature_stride, n, out, out_stride):
    """Score 512 rows at a time: code their features, then send all of them down one tree after the other."""
    if n <= FEW_ROWS:
        walk_few(image_address, features, feature_stride, n, out, out_stride)
        return
    outputs = word(image_address, image.OUTPUTS)
    columns = word(image_address, image.COLUMN_COUNT) + word(image_address, image.MOST_SETS)
    sliced = slices_bytes(image_address, n)
    memory = allocate((columns + 1 + 8 * outputs) * BLOCK + ranks.SCRATCH + sliced + 64)
    if memory == 0:
        deliver_nothing(image_address, n, out, out_stride)
        return
    codes = (memory + 63) & ~63
    leaves = codes + columns * BLOCK
    sums = leaves + BLOCK
    scratch = sums + 8 * outputs * BLOCK
    slices = scratch + ranks.SCRATCH
    nodes = image_address + word(image_address, image.CODED_NODES)
    planes = image_address + word(image_address, image.CODED_PLANES)
    for start in range(0, n, BLOCK):
        rows = min(BLOCK, n - start)
        encode_block(image_address, features, feature_stride, start, rows, codes, scratch)
        by_bits = sliced != 0 and rows >= MANY_ROWS
        if by_bits:
            slice_columns(image_address, codes, slices)
        for i in range(outputs * BLOCK):
            poke(sums, np.float64, i, 0.0)
        for t in range(word(image_address, image.TREES)):
            tree = image_address + word(image_address, image.CODED_TREES) + 8 * TREE_WORDS * t
            prepare_sets(image_address, tree, codes, rows)
            target = sums + 8 * BLOCK * (t % outputs)
            if word(tree, 3) == 0:
                walk_deep(tree, nodes, planes, codes, rows, target)
                continue
            if by_bits:
                walk_by_bits(image_address, tree, codes, slices, leaves)
            else:
                find_leaves(tree, nodes, codes, leaves, rows)
            add_values(tree, planes, leaves, rows, target)
        for k in range(outputs):
            deliver(sums + 8 * BLOCK * k, out + k * out_stride + 8 * start, rows)
    release(memory)
