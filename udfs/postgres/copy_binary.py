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

from udfs.jit import address_of, intrinsic, kernel, part, peek, poke, types

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


@intrinsic
def swapped(typing_context, address, dtype, index):
    """The value of this unsigned type, stored big-endian, that lies ``index`` bytes after an address."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(
            builder.add(arguments[0], arguments[2]), context.get_data_type(dtype.dtype).as_pointer()
        )
        value = builder.load(pointer)
        value.align = 1
        return builder.bswap(value)

    return dtype.dtype(types.int64, dtype, types.int64), codegen


@part
def copy_swapped(source, at, target, row, width):
    """One value of fixed width in the machine's order of bytes."""
    if width == 8:
        poke(target, np.uint64, row, swapped(source, np.uint64, at))
    elif width == 4:
        poke(target, np.uint32, row, swapped(source, np.uint32, at))
    elif width == 2:
        poke(target, np.uint16, row, swapped(source, np.uint16, at))
    else:
        poke(target, np.uint8, row, peek(source, np.uint8, at))


# Values are written where they belong in the pass that finds them: a pass to find the fields and one a column to turn them
# around took thirty times as long on 21 doubles (each reads the block again, and places of columns lay a power of two apart).
@kernel
def split_tuples(buffer, start, end, targets, widths, nulls, starts, lengths):
    """Fields of fixed width go to their columns, of others it is noted where they lie; NULLs are marked.

    ``targets`` are the columns' addresses, ``widths`` their widths, 0 for any length; ``starts`` and ``lengths`` have a row for
    each column of any length. Returns the number of tuples, or -1 where the bytes are no such tuples.
    """
    columns, room = nulls.shape
    source = address_of(buffer)
    at, row = start, 0
    while at + 2 <= end:
        count = np.int64(swapped(source, np.uint16, at))
        if count == 0xFFFF:
            return row
        if count != columns or row >= room:
            return -1
        at += 2
        loose = 0
        for c in range(columns):
            if at + 4 > end:
                return -1
            size, width = np.int64(swapped(source, np.uint32, at)), widths[c]
            at += 4
            if size == 0xFFFFFFFF:
                nulls[c, row] = 1
                size = np.int64(0)
            elif at + size > end or (width > 0 and size != width):
                return -1
            elif width > 0:
                copy_swapped(source, at, targets[c], row, width)
            if width == 0:
                starts[loose, row], lengths[loose, row] = at, size
                loose += 1
            at += size
        row += 1
    return row if at == end else -1


@kernel
def swap_fields(buffer, starts, lengths, nulls, width, out):
    """Elements of fixed width in the machine's order of bytes; returns False where one has another width."""
    source, target = address_of(buffer), address_of(out)
    for row in range(starts.size):
        if nulls[row]:
            continue
        if lengths[row] != width:
            return False
        copy_swapped(source, starts[row], target, row, width)
    return True


@kernel
def gather_bytes(buffer, starts, lengths, offsets, out):
    """Fields of any length, one after another; ``offsets`` are given."""
    for row in range(starts.size):
        at = offsets[row]
        for i in range(lengths[row]):
            out[at + i] = buffer[starts[row] + i]


@part
def length_at(source, at):
    """A signed word of 32 bits."""
    word = np.int64(swapped(source, np.uint32, at))
    return word - (word >> 31 << 32)


@kernel
def count_elements(buffer, starts, lengths, nulls, counts):
    """How many elements each array has in all its dimensions; returns False where the bytes are no array."""
    source = address_of(buffer)
    for row in range(starts.size):
        counts[row] = 0
        if nulls[row]:
            continue
        dimensions = length_at(source, starts[row]) if lengths[row] >= 12 else -1
        if dimensions < 0 or dimensions > 6 or lengths[row] < 12 + 8 * dimensions:
            return False
        count = np.int64(dimensions > 0)
        for dimension in range(dimensions):
            size = length_at(source, starts[row] + 12 + 8 * dimension)
            if size < 0:
                return False
            count *= size
            if count > lengths[row]:  # each element takes four bytes or more
                return False
        counts[row] = count
    return True


@kernel
def find_elements(buffer, starts, lengths, counts, element_starts, element_lengths, element_nulls):
    """Where every element of every array lies; returns False where they do not fill it."""
    source, element = address_of(buffer), 0
    for row in range(starts.size):
        if counts[row] == 0:
            continue
        at, end = starts[row] + 12 + 8 * length_at(source, starts[row]), starts[row] + lengths[row]
        for _ in range(counts[row]):
            if at + 4 > end:
                return False
            size = length_at(source, at)
            at += 4
            if size < 0:
                element_nulls[element] = 1
                size = 0
            if at + size > end:
                return False
            element_starts[element], element_lengths[element] = at, size
            at += size
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
    widths = [0 if form.items is not None else form.width for form in forms]
    columns = [_values(place, form, width, rows) for place, (form, width) in enumerate(zip(forms, widths, strict=True))]
    targets = np.array([column.ctypes.data for column in columns], np.int64)
    nulls = np.zeros((len(forms), rows), np.uint8)
    starts = np.empty((widths.count(0), rows), np.int64)
    lengths = np.empty_like(starts)
    found = split_tuples(buffer, start, end, targets, np.array(widths, np.int64), nulls, starts, lengths)
    if found < 0:
        return None
    arrays = []
    loose = iter(zip(starts[:, :found], lengths[:, :found], strict=True))
    for form, column, absent in zip(forms, columns, nulls[:, :found], strict=True):
        if form.items is not None:
            arrays.append(_lists(buffer, *next(loose), absent, form.items))
        elif form.width == 0:
            arrays.append(_texts(buffer, *next(loose), absent, form))
        else:
            arrays.append(_fixed(column[:found], absent, form))
    return None if any(array is None for array in arrays) else arrays


def _values(place: int, form: Form, width: int, rows: int) -> npt.NDArray[Any]:
    """Room for a column's values, each at another distance from the start of a page: columns are written side by side, and
    what lies at the same distance evicts each other from the processor's first cache."""
    if width == 0:
        return np.empty(0, np.uint8)
    shift = place % 64 * 64 // width
    return np.zeros(shift + rows, form.dtype)[shift:]


def _fixed(values: npt.NDArray[Any], nulls: Bytes, form: Form) -> pa.Array:
    if form.type == pa.bool_():
        return _array(form.type, nulls, [pa.py_buffer(np.packbits(values, bitorder="little"))])
    return _array(form.type, nulls, [pa.py_buffer(shifted(values, form.shift) if form.shift else values)])


def _texts(buffer: Bytes, starts: Any, lengths: Any, nulls: Bytes, form: Form) -> pa.Array:
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    content = np.empty(int(offsets[-1]), np.uint8)
    gather_bytes(buffer, starts, lengths, offsets, content)
    return _array(form.type, nulls, [pa.py_buffer(offsets), pa.py_buffer(content)])


def list_of(items: Form) -> Form:
    """The form of an array."""
    return Form(pa.large_list(items.type), items=items)


def _lists(buffer: Bytes, starts: Any, lengths: Any, nulls: Bytes, items: Form) -> pa.Array | None:
    counts = np.empty(len(starts), np.int64)
    if not count_elements(buffer, starts, lengths, nulls, counts):
        return None
    offsets = np.concatenate(([0], np.cumsum(counts)))
    element_starts = np.empty(int(offsets[-1]), np.int64)
    element_lengths = np.empty_like(element_starts)
    element_nulls = np.zeros(len(element_starts), np.uint8)
    if not find_elements(buffer, starts, lengths, counts, element_starts, element_lengths, element_nulls):
        return None
    values = _elements(buffer, element_starts, element_lengths, element_nulls, items)
    if values is None:
        return None
    mask = pa.array(nulls.astype(np.bool_)) if nulls.any() else None
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=mask)


def _elements(buffer: Bytes, starts: Any, lengths: Any, nulls: Bytes, items: Form) -> pa.Array | None:
    if items.width == 0:
        return _texts(buffer, starts, lengths, nulls, items)
    values = np.zeros(len(starts), items.dtype)
    return _fixed(values, nulls, items) if swap_fields(buffer, starts, lengths, nulls, items.width, values) else None


def shifted(values: npt.NDArray[Any], shift: int) -> npt.NDArray[Any]:
    """Values counted from 1970; the infinities, which are the ends of the type's range, stay where they are."""
    limits = np.iinfo(values.dtype)
    infinite = (values == limits.max) | (values > limits.max - shift) | (values == limits.min)
    return np.where(infinite, values, values + np.where(infinite, 0, shift).astype(values.dtype))


def _array(kind: pa.DataType, nulls: Bytes, buffers: list[pa.Buffer]) -> pa.Array:
    validity = pa.py_buffer(np.packbits(1 - nulls, bitorder="little")) if nulls.any() else None
    return pa.Array.from_buffers(kind, len(nulls), [validity, *buffers])
