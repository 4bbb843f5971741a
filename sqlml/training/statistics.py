"""What training saw of each raw column, for ML.FEATURE_INFO and for drift checks: from blocks while they pass, and from the sample.

Counts, extremes, mean and deviation are of all labelled rows; quantiles, distinct and most frequent values of the sampled training
rows, which are all of them in tables of up to 200,000 rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sqlml.catalog.records import FeatureStatistics
from sqlml.planning.features import FeaturePlan
from udfs.columns import INFINITE, LAST_DAY, RawBlock, slot_offsets
from udfs.columnstats import ColumnSums

TOP_VALUES = 20
QUANTILES = tuple(i / 10 for i in range(11))
EXACT_DOUBLE = 2**53


class StatisticsCollector:
    """Collects batch by batch."""

    def __init__(self, plan: FeaturePlan) -> None:
        self._plan = plan
        offsets = slot_offsets(plan.arguments)
        self._number_of = {
            index: place
            for place, index in enumerate(i for i, a in enumerate(plan.arguments) if a.kind in ("number", "boolean"))
        }
        self._sums = ColumnSums([offsets[index] for index in self._number_of])
        self._nulls = np.zeros(len(plan.arguments), np.int64)
        self._row_count = 0

    def add(self, block: RawBlock) -> None:
        """Takes a block of labelled rows in."""
        self._sums.add(block)
        self._nulls += block.nulls.sum(axis=1, dtype=np.int64)
        self._row_count += block.rows

    def notices(self) -> tuple[str, ...]:
        """Whole numbers that a double cannot hold exactly."""
        whole = {
            input_.name
            for input_ in self._plan.inputs
            if input_.sql_type.upper() in ("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT")
        }
        found = []
        for index, place in self._number_of.items():
            summary, name = self._sums.summary(place), self._plan.arguments[index].name
            if summary is not None and name in whole and max(abs(summary[1]), abs(summary[2])) > EXACT_DOUBLE:
                found.append(f'column "{name}" has whole numbers beyond 2^53, which are rounded to the nearest double')
        return tuple(found)

    def finish(self, sample: Sequence[pa.RecordBatch]) -> tuple[FeatureStatistics, ...]:
        """One entry a column, in the order of the model's inputs."""
        table = pa.Table.from_batches(sample) if sample else None
        return tuple(
            self._column(index, None if table is None else table.column(index))
            for index in range(len(self._plan.arguments))
        )

    def _column(self, index: int, sample: Any) -> FeatureStatistics:
        argument = self._plan.arguments[index]
        known: dict[str, Any] = {}
        nulls = int(self._nulls[index])
        if index in self._number_of:
            summary = self._sums.summary(self._number_of[index])
            nulls = self._row_count - (summary[0] if summary else 0)
            if summary is not None:
                known = {
                    "minimum": repr(summary[1]),
                    "maximum": repr(summary[2]),
                    "mean": summary[3],
                    "stddev": summary[4],
                }
        if sample is not None:
            known |= _of_sample(sample, argument.kind, known)
        return FeatureStatistics(argument.name, argument.kind, self._row_count, nulls, **known)


def _of_sample(column: Any, kind: str, known: dict[str, Any]) -> dict[str, Any]:
    if kind == "number":
        values = np.sort(column.drop_null().cast(pa.float64(), safe=False).to_numpy())
        finite = values[np.isfinite(values)]
        places = np.ceil(len(finite) * np.array(QUANTILES) - 1).clip(0).astype(np.int64)  # the inverse of the CDF
        found = finite[places] if len(finite) else ()
        return {"quantiles": tuple(map(float, found)), "distinct_count": _distinct(values)}
    if kind in ("text", "boolean"):
        counts = pc.value_counts(column.cast(pa.large_string()).combine_chunks())
        pairs = [(pair["values"], pair["counts"]) for pair in counts.to_pylist()]
        pairs.sort(key=lambda pair: (-pair[1], pair[0] is not None, pair[0]))
        return {"top_values": tuple(pairs[:TOP_VALUES]), "distinct_count": sum(pair[0] is not None for pair in pairs)}
    ends = pc.min_max(_finite(column))
    return {
        "minimum": _text(ends["min"]),
        "maximum": _text(ends["max"]),
        "distinct_count": pc.count_distinct(column).as_py(),
    }


def _distinct(ordered: npt.NDArray[np.float64]) -> int:
    """How many values differ; every NaN, at the end, is the same."""
    known = ordered[: len(ordered) - int(np.isnan(ordered).sum())]
    return int((known[1:] != known[:-1]).sum()) + (len(known) > 0) + (len(known) < len(ordered))


def _finite(column: Any) -> Any:
    """Without infinite dates and timestamps, which models take for NULL."""
    days = pa.types.is_date32(column.type)
    numbers, last = column.cast(pa.int32() if days else pa.int64()), LAST_DAY + 1 if days else INFINITE
    return column.filter(pc.and_(pc.greater(numbers, -last), pc.less(numbers, last)))


def _text(value: Any) -> str | None:
    return str(value.cast(pa.string()).as_py()) if value.is_valid else None
