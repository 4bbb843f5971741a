"""Postgres' binary COPY format to Arrow arrays: the messages of a connection in, columns out, without a Python object a row.

    header        11 bytes of signature, 4 of flags, 4 of the length of an extension
    tuple         number of fields (int16), then for each its length (int32, -1 = NULL) and its bytes, all big-endian
    trailer       -1 as a number of fields

The functions of libpq are called by their addresses, so that a million rows cost a million calls of C and none of Python.
Source: PostgreSQL documentation, COPY, "Binary Format"; binary forms of types from each type's ``send`` function.
"""

# ruff: noqa: PLR0917 - kernels take buffers by position

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from llvmlite import ir

from udfs.jit import address_of, intrinsic, kernel, peek, poke, types

Bytes = npt.NDArray[np.uint8]

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
EPOCH_DAYS = 10_957  # from 1970-01-01 to Postgres' 2000-01-01
EPOCH_MICROSECONDS = EPOCH_DAYS * 86_400_000_000

FIRST_BYTES = 1 << 20

# What ``pull`` came back with.
MORE, FULL, END, FAILED = range(4)

# Words of the state that ``pull`` keeps between calls: a message that did not fit, and its length.
PENDING, PENDING_BYTES, ROWS, USED = range(4)


@intrinsic
def get_copy_data(typing_context, function, connection, place):
    """``PQgetCopyData(connection, place, 0)`` by its address."""

    def codegen(context, builder, signature, arguments):
        word, short = ir.IntType(64), ir.IntType(32)
        pointer = builder.inttoptr(arguments[0], ir.FunctionType(short, [word, word, short]).as_pointer())
        result = builder.call(pointer, [arguments[1], arguments[2], short(0)])
        return builder.sext(result, word)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def free_memory(typing_context, function, address):
    """``PQfreemem(address)`` by its address."""

    def codegen(context, builder, signature, arguments):
        word = ir.IntType(64)
        pointer = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), [word]).as_pointer())
        builder.call(pointer, [arguments[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@kernel
def pull(functions, connection, state, buffer, rows):
    """Append messages to ``buffer`` until it holds ``rows`` of them, is full, or the copy ends."""
    place = address_of(state)
    while state[ROWS] < rows:
        if state[PENDING] == 0:
            size = get_copy_data(functions[0], connection, place)
            if size == -1:
                return END
            if size < 0:
                return FAILED
            state[PENDING_BYTES] = size
        size, used = state[PENDING_BYTES], state[USED]
        if used + size > buffer.size:
            return FULL
        source = state[PENDING]
        for i in range(size):
            buffer[used + i] = peek(source, np.uint8, i)
        free_memory(functions[1], source)
        state[PENDING] = 0
        state[USED] = used + size
        state[ROWS] += 1
    return MORE


@kernel
def find_fields(buffer, start, end, starts, lengths):
    """Where every field of every tuple lies; returns the number of tuples, or -1 where the bytes are no such tuples."""
    columns, room = starts.shape
    at, row = start, 0
    while at + 2 <= end:
        count = np.int64(buffer[at]) << 8 | np.int64(buffer[at + 1])
        if count == 0xFFFF:
            return row
        if count != columns or row >= room:
            return -1
        at += 2
        for c in range(columns):
            if at + 4 > end:
                return -1
            size = np.int64(0)
            for i in range(4):
                size = size << 8 | np.int64(buffer[at + i])
            at += 4
            if size == 0xFFFFFFFF:
                starts[c, row], lengths[c, row] = at, -1
                continue
            if at + size > end:
                return -1
            starts[c, row], lengths[c, row] = at, size
            at += size
        row += 1
    return row if at == end else -1


@kernel
def swap_fields(buffer, starts, lengths, width, out, nulls):
    """Fixed-width fields in the machine's order of bytes; returns False where one has another width."""
    target = address_of(out)
    for row in range(starts.size):
        if lengths[row] < 0:
            nulls[row] = 1
            for i in range(width):
                poke(target, np.uint8, width * row + i, 0)
            continue
        if lengths[row] != width:
            return False
        for i in range(width):
            poke(target, np.uint8, width * row + width - 1 - i, buffer[starts[row] + i])
    return True


@kernel
def gather_bytes(buffer, starts, lengths, offsets, out, nulls):
    """Fields of any length, one after another; ``offsets`` are given."""
    for row in range(starts.size):
        if lengths[row] < 0:
            nulls[row] = 1
        at = offsets[row]
        for i in range(lengths[row]):
            out[at + i] = buffer[starts[row] + i]


@kernel
def big_endian(buffer, at):
    """A signed word of 32 bits."""
    word = np.int64(0)
    for i in range(4):
        word = word << 8 | np.int64(buffer[at + i])
    return word - (word >> 31 << 32)


@kernel
def count_elements(buffer, starts, lengths, counts):
    """How many elements each array has in all its dimensions; returns False where the bytes are no array."""
    for row in range(starts.size):
        counts[row] = 0
        if lengths[row] < 0:
            continue
        dimensions = big_endian(buffer, starts[row]) if lengths[row] >= 12 else -1
        if dimensions < 0 or dimensions > 6 or lengths[row] < 12 + 8 * dimensions:
            return False
        count = np.int64(dimensions > 0)
        for dimension in range(dimensions):
            size = big_endian(buffer, starts[row] + 12 + 8 * dimension)
            if size < 0:
                return False
            count *= size
            if count > lengths[row]:  # each element takes four bytes or more
                return False
        counts[row] = count
    return True


@kernel
def find_elements(buffer, starts, lengths, counts, element_starts, element_lengths):
    """Where every element of every array lies; returns False where they do not fill it."""
    element = 0
    for row in range(starts.size):
        if lengths[row] < 0:
            continue
        at, end = starts[row] + 12 + 8 * big_endian(buffer, starts[row]), starts[row] + lengths[row]
        for _ in range(counts[row]):
            if at + 4 > end:
                return False
            size = big_endian(buffer, at)
            at += 4
            element_starts[element], element_lengths[element] = at, size
            at += max(size, 0)
            element += 1
        if at != end:
            return False
    return True


@dataclass(frozen=True)
class Form:
    """How a type's binary form becomes Arrow: ``width`` 0 for bytes of any length; ``shift`` from Postgres' epoch to 1970.

    An array has the form of its ``items``; several dimensions become one.
    """

    type: pa.DataType
    dtype: Any = np.uint8
    width: int = 0
    shift: int = 0
    items: Form | None = None


BOOLEAN = Form(pa.bool_(), np.uint8, 1)
TEXT = Form(pa.large_string())
BINARY = Form(pa.large_binary())
FORMS: dict[str, Form] = {
    "boolean": BOOLEAN,
    "smallint": Form(pa.int16(), np.int16, 2),
    "integer": Form(pa.int32(), np.int32, 4),
    "bigint": Form(pa.int64(), np.int64, 8),
    "real": Form(pa.float32(), np.float32, 4),
    "double precision": Form(pa.float64(), np.float64, 8),
    "date": Form(pa.date32(), np.int32, 4, EPOCH_DAYS),
    "time without time zone": Form(pa.time64("us"), np.int64, 8),
    "timestamp without time zone": Form(pa.timestamp("us"), np.int64, 8, EPOCH_MICROSECONDS),
    "timestamp with time zone": Form(pa.timestamp("us", "UTC"), np.int64, 8, EPOCH_MICROSECONDS),
    "text": TEXT,
    "bytea": BINARY,
}
"""By the type's name as ``format_type`` gives it, without a modifier. Any other type travels as text, which the query casts."""


class Messages:
    """The messages of a copy under way, a block at a time, in one buffer that grows with them."""

    def __init__(self, functions: tuple[int, int], connection: int) -> None:
        self._functions = np.array(functions, np.int64)
        self._connection = connection
        self._state = np.zeros(4, np.int64)
        self.buffer = np.empty(FIRST_BYTES, np.uint8)

    def fetch(self, rows: int) -> int:
        """Up to ``rows`` messages, in place of those before; returns MORE, END or FAILED."""
        self._state[ROWS] = self._state[USED] = 0
        while (status := pull(self._functions, self._connection, self._state, self.buffer, rows)) == FULL:
            more = max(len(self.buffer), int(self._state[PENDING_BYTES]))
            self.buffer = np.concatenate((self.buffer, np.empty(more, np.uint8)))
        return int(status)

    @property
    def used(self) -> int:
        """How many bytes of the buffer the messages fill."""
        return int(self._state[USED])

    @property
    def rows(self) -> int:
        """How many messages there are."""
        return int(self._state[ROWS])


def as_bytes(content: bytes) -> Bytes:
    """Messages that came by another way."""
    return np.frombuffer(content, np.uint8)


def decode(buffer: Bytes, start: int, end: int, rows: int, forms: list[Form]) -> list[pa.Array] | None:
    """The columns of the tuples in ``buffer[start:end]``; None where the bytes are not what the forms expect."""
    starts = np.empty((len(forms), rows), np.int64)
    lengths = np.empty((len(forms), rows), np.int64)
    found = find_fields(buffer, start, end, starts, lengths)
    if found < 0:
        return None
    arrays = [_column(buffer, starts[i, :found], lengths[i, :found], form) for i, form in enumerate(forms)]
    return None if any(array is None for array in arrays) else arrays


def _column(buffer: Bytes, starts: Any, lengths: Any, form: Form) -> pa.Array | None:
    nulls = np.zeros(len(starts), np.uint8)
    if form.items is not None:
        return _lists(buffer, starts, lengths, form.items)
    if form.width == 0:
        offsets = np.concatenate(([0], np.cumsum(np.maximum(lengths, 0))))
        content = np.empty(int(offsets[-1]), np.uint8)
        gather_bytes(buffer, starts, lengths, offsets, content, nulls)
        return _array(form.type, len(starts), nulls, [pa.py_buffer(offsets), pa.py_buffer(content)])
    values = np.empty(len(starts), form.dtype)
    if not swap_fields(buffer, starts, lengths, form.width, values, nulls):
        return None
    if form.type == pa.bool_():
        return _array(form.type, len(starts), nulls, [pa.py_buffer(np.packbits(values, bitorder="little"))])
    if form.shift:
        values = shifted(values, form.shift)
    return _array(form.type, len(starts), nulls, [pa.py_buffer(values)])


def list_of(items: Form) -> Form:
    """The form of an array."""
    return Form(pa.large_list(items.type), items=items)


def _lists(buffer: Bytes, starts: Any, lengths: Any, items: Form) -> pa.Array | None:
    counts = np.empty(len(starts), np.int64)
    if not count_elements(buffer, starts, lengths, counts):
        return None
    offsets = np.concatenate(([0], np.cumsum(counts)))
    element_starts = np.empty(int(offsets[-1]), np.int64)
    element_lengths = np.empty(int(offsets[-1]), np.int64)
    if not find_elements(buffer, starts, lengths, counts, element_starts, element_lengths):
        return None
    values = _column(buffer, element_starts, element_lengths, items)
    if values is None:
        return None
    absent = lengths < 0
    mask = pa.array(absent) if absent.any() else None
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=mask)


def shifted(values: npt.NDArray[Any], shift: int) -> npt.NDArray[Any]:
    """Values counted from 1970; the infinities, which are the ends of the type's range, stay where they are."""
    limits = np.iinfo(values.dtype)
    infinite = (values == limits.max) | (values > limits.max - shift) | (values == limits.min)
    return np.where(infinite, values, values + np.where(infinite, 0, shift).astype(values.dtype))


def _array(kind: pa.DataType, length: int, nulls: Bytes, buffers: list[pa.Buffer]) -> pa.Array:
    validity = pa.py_buffer(np.packbits(1 - nulls, bitorder="little")) if nulls.any() else None
    return pa.Array.from_buffers(kind, length, [validity, *buffers])
