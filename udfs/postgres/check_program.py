"""Verify the transform program of an image: operands of the right types, written before they are read, and parameters in bounds."""

# ruff: noqa: PLR0911, PLR1714, SIM109 - kernels return at the first thing that is wrong

from __future__ import annotations

import numpy as np

from udfs.jit import allocate, kernel, poke, release, word
from udfs.postgres import layout
from udfs.postgres.operators import NUMBERED, NUMBERS
from udfs.transforms.text import EMPTY, ENTRY

MOST_OPERANDS = 1 << 20
# Kinds of cells: nothing yet, any word, null bytes, and from here on two for every text: its address and its length.
_NOTHING, _WORD, _NULLS, _FIRST_TEXT = range(4)
_LETTERS = {"w": 0, "a": 1, "l": 2, "n": 3}


def _pattern(text: str) -> list[int]:
    """How many letters, their numbers (up to 7), the word that says how often they repeat or -1."""
    letters, _, repeat = text.partition("*")
    codes = [_LETTERS[letter] for letter in letters]
    return [len(codes), *codes, *[0] * (7 - len(codes)), int(repeat) if repeat else -1]


_PATTERNS = np.array([[_pattern(s.inputs), _pattern(s.outputs)] for s in NUMBERED], np.int64)
(
    _TEXT_CONSTANT, _DICTIONARY, _NUMBER_DICTIONARY, _CALENDAR, _NUMBER_MEMBERSHIP, _TEXT_MEMBERSHIP, _LABEL, _ONE_HOT,
    _TARGET, _CROSS, _POLYNOMIAL, _HASH, _BAG, _MULTI_HOT, _BUCKETIZE, _QUANTILE, _DIFFERENCE, _FLOOR,
) = (
    NUMBERS[name]
    for name in (
        "text_constant", "dictionary", "number_dictionary", "calendar", "number_membership", "text_membership",
        "label_encoder", "one_hot_encoder", "target_encoder", "feature_cross", "polynomial_expand", "hash_bucketize",
        "bag_of_words", "multi_hot_encoder", "bucketize", "quantile_bucketize", "time_difference", "time_floor",
    )
)  # fmt: skip
# Words that must be there at least: the fixed head of the parameters.
_HEADS = {
    "time_constant": 2, "text_constant": 2, "number_constant": 1, "dictionary": 2, "number_dictionary": 2, "calendar": 2,
    "arithmetic": 2, "elementwise": 2, "number_comparison": 1, "time_comparison": 1, "text_comparison": 1, "logic": 1,
    "truth": 1, "time_is_null": 1, "text_is_null": 1, "number_choice": 2, "time_choice": 2, "text_choice": 2,
    "number_membership": 2, "text_membership": 2, "time_difference": 2, "time_floor": 2, "standard_scaler": 4,
    "min_max_scaler": 4, "max_abs_scaler": 4, "robust_scaler": 4, "normalizer": 2, "imputer": 1, "bucketize": 1,
    "quantile_bucketize": 1, "one_hot_encoder": 2, "multi_hot_encoder": 6, "label_encoder": 1, "target_encoder": 3,
    "feature_cross": 2, "polynomial_expand": 2, "hash_bucketize": 1, "bag_of_words": 6, "text_slots": 0,
}  # fmt: skip
_HEAD = np.array([_HEADS[signature.name] for signature in NUMBERED], np.int64)
# Words that decide which operands are read: operator, word, value.
_FIXED = np.array(
    [
        [NUMBERS["time_is_null"], 0, 1], [NUMBERS["text_is_null"], 0, 2], [NUMBERS["number_choice"], 0, 1],
        [NUMBERS["number_choice"], 1, 0], [NUMBERS["time_choice"], 0, 1], [NUMBERS["time_choice"], 1, 1],
        [NUMBERS["text_choice"], 0, 2], [NUMBERS["text_choice"], 1, 1],
    ],
    np.int64,
)  # fmt: skip


@kernel
def begin_kinds(image, kinds, stamps):
    """Write the kinds of the arguments' cells; nothing is known of others."""
    slots = word(image, layout.SLOTS)
    for cell in range(word(image, layout.CELLS)):
        poke(kinds, np.int64, cell, _NOTHING)
        poke(stamps, np.int64, cell, -1)
    for k in range(word(image, layout.ARGUMENTS)):
        item = image + word(image, layout.ARGUMENT_TABLE) + 32 * k
        cell = word(item, layout.ARGUMENT_CELL)
        poke(kinds, np.int64, slots + k, _NULLS)
        poke(kinds, np.int64, cell, _WORD)
        if word(item, layout.ARGUMENT_KIND) == layout.TEXT:
            poke(kinds, np.int64, cell, _FIRST_TEXT + 2 * k)
            poke(kinds, np.int64, cell + 1, _FIRST_TEXT + 2 * k + 1)


@kernel
def letter_at(operator, side, position):
    """The letter of an operand among the inputs (side 0) or outputs."""
    return _PATTERNS[operator, side, 1 + position % _PATTERNS[operator, side, 0]]


@kernel
def operand_count(image, code, side):
    """How many inputs or outputs an instruction has by its operator and parameters."""
    operator = word(code, 0)
    repeat = _PATTERNS[operator, side, 8]
    if repeat < 0:
        return _PATTERNS[operator, side, 0]
    parameters = image + word(image, layout.PARAMETERS) + 8 * word(code, 1)
    times = word(parameters, repeat)
    return _PATTERNS[operator, side, 0] * times if times >= 0 and times <= MOST_OPERANDS else np.int64(-1)


@kernel
def check_program(image):
    """All instructions, one after another; notes for every cell what it holds and who touched it last."""
    cells = word(image, layout.CELLS)
    kinds = allocate(16 * cells + 16)
    if kinds == 0:
        return False
    begin_kinds(image, kinds, kinds + 8 * cells)
    result = check_instructions(image, kinds, kinds + 8 * cells)
    for k in range(word(image, layout.N_FEATURES)):
        item = image + word(image, layout.FEATURE_TABLE) + 32 * k
        if word(kinds, word(item, layout.FEATURE_CELL)) != _WORD:
            result = False
    release(kinds)
    return result


@kernel
def check_instructions(image, kinds, stamps):
    """Operators, operands, parameters."""
    at = image + word(image, layout.INSTRUCTIONS)
    end = at + 8 * word(image, layout.INSTRUCTIONS + 1)
    operands, number = np.int64(0), np.int64(0)
    while at < end:
        if end - at < 32 or word(at, 0) < 0 or word(at, 0) >= _PATTERNS.shape[0]:
            return False
        first, size, count = word(at, 1), word(at, 2), word(at, 3)
        total = word(image, layout.PARAMETERS + 1)
        if first < 0 or first > total or size < _HEAD[word(at, 0)] or size > total - first:
            return False
        if count < 0 or count > MOST_OPERANDS or 8 * (4 + count) > end - at:
            return False
        inputs, outputs = operand_count(image, at, 0), operand_count(image, at, 1)
        if inputs < 0 or outputs < 0 or inputs + outputs != count:
            return False
        if not check_inputs(image, at, number, kinds, stamps) or not check_outputs(image, at, number, kinds, stamps):
            return False
        if not check_parameters(word(at, 0), image + word(image, layout.PARAMETERS) + 8 * first, size, inputs, outputs):
            return False
        operands += count
        number += 1
        at += 8 * (4 + count)
    return at == end and operands == word(image, layout.OPERANDS)


@kernel
def check_inputs(image, at, number, kinds, stamps):
    """Every input is what the operator believes: the length of a text is that of the address before it."""
    operator, address = word(at, 0), np.int64(-1)
    for k in range(operand_count(image, at, 0)):
        cell = word(at, 4 + k)
        if cell < 0 or cell >= word(image, layout.CELLS):
            return False
        letter, kind = letter_at(operator, 0, k), word(kinds, cell)
        if letter == 0 and kind != _WORD:
            return False
        if letter == 1 and (kind < _FIRST_TEXT or (kind - _FIRST_TEXT) & 1):
            return False
        if letter == 2 and kind != address + 1:
            return False
        if letter == 3 and kind != _NULLS:
            return False
        address = kind if letter == 1 else np.int64(-1)
        poke(stamps, np.int64, cell, number)
    return True


@kernel
def check_outputs(image, at, number, kinds, stamps):
    """No output is an argument's cell, an input of the same operator or written twice."""
    operator, inputs = word(at, 0), operand_count(image, at, 0)
    given = word(image, layout.SLOTS) + word(image, layout.ARGUMENTS)
    for k in range(operand_count(image, at, 1)):
        cell = word(at, 4 + inputs + k)
        if cell < given or cell >= word(image, layout.CELLS) or word(stamps, cell) == number:
            return False
        letter = letter_at(operator, 1, k)
        kind = np.int64(_WORD)
        if letter == 3:
            kind = np.int64(_NULLS)
        elif letter:
            kind = _FIRST_TEXT + 2 * (word(image, layout.ARGUMENTS) + number) + letter - 1
        poke(stamps, np.int64, cell, number)
        poke(kinds, np.int64, cell, kind)
    return True


@kernel
def check_table(table, mask, words):
    """A hash table of texts in so many words: entries in bounds, at least one of them free, codes that count up to a limit.

    Returns the number of codes, or -1.
    """
    if mask < 0 or mask > 1 << 28 or (mask & (mask + 1)) != 0 or (mask + 1) * ENTRY > words:
        return np.int64(-1)
    size = 8 * (words - (mask + 1) * ENTRY) - 8  # a whole word is read at any byte
    free, codes = 0, 0
    for k in range(mask + 1):
        entry = table + 8 * ENTRY * k
        code, offset, length = word(entry, 3), word(entry, 1), word(entry, 2)
        if code == EMPTY:
            free += 1
            continue
        if code < 0 or code > 1 << 28 or offset < 0 or length < 0 or offset > size or length > size - offset:
            return np.int64(-1)
        codes = max(codes, code + 1)
    return np.int64(codes) if free else np.int64(-1)


@kernel
def check_parameters(operator, params, size, inputs, outputs):
    """The lengths and tables that an operator's kernel believes in."""
    for k in range(_FIXED.shape[0]):
        if _FIXED[k, 0] == operator and word(params, _FIXED[k, 1]) != _FIXED[k, 2]:
            return False
    first = word(params, 0) if size else np.int64(0)
    second = word(params, 1) if size > 1 else np.int64(0)
    if operator == _TEXT_CONSTANT:
        return first >= 0 and first <= 8 * (size - 2)
    if operator == _DICTIONARY or operator == _TEXT_MEMBERSHIP or operator == _ONE_HOT:
        return check_table(params + 16, first, size - 2) >= 0
    if operator == _LABEL:
        return check_table(params + 8, first, size - 1) >= 0
    if operator == _BAG or operator == _MULTI_HOT:
        low, high = word(params, 3), word(params, 4)
        return 1 <= low <= high <= 64 and check_table(params + 48, first, size - 6) >= 0
    if operator == _NUMBER_DICTIONARY:
        return 0 <= first <= size and 2 * first <= size - 2
    if operator == _NUMBER_MEMBERSHIP:
        return 0 <= first <= size - 2
    if operator == _BUCKETIZE or operator == _QUANTILE:
        return 0 <= first <= size - 1
    if operator == _HASH:
        return first > 0
    if operator == _DIFFERENCE or operator == _FLOOR:
        return first > 0
    if operator == _CALENDAR:
        return check_calendar(params, size, first, second)
    if operator == _TARGET:
        return check_target(params, size)
    if operator == _CROSS:
        return check_cross(params, size, first, second)
    if operator == _POLYNOMIAL:
        return check_polynomial(params, size, inputs, outputs)
    return True


@kernel
def check_calendar(params, size, parts, transitions):
    """Parts, transitions, shifts; the part's number is looked at by comparison only."""
    if transitions < 0 or transitions > size or parts < 0 or parts > size:
        return False
    return parts + 2 * transitions + 3 == size


@kernel
def check_target(params, size):
    """An output's encodings have one for every code, then those of NULL and of other texts."""
    mask, levels, outputs = word(params, 0), word(params, 1), word(params, 2)
    if levels < 0 or levels > size or outputs < 1 or outputs > size:
        return False
    used = 3 + outputs * (levels + 2)
    if used > size:
        return False
    codes = check_table(params + 8 * used, mask, size - used)
    return 0 <= codes <= levels


@kernel
def check_cross(params, size, parts, keys):
    """Two or three tables, and as many codes as keys."""
    if parts < 1 or parts > 3 or keys < 0 or keys > size:
        return False
    used = 2 + 3 * parts + 2 * keys
    if used > size:
        return False
    for k in range(parts):
        mask, at = word(params, 2 + 3 * k), word(params, 3 + 3 * k)
        if at < used or at > size or check_table(params + 8 * at, mask, size - at) < 0:
            return False
    return True


@kernel
def check_polynomial(params, size, inputs, outputs):
    """Every term has factors, all of them among the inputs."""
    at = 2 + outputs
    if at > size:
        return False
    for k in range(outputs):
        count = word(params, 2 + k)
        if count < 1 or count > size - at:
            return False
        for j in range(count):
            factor = word(params, at + j)
            if factor < 0 or factor >= inputs:
                return False
        at += count
    return True
