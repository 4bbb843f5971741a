"""Machine code that reads DuckDB's vectors in place into the raw block: one small kernel a column type, compiled when first met.

Every filler is a C function ``fill(column, start, n)``. A column is nine words: a view of the vector (addresses of data, validity
mask and selection, the last two may be 0, and a count), addresses of its raw row(s) and null row, two settings of the type, and the
vector itself.
NULL is NaN in a number's raw row, and its null row is not used. Conversions are those of ``udfs.columns``, so both scorers see the same raw block.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from udfs.columns import BLOCK_ROWS, DAY, INFINITE, LAST_DAY
from udfs.decimals import decimal_double, quotient
from udfs.jit import kernel, routine, view

_ANY = 1 << 40  # length of a view whose length nobody knows

# Words of a column.
DATA, VALIDITY, SELECTION, COUNT, RAW, NULLS, SCALE, TABLE, VECTOR = range(9)
COLUMN_WORDS = 9


@kernel
def locate(vector, row):
    """Where a row's value is in the data of a view, or -1 for NULL."""
    if vector[SELECTION] != 0:
        row = np.int64(view(vector[SELECTION], np.uint32, _ANY)[row])
    if vector[VALIDITY] != 0:
        word = view(vector[VALIDITY], np.uint64, _ANY)[row >> 6]
        if (word >> np.uint64(row & 63)) & np.uint64(1) == np.uint64(0):
            return -1
    return row


def _fill_null(column, start, n):
    """A column that is NULL throughout: the raw row holds ``table``, and text (scale 2) has no length."""
    vector = view(column, np.int64, COLUMN_WORDS)
    values, null = view(vector[RAW], np.int64, BLOCK_ROWS), view(vector[NULLS], np.uint8, BLOCK_ROWS)
    for i in range(n):
        values[i] = vector[TABLE]
        null[i] = 1
    if vector[SCALE] == 2:
        size = view(vector[RAW] + 8 * BLOCK_ROWS, np.int64, BLOCK_ROWS)
        for i in range(n):
            size[i] = 0


def _number(dtype: Any) -> Any:
    size = np.dtype(dtype).itemsize

    def fill(column, start, n):
        vector = view(column, np.int64, COLUMN_WORDS)
        values = view(vector[RAW], np.float64, BLOCK_ROWS)
        if vector[VALIDITY] == 0 and vector[SELECTION] == 0:
            # From the first row on, and with indices that are plainly not negative: the compiler makes it one wide copy.
            block = view(vector[DATA] + size * start, dtype, BLOCK_ROWS)
            for i in range(n):
                values[i] = np.float64(block[i])
            return
        data = view(vector[DATA], dtype, _ANY)
        for i in range(n):
            at = locate(vector, start + i)
            values[i] = np.float64(data[at]) if at >= 0 else np.nan

    return fill


def _decimal(dtype: Any) -> Any:
    def fill(column, start, n):
        vector = view(column, np.int64, COLUMN_WORDS)
        powers = view(column, np.float64, COLUMN_WORDS)
        data = view(vector[DATA], dtype, _ANY)
        values = view(vector[RAW], np.float64, BLOCK_ROWS)
        for i in range(n):
            at = locate(vector, start + i)
            units = np.int64(data[at]) if at >= 0 else np.int64(0)
            value = decimal_double(units >> 63, units, powers[TABLE], powers[SCALE])
            values[i] = value if at >= 0 else np.nan

    return fill


def _fill_decimal_128(column, start, n):
    vector = view(column, np.int64, COLUMN_WORDS)
    powers = view(column, np.float64, COLUMN_WORDS)
    data = view(vector[DATA], np.int64, _ANY)
    values = view(vector[RAW], np.float64, BLOCK_ROWS)
    for i in range(n):
        at = locate(vector, start + i)
        if at < 0:
            values[i] = np.nan
        else:
            values[i] = decimal_double(data[2 * at + 1], data[2 * at], powers[TABLE], powers[SCALE])


def _fill_unsigned_128(column, start, n):
    vector = view(column, np.int64, COLUMN_WORDS)
    data = view(vector[DATA], np.int64, _ANY)
    values = view(vector[RAW], np.float64, BLOCK_ROWS)
    for i in range(n):
        at = locate(vector, start + i)
        values[i] = np.nan if at < 0 else quotient(data[2 * at + 1], data[2 * at], 1.0, 0.0)


def _fill_date(column, start, n):
    vector = view(column, np.int64, COLUMN_WORDS)
    data = view(vector[DATA], np.int32, _ANY)
    values, null = view(vector[RAW], np.int64, BLOCK_ROWS), view(vector[NULLS], np.uint8, BLOCK_ROWS)
    for i in range(n):
        at = locate(vector, start + i)
        days = np.int64(data[at]) if at >= 0 else np.int64(0)
        missing = at < 0 or days > LAST_DAY or days < -LAST_DAY
        null[i] = missing
        values[i] = 0 if missing else days * DAY


def _fill_time(column, start, n):
    """Points in time: scale microseconds a unit; where it is 0, table units a microsecond; below 0, -scale low bits to drop."""
    vector = view(column, np.int64, COLUMN_WORDS)
    data = view(vector[DATA], np.int64, _ANY)
    values, null = view(vector[RAW], np.int64, BLOCK_ROWS), view(vector[NULLS], np.uint8, BLOCK_ROWS)
    scale = vector[SCALE]
    largest = INFINITE if scale < 1 else INFINITE // scale
    for i in range(n):
        at = locate(vector, start + i)
        unit = data[at] if at >= 0 else 0
        missing = at < 0 or unit >= largest or unit <= -largest
        null[i] = missing
        if missing:
            values[i] = 0
        elif scale > 0:
            values[i] = unit * scale
        elif scale < 0:
            values[i] = unit >> -scale
        else:
            values[i] = unit // vector[TABLE]


def _fill_text(column, start, n):
    """DuckDB's strings: 16 bytes, up to 12 of them inlined; addresses of bytes are passed on, nothing is copied."""
    vector = view(column, np.int64, COLUMN_WORDS)
    addresses = view(vector[RAW], np.int64, BLOCK_ROWS)
    lengths = view(vector[RAW] + 8 * BLOCK_ROWS, np.int64, BLOCK_ROWS)
    null = view(vector[NULLS], np.uint8, BLOCK_ROWS)
    for i in range(n):
        at = locate(vector, start + i)
        null[i] = at < 0
        if at < 0:
            addresses[i] = 0
            lengths[i] = 0
            continue
        entry = vector[DATA] + 16 * at
        length = np.int64(view(entry, np.uint32, 1)[0])
        lengths[i] = length
        addresses[i] = entry + 4 if length <= 12 else view(entry + 8, np.int64, 1)[0]


def _enum(dtype: Any) -> Any:
    def fill(column, start, n):
        vector = view(column, np.int64, COLUMN_WORDS)
        codes = view(vector[DATA], dtype, _ANY)
        words = view(vector[TABLE], np.int64, _ANY)
        addresses = view(vector[RAW], np.int64, BLOCK_ROWS)
        lengths = view(vector[RAW] + 8 * BLOCK_ROWS, np.int64, BLOCK_ROWS)
        null = view(vector[NULLS], np.uint8, BLOCK_ROWS)
        for i in range(n):
            at = locate(vector, start + i)
            null[i] = at < 0
            code = np.int64(codes[at]) if at >= 0 else 0
            addresses[i] = words[2 * code] if at >= 0 else 0
            lengths[i] = words[2 * code + 1] if at >= 0 else 0

    return fill


def _fill_uuid(column, start, n):
    """UUIDs as their 36 characters, written into the room for text that the table word points to."""
    vector = view(column, np.int64, COLUMN_WORDS)
    data = view(vector[DATA], np.uint64, _ANY)
    addresses = view(vector[RAW], np.int64, BLOCK_ROWS)
    lengths = view(vector[RAW] + 8 * BLOCK_ROWS, np.int64, BLOCK_ROWS)
    null = view(vector[NULLS], np.uint8, BLOCK_ROWS)
    for i in range(n):
        at = locate(vector, start + i)
        null[i] = at < 0
        addresses[i] = vector[TABLE] + 40 * i
        lengths[i] = 0 if at < 0 else 36
        if at < 0:
            continue
        text = view(vector[TABLE] + 40 * i, np.uint8, 36)
        place = 0
        for digit in range(32):
            if digit in (8, 12, 16, 20):
                text[place] = 45
                place += 1
            half = data[2 * at + 1] ^ np.uint64(1 << 63) if digit < 16 else data[2 * at]
            four = np.int64((half >> np.uint64(60 - 4 * (digit & 15))) & np.uint64(15))
            text[place] = 48 + four if four < 10 else 87 + four
            place += 1


FILLERS: dict[str, Any] = {
    "null": _fill_null,
    "boolean": _number(np.uint8),
    "int8": _number(np.int8),
    "int16": _number(np.int16),
    "int32": _number(np.int32),
    "int64": _number(np.int64),
    "uint8": _number(np.uint8),
    "uint16": _number(np.uint16),
    "uint32": _number(np.uint32),
    "uint64": _number(np.uint64),
    "float32": _number(np.float32),
    "float64": _number(np.float64),
    "decimal16": _decimal(np.int16),
    "decimal32": _decimal(np.int32),
    "decimal64": _decimal(np.int64),
    "decimal128": _fill_decimal_128,
    "uint128": _fill_unsigned_128,
    "date": _fill_date,
    "time": _fill_time,
    "text": _fill_text,
    "enum8": _enum(np.uint8),
    "enum16": _enum(np.uint16),
    "enum32": _enum(np.uint32),
    "uuid": _fill_uuid,
}


@cache
def filler_address(name: str) -> int:
    """The machine code of a filler, compiled or read from the cache at its first use."""
    return routine(FILLERS[name]).address
