"""Rows of a result that wait: batches in, the same batches out later, kept in memory and, what is more, in a file."""

from __future__ import annotations

import tempfile
import weakref
from collections import deque
from typing import Any

import pyarrow as pa

from sqlml.server.limits import too_much

IN_MEMORY = 64 << 20  # bytes of rows that wait in memory where nothing smaller is asked for


class Aside:
    """First in, first out. ``held`` are the bytes in memory; more than ``on_disk`` bytes in the file (0: any number) fail."""

    def __init__(self, in_memory: int | None = None, on_disk: int = 0) -> None:
        self.held = 0
        self.failure: BaseException | None = None  # met instead of the batches that did not come here
        self._in_memory = IN_MEMORY if in_memory is None else min(in_memory, IN_MEMORY)
        self._on_disk = on_disk
        self._batches: deque[pa.RecordBatch] = deque()
        self._file: Any = None
        self._writer: Any = None
        self._rest: Any = None

    def add(self, batch: pa.RecordBatch) -> None:
        """One more; raises ResourceError."""
        if self._writer is None and self.held + batch.nbytes <= self._in_memory:
            self._batches.append(batch)
            self.held += batch.nbytes
            return
        if self._writer is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the rows
            weakref.finalize(self, self._file.close)
            self._writer = pa.ipc.new_stream(self._file, batch.schema)
        self._writer.write_batch(batch)
        if self._on_disk and self._file.tell() > self._on_disk:
            raise too_much("disk", self._on_disk, "Read a result to its end before the next statement, or close it.")

    def read_next_batch(self) -> pa.RecordBatch:
        """The next one; StopIteration after the last."""
        if self._batches:
            batch = self._batches.popleft()
            self.held -= batch.nbytes
            return batch
        if self.failure is not None:
            raise self.failure
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._file.seek(0)
            self._rest = pa.ipc.open_stream(self._file)
        if self._rest is None:
            raise StopIteration
        return self._rest.read_next_batch()

    def close(self) -> None:
        """Let go of all."""
        self._batches.clear()
        self.held = 0
        self._rest = self._writer = None
        if self._file is not None:
            self._file.close()
