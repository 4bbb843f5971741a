"""A value of a PostgreSQL type to the cells of an argument, by the conversions of ``udfs.columns``: every scorer sees the same."""

# ruff: noqa: PLR0917, PLR0911, PLR1714, SIM109 - kernels take addresses and counts, by position

from __future__ import annotations

import numpy as np

from udfs.columns import DAY, INFINITE, LAST_DAY
from udfs.jit import kernel, peek, poke, word
from udfs.postgres import layout, server
from udfs.postgres.server import call, call_int, function_at, set_word

# How the bytes of a type are read.
(
    FROM_FLOAT8, FROM_FLOAT4, FROM_INT2, FROM_INT4, FROM_INT8, FROM_BOOL, FROM_NUMERIC, FROM_TEXT, FROM_PADDED, FROM_NAME,
    FROM_UNKNOWN, FROM_UUID, FROM_ENUM, FROM_DATE, FROM_TIME, FROM_TIMESTAMP, FROM_TIMESTAMPTZ, FROM_OTHER,
) = range(18)  # fmt: skip
EPOCH_DAYS = 10_957  # from 1970 to 2000, where PostgreSQL counts from
EPOCH = EPOCH_DAYS * DAY
ENUM, BLANK = ord("e"), ord(" ")


@kernel
def reader_of(kind):
    """How values of a type, by its number, are read; domains as the type below them."""
    base = call_int("getBaseType", (kind,))
    if base == server.FLOAT8:
        return FROM_FLOAT8
    if base == server.FLOAT4:
        return FROM_FLOAT4
    if base == server.INT2:
        return FROM_INT2
    if base == server.INT4:
        return FROM_INT4
    if base == server.INT8:
        return FROM_INT8
    if base == server.BOOL:
        return FROM_BOOL
    if base == server.NUMERIC:
        return FROM_NUMERIC
    return reader_of_others(base)


@kernel
def reader_of_others(base):
    """The types that are no numbers."""
    if base == server.TEXT or base == server.VARCHAR:
        return FROM_TEXT
    if base == server.BPCHAR:
        return FROM_PADDED
    if base == server.NAME_TYPE:
        return FROM_NAME
    if base == server.UNKNOWN:
        return FROM_UNKNOWN
    if base == server.UUID:
        return FROM_UUID
    if base == server.DATE:
        return FROM_DATE
    if base == server.TIME:
        return FROM_TIME
    if base == server.TIMESTAMP:
        return FROM_TIMESTAMP
    if base == server.TIMESTAMPTZ:
        return FROM_TIMESTAMPTZ
    if server.call_byte("get_typtype", (base,)) == ENUM:
        return FROM_ENUM
    return FROM_OTHER


@kernel
def accepts(kind, reader):
    """Whether an argument of a kind takes values that are read so."""
    if kind == layout.NUMBER or kind == layout.BOOLEAN:
        return reader <= FROM_NUMERIC
    if kind == layout.TEXT:
        return FROM_TEXT <= reader <= FROM_ENUM
    if kind == layout.DATE:
        return reader == FROM_DATE or reader == FROM_TIMESTAMP
    if kind == layout.TIMESTAMP:
        return FROM_DATE <= reader <= FROM_TIMESTAMP
    return reader == FROM_TIMESTAMPTZ


@kernel
def put_null(kind, cells, cell, null_cell):
    """NULL, for every scorer: NaN, or nothing with the null byte set."""
    if kind <= layout.BOOLEAN:
        poke(cells, np.float64, cell, np.nan)
        return
    set_word(cells, cell, 0)
    if kind == layout.TEXT:
        set_word(cells, cell + 1, 0)
    set_word(cells, null_cell, 1)


@kernel
def put_text(cells, cell, null_cell, address, length):
    """The bytes of a text, where they are."""
    set_word(cells, cell, address)
    set_word(cells, cell + 1, length)
    set_word(cells, null_cell, 0)


@kernel
def put_time(cells, cell, null_cell, micros, is_known):
    """A moment, or NULL where there is none."""
    set_word(cells, cell, micros if is_known else 0)
    set_word(cells, null_cell, 0 if is_known else 1)


@kernel
def number_of(reader, datum):
    """A number as a double."""
    if reader == FROM_FLOAT8:
        return np.int64(datum).view(np.float64)
    if reader == FROM_INT4:
        return np.float64(np.int32(datum))
    if reader == FROM_INT8:
        return np.float64(datum)
    if reader == FROM_INT2:
        return np.float64(np.int16(datum))
    if reader == FROM_BOOL:
        return np.float64(datum & 1)
    if reader == FROM_FLOAT4:
        return np.float64(np.int32(datum).view(np.float32))
    double = call("DirectFunctionCall1Coll", (function_at("numeric_float8_no_overflow"), 0, datum))
    return np.int64(double).view(np.float64)


@kernel
def put_varlena(cells, cell, null_cell, datum):
    """A text as the server stores it: out of line, compressed, with a long or a short head."""
    at = call("pg_detoast_datum_packed", (datum,))
    head = np.int64(peek(at, np.uint8, 0))
    if head & 1:
        put_text(cells, cell, null_cell, at + 1, (head >> 1) - 1)
    else:
        put_text(cells, cell, null_cell, at + 4, (np.int64(peek(at, np.uint32, 0)) >> 2) - 4)


@kernel
def put_padded(cells, cell, null_cell, datum):
    """A char(n) without the blanks that fill it, as a cast to text has it."""
    put_varlena(cells, cell, null_cell, datum)
    address, length = word(cells, cell), word(cells, cell + 1)
    while length > 0 and peek(address, np.uint8, length - 1) == BLANK:
        length -= 1
    set_word(cells, cell + 1, length)


@kernel
def put_cstring(cells, cell, null_cell, address):
    """A text that ends with a zero byte."""
    length = 0
    while peek(address, np.uint8, length) != 0:
        length += 1
    put_text(cells, cell, null_cell, address, length)


@kernel
def put_other(reader, datum, cells, cell, null_cell):
    """Texts and moments."""
    if reader == FROM_TEXT:
        put_varlena(cells, cell, null_cell, datum)
    elif reader == FROM_PADDED:
        put_padded(cells, cell, null_cell, datum)
    elif reader == FROM_NAME or reader == FROM_UNKNOWN:
        put_cstring(cells, cell, null_cell, datum)
    elif reader == FROM_UUID:
        put_cstring(cells, cell, null_cell, call("DirectFunctionCall1Coll", (function_at("uuid_out"), 0, datum)))
    elif reader == FROM_ENUM:
        put_cstring(cells, cell, null_cell, call("DirectFunctionCall1Coll", (function_at("enum_out"), 0, datum)))
    elif reader == FROM_DATE:
        days = np.int64(np.int32(datum)) + EPOCH_DAYS
        is_known = -LAST_DAY <= days <= LAST_DAY
        put_time(cells, cell, null_cell, days * DAY, is_known)
    elif reader == FROM_TIME:
        put_time(cells, cell, null_cell, datum, True)
    else:
        is_known = -INFINITE < datum < INFINITE - EPOCH
        put_time(cells, cell, null_cell, datum + EPOCH, is_known)


@kernel
def put_value(reader, datum, is_null, kind, cells, cell, null_cell):
    """Fill the cells of an argument."""
    if is_null:
        put_null(kind, cells, cell, null_cell)
    elif kind <= layout.BOOLEAN:
        poke(cells, np.float64, cell, number_of(reader, datum))
    else:
        put_other(reader, datum, cells, cell, null_cell)


@kernel
def wanted(kind):
    """What an argument of a kind takes, in the words of an error."""
    if kind == layout.NUMBER:
        return server.text("a number")
    if kind == layout.BOOLEAN:
        return server.text("a boolean")
    if kind == layout.TEXT:
        return server.text("text")
    if kind == layout.DATE:
        return server.text("a date or timestamp")
    if kind == layout.TIMESTAMP:
        return server.text("a timestamp, date or time")
    return server.text("a timestamp with time zone")
