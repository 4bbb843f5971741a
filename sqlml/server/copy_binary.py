"""The binary format of COPY, read: bytes that arrive in any portions to tables of values."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa

from sqlml.errors import DataError
from sqlml.server.parameters import decode
from sqlml.server.types import wire_type

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = SIGNATURE + struct.pack("!ii", 0, 0)
TRAILER = struct.pack("!h", -1)


class BinaryReader:
    """Portions of COPY's binary format; ``size`` is what waits."""

    def __init__(self, columns: list[tuple[str, str]]) -> None:
        self.columns = columns
        self.oids = [wire_type(sql_type).oid for _, sql_type in columns]
        self.size = 0
        self._data = bytearray()
        self._started = self._ended = False

    def feed(self, data: bytes) -> None:
        self._data += data
        self.size = len(self._data)

    def take(self, *, last: bool) -> Any:
        """The whole rows that have arrived."""
        at = self._start()
        if at is None:
            if last:
                raise _malformed("COPY file signature not recognized")
            return None
        columns: list[list[Any]] = [[] for _ in self.columns]
        while not self._ended and (end := self._row(at, columns)) is not None:
            at = end
        del self._data[:at]
        self.size = len(self._data)
        if last and not self._ended and self._data:
            raise _malformed("unexpected EOF in COPY data")
        arrays = [_array(values) for values in columns]
        return pa.table({f"c{i}": array for i, array in enumerate(arrays)})

    def _start(self) -> int | None:
        if self._started:
            return 0
        if len(self._data) < len(HEADER):
            return None
        if not self._data.startswith(SIGNATURE):
            raise _malformed("COPY file signature not recognized")
        extension: int
        (extension,) = struct.unpack_from("!i", self._data, len(SIGNATURE) + 4)
        self._started = True
        return len(HEADER) + max(extension, 0)

    def _row(self, at: int, columns: list[list[Any]]) -> int | None:
        """The end of the row at ``at``, whose values are added; None where it has not all arrived."""
        data = self._data
        if at + 2 > len(data):
            return None
        (count,) = struct.unpack_from("!h", data, at)
        if count == -1:
            self._ended = True
            return at + 2
        if count != len(columns):
            raise _malformed(f"row field count is {count}, expected {len(columns)}")
        at += 2
        values = []
        for oid in self.oids:
            if at + 4 > len(data):
                return None
            (length,) = struct.unpack_from("!i", data, at)
            at += 4
            if length < -1:
                raise _malformed("invalid field size")
            if length > 0 and at + length > len(data):
                return None
            values.append(None if length == -1 else decode(bytes(data[at : at + length]), oid, binary=True))
            at += max(length, 0)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        return at


def _array(values: list[Any]) -> Any:
    """Values of one column; those that Arrow has no type for as texts, which the engine casts."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], type=pa.string())


def _malformed(text: str) -> DataError:
    error = DataError(text)
    error.sqlstate = "22P04"
    return error
