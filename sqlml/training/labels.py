"""The label column: which task it means, its classes in order, and each row's label as LightGBM takes it.

batches of the label ──► LabelSurvey.add ... ──► .finish() ──► Labels ──► .encode(column) ──► float64, NaN = left out
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sqlml.errors import DataError, UnsupportedTypeError
from sqlml.planning.options import TrainingOptions
from udfs.columns import doubles
from udfs.model import Label, Task

FloatArray = npt.NDArray[np.float64]
MAX_CLASSES = 1_000
EXACT_FLOAT = 2**24  # whole numbers up to here are exact in LightGBM's float32 labels
_WHOLE_NUMERIC = re.compile(r"(?i)numeric\(\d+(,0)?\)")  # of Postgres, whose decimals arrive as doubles
FLOAT32_MAX = float(np.finfo(np.float32).max)
# What a label must be for LightGBM's objective to make sense of it: low end, high end, low end excluded.
RANGES: dict[str, tuple[float, float, bool]] = {
    "poisson": (0.0, np.inf, False),
    "gamma": (0.0, np.inf, True),
    "tweedie": (0.0, np.inf, False),
    "cross_entropy": (0.0, 1.0, False),
    "cross_entropy_lambda": (0.0, 1.0, False),
}


@dataclass(frozen=True)
class Labels:
    """What is known of the label before training. ``counts`` are rows by class, empty for a regression."""

    label: Label
    task: Task
    counts: tuple[int, ...]
    row_count: int
    left_out: int  # rows whose label is NULL or NaN
    notices: tuple[str, ...] = ()
    values: pa.Array[Any] | None = None  # the classes as Arrow, by class index

    @property
    def class_count(self) -> int:
        return len(self.label.classes)

    def encode(self, column: pa.Array[Any]) -> FloatArray:
        """Each row's class index or value; NaN where the row is left out."""
        if self.values is None:
            return numbers(column)
        codes = pc.index_in(comparable(column), self.values)
        return np.asarray(codes.to_numpy(zero_copy_only=False), np.float64)


def numbers(column: pa.Array[Any]) -> FloatArray:
    """The column as doubles, NULL as NaN."""
    values = doubles(column)
    if column.null_count:
        values[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return values


def comparable(column: Any) -> pa.Array[Any]:
    """The column with classes that can be counted and kept in JSON: dates, times and decimals as text."""
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        column, kind = column.storage, column.storage.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_floating(kind):
        values = column.cast(pa.float64())
        return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    if pa.types.is_integer(kind):
        column = column if pa.types.is_uint64(kind) else column.cast(pa.int64())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        whole: pa.Array[Any] = column
        return whole
    text: pa.Array[Any] = column.cast(pa.large_string())
    return text


def is_whole(kind: pa.DataType) -> bool:
    """Whether the type holds whole numbers only."""
    return bool(pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale <= 0))


def is_number(kind: pa.DataType) -> bool:
    """Whether a regression can predict the type."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


class LabelSurvey:
    """Counts classes and looks at values, batch by batch."""

    def __init__(self, options: TrainingOptions, kind: pa.DataType, sql_type: str) -> None:
        self._options = options
        self._kind = kind
        self._sql_type = sql_type
        self._asked = options.wants_classes
        self._is_whole = is_whole(kind) or _WHOLE_NUMERIC.fullmatch(sql_type) is not None
        if pa.types.is_nested(kind) or pa.types.is_null(kind):
            raise self._unsupported("cannot be a label", "Take a number, a text or a boolean as the label.")
        if self._asked is False and not is_number(kind):
            raise self._unsupported(
                "cannot be the label of a regression", "Cast it to a number, or train a classifier."
            )
        self._counts: dict[Any, int] | None = None if self._asked is False or self._is_plain_number() else {}
        self._low, self._high = np.inf, -np.inf
        self._change = 0.0
        self._whole_changed = False
        self.row_count = self.left_out = 0

    def _is_plain_number(self) -> bool:
        """A number that is neither asked nor able to be a class: only whole numbers may turn out to be 0 and 1."""
        return self._asked is None and is_number(self._kind) and not self._is_whole

    def _unsupported(self, problem: str, hint: str) -> UnsupportedTypeError:
        return UnsupportedTypeError(
            f'column "{self._options.label}" of type {self._sql_type} {problem}',
            hint=hint,
            position=self._options.position("input_label_cols"),
        )

    def add(self, column: pa.Array[Any]) -> None:
        """Takes the next rows in."""
        if self._counts is not None:
            self._count(column, self._counts)
        if self._asked is not True and is_number(self._kind):
            self._measure(numbers(column))
        self.row_count += len(column)

    def _count(self, column: pa.Array[Any], counts: dict[Any, int]) -> None:
        try:
            found = pc.value_counts(comparable(column))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise self._unsupported("cannot be a label", "Cast it to text in the query.") from None
        for value, count in zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True):
            counts[value] = counts.get(value, 0) + (count or 0)
        if len(counts) <= MAX_CLASSES + 1:
            return
        if self._asked is None and is_number(self._kind):
            self._counts = None
            return
        raise self._error(
            f'label "{self._options.label}" has more than {MAX_CLASSES} classes',
            "Group rare classes in the query, or train a regressor.",
        )

    def _measure(self, values: FloatArray) -> None:
        seen = values[~np.isnan(values)]
        if not len(seen):
            self.left_out += len(values)
            return
        self.left_out += len(values) - len(seen)
        self._low, self._high = min(self._low, float(seen.min())), max(self._high, float(seen.max()))
        if max(abs(self._low), abs(self._high)) > FLOAT32_MAX:
            shown = "infinite values" if np.isinf(seen).any() else "values beyond 3.4e38"
            raise self._error(f'label "{self._options.label}" has {shown}', "Leave such rows out in the query.")
        change = np.abs(seen.astype(np.float32).astype(np.float64) - seen)
        self._change = max(self._change, float(change.max()))
        self._whole_changed |= bool((change[(seen == np.floor(seen)) & (np.abs(seen) > EXACT_FLOAT)] > 0).any())

    def _error(self, message: str, hint: str | None = None) -> DataError:
        return DataError(message, hint=hint, position=self._options.position("input_label_cols"))

    def finish(self) -> Labels:
        """Decides on the task and its classes, or says why these labels cannot be learned."""
        if self.row_count == 0:
            raise self._error("the training query returned no rows", "Look at its WHERE clause and its joins.")
        as_classes = self._asked if self._asked is not None else not is_number(self._kind)
        if self._asked is None and self._is_whole and self._counts is not None:
            as_classes = {value for value in self._counts if value is not None} <= {0, 1, "0", "1"}
        labels = self._classes() if as_classes else self._numbers()
        if labels.row_count < 2:
            raise self._error("the training query returned one labelled row", "Training needs two rows or more.")
        return labels

    def _classes(self) -> Labels:
        counts = {value: count for value, count in (self._counts or {}).items() if value is not None}
        left_out = (self._counts or {}).get(None, 0)
        self._refuse_constant(len(counts), left_out, next(iter(counts), None))
        classes = sorted(counts, key=_decimal_or_self if is_number(self._kind) else None)
        if self._is_whole and pa.types.is_floating(self._kind):
            classes = [int(value) if value.is_integer() else value for value in classes]
        objective = self._options.objective
        if objective == "binary" and len(classes) > 2:
            raise self._error(
                f'objective "binary" expects 2 classes, got {len(classes)}', "Use objective 'multiclass'."
            )
        task: Task = "binary" if len(classes) == 2 and objective in (None, "binary") else "multiclass"
        return Labels(
            Label(self._options.label, self._sql_type, tuple(classes)),
            task,
            tuple(counts[value] for value in classes),
            self.row_count - left_out,
            left_out,
            self._null_notice(left_out),
            pa.array(classes, comparable(pa.array([], self._kind)).type),
        )

    def _numbers(self) -> Labels:
        constant = self._low == self._high
        self._refuse_constant(1 if constant else int(self._low < self._high) * 2, self.left_out, self._low)
        self._refuse_range()
        notices = list(self._null_notice(self.left_out))
        if self._whole_changed or self._change > 1e-6 * (self._high - self._low):
            notices.append(
                f'label "{self._options.label}" changes by up to {self._change:g} in the 32-bit numbers LightGBM keeps labels in; '
                "subtract a constant or change its unit if that matters"
            )
        return Labels(
            Label(self._options.label, self._sql_type),
            "regression",
            (),
            self.row_count - self.left_out,
            self.left_out,
            tuple(notices),
        )

    def _refuse_constant(self, distinct: int, left_out: int, value: Any) -> None:
        if left_out == self.row_count:
            raise self._error(
                f'label "{self._options.label}" is NULL in every row',
                "Rows without a label teach nothing: select rows whose label is known, or name another label.",
            )
        if distinct < 2 and self.row_count - left_out > 1:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            raise self._error(
                f'label "{self._options.label}" is constant: every row has {shown}',
                "A model needs two different labels or more.",
            )

    def _refuse_range(self) -> None:
        low, high, open_low = RANGES.get(self._options.objective or "", (-np.inf, np.inf, False))
        if self._low < low or self._high > high or (open_low and self._low == low):
            wanted = (
                f"between {low:g} and {high:g}" if high < np.inf else f"{'above' if open_low else 'at least'} {low:g}"
            )
            got = self._high if self._high > high else self._low
            raise self._error(f'objective "{self._options.objective}" expects labels {wanted}, got {got:g}')

    def _null_notice(self, left_out: int) -> tuple[str, ...]:
        if not left_out:
            return ()
        rows = "1 row was" if left_out == 1 else f"{left_out:,} rows were"
        return (f'{rows} left out of training because label "{self._options.label}" is NULL',)


def _decimal_or_self(value: Any) -> Any:
    """Numeric order for decimals, which are kept as text."""
    return Decimal(value) if isinstance(value, str) else value
