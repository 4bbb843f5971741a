"""Batches that a thread reads ahead."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from sqlml.training.rows import read_ahead


class Source:
    """Batches of one row each, 0 to 4, that remembers how far it was read, by whom, and that it was closed."""

    def __init__(self, *, fails_at=None):
        self.fails_at = fails_at
        self.read, self.readers, self.is_closed = 0, set(), False

    def __iter__(self):
        try:
            for number in range(5):
                if number == self.fails_at:
                    raise LookupError("lost")
                self.read += 1
                self.readers.add(threading.current_thread())
                yield pa.record_batch({"n": [number]})
        finally:
            self.is_closed = True


def numbers(batches):
    return [batch.column(0)[0].as_py() for batch in batches]


def test_the_same_batches_come_from_another_thread():
    source = Source()
    assert numbers(read_ahead(iter(source))) == [0, 1, 2, 3, 4]
    assert source.is_closed
    assert threading.current_thread() not in source.readers
    assert not any(thread.is_alive() for thread in source.readers)


def test_no_more_than_one_batch_waits():
    source = Source()
    batches = read_ahead(iter(source))
    next(batches)
    batches.close()
    assert source.read <= 2
    assert source.is_closed


def test_an_error_of_the_source_comes_out_in_its_place():
    source, found = Source(fails_at=3), []
    with pytest.raises(LookupError, match="lost"):
        for batch in read_ahead(iter(source)):
            found.append(batch)  # noqa: PERF402 - what came before the error is kept
    assert numbers(found) == [0, 1, 2]
    assert source.is_closed
