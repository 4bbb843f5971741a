"""Machine code that writes a block's scores into DuckDB's result vector, one small kernel a form of result."""

from __future__ import annotations

from functools import cache

import numpy as np

from udfs.columns import BLOCK_ROWS
from udfs.duckdb.native import (
    CLASS,
    F_OTHER,
    F_OUT,
    F_RESULT,
    F_SIZE,
    F_START,
    F_TOTAL,
    FAILURE,
    FRAME_WORDS,
    LABELS,
    MATRIX_AT,
    MATRIX_ROWS,
    THRESHOLD,
    WIDTH,
    WORKSPACE_AT,
    allocate,
    fail,
    get_arena,
    get_child,
    get_data,
    machine_code,
    set_size,
)
from udfs.jit import kernel, view

_ANY = 1 << 40
_INLINE = 12  # bytes of a string that DuckDB keeps in its 16-byte entry


@kernel
def matrix(plan, state):
    """The block's scores or features: float64[rows, BLOCK_ROWS]."""
    words = view(plan, np.int64, _ANY)
    return view(state + words[WORKSPACE_AT] + words[MATRIX_AT], np.float64, (words[MATRIX_ROWS], BLOCK_ROWS))


@kernel
def predicted_class(classes, scores, row, threshold):
    """The class with the greatest probability, the first of equals; of two, the second where it exceeds the threshold."""
    if classes <= 2:
        return 1 if scores[classes - 1, row] > threshold else 0
    best = 0
    for k in range(1, classes):
        if scores[k, row] > scores[best, row]:
            best = k
    return best


def _emit_last(plan, state, error):
    frame, scores = view(state, np.int64, FRAME_WORDS), matrix(plan, state)
    words = view(plan, np.int64, _ANY)
    if get_data(frame[F_RESULT], state + 8 * F_OUT, 0) != 0:
        fail(error, words[FAILURE])
        return
    size = frame[F_SIZE]
    out = view(frame[F_OUT] + 8 * frame[F_START], np.float64, BLOCK_ROWS)
    last = scores[words[MATRIX_ROWS] - 1]
    for i in range(size):
        out[i] = last[i]


def _emit_one(plan, state, error):
    frame, scores = view(state, np.int64, FRAME_WORDS), matrix(plan, state)
    words = view(plan, np.int64, _ANY)
    if get_data(frame[F_RESULT], state + 8 * F_OUT, 0) != 0:
        fail(error, words[FAILURE])
        return
    size, k = frame[F_SIZE], words[CLASS]
    out = view(frame[F_OUT] + 8 * frame[F_START], np.float64, BLOCK_ROWS)
    if words[MATRIX_ROWS] > 1 or k == 1:
        row = scores[k if words[MATRIX_ROWS] > 1 else 0]
        for i in range(size):
            out[i] = row[i]
        return
    row = scores[0]
    for i in range(size):
        out[i] = 1.0 - row[i]


def _emit_list(plan, state, error):
    write_list(plan, state, error, False)


def _emit_probabilities(plan, state, error):
    write_list(plan, state, error, True)


@kernel
def write_list(plan, state, error, complement):
    """One list a row; with ``complement`` a single probability becomes the two of its classes."""
    frame, scores = view(state, np.int64, FRAME_WORDS), matrix(plan, state)
    words = view(plan, np.int64, _ANY)
    rows = words[MATRIX_ROWS]
    pair = complement and rows == 1
    length = 2 if pair else rows
    status = get_data(frame[F_RESULT], state + 8 * F_OUT, 0) | get_child(frame[F_RESULT], 0, state + 8 * F_OTHER, 0)
    if status == 0 and frame[F_START] == 0:
        status = set_size(frame[F_OTHER], frame[F_TOTAL] * length, 0)
    if status == 0:
        status = get_data(frame[F_OTHER], state + 8 * F_OTHER, 0)
    if status != 0:
        fail(error, words[FAILURE])
        return
    entries, values = view(frame[F_OUT], np.int64, _ANY), view(frame[F_OTHER], np.float64, _ANY)
    for i in range(frame[F_SIZE]):
        at = frame[F_START] + i
        entries[2 * at] = at * length
        entries[2 * at + 1] = length
        if pair:
            values[at * 2] = 1.0 - scores[0, i]
            values[at * 2 + 1] = scores[0, i]
        else:
            for k in range(rows):
                values[at * rows + k] = scores[k, i]


def _emit_class(plan, state, error):
    frame, scores = view(state, np.int64, FRAME_WORDS), matrix(plan, state)
    words = view(plan, np.int64, _ANY)
    threshold = view(plan, np.float64, _ANY)[THRESHOLD]
    if get_data(frame[F_RESULT], state + 8 * F_OUT, 0) != 0:
        fail(error, words[FAILURE])
        return
    size = frame[F_SIZE]
    out = view(frame[F_OUT] + 4 * frame[F_START], np.int32, BLOCK_ROWS)
    for i in range(size):
        out[i] = predicted_class(words[MATRIX_ROWS], scores, i, threshold)


def _emit_label(plan, state, error):
    frame, scores = view(state, np.int64, FRAME_WORDS), matrix(plan, state)
    words = view(plan, np.int64, _ANY)
    threshold = view(plan, np.float64, _ANY)[THRESHOLD]
    if get_data(frame[F_RESULT], state + 8 * F_OUT, 0) != 0:
        fail(error, words[FAILURE])
        return
    width, classes = words[WIDTH], words[MATRIX_ROWS]
    table, out = view(words[LABELS], np.uint8, _ANY), view(frame[F_OUT], np.uint8, _ANY)
    for i in range(frame[F_SIZE]):
        source = width * predicted_class(classes, scores, i, threshold)
        target = width * (frame[F_START] + i)
        for b in range(width):
            out[target + b] = table[source + b]


def _emit_text_label(plan, state, error):
    frame, scores = view(state, np.int64, FRAME_WORDS), matrix(plan, state)
    words = view(plan, np.int64, _ANY)
    threshold = view(plan, np.float64, _ANY)[THRESHOLD]
    status = get_data(frame[F_RESULT], state + 8 * F_OUT, 0)
    if status != 0:
        fail(error, words[FAILURE])
        return
    table, out = view(words[LABELS], np.int64, _ANY), view(frame[F_OUT], np.int64, _ANY)
    classes, last, last_text = words[MATRIX_ROWS], -1, 0
    for i in range(frame[F_SIZE]):
        label = predicted_class(classes, scores, i, threshold)
        at = frame[F_START] + i
        out[2 * at] = table[2 * label]
        out[2 * at + 1] = table[2 * label + 1]
        length = table[2 * label] & 0xFFFFFFFF
        if length <= _INLINE:
            continue
        # A long text must belong to the result, which may outlive the plan; equal neighbours share one copy.
        if label != last:
            last_text = copy_text(table[2 * label + 1], length, frame[F_RESULT], state + 8 * F_OTHER)
            last = label
        if last_text == 0:
            fail(error, words[FAILURE])
            return
        out[2 * at + 1] = last_text


@kernel
def copy_text(source, length, vector, slot):
    """A copy of bytes in a vector's own memory; returns its address, 0 on failure."""
    place = view(slot, np.int64, 1)
    if get_arena(vector, slot, 0) != 0:
        return 0
    if allocate(place[0], length, slot, 0) != 0:
        return 0
    given, made = view(source, np.uint8, length), view(place[0], np.uint8, length)
    for b in range(length):
        made[b] = given[b]
    return place[0]


EMITTERS = {
    "last": _emit_last,
    "one": _emit_one,
    "list": _emit_list,
    "probabilities": _emit_probabilities,
    "class": _emit_class,
    "label": _emit_label,
    "text_label": _emit_text_label,
}


@cache
def emitter_address(name: str) -> int:
    """The machine code of an emitter, compiled or read from the cache at its first use."""
    return machine_code(EMITTERS[name])
