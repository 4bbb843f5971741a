"""Verify that an image is one, in the server, before anything follows its numbers: a checksum is not safety.

Every offset, length and index is in bounds, children come after their parents, operands have the types their operators
believe in. What follows may then read and write without looking. A check's number is in the error's text.
"""

# ruff: noqa: PLR0911 - kernels return at the first thing that is wrong

from __future__ import annotations

import numpy as np

from udfs.jit import allocate, kernel, peek, poke, release, word
from udfs.postgres import layout
from udfs.postgres.check_program import check_program
from udfs.postgres.lanes import MAX_LEAVES

GOOD = 0
SHORT, FOREIGN, VERSION, LENGTH, SUM, SECTION, COUNTS, SIGNATURE = range(1, 9)
NUMERIC, COLUMN, CATEGORY, GROUP, TREE, NODE, PROGRAM, TEXT = range(11, 19)
MOST_OUTPUTS = 1 << 20

_SIZES = np.array(list(layout.SECTION_BYTES.values()), np.int64)
_ALIGNMENT_MASK = layout.ALIGNMENT - 1


@kernel
def check_image(image, size):
    """0, or the number of the check that an image of so many bytes does not pass; it starts on a 64-byte boundary."""
    if size < 8 * layout.HEAD_WORDS + layout.PADDING or size & 7:
        return np.int64(SHORT)
    if word(image, 0) != layout.MAGIC:
        return np.int64(FOREIGN)
    if word(image, layout.VERSION) != layout.FORMAT:
        return np.int64(VERSION)
    if word(image, layout.SIZE) != size:
        return np.int64(LENGTH)
    if word(image, layout.CHECKSUM) != checksum(image, size):
        return np.int64(SUM)
    if not check_sections(image, size):
        return np.int64(SECTION)
    if not check_counts(image):
        return np.int64(COUNTS)
    if not check_texts(image):
        return np.int64(TEXT)
    if not check_signature(image):
        return np.int64(SIGNATURE)
    if not check_numeric(image):
        return np.int64(NUMERIC)
    if not check_columns(image):
        return np.int64(COLUMN)
    if not check_categorical(image):
        return np.int64(CATEGORY)
    if not check_groups(image):
        return np.int64(GROUP)
    if not check_nodes(image):
        return np.int64(NODE)
    if not check_trees(image) or not check_parents(image):
        return np.int64(TREE)
    return np.int64(GOOD if check_program(image) else PROGRAM)


@kernel
def checksum(image, size):
    """As ``udfs.postgres.image.checksum``."""
    total = np.uint64(0)
    for k in range(size >> 3):
        value = np.uint64(0 if k == layout.CHECKSUM else word(image, k))
        total += (value ^ (value >> np.uint64(32))) * (np.uint64(k) * np.uint64(2) + np.uint64(1))
    return np.int64(total)


@kernel
def check_sections(image, size):
    """All sections are within the image, before its padding."""
    end = size - layout.PADDING
    for k in range(_SIZES.shape[0]):
        offset, count = word(image, layout.SECTIONS + 2 * k), word(image, layout.SECTIONS + 2 * k + 1)
        if offset < 8 * layout.HEAD_WORDS or offset > end or offset & _ALIGNMENT_MASK:
            return False
        if count < 0 or count > (end - offset) // _SIZES[k]:
            return False
    return True


@kernel
def between(value, low, high):
    """Whether low <= value < high."""
    return value >= low and value < high


@kernel
def check_counts(image):
    """The counts of the head fit the sections."""
    outputs, trees = word(image, layout.OUTPUTS), word(image, layout.TREES)
    cells, given = word(image, layout.CELLS), word(image, layout.SLOTS) + word(image, layout.ARGUMENTS)
    if not between(outputs, 1, MOST_OUTPUTS) or trees < 0 or trees % outputs:
        return False
    if word(image, layout.TREE_TABLE + 1) != trees or not between(word(image, layout.CONVERT), 0, 6):
        return False
    if (
        word(image, layout.SLOTS) < 0
        or word(image, layout.ARGUMENTS) < 0
        or not between(cells, given, layout.MOST_CELLS + 1)
    ):
        return False
    if word(image, layout.ARGUMENTS) != word(image, layout.ARGUMENT_TABLE + 1):
        return False
    if word(image, layout.N_FEATURES) != word(image, layout.FEATURE_TABLE + 1):
        return False
    groups = word(image, layout.GROUPS + 1)
    if word(image, layout.LANES) != groups * layout.WIDTH or not between(word(image, layout.CODES), 0, 1 << 28):
        return False
    labels, task = word(image, layout.LABEL_TABLE + 1), word(image, layout.TASK)
    if task == layout.BINARY:
        return outputs == 1 and labels == 2
    if task == layout.MULTICLASS:
        return outputs >= 2 and labels == outputs
    return between(task, 0, 4) and outputs == 1 and labels == 0


@kernel
def is_text(image, place, length):
    """Whether a name is within the texts and ends with a zero byte."""
    count = word(image, layout.TEXTS + 1)
    if place < 0 or length < 0 or place >= count or length >= count - place:
        return False
    return peek(image + word(image, layout.TEXTS), np.uint8, place + length) == 0


@kernel
def check_texts(image):
    """All names and labels."""
    for k in range(word(image, layout.INPUT_TABLE + 1)):
        item = image + word(image, layout.INPUT_TABLE) + 32 * k
        if not is_text(image, word(item, layout.INPUT_NAME), word(item, layout.INPUT_LENGTH)):
            return False
    for k in range(word(image, layout.FEATURE_TABLE + 1)):
        item = image + word(image, layout.FEATURE_TABLE) + 32 * k
        if not is_text(image, word(item, layout.FEATURE_NAME), word(item, layout.FEATURE_LENGTH)):
            return False
    for k in range(word(image, layout.LABEL_TABLE + 1)):
        item = image + word(image, layout.LABEL_TABLE) + 16 * k
        if not is_text(image, word(item, 0), word(item, 1)):
            return False
    return True


@kernel
def check_signature(image):
    """The arguments' cells follow one another; names are matched with arguments only where there is no engine's expression."""
    slots, inputs = word(image, layout.SLOTS), word(image, layout.INPUT_TABLE + 1)
    cell = 0
    for k in range(word(image, layout.ARGUMENTS)):
        item = image + word(image, layout.ARGUMENT_TABLE) + 32 * k
        kind, source = word(item, layout.ARGUMENT_KIND), word(item, layout.ARGUMENT_INPUT)
        if not between(kind, 0, 6) or not between(source, -1, inputs):
            return False
        if source < 0 and word(image, layout.ENGINE) == 0:
            return False
        if word(item, layout.ARGUMENT_CELL) != cell or word(item, layout.ARGUMENT_NULL) != slots + k:
            return False
        cell += 2 if kind == layout.TEXT else 1
    for k in range(word(image, layout.N_FEATURES)):
        item = image + word(image, layout.FEATURE_TABLE) + 32 * k
        if not between(word(item, layout.FEATURE_CELL), 0, word(image, layout.CELLS)):
            return False
    return cell == slots


@kernel
def check_numeric(image):
    """The tables that turn numbers into ranks: whatever the value, the search stays inside them."""
    starts, cuts = word(image, layout.STARTS + 1), word(image, layout.CUTS + 1)
    for f in range(word(image, layout.NUMERIC + 1)):
        record = image + word(image, layout.NUMERIC) + 8 * layout.NUMERIC_WORDS * f
        first, cut, step = word(record, layout.FIRST_START), word(record, layout.FIRST_CUT), word(record, layout.STEP)
        last = peek(record, np.float64, layout.LAST)
        column, columns = word(record, layout.FIRST_COLUMN), word(record, layout.COLUMN_COUNT)
        if not between(word(record, layout.NUMERIC_CELL), 0, word(image, layout.CELLS)):
            return False
        if not (last >= 0.0 and last < 2147483648.0) or not between(first, 0, starts):
            return False
        if np.int64(last) >= starts - first or not between(cut, 0, cuts + 1) or not between(step, 0, 1 << 30):
            return False
        total = word(image, layout.COLUMNS + 1)
        if not between(column, 0, total + 1) or not between(columns, 0, total - column + 1):
            return False
        for k in range(np.int64(last) + 1):
            start = np.int64(peek(image + word(image, layout.STARTS), np.int32, first + k))
            if start < 0 or start + 2 * step > cuts - cut:
                return False
    return True


@kernel
def check_columns(image):
    """The columns come first among the codes."""
    if word(image, layout.COLUMNS + 1) > word(image, layout.CODES):
        return False
    for c in range(word(image, layout.COLUMNS + 1)):
        column = image + word(image, layout.COLUMNS) + 8 * layout.COLUMN_WORDS * c
        if not between(word(column, layout.MISSING), 0, 3) or not between(word(column, layout.MISSING_CODE), 0, 256):
            return False
    return True


@kernel
def check_categorical(image):
    """The tables of categories and sets."""
    classes_all, tables = word(image, layout.CLASS_OF + 1), word(image, layout.TABLES + 1)
    for f in range(word(image, layout.CATEGORICAL + 1)):
        record = image + word(image, layout.CATEGORICAL) + 8 * layout.CATEGORICAL_WORDS * f
        first, categories = word(record, layout.FIRST_CLASS), word(record, layout.CATEGORIES)
        table, sets, classes = (
            word(record, layout.FIRST_TABLE), word(record, layout.SET_COUNT), word(record, layout.CLASSES),
        )  # fmt: skip
        if not between(word(record, layout.SET_CELL), 0, word(image, layout.CELLS)):
            return False
        if not between(first, 0, classes_all) or not between(categories, 0, classes_all - first):
            return False
        if not between(table, 0, tables + 1) or not between(sets, 0, tables + 1) or not between(classes, 1, 65_537):
            return False
        if sets * classes > tables - table:
            return False
        code = word(record, layout.SET_CODE)
        if not between(code, 0, word(image, layout.CODES) + 1) or sets > word(image, layout.CODES) - code:
            return False
        for k in range(categories + 1):
            if np.int64(peek(image + word(image, layout.CLASS_OF), np.uint16, first + k)) >= classes:
                return False
    return True


@kernel
def check_groups(image):
    """The steps of all groups are there, and so are the codes they gather; permutes reach no further than their chunks."""
    codes, longest = word(image, layout.CODES), word(image, layout.LONGEST)
    if not between(longest, 0, MAX_LEAVES):
        return False
    for g in range(word(image, layout.GROUPS + 1)):
        group = image + word(image, layout.GROUPS) + 8 * layout.GROUP_WORDS * g
        at, count, chunks = (
            word(group, layout.GROUP_STEPS), word(group, layout.GROUP_COUNT), word(group, layout.GROUP_CHUNKS),
        )  # fmt: skip
        if not between(count, 0, longest + 1) or not between(chunks, 0, layout.MOST_CHUNKS + 1):
            return False
        if chunks > 1 and layout.CHUNK * (chunks - 1) >= codes:
            return False
        each = layout.STEP_BYTES if chunks else layout.GATHERED_STEP_BYTES
        if at < 0 or at > word(image, layout.STEPS + 1) or count * each > word(image, layout.STEPS + 1) - at:
            return False
        if chunks == 0 and not check_gathered(image + word(image, layout.STEPS) + at, count, codes):
            return False
    return True


@kernel
def check_gathered(steps, count, codes):
    """The numbers of codes of the steps of a group."""
    for step in range(count):
        for lane in range(layout.WIDTH):
            if np.int64(peek(steps + layout.GATHERED_STEP_BYTES * step, np.uint32, lane)) >= codes:
                return False
    return True


@kernel
def is_child(image, node, child):
    """A node after its parent, or the complement of a value's number."""
    if child >= 0:
        return child > node and child < word(image, layout.NODES + 1)
    return ~child < word(image, layout.VALUES + 1)


@kernel
def check_nodes(image):
    """The nodes of trees that are walked one by one, and the sets they point to."""
    for k in range(word(image, layout.NODES + 1)):
        node = image + word(image, layout.NODES) + 8 * layout.NODE_WORDS * k
        place = word(node, layout.NODE_PLACE)
        if (place & 0xFFFFFF) >= word(image, layout.CELLS) or not between(
            place >> 32, 0, word(image, layout.N_FEATURES)
        ):
            return False
        for side in range(2):
            if not is_child(image, k, np.int64(peek(node, np.int32, 2 * layout.NODE_CHILDREN + side))):
                return False
        if (place >> 24) & 1:
            span = word(node, layout.NODE_THRESHOLD)
            first, count = span & 0xFFFFFFFF, span >> 32
            sets = word(image, layout.SETS + 1)
            if first > sets or not between(count, 0, sets - first + 1):
                return False
    return True


@kernel
def check_parents(image):
    """No node has two parents: a way through a tree is no longer than the tree."""
    count = word(image, layout.NODES + 1)
    seen = allocate(count + 8)
    if seen == 0:
        return False
    for k in range(count):
        poke(seen, np.uint8, k, np.uint8(0))
    result = True
    for k in range(2 * count + word(image, layout.TREES)):
        if k < 2 * count:
            node = image + word(image, layout.NODES) + 8 * layout.NODE_WORDS * (k >> 1)
            child = np.int64(peek(node, np.int32, 2 * layout.NODE_CHILDREN + (k & 1)))
        else:
            tree = image + word(image, layout.TREE_TABLE) + 4 * layout.TREE_INTS * (k - 2 * count)
            child = np.int64(peek(tree, np.int32, layout.TREE_ROOT))
        if child >= 0:
            if peek(seen, np.uint8, child) != 0:
                result = False
            poke(seen, np.uint8, child, np.uint8(1))
    release(seen)
    return result


@kernel
def check_trees(image):
    """Every tree has a lane and room for 256 values, or a root."""
    values = word(image, layout.VALUES + 1)
    for t in range(word(image, layout.TREES)):
        tree = image + word(image, layout.TREE_TABLE) + 4 * layout.TREE_INTS * t
        lane = np.int64(peek(tree, np.int32, layout.TREE_LANE))
        first, root = (
            np.int64(peek(tree, np.int32, layout.TREE_VALUE)), np.int64(peek(tree, np.int32, layout.TREE_ROOT)),
        )  # fmt: skip
        if not between(lane, -1, word(image, layout.LANES)) or not is_child(image, np.int64(-1), root):
            return False
        if lane >= 0 and not between(first, 0, values - MAX_LEAVES + 1):
            return False
    return True
