"""The server's image of a model, word by word: a head, then sections, all offsets relative to its start, no address anywhere.

The head is ``HEAD_WORDS`` 64-bit words. Its first words are those that the objectives read in any forest's image
(``udfs.forest.image``); from ``SECTIONS`` on stand two words a section: its offset in bytes and its number of elements.

A row in work is a list of 64-bit cells: raw cells in the order of the arguments (two for text), one null cell an argument,
one cell a feature that is computed, then scratch. Instructions, features and the forest name cells by number.
"""

from __future__ import annotations

from udfs.forest import image as forest_image

MAGIC = 0x31_474D49_4C4D5153  # "SQLMIMG1"
FORMAT = 1
HEAD_WORDS = 96
ALIGNMENT = 64
PADDING = 64  # bytes of zeros after the last section: kernels may load a whole vector at a section's last element

N_FEATURES, OUTPUTS, TREES = forest_image.N_FEATURES, forest_image.OUTPUTS, forest_image.TREES
DIVISOR, PARAMETER = forest_image.DIVISOR, forest_image.PARAMETER
VERSION, CONVERT = 6, 7
SIZE, CHECKSUM, TASK, SLOTS, ARGUMENTS, CELLS, OPERANDS, CODES, LANES, LONGEST, ENGINE = range(8, 19)
REGRESSION, BINARY, MULTICLASS, RANKING = range(4)
TASKS = {"regression": REGRESSION, "binary": BINARY, "multiclass": MULTICLASS, "ranking": RANKING}
NUMBER, BOOLEAN, TEXT, DATE, TIMESTAMP, TIMESTAMPTZ = range(6)
KINDS = {
    "number": NUMBER, "boolean": BOOLEAN, "text": TEXT, "date": DATE, "timestamp": TIMESTAMP, "timestamptz": TIMESTAMPTZ,
}  # fmt: skip

SECTIONS = 24
# Name of each section and bytes of an element.
SECTION_BYTES = {
    "arguments": 8 * 4,
    "inputs": 8 * 4,
    "features": 8 * 4,
    "labels": 8 * 2,
    "instructions": 8,
    "parameters": 8,
    "numeric": 8 * 12,
    "columns": 8 * 4,
    "starts": 4,
    "cuts": 8,
    "categorical": 8 * 8,
    "class_of": 2,
    "tables": 1,
    "groups": 8 * 4,
    "steps": 1,
    "trees": 4 * 4,
    "values": 8,
    "nodes": 8 * 4,
    "sets": 4,
    "texts": 1,
}
(
    ARGUMENT_TABLE, INPUT_TABLE, FEATURE_TABLE, LABEL_TABLE, INSTRUCTIONS, PARAMETERS, NUMERIC, COLUMNS, STARTS, CUTS,
    CATEGORICAL, CLASS_OF, TABLES, GROUPS, STEPS, TREE_TABLE, VALUES, NODES, SETS, TEXTS,
) = range(SECTIONS, SECTIONS + 2 * len(SECTION_BYTES), 2)  # fmt: skip

# Words of an argument: kind, number of the input of the same name (-1: an engine's expression), first cell, null cell.
ARGUMENT_KIND, ARGUMENT_INPUT, ARGUMENT_CELL, ARGUMENT_NULL = range(4)
# Words of an input: name's place and length, and its argument or -1.
INPUT_NAME, INPUT_LENGTH, INPUT_ARGUMENT = range(3)
# Words of a feature: its cell, and its name's place and length.
FEATURE_CELL, FEATURE_NAME, FEATURE_LENGTH = range(3)
# Words of a numeric feature of the forest: where it is, its columns of codes, and its search (``udfs.forest.ranks``).
NUMERIC_CELL, FIRST_COLUMN, COLUMN_COUNT, LOW, SCALE, LAST, BY_BITS, FIRST_START, FIRST_CUT, STEP = range(10)
NUMERIC_WORDS = 12
# Words of a column: rank that is 0, what is missing (0 nothing, 1 zero or NaN, 2 NaN), its code.
BASE, MISSING, MISSING_CODE = range(3)
COLUMN_WORDS = 4
# Words of a categorical feature: cell, first class, categories, first table byte, sets, their first code, classes.
SET_CELL, FIRST_CLASS, CATEGORIES, FIRST_TABLE, SET_COUNT, SET_CODE, CLASSES = range(7)
CATEGORICAL_WORDS = 8
# Words of a group of trees that are walked side by side: first byte of its steps, steps, chunks of codes, 0.
GROUP_STEPS, GROUP_COUNT, GROUP_CHUNKS = range(3)
GROUP_WORDS = 4
WIDTH = 32  # trees in a group
CHUNK = 16  # codes that one permute can choose from
MOST_CHUNKS = 16  # with more, or codes beyond a byte, codes are gathered: a step has 32-bit numbers of codes then
# 32-bit words of a tree: its lane (-1: it is walked by itself), its first leaf's value, its root (below 0: complement of a value).
TREE_LANE, TREE_VALUE, TREE_ROOT = range(3)
TREE_INTS = 4
# Words of a node: cell | decision type << 24 | feature << 32, threshold (or first word of a set | words << 32), left | right << 32
# (below 0: complement of a value's number), training rows that went left | right << 32.
NODE_PLACE, NODE_THRESHOLD, NODE_CHILDREN, NODE_COUNTS = range(4)
NODE_WORDS = 4
MOST_CELLS = 1 << 24
# Bytes of one step of a group: numbers of codes (32-bit ones where they are gathered), thresholds, first leaves, and what to
# add for the right ones.
STEP_BYTES = 4 * WIDTH
GATHERED_STEP_BYTES = 7 * WIDTH
