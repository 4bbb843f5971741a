"""A stream of bytes of the Postgres protocol to its messages, with rows in passing left as the bytes they came in; no I/O."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from udfs.wire.frames import end_of_rows

BULK = 0  # bytes of rows: whole messages, or parts of one
BROKEN = -1  # bytes that are no message: nothing after them can be told apart
_LENGTH = struct.Struct("!I")
_HEAD = 5


class Frames:
    """Messages of one direction. Those of one or two tags ``bulk`` are not put together, and not told apart from each other."""

    def __init__(self, bulk: bytes, longest: int = 1 << 30) -> None:
        self._bulk = bulk
        self._longest = longest
        self._held = bytearray()  # the beginning of a message whose rest has not come
        self._wanted = 0  # bytes that the held message has to have before another look at it makes sense
        self._passing = 0  # bytes still to come of a message whose beginning was given out

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The messages that ``data`` completes, as tag and all their bytes."""
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return
            data = bytes(self._held)
            self._held.clear()
        begin = position = min(self._passing, len(data))
        self._passing -= position
        begin = 0
        while position + _HEAD <= len(data):
            tag = data[position]
            (length,) = _LENGTH.unpack_from(data, position + 1)
            if tag in self._bulk and length >= 4:
                end = end_of_rows(np.frombuffer(data, np.uint8), position, self._bulk[0], self._bulk[-1])
                self._passing = max(0, end - len(data))
                position = min(end, len(data))
                continue
            end = position + 1 + length
            if begin < position:
                yield BULK, data[begin:position]
                begin = position
            if not 4 <= length <= self._longest:
                yield BROKEN, data[position:]
                return
            if end > len(data):
                self._wanted = end - position
                break
            yield tag, data[position:end]
            begin = position = end
        else:
            self._wanted = _HEAD
        if begin < position:
            yield BULK, data[begin:position]
        self._held += data[position:]
