"""First reading of the training rows: which are held out, what the transform learns, which rows cut the bins, what they looked like."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.errors import DataError
from sqlml.planning.features import FeaturePlan
from sqlml.planning.options import TrainingOptions
from sqlml.training.labels import numbers
from sqlml.training.progress import Watch
from sqlml.training.rows import Rows
from sqlml.training.split import Split, check_parts, stratified_limits
from sqlml.training.statistics import StatisticsCollector
from sqlml.training.survey import Layout, Survey
from udfs.columns import RawBlock, raw_block
from udfs.model import Argument, Kind, Step
from udfs.rowhash import Content, HashArray, Occurrences, draw, extend_hashes, row_hashes
from udfs.transforms.fit import Fit, start_fit
from udfs.transforms.registry import OPERATORS

FloatArray = npt.NDArray[np.float64]
PartArray = npt.NDArray[np.uint8]

TRAINED, HELD, LEFT_OUT = 0, 1, 2
FOLDS = 5
# Salts keep draws for different ends independent of each other.
SPLIT_SALT, FOLD_SALT, SAMPLE_SALT = 0, 1 << 40, 2 << 40


@dataclass(frozen=True)
class Labelled:
    """The labelled rows of one batch."""

    batch: pa.RecordBatch
    block: RawBlock
    label: FloatArray
    weight: FloatArray | None
    hashes: HashArray
    left_out: npt.NDArray[np.bool_] | None


@dataclass
class Part:
    """Labels and weights of the rows of one part, collected batch by batch; labels in double where metrics are taken of them."""

    dtype: npt.DTypeLike = np.float32
    labels: list[npt.NDArray[Any]] = field(default_factory=list)
    weights: list[npt.NDArray[np.float32]] = field(default_factory=list)
    row_count: int = 0

    def add(self, label: FloatArray, weight: FloatArray | None) -> None:
        """Takes the next rows in."""
        self.labels.append(label.astype(self.dtype))
        if weight is not None:
            self.weights.append(weight.astype(np.float32))
        self.row_count += len(label)

    def label(self) -> npt.NDArray[Any]:
        """All labels, in the order of the rows."""
        if len(self.labels) != 1:
            self.labels = [np.concatenate(self.labels) if self.labels else np.zeros(0, self.dtype)]
        return self.labels[0]

    def weight(self) -> npt.NDArray[np.float32] | None:
        """All weights, or None where rows have none."""
        return np.concatenate(self.weights) if self.weights else None


@dataclass
class Gathered:
    """What the first reading leaves. ``parts`` says of each row whether it was trained on, held out or left out."""

    fit: Fit
    statistics: StatisticsCollector
    training: Part = field(default_factory=Part)
    held_out: Part = field(default_factory=Part)
    parts: list[PartArray] = field(default_factory=list)
    folds: list[npt.NDArray[np.int8]] = field(default_factory=list)
    sample: list[pa.RecordBatch] = field(default_factory=list)
    sample_folds: list[npt.NDArray[np.int8]] = field(default_factory=list)
    content: Content = field(default_factory=Content)
    notices: tuple[str, ...] = ()


class Gatherer:
    """Reads rows once; ``run`` gives what was gathered."""

    def __init__(
        self, plan: FeaturePlan, layout: Layout, survey: Survey, options: TrainingOptions, split_kind: Kind | None
    ) -> None:
        self._plan = plan
        self._layout = layout
        self._survey = survey
        self._split = survey.split
        self._options = options
        self._group = (Argument(options.split_column or "", split_kind),) if split_kind else ()
        self._seed = options.seed or 0
        self._learns = any(OPERATORS[step.op].fitter is not None for step in plan.steps)
        self._folds = max((_folds(step) for step in plan.steps), default=0)
        self._occurrences = Occurrences()
        self._position = 0

    def run(self, rows: Rows, sample_size: int, watch: Watch) -> Gathered:
        """One reading; two where the split is stratified, whose quotas need every row's hash first."""
        if self._split.method == "stratified":
            self._split = self._stratify(rows, watch)
            self._occurrences = Occurrences()
        gathered = Gathered(start_fit(self._plan), StatisticsCollector(self._plan))
        if not self._survey.labels.class_count:  # class indices are exact in 32 bits, values may not be
            evaluated = gathered.training if self._split.method == "no_split" else gathered.held_out
            evaluated.dtype = np.float64
        share = sample_size / max(self._survey.training_estimate, 1)
        done = 0
        for batch in rows.batches():
            self._gather(batch, gathered, share)
            done += batch.num_rows
            watch.rows("learning", done, rows.row_count)
        notices = check_parts(gathered.training.row_count, gathered.held_out.row_count, self._options)
        gathered.notices = (*notices, *gathered.statistics.notices())
        return gathered

    def _labelled(self, batch: pa.RecordBatch) -> Labelled:
        """The rows of a batch that have a label, hashed."""
        label = self._survey.labels.encode(batch.column(self._layout.label))
        missing = np.isnan(label)
        left_out = missing if missing.any() else None
        if left_out is not None:
            batch, label = batch.filter(pa.array(~missing)), label[~missing]
        weight = self._weight(batch)
        block = raw_block(batch, self._plan.arguments)
        hashes = row_hashes(block, self._plan.arguments)
        for values in (label, weight):
            if values is not None:
                extend_hashes(hashes, values)
        return Labelled(batch, block, label, weight, hashes, left_out)

    def _weight(self, batch: pa.RecordBatch) -> FloatArray | None:
        if self._layout.weight is None:
            return None
        name, position = self._options.weight_column, self._options.position("instance_weight_col")
        try:
            weight = numbers(batch.column(self._layout.weight))
        except TypeError:
            raise DataError(f'weight column "{name}" must be a number', position=position) from None
        if not (np.isfinite(weight) & (weight >= 0)).all():
            raise DataError(
                f'weight column "{name}" has values that are NULL, negative or infinite',
                hint="Give every row a weight of 0 or more, as with COALESCE.",
                position=position,
            )
        return weight

    def _draws(self, rows: Labelled) -> HashArray | None:
        """A uniform number for each row, or for each group, that decides on which side of the split it lies."""
        if self._split.method == "group" and self._layout.split is not None:
            column = rows.batch.select([self._layout.split])
            hashes = row_hashes(raw_block(column, self._group), self._group)
            return draw(hashes, np.zeros(len(hashes), np.int64), SPLIT_SALT + self._seed)
        if not (self._split.uses_rows or self._folds):
            return None
        return draw(rows.hashes, self._occurrences.number(rows.hashes), SPLIT_SALT + self._seed)

    def _stratify(self, rows: Rows, watch: Watch) -> Split:
        """Limits by class from the hashes of all rows."""
        draws, codes = [], []
        for batch in rows.batches():
            labelled = self._labelled(batch)
            found = self._draws(labelled)
            if found is not None:
                draws.append(found)
            codes.append(labelled.label.astype(np.int64))
            watch.rows("reading", sum(map(len, codes)), rows.row_count)
        labels = self._survey.labels
        if not labels.class_count:
            raise DataError(
                "a stratified split needs a classifier",
                hint="Use data_split_method 'random' for a regression.",
                position=self._options.position("data_split_method"),
            )
        fraction = self._split.fraction
        limits = stratified_limits(np.concatenate(draws), np.concatenate(codes), labels.class_count, fraction)
        return Split("stratified", fraction, limits=limits)

    def _gather(self, batch: pa.RecordBatch, gathered: Gathered, share: float) -> None:
        rows = self._labelled(batch)
        draws = self._draws(rows)
        column = None if self._layout.split is None else rows.batch.column(self._layout.split)
        held = self._split.held_out(draws, rows.label, column)
        gathered.content.add(rows.hashes)
        gathered.statistics.add(rows.block)
        gathered.parts.append(_parts(rows, held))
        trained = None if held is None or not held.any() else ~held
        fold = self._fold(draws, held)
        if fold is not None:
            gathered.folds.append(fold)
        self._collect(gathered, rows, trained)
        if self._learns:
            self._learn(gathered.fit, rows, trained, fold)
        self._take_sample(gathered, rows, trained, fold, share)

    def _fold(self, draws: HashArray | None, held: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.int8] | None:
        """Folds of the training rows for out-of-fold encoding; -1 for rows held out."""
        if not self._folds or draws is None:
            return None
        fold = (draw(draws, np.zeros(len(draws), np.int64), FOLD_SALT) % np.uint64(self._folds)).astype(np.int8)
        if held is not None:
            fold[held] = -1
        return fold

    @staticmethod
    def _collect(gathered: Gathered, rows: Labelled, trained: npt.NDArray[np.bool_] | None) -> None:
        if trained is None:
            gathered.training.add(rows.label, rows.weight)
            return
        for part, mask in ((gathered.training, trained), (gathered.held_out, ~trained)):
            part.add(rows.label[mask], None if rows.weight is None else rows.weight[mask])

    def _learn(self, fit: Fit, rows: Labelled, trained: Any, fold: npt.NDArray[np.int8] | None) -> None:
        if trained is None:
            fit.update(rows.block, rows.label, fold)
            return
        block = raw_block(rows.batch.filter(pa.array(trained)), self._plan.arguments)
        fit.update(block, rows.label[trained], None if fold is None else fold[trained])

    def _take_sample(
        self, gathered: Gathered, rows: Labelled, trained: Any, fold: npt.NDArray[np.int8] | None, share: float
    ) -> None:
        """Training rows that cut the bins, each drawn with the same chance; all of them where they are few."""
        chosen = trained
        if share < 1.0:
            positions = np.arange(self._position, self._position + len(rows.hashes))
            drawn = draw(rows.hashes, positions, SAMPLE_SALT + self._seed) < np.uint64(share * 2.0**64)
            chosen = drawn if trained is None else drawn & trained
        self._position += len(rows.hashes)
        columns = rows.batch.select(range(len(self._plan.arguments)))
        gathered.sample.append(columns if chosen is None else columns.filter(pa.array(chosen)))
        if fold is not None:
            gathered.sample_folds.append(fold if chosen is None else fold[chosen])


def _folds(step: Step) -> int:
    """In how many folds a step wants the training rows for out-of-fold encoding."""
    return int(step.params.get("folds", FOLDS)) if step.op == "target_encoder" else 0


def with_classes(plan: FeaturePlan, classes: int) -> FeaturePlan:
    """The plan with the number of classes, which target encoding needs and only the data tells."""
    steps = [
        replace(step, params={**step.params, "classes": classes}) if step.op == "target_encoder" else step
        for step in plan.steps
    ]
    return replace(plan, steps=tuple(steps))


def _parts(rows: Labelled, held: npt.NDArray[np.bool_] | None) -> PartArray:
    """For every row of the batch as read, labelled or not, the part it belongs to."""
    own = np.zeros(len(rows.label), np.uint8) if held is None else held.astype(np.uint8)
    if rows.left_out is None:
        return own
    parts = np.full(len(rows.left_out), LEFT_OUT, np.uint8)
    parts[~rows.left_out] = own
    return parts
