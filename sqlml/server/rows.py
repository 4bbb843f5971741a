"""The rows of a running statement, in portions as the client asks for them, as messages ready to be sent."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from sqlml.server.messages import ColumnField
from sqlml.server.types import WireType, wire_type
from sqlml.server.values import encode_batch, encoder_of

ROWS_PER_BATCH = 16_384
FETCHED = 1024
IN_MEMORY = 64 << 20  # bytes that rows aside may take; what is more goes into a file


class Rows:
    """A stream of Arrow batches. While it is live it occupies the engine's connection; ``set_aside`` frees that.

    ``kinds`` are the types that were promised to the client; without them, those that come.
    """

    def __init__(
        self,
        reader: Any,
        columns: list[tuple[str, str]],
        translated: Callable[[BaseException], BaseException],
        kinds: list[WireType] | None = None,
    ) -> None:
        self.columns = columns
        self.kinds = kinds if kinds and len(kinds) == len(columns) else [wire_type(sql_type) for _, sql_type in columns]
        self.sent = 0
        self.on_end: Callable[[int], None] | None = None
        self.live = True
        self.finished = False
        self._reader = reader
        self._translated = translated
        self._pending: pa.RecordBatch | None = None

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

    def set_aside(self) -> None:
        """Read what is left, so that the connection can do something else."""
        if not self.live:
            return
        self.live = False
        kept: list[pa.RecordBatch] = [self._pending] if self._pending is not None else []
        size, self._pending = 0, None
        writer: Any = None
        spool: Any = None
        while (batch := self._next()) is not None:
            size += batch.nbytes
            if size > IN_MEMORY and writer is None:
                spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the rows
                writer = pa.ipc.new_stream(spool, batch.schema)
            if writer is None:
                kept.append(batch)
            else:
                writer.write_batch(batch)
        rest: Any = ()
        if writer is not None:
            writer.close()
            spool.seek(0)
            rest = pa.ipc.open_stream(spool)
        self._reader = _Kept(kept, rest, spool)

    def close(self) -> None:
        """Give up what is left."""
        close = getattr(self._reader, "close", None)
        if close is not None and not self.finished:
            close()
        self.finished, self.live, self._pending = True, False, None

    def _next(self) -> pa.RecordBatch | None:
        try:
            batch: pa.RecordBatch = self._reader.read_next_batch()
        except StopIteration:
            return None
        except Exception as error:
            self.finished, self.live = True, False
            raise self._translated(error) from error
        return batch


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


class _Kept:
    """Batches in memory, then those in a file."""

    def __init__(self, batches: list[pa.RecordBatch], rest: Any, spool: Any) -> None:
        self._batches = iter(batches)
        self._rest = iter(rest)
        self._spool = spool

    def read_next_batch(self) -> pa.RecordBatch:
        batch = next(self._batches, None)
        return batch if batch is not None else next(self._rest)

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()


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
