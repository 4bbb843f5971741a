"""The rows of the training query, readable more than once in the same order, in bounded memory.

small result                       kept in memory, the query runs once
large, order and values repeat     the query runs again for each reading, in one snapshot, where the engine is good at that
large, otherwise                   spooled once to a temporary file
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from sqlml.engines.engine import Engine
from sqlml.errors import ResourceError
from sqlml.training.progress import Watch

KEPT_BYTES = 32 << 20
BATCH_ROWS = 1 << 14  # 64k rows were no faster and took 60 MB more


class Rows:
    """A context: temporary files and the snapshot end with it."""

    def __init__(self, engine: Engine, sql: str, watch: Watch, *, repeatable: bool) -> None:
        self._engine = engine
        self._sql = sql
        self._watch = watch
        self._repeatable = repeatable and engine.reads_again
        self._kept: list[pa.RecordBatch] | None = None
        self._spool: Path | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ends_transaction = False
        self.row_count: int | None = None

    def __enter__(self) -> Self:
        try:
            if not self._engine.in_transaction():
                self._engine.begin_snapshot()  # one for all readings
                self._ends_transaction = True
            elif not self._engine.repeats_reads():
                self._repeatable = False
            self._fetch()
        except BaseException:
            self._end(succeeded=False)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(succeeded=kind is None)

    def _end(self, *, succeeded: bool) -> None:
        self._kept = None
        if self._folder is not None:
            self._folder.cleanup()
        if self._ends_transaction:
            self._ends_transaction = False
            if succeeded:
                self._engine.commit()  # a query may draw from a sequence
            else:
                self._engine.rollback()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, from the first."""
        if self._kept is not None:
            yield from self._kept
        elif self._spool is not None:
            # Read and not mapped: what is mapped counts as this process's memory, all of the table in the end.
            with pa.OSFile(str(self._spool), "rb") as file, pa.ipc.open_stream(file) as reader:
                yield from reader
        else:
            yield from read_ahead(self._engine.stream(self._sql, BATCH_ROWS))

    def columns(self, places: list[int], count: int) -> Iterator[list[pa.Array[Any]]]:
        """Some of the ``count`` columns of all rows; an engine that runs the query again reads no others."""
        if self._kept is None and self._spool is None:
            # Columns get names of their own: an argument and a computed label may share one.
            wanted = ", ".join(f"c{place}" for place in places)
            names = ", ".join(f"c{place}" for place in range(count))
            sql = f"SELECT {wanted} FROM ({self._sql}) AS training_columns({names})"
            for batch in self._engine.stream(sql, BATCH_ROWS):
                yield batch.columns
        else:
            for batch in self.batches():
                yield [batch.column(place) for place in places]

    def _fetch(self) -> None:
        """Reads up to the limit; what follows depends on whether that was all."""
        kept: list[pa.RecordBatch] = []
        size = rows = 0
        with closing(_closable(self._engine.stream(self._sql, BATCH_ROWS))) as stream:
            for batch in stream:
                kept.append(batch)
                size += batch.nbytes
                rows += batch.num_rows
                self._watch.rows("reading", rows)
                if size > KEPT_BYTES:
                    break
            else:
                self._kept, self.row_count = kept, rows
                return
            if not self._repeatable:
                self._write_spool(kept, stream)

    def _write_spool(self, kept: list[pa.RecordBatch], stream: Iterator[pa.RecordBatch]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sqlml-")
        path = Path(self._folder.name) / "rows.arrow"
        rows = 0
        try:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, kept[0].schema) as writer:
                for batch in _drain(kept, stream):
                    writer.write_batch(batch)
                    rows += batch.num_rows
                    self._watch.rows("reading", rows)
        except OSError as error:
            raise ResourceError(
                f"cannot spool the training rows: {error.strerror or error}",
                hint=f"Free space in {tempfile.gettempdir()}, or set TMPDIR to another directory.",
            ) from None
        self._spool, self.row_count = path, rows


def read_ahead(stream: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, the next one being read by a thread while the last one is worked on; ``close`` closes the stream."""
    with closing(_closable(stream)) as source, ThreadPoolExecutor(1, "sqlml-read-ahead") as reader:
        coming = reader.submit(next, source, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, source, None)
            yield batch


def _drain(kept: list[pa.RecordBatch], stream: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What was read and what is to come; the first part is let go of while it is written."""
    kept.reverse()
    while kept:
        yield kept.pop()
    yield from stream


def _closable(stream: Iterator[pa.RecordBatch]) -> Any:
    """The stream as a generator, whose ``close`` frees the connection."""

    def generate() -> Iterator[pa.RecordBatch]:
        try:
            yield from stream
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()

    return generate()
