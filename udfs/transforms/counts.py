"""Counting distinct values in one pass, exactly and whatever the cut into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from udfs.later import Later

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Later("pyarrow")

PENDING = 1_000_000  # distinct values waiting before they are merged


class TextCounter:
    """How often each text occurred, and NULLs apart; memory grows with the number of distinct texts only."""

    def __init__(self) -> None:
        self.nulls = 0
        self._pending: list[pa.Table] = []
        self._waiting = 0

    def update(self, array: pa.Array) -> None:
        """Count the values of a text array (dictionary-encoded or not)."""
        self.nulls += array.null_count
        if pa.types.is_dictionary(array.type):
            counts = array.indices.drop_null().value_counts()
            values = array.dictionary.take(counts.field(0))
        else:
            counts = array.drop_null().value_counts()
            values = counts.field(0)
        table = pa.table({"value": values.cast(pa.large_string()), "count": counts.field(1)})
        self._pending.append(table)
        self._waiting += table.num_rows
        if self._waiting > PENDING:
            self._merge()

    def _merge(self) -> pa.Table:
        if not self._pending:
            return pa.table({"value": pa.array([], pa.large_string()), "count": pa.array([], pa.int64())})
        merged = pa.concat_tables(self._pending)
        if len(self._pending) > 1:
            grouped = merged.group_by("value", use_threads=False).aggregate([("count", "sum")])
            merged = pa.table({"value": grouped.column("value"), "count": grouped.column("count_sum")})
        self._pending = [merged]
        self._waiting = 0
        return merged

    def distinct(self) -> int:
        """How many different texts there were."""
        return int(self._merge().num_rows)

    def most_frequent(self, limit: int | None = None) -> tuple[list[str], list[int]]:
        """Texts and counts, most frequent first, ties by UTF-8 bytes."""
        table = self._merge()
        import pyarrow.compute as pc  # noqa: PLC0415 - costs as much as opening a database, and scoring needs none of it

        order = pc.sort_indices(table, sort_keys=[("count", "descending"), ("value", "ascending")])
        if limit is not None:
            order = order.slice(0, limit)
        return table.column("value").take(order).to_pylist(), table.column("count").take(order).to_pylist()

    def sorted(self) -> tuple[list[str], list[int]]:
        """Texts and counts by UTF-8 bytes."""
        table = self._merge()
        import pyarrow.compute as pc  # noqa: PLC0415 - costs as much as opening a database, and scoring needs none of it

        order = pc.sort_indices(table, sort_keys=[("value", "ascending")])
        return table.column("value").take(order).to_pylist(), table.column("count").take(order).to_pylist()


class NumberCounter:
    """How often each number occurred, NaN apart: exact order statistics of any column, memory by distinct values."""

    def __init__(self) -> None:
        self.missing = 0
        self._pending: list[npt.NDArray[np.float64]] = []
        self._waiting = 0
        self._values = np.zeros(0)
        self._counts = np.zeros(0, np.int64)

    def update(self, values: npt.NDArray[np.float64]) -> None:
        """Count the values of an array."""
        present = values[~np.isnan(values)]
        self.missing += len(values) - len(present)
        self._pending.append(present)
        self._waiting += len(present)
        if self._waiting > max(PENDING, len(self._values)):
            self._merge()

    def _merge(self) -> None:
        if not self._pending:
            return
        values, counts = np.unique(np.concatenate(self._pending), return_counts=True)
        everything = np.concatenate((self._values, values))
        self._values, place = np.unique(everything, return_inverse=True)
        self._counts = np.bincount(
            place, np.concatenate((self._counts, counts)).astype(np.float64), len(self._values)
        ).astype(np.int64)
        self._pending = []
        self._waiting = 0

    def counts(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Distinct values in order and how often each occurred."""
        self._merge()
        return self._values, self._counts

    def quantiles(self, fractions: Any) -> npt.NDArray[np.float64]:
        """Quantiles with linear interpolation between order statistics, as numpy's default; NaN without values."""
        values, counts = self.counts()
        total = int(counts.sum())
        if total == 0:
            return np.full(len(fractions), np.nan)
        ends = np.cumsum(counts)
        position = np.asarray(fractions, np.float64) * (total - 1)
        below = np.floor(position)
        low = values[np.searchsorted(ends, below.astype(np.int64), side="right")]
        high = values[np.searchsorted(ends, np.minimum(below + 1, total - 1).astype(np.int64), side="right")]
        weight = position - below
        # numpy's own lerp: from the nearer end, so that results are monotone and equal bit for bit
        gap = high - low
        with np.errstate(invalid="ignore"):
            result = np.where(weight >= 0.5, high - gap * (1 - weight), low + gap * weight)
        return np.where(low == high, low, result)
