"""Machine code that runs a call of a scoring function over DuckDB's vectors, on DuckDB's threads, without Python.

    plan    what to do: made at bind, shared by all threads, read only           (words PLAN_HEAD.. and one record a column)
    state   one thread's memory: a frame of words, one record a column (see ``fill``), the scorer's workspace

For each block of rows: views of the vectors, fillers, the scorer, then an emitter that writes the result in the form asked for.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from udfs.columns import BLOCK_ROWS
from udfs.duckdb.fill import COLUMN_WORDS, DATA, NULLS, RAW, SCALE, SELECTION, TABLE, VALIDITY, VECTOR
from udfs.duckdb.trampolines import PLAN_HEAD
from udfs.jit import external, kernel, poke, routine, view, word
from udfs.machine_code import look_in
from udfs.scorer import IN_PLACE, request
from udfs.transforms.dispatch import call_kernel

(
    SCORER,
    SCORE_CODE,
    EMIT_CODE,
    STAGE,
    COLUMNS,
    IS_ROW,
    FIRST,
    WORKSPACE_AT,
    MATRIX_AT,
    MATRIX_ROWS,
    THRESHOLD,
    CLASS,
    WIDTH,
    LABELS,
    TEXT_AT,
    FAILURE,
    ROW_TABLE,
) = range(PLAN_HEAD, PLAN_HEAD + 17)
RECORDS = 24  # first word of the columns' records in a plan
RECORD_WORDS = 8
POSITION, FILL, RAW_AT, NULLS_AT, SETTING, POINTER, IN_STATE, IS_DOUBLE = range(8)

# Words of the frame at the start of a thread's state.
F_TOTAL, F_RESULT, F_START, F_SIZE, F_OUT, F_OTHER, F_KIND = range(7)
FRAME_WORDS = 32
_ANY = 1 << 40
_FLAT = 1  # DUCKDB_V2_VECTOR_TYPE
_OTHER = 0


def _external(name: str, arguments: int) -> Any:
    return external(f"duckdb_v2_{name}", arguments)


# By name and not by address, so that the machine code can be cached.
row_count = _external("scalar_function_exec_get_row_count", 3)
get_argument = _external("scalar_function_exec_get_arg", 4)
get_result = _external("scalar_function_exec_get_result", 3)
get_view = _external("vector_get_view", 3)
get_vector_type = _external("vector_get_vector_type", 3)
flatten = _external("vector_flatten", 2)
get_child = _external("vector_get_child", 4)
get_data = _external("vector_get_data_mutable", 3)
set_size = _external("vector_set_size", 3)
get_arena = _external("vector_get_arena", 3)
allocate = _external("arena_allocate", 4)
set_code = _external("error_info_set_code", 2)
set_text = _external("error_info_set_text", 2)


@kernel
def find_columns(info, plan, state):
    """Bring every column's vector into a form that has a view; returns DuckDB's error code."""
    words = view(plan, np.int64, _ANY)
    frame = view(state, np.int64, FRAME_WORDS)
    status = np.int32(0)
    row = 0
    if words[IS_ROW] != 0:
        status |= get_argument(info, words[FIRST], state + 8 * F_OTHER, 0)
        row = frame[F_OTHER]
        status |= get_vector_type(row, state + 8 * F_KIND, 0)
        if status == 0 and frame[F_KIND] & 0xFFFFFFFF != _FLAT:
            status |= flatten(row, 0)
    for k in range(words[COLUMNS]):
        if status != 0:
            return status
        record = RECORDS + RECORD_WORDS * k
        column = view(state + 8 * (FRAME_WORDS + COLUMN_WORDS * k), np.int64, COLUMN_WORDS)
        column[RAW] = state + words[WORKSPACE_AT] + words[record + RAW_AT]
        column[NULLS] = state + words[WORKSPACE_AT] + words[record + NULLS_AT]
        column[SCALE] = words[record + SETTING]
        column[TABLE] = words[record + POINTER] + (state if words[record + IN_STATE] != 0 else 0)
        if words[record + POSITION] < 0:
            continue
        if row != 0:
            status |= get_child(row, words[record + POSITION], state + 8 * F_OTHER, 0)
        else:
            status |= get_argument(info, words[FIRST] + words[record + POSITION], state + 8 * F_OTHER, 0)
        if status != 0:
            return status
        status |= get_vector_type(frame[F_OTHER], state + 8 * F_KIND, 0)
        if status == 0 and frame[F_KIND] & 0xFFFFFFFF == _OTHER:
            status |= flatten(frame[F_OTHER], 0)
        column[VECTOR] = frame[F_OTHER]
    return status


@kernel
def view_columns(plan, state):
    """Take the views; returns DuckDB's error code.

    A dictionary's first view flattens what is below it, which may be below another column as well: only the second pass sees
    where everything came to rest.
    """
    words = view(plan, np.int64, _ANY)
    status = np.int32(0)
    passes = 1
    done = 0
    while done < passes:
        for k in range(words[COLUMNS]):
            if words[RECORDS + RECORD_WORDS * k + POSITION] < 0:
                continue
            at = state + 8 * (FRAME_WORDS + COLUMN_WORDS * k)
            column = view(at, np.int64, COLUMN_WORDS)
            status |= get_view(column[VECTOR], at, 0)
            if column[SELECTION] != 0:
                passes = 2
        done += 1
    return status


def run(info, plan, state, error):
    """Score a batch of DuckDB's: what a plan's first word points to."""
    words = view(plan, np.int64, _ANY)
    if state == 0:
        fail(error, words[FAILURE])
        return
    frame = view(state, np.int64, FRAME_WORDS)
    status = row_count(info, state + 8 * F_TOTAL, 0)
    status |= get_result(info, state + 8 * F_RESULT, 0)
    if status == 0:
        status |= find_columns(info, plan, state)
    if status == 0:
        status |= view_columns(plan, state)
    if status != 0:
        fail(error, words[FAILURE])
        return
    for start in range(0, frame[F_TOTAL], BLOCK_ROWS):
        size = min(BLOCK_ROWS, frame[F_TOTAL] - start)
        asked = request(size, words[STAGE])
        table = words[ROW_TABLE]
        for k in range(words[COLUMNS]):
            record = RECORDS + RECORD_WORDS * k
            column = state + 8 * (FRAME_WORDS + COLUMN_WORDS * k)
            row = word(column, RAW)
            if words[record + IS_DOUBLE] != 0 and word(column, VALIDITY) == 0 and word(column, SELECTION) == 0:
                row = word(column, DATA) + 8 * start  # read where DuckDB has it
            else:
                call_kernel(words[record + FILL], column, start, size)
            if table != 0:
                poke(state + table, np.int64, k, row)
                asked |= IN_PLACE
        call_kernel(words[SCORE_CODE], words[SCORER], state + words[WORKSPACE_AT], asked)
        frame[F_START] = start
        frame[F_SIZE] = size
        call_kernel(words[EMIT_CODE], plan, state, error)


@kernel
def fail(error, text):
    """Report that DuckDB refused a call."""
    slot = view(error, np.int64, 1)[0]
    set_text(slot, text)
    set_code(slot, 5_007)


@cache
def link() -> None:
    """Make the C API's functions known by name; before any code that calls them is built or loaded."""
    import _duckdb  # noqa: PLC0415 - loading this module does not load DuckDB

    look_in(_duckdb.__file__)


_KEPT: list[Any] = []


def machine_code(function: Any) -> int:
    """The address of a function of integers that calls DuckDB, as machine code, kept for the life of the process."""
    link()
    return routine(function).address


@cache
def run_address() -> int:
    """What a plan's first word points to."""
    return machine_code(run)


def text_constant(text: str) -> int:
    """The address of a ``duckdb_v2_str`` that lives as long as the process."""
    data = ctypes.create_string_buffer(text.encode())
    view_of = (ctypes.c_uint64 * 2)(ctypes.addressof(data), len(data) - 1)
    _KEPT.append((data, view_of))
    return ctypes.addressof(view_of)


@cache
def failure_text() -> int:
    """What a query reports when a call of DuckDB's C API fails inside a scoring function."""
    return text_constant("sqlml could not read its arguments or write its result; out of memory")
