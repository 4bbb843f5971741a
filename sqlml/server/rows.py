"""The rows of a running statement, in portions as the client asks for them, as messages ready to be sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from sqlml.server.aside import Aside
from sqlml.server.limits import Limits, too_much
from sqlml.server.messages import ColumnField
from sqlml.server.types import WireType, wire_type
from sqlml.server.values import encode_batch, encoder_of

ROWS_PER_BATCH = 16_384
ROWS_PER_VECTOR = 2048  # of the engine's: it makes no smaller batches
FETCHED = 1024
PORTION = 8 << 20  # bytes of rows that are made messages of at a time


class Rows:
    """A stream of Arrow batches. While it is live it occupies the engine's connection; ``set_aside`` frees that.

    ``kinds`` are the types that were promised to the client; without them, those that come. ``limits`` are those of the session.
    """

    def __init__(
        self,
        reader: Any,
        columns: list[tuple[str, str]],
        translated: Callable[[BaseException], BaseException],
        kinds: list[WireType] | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        self.columns = columns
        self.kinds = kinds if kinds and len(kinds) == len(columns) else [wire_type(sql_type) for _, sql_type in columns]
        self.sent = 0
        self.on_end: Callable[[int], None] | None = None
        self.live = True
        self.finished = False
        self._reader = reader
        self._translated = translated
        self._limits = limits or Limits()
        self._pending: pa.RecordBatch | None = None
        self._portions: deque[pa.RecordBatch] = deque()

    @property
    def held(self) -> int:
        """Bytes in memory of rows that wait."""
        waiting = self._reader.held if isinstance(self._reader, Aside) else 0
        return waiting + sum(int(portion.nbytes) for portion in self._portions)

    @property
    def taken(self) -> int:
        """Rows of the whole result that have been read."""
        return self.sent

    def fields(self, formats: tuple[int, ...]) -> list[ColumnField]:
        return column_fields([name for name, _ in self.columns], self.kinds, formats)

    def messages(self, formats: tuple[int, ...], limit: int = 0) -> Iterator[Any]:
        """DataRow messages of the next ``limit`` rows, or of all."""
        chosen = spread(formats, len(self.columns))
        encoders = [
            encoder_of(kind, sql_type, binary=code == 1)
            for kind, (_, sql_type), code in zip(self.kinds, self.columns, chosen, strict=True)
        ]
        for batch in self.batches(limit):
            yield encode_batch(batch, encoders).data

    def batches(self, limit: int = 0) -> Iterator[pa.RecordBatch]:
        """The next rows; ``finished`` is true once there are no more."""
        left = limit
        while not self.finished:
            batch = self._pending if self._pending is not None else self._next()
            self._pending = None
            if batch is None:
                self.finished, self.live = True, False
                if self.on_end is not None:
                    self.on_end(self.sent)
                return
            if limit and batch.num_rows > left:
                self._pending = batch.slice(left)
                batch = batch.slice(0, left)
            left -= batch.num_rows
            self.sent += batch.num_rows
            if batch.num_rows:
                yield batch
            if limit and left <= 0:
                return

    def set_aside(self, in_memory: int | None = None) -> None:
        """Read what is left, so that the connection can do something else; what fails now is told when it is asked for."""
        if not self.live:
            return
        aside = Aside(in_memory, self._limits.disk)
        try:
            if self._pending is not None:
                aside.add(self._pending)
            while (batch := self._next()) is not None:
                aside.add(batch)
        except Exception as error:  # noqa: BLE001 - kept for whoever asks for these rows
            self._let_go()
            aside.failure = error
        self._pending = None
        self.finished = self.live = False
        self._reader = aside

    def close(self) -> None:
        """Give up what is left."""
        if not self.finished:
            self._let_go()
        self.finished, self.live, self._pending = True, False, None
        self._portions.clear()

    def _let_go(self) -> None:
        close = getattr(self._reader, "close", None)
        if close is not None:
            close()

    def _next(self) -> pa.RecordBatch | None:
        if self._portions:
            return self._portions.popleft()
        try:
            batch: pa.RecordBatch = self._reader.read_next_batch()
        except StopIteration:
            return None
        except Exception as error:
            self.finished, self.live = True, False
            raise self._translated(error) from error
        if self._limits.memory and batch.nbytes > self._limits.memory:
            self.close()
            raise too_much("memory", self._limits.memory, "Ask for fewer or shorter values a row.")
        return batch if batch.nbytes <= PORTION else self._in_portions(batch)

    def _in_portions(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The first rows of a large batch; the others are next."""
        step = max(1, batch.num_rows * PORTION // batch.nbytes)
        self._portions.extend(batch.slice(start, step) for start in range(0, batch.num_rows, step))
        return self._portions.popleft()


_SIMPLE = {
    "BOOLEAN": pa.bool_(), "TINYINT": pa.int8(), "SMALLINT": pa.int16(), "INTEGER": pa.int32(), "BIGINT": pa.int64(),
    "FLOAT": pa.float32(), "DOUBLE": pa.float64(), "VARCHAR": pa.string(),
}  # fmt: skip


def is_simple(columns: list[tuple[str, str]]) -> bool:
    """Whether rows of Python's own values hold all that the columns have."""
    return all(sql_type in _SIMPLE for _, sql_type in columns)


class FetchedRows:
    """Rows that the engine's cursor fetches as Python's values: for a few of them the fastest way."""

    def __init__(self, fetch: Callable[[int], list[tuple[Any, ...]]], columns: list[tuple[str, str]]) -> None:
        self._fetch = fetch
        self._types = [_SIMPLE[sql_type] for _, sql_type in columns]

    def read_next_batch(self) -> pa.RecordBatch:
        rows = self._fetch(FETCHED)
        if not rows:
            raise StopIteration
        arrays = [
            pa.array(values, type=kind) for values, kind in zip(zip(*rows, strict=True), self._types, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, [str(i) for i in range(len(arrays))])


def spread(formats: tuple[int, ...], count: int) -> tuple[int, ...]:
    """A format code a column: none means text, one is for all."""
    if len(formats) == count:
        return formats
    return (formats[0] if formats else 0,) * count


def column_fields(names: list[str], kinds: list[WireType], formats: tuple[int, ...]) -> list[ColumnField]:
    """What RowDescription says of columns."""
    chosen = spread(formats, len(names))
    return [
        ColumnField(name, kind.oid, kind.size, kind.modifier, code)
        for name, kind, code in zip(names, kinds, chosen, strict=True)
    ]
