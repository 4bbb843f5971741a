"""The first look at the data: label and split column of every row, before anything is learned or counted on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sqlml.errors import DataError
from sqlml.planning.options import TrainingOptions
from sqlml.training.labels import Labels, LabelSurvey
from sqlml.training.progress import Watch
from sqlml.training.rows import Rows
from sqlml.training.split import Split, check_custom, plan_split, sequence_cut


@dataclass(frozen=True)
class Layout:
    """Where a column stands in the training rows: the arguments first, then label, weight and split column."""

    names: tuple[str, ...]
    label: int
    weight: int | None
    split: int | None

    @staticmethod
    def of(argument_names: tuple[str, ...], options: TrainingOptions) -> Layout:
        """The layout that ``FeaturePlan.source_sql`` gives with ``extra_columns``."""
        count = len(argument_names)
        names = (*argument_names, *Layout.extra_columns(options))
        weight = None if options.weight_column is None else count + 1
        split = None if options.split_column is None else count + 1 + (weight is not None)
        return Layout(names, count, weight, split)

    @staticmethod
    def extra_columns(options: TrainingOptions) -> tuple[str, ...]:
        """The columns that training reads beside the arguments."""
        return (options.label, *options.reserved_columns)


@dataclass(frozen=True)
class Survey:
    """Labels and split, as far as they can be known before the rows are hashed."""

    labels: Labels
    split: Split
    held_estimate: int

    @property
    def training_estimate(self) -> int:
        """About how many rows are trained on."""
        return self.labels.row_count - self.held_estimate


def survey_rows(rows: Rows, layout: Layout, options: TrainingOptions, label_type: str, watch: Watch) -> Survey:
    """Reads the label, and the split column where its values decide, of all rows."""
    reads_split = options.split_method in ("seq", "custom") and layout.split is not None
    places = [layout.label, *([layout.split] if reads_split and layout.split is not None else [])]
    found: LabelSurvey | None = None
    split_parts: list[pa.Array[Any]] = []
    held = 0
    for columns in _columns(rows, layout, places, watch):
        if found is None:
            found = LabelSurvey(options, columns[0].type, label_type)
            if reads_split and options.split_method == "custom":
                check_custom(columns[1].type, options)
        found.add(columns[0])
        if options.split_method == "seq":
            split_parts.append(columns[1])
        elif reads_split:
            held += len(columns[1]) - pc.equal(columns[1], pa.scalar(False)).true_count
    if found is None:
        raise DataError("the training query returned no rows", hint="Look at its WHERE clause and its joins.")
    labels = found.finish()
    split = plan_split(options, labels.row_count)
    if split.method == "seq":
        cut = sequence_cut(pa.chunked_array(split_parts), split.fraction, options)
        split = Split("seq", split.fraction, cut)
    if split.method != "custom":
        held = round(split.fraction * labels.row_count)
    return Survey(labels, split, min(held, labels.row_count))


def _columns(rows: Rows, layout: Layout, places: list[int], watch: Watch) -> Iterator[list[pa.Array[Any]]]:
    done = 0
    for columns in rows.columns(places, len(layout.names)):
        done += len(columns[0])
        watch.rows("reading", done, rows.row_count)
        yield columns
    if rows.row_count is None:
        rows.row_count = done
