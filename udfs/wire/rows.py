"""Encoded columns to the bytes of wire messages: one message a row, each value with its length before it.

    tag | length of the rest: int32 | columns: int16 | length: int32, value | length: int32, value | ...

A column is either ``offsets`` and ``data`` as Arrow keeps strings, or values of one width. ``valid`` has one byte a row, or
none where every value is there. Messages are laid out column by column: ``cursor`` says where each row's next value goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from udfs.jit import kernel

HEADER = 7


@kernel
def measure_texts(offsets, valid, sizes):
    """Add each value's bytes to the sizes of the rows."""
    for i in range(sizes.shape[0]):
        if valid.shape[0] == 0 or valid[i] != 0:
            sizes[i] += offsets[i + 1] - offsets[i]


@kernel
def measure_fixed(width, valid, sizes):
    """The same for values of one width."""
    for i in range(sizes.shape[0]):
        if valid.shape[0] == 0 or valid[i] != 0:
            sizes[i] += width


@kernel
def write_int32(out, at, value):
    """Four bytes, most significant first."""
    out[at] = (value >> 24) & 255
    out[at + 1] = (value >> 16) & 255
    out[at + 2] = (value >> 8) & 255
    out[at + 3] = value & 255


@kernel
def write_headers(tag, columns, sizes, cursor, out):
    """Tag, length and number of columns of each row; ``cursor`` is set behind them."""
    at = 0
    for i in range(sizes.shape[0]):
        out[at] = tag
        write_int32(out, at + 1, sizes[i] - 1)
        out[at + 5] = (columns >> 8) & 255
        out[at + 6] = columns & 255
        cursor[i] = at + 7
        at += sizes[i]


@kernel
def write_texts(offsets, data, valid, cursor, out):
    """Length and bytes of each value of a column; a length of -1 is NULL."""
    for i in range(cursor.shape[0]):
        at = cursor[i]
        if valid.shape[0] != 0 and valid[i] == 0:
            write_int32(out, at, -1)
            cursor[i] = at + 4
        else:
            first = offsets[i]
            length = offsets[i + 1] - first
            write_int32(out, at, length)
            for j in range(length):
                out[at + 4 + j] = data[first + j]
            cursor[i] = at + 4 + length


@kernel
def write_fixed(width, data, valid, cursor, out):
    """The same for values of one width, which stand one after the other in ``data`` as they go out."""
    for i in range(cursor.shape[0]):
        at = cursor[i]
        if valid.shape[0] != 0 and valid[i] == 0:
            write_int32(out, at, -1)
            cursor[i] = at + 4
        else:
            write_int32(out, at, width)
            for j in range(width):
                out[at + 4 + j] = data[i * width + j]
            cursor[i] = at + 4 + width


@kernel
def write_lines(tag, offsets, data, out):
    """Each text as a message of its own."""
    at = 0
    for i in range(offsets.shape[0] - 1):
        first = offsets[i]
        length = offsets[i + 1] - first
        out[at] = tag
        write_int32(out, at + 1, length + 4)
        for j in range(length):
            out[at + 5 + j] = data[first + j]
        at += 5 + length


ALL_VALID = np.empty(0, dtype=np.uint8)


class Texts:
    """Values of any length: ``offsets`` (int32 or int64, rows + 1) into ``data``."""

    def __init__(self, offsets: Any, data: Any, valid: Any = ALL_VALID) -> None:
        self.offsets, self.data, self.valid = offsets, data, valid

    def measure(self, sizes):
        measure_texts(self.offsets, self.valid, sizes)

    def write(self, cursor, out):
        write_texts(self.offsets, self.data, self.valid, cursor, out)


class Fixed:
    """Values of one width, already in the byte order of the wire."""

    def __init__(self, width: int, data: Any, valid: Any = ALL_VALID) -> None:
        self.width, self.data, self.valid = width, data, valid

    def measure(self, sizes):
        measure_fixed(self.width, self.valid, sizes)

    def write(self, cursor, out):
        write_fixed(self.width, self.data, self.valid, cursor, out)


def encode_rows(columns: Sequence[Texts | Fixed], rows: int, tag: bytes = b"D") -> Any:
    """The messages of ``rows`` rows of encoded columns, as one array of bytes."""
    sizes = np.full(rows, HEADER + 4 * len(columns), dtype=np.int64)
    for column in columns:
        column.measure(sizes)
    out = np.empty(int(sizes.sum()), dtype=np.uint8)
    cursor = np.empty(rows, dtype=np.int64)
    write_headers(tag[0], len(columns), sizes, cursor, out)
    for column in columns:
        column.write(cursor, out)
    return out


def encode_lines(offsets: Any, data: Any, tag: bytes = b"d") -> Any:
    """One message a text, for COPY in its text formats."""
    rows = offsets.shape[0] - 1
    out = np.empty(5 * rows + int(offsets[rows] - offsets[0]), dtype=np.uint8)
    write_lines(tag[0], offsets, data, out)
    return out


def reference_rows(values, tag=b"D"):
    """What ``encode_rows`` gives, in plain Python: rows of bytes or None in, messages out."""
    messages = bytearray()
    for row in values:
        body = len(row).to_bytes(2, "big")
        for value in row:
            body += b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value
        messages += tag + (len(body) + 4).to_bytes(4, "big") + body
    return bytes(messages)
