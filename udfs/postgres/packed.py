"""Columns as Postgres packs them with ``array_send(array_agg(column))`` to Arrow arrays: no value becomes a Python object.

    int32 dimensions (0 or 1) | int32 whether NULLs may occur | uint32 element type | int32 count | int32 lower bound
    then for each element: int32 length (-1 = NULL), that many bytes, all of them big-endian

Infinite dates and timestamps keep the end of their range, which ``udfs.columns`` takes for NULL.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.errors import SqlmlError

HEADER = 20
EPOCH_DAYS = 10_957  # 2000-01-01, where Postgres counts from, in days since 1970
EPOCH_MICROSECONDS = EPOCH_DAYS * 86_400_000_000
FEW = 256  # elements up to here are split by the plain twin: loading machine code would take longer

ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Packing:
    """A type of column: what its elements are on the wire, and in Arrow."""

    wire: str  # numpy's name of an element, or "bytes"
    arrow: pa.DataType
    shift: int = 0


PACKINGS: dict[str, Packing] = {
    "boolean": Packing("u1", pa.bool_()),
    "int2": Packing(">i2", pa.int16()),
    "int4": Packing(">i4", pa.int32()),
    "int8": Packing(">i8", pa.int64()),
    "float4": Packing(">f4", pa.float32()),
    "float8": Packing(">f8", pa.float64()),
    "date": Packing(">i4", pa.date32(), EPOCH_DAYS),
    "time": Packing(">i8", pa.time64("us")),
    "timestamp": Packing(">i8", pa.timestamp("us"), EPOCH_MICROSECONDS),
    "timestamptz": Packing(">i8", pa.timestamp("us", "UTC"), EPOCH_MICROSECONDS),
    "text": Packing("bytes", pa.string()),
    "bytea": Packing("bytes", pa.binary()),
}


def split_fixed_reference(data: ByteArray, width: int, values: ByteArray, valid: ByteArray) -> None:
    """The plain twin of ``split_fixed``."""
    at = 0
    for i in range(len(valid)):
        valid[i] = data[at] < 128
        at += 4
        if valid[i]:
            values[i * width : (i + 1) * width] = data[at : at + width]
            at += width


def split_variable_reference(data: ByteArray, offsets: IntArray, content: ByteArray, valid: ByteArray) -> None:
    """The plain twin of ``split_variable``."""
    at = filled = 0
    for i in range(len(valid)):
        length = int.from_bytes(data[at : at + 4].tobytes(), "big", signed=True)
        at += 4
        valid[i] = length >= 0
        if length > 0:
            content[filled : filled + length] = data[at : at + length]
            at, filled = at + length, filled + length
        offsets[i + 1] = filled


def unpack(data: bytes | None, packing: Packing, rows: int) -> pa.Array:
    """The Arrow array of one packed column of ``rows`` elements; ``data`` is None where there are none."""
    if rows == 0 or data is None:
        return pa.array([], packing.arrow)
    dimensions, _, _, count, _ = struct.unpack_from(">iiIii", data)
    if dimensions != 1 or count != rows:
        raise SqlmlError(f"a packed column holds {count} elements, wanted {rows}")
    elements = np.frombuffer(data, np.uint8, offset=HEADER)
    return _texts(elements, packing, rows) if packing.wire == "bytes" else _numbers(elements, packing, rows)


def _split(kind: str, rows: int) -> Callable[..., None]:
    if rows <= FEW:
        return split_fixed_reference if kind == "fixed" else split_variable_reference
    from udfs.postgres import splitting  # noqa: PLC0415 - numba, which catalog reads must not pay for

    split: Callable[..., None] = splitting.split_fixed if kind == "fixed" else splitting.split_variable
    return split


def _texts(elements: ByteArray, packing: Packing, rows: int) -> pa.Array:
    offsets, valid = np.zeros(rows + 1, np.int32), np.empty(rows, np.uint8)
    content = np.empty(max(len(elements) - 4 * rows, 0), np.uint8)
    _split("variable", rows)(elements, offsets, content, valid)
    buffers = [_bitmap(valid), pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(packing.arrow, rows, buffers)


def _numbers(elements: ByteArray, packing: Packing, rows: int) -> pa.Array:
    kind = np.dtype(packing.wire)
    stride = 4 + kind.itemsize
    if len(elements) == rows * stride:  # no NULL: the values lie at equal distances
        values = elements.reshape(rows, stride)[:, 4:].copy().view(kind).reshape(rows)
        validity = None
    else:
        content, valid = np.zeros(rows * kind.itemsize, np.uint8), np.empty(rows, np.uint8)
        _split("fixed", rows)(elements, kind.itemsize, content, valid)
        values, validity = content.view(kind), _bitmap(valid)
    return _as_arrow(values.astype(kind.newbyteorder("=")), validity, packing)


def _as_arrow(values: npt.NDArray[Any], validity: pa.Buffer | None, packing: Packing) -> pa.Array:
    if pa.types.is_boolean(packing.arrow):
        bits = pa.py_buffer(np.packbits(values, bitorder="little"))
        return pa.Array.from_buffers(packing.arrow, len(values), [validity, bits])
    if packing.shift:
        limits = np.iinfo(values.dtype)
        finite = (values != limits.max) & (values != limits.min)
        # The far end of timestamps lies beyond 64 bits from 1970 on: it stays at the end.
        values = np.where(finite, np.minimum(values, limits.max - packing.shift) + packing.shift, values)
    return pa.Array.from_buffers(packing.arrow, len(values), [validity, pa.py_buffer(values)])


def _bitmap(valid: ByteArray) -> pa.Buffer | None:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
