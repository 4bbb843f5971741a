"""Second reading of the training rows: raw blocks through the transform into LightGBM's bins, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.errors import TrainingError
from sqlml.training.gather import HELD, LEFT_OUT, TRAINED, Gathered
from sqlml.training.lightgbm import Dataset, feature_names
from sqlml.training.memory import release_memory
from sqlml.training.progress import Watch
from sqlml.training.rows import Rows
from udfs.columns import raw_block
from udfs.model import Argument

FloatArray = npt.NDArray[np.float64]
# LightGBM's threads meet at the end of each push, which is dear on a busy machine: rows are pushed by the thousands.
PUSH_BYTES = 8 << 20
BLOCK_BYTES = 4 << 20
TURNED_ROWS = 1_024  # features of so many rows are turned from columns to rows while they are in the cache


@dataclass(frozen=True)
class Binned:
    """Datasets ready for training, and of each feature whether the rows that cut its bins had a missing value.

    That is what LightGBM goes by: a feature without missing values there takes NULL for 0 for ever.
    """

    training: Dataset
    held_out: Dataset | None
    has_missing: tuple[bool, ...]

    def close(self) -> None:
        """Frees the bins."""
        for dataset in (self.training, self.held_out):
            if dataset is not None:
                dataset.close()


def bin_rows(
    rows: Rows,
    arguments: Sequence[Argument],
    gathered: Gathered,
    parameters: Mapping[str, Any],
    class_weights: FloatArray | None,
    *,
    sample_size: int,
    watch: Watch,
) -> Binned:
    """Cuts the bins by at most ``sample_size`` sampled rows, then pushes every row of both parts."""
    _, features = gathered.fit.finish()
    sample = _sample_features(arguments, gathered, len(features), sample_size)
    has_missing = tuple(bool(np.isnan(values).any()) for values in sample)
    release_memory()  # of the batches, before LightGBM takes that of the bins
    training = Dataset.from_sample(sample, gathered.training.row_count, parameters)
    del sample
    release_memory()
    training.set_feature_names(feature_names([feature.name for feature in features]))
    count = gathered.held_out.row_count
    held_out = Dataset.like(training, count) if count else None
    _push(rows, arguments, gathered, (training, held_out), watch)
    training.finish(_single(gathered.training.label()), _training_weight(gathered, class_weights))
    if held_out is not None:
        held_out.finish(_single(gathered.held_out.label()), gathered.held_out.weight())
    release_memory()
    return Binned(training, held_out, has_missing)


def _single(label: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return label.astype(np.float32, copy=False)


def _training_weight(gathered: Gathered, class_weights: FloatArray | None) -> npt.NDArray[np.float32] | None:
    """A row's own weight times its class's; metrics of held-out rows know the own weight only."""
    own = gathered.training.weight()
    if class_weights is None:
        return own
    weight = class_weights[gathered.training.label().astype(np.int64)]
    return (weight if own is None else weight * own).astype(np.float32)


class _Pusher:
    """Collects the rows of one part and pushes them when there are many."""

    def __init__(self, dataset: Dataset, part: int) -> None:
        self._dataset = dataset
        self._part = part
        capacity = max(PUSH_BYTES // (8 * max(dataset.feature_count, 1)), TURNED_ROWS)
        self._rows = np.empty((min(capacity, dataset.row_count), dataset.feature_count))
        self._filled = 0

    def add(self, features: FloatArray, parts: npt.NDArray[np.uint8]) -> None:
        """Takes the part's rows out of a block of features, float64[features, rows]."""
        chosen = np.flatnonzero(parts == self._part)
        everything = len(chosen) == len(parts)
        for start in range(0, len(chosen), TURNED_ROWS):
            end = min(start + TURNED_ROWS, len(chosen))
            block = features[:, start:end] if everything else features[:, chosen[start:end]]
            self._add_rows(block.T)

    def _add_rows(self, rows: FloatArray) -> None:
        while len(rows):
            count = min(len(rows), len(self._rows) - self._filled)
            self._rows[self._filled : self._filled + count] = rows[:count]
            self._filled += count
            rows = rows[count:]
            if self._filled == len(self._rows):
                self.flush()

    def flush(self) -> None:
        """Pushes what is there."""
        if self._filled:
            self._dataset.push(self._rows[: self._filled])
            self._filled = 0


def _sample_features(arguments: Sequence[Argument], gathered: Gathered, features: int, limit: int) -> FloatArray:
    """The features of the sampled rows, float64[features, rows]; thinned out where the transform made many features."""
    total = sum(batch.num_rows for batch in gathered.sample)
    size = min(total, limit)
    sample = np.empty((features, size))
    chosen = np.arange(size) * total // max(size, 1)
    gathered.sample.reverse()
    gathered.sample_folds.reverse()
    done = first = 0
    while gathered.sample:
        batch = gathered.sample.pop()  # let go of while the matrix grows
        fold = gathered.sample_folds.pop() if gathered.sample_folds else None
        end = int(np.searchsorted(chosen, first + batch.num_rows))
        if end - done < batch.num_rows:
            places = chosen[done:end] - first
            batch, fold, count = batch.take(pa.array(places)), None if fold is None else fold[places], batch.num_rows
        else:
            count = batch.num_rows
        for part, part_fold, place in _slices(batch, fold, features):
            values = gathered.fit.apply_training(raw_block(part, arguments), part_fold)
            sample[:, done + place : done + place + part.num_rows] = values
        done, first = end, first + count
    return sample


def _slices(
    batch: pa.RecordBatch, fold: npt.NDArray[np.int8] | None, features: int
) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int8] | None, int]]:
    """The batch in parts whose features take no more than a few megabytes, and where each part begins."""
    rows = max(BLOCK_BYTES // (8 * max(features, 1)), 256)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows), None if fold is None else fold[start : start + rows], start


def _push(
    rows: Rows,
    arguments: Sequence[Argument],
    gathered: Gathered,
    datasets: tuple[Dataset, Dataset | None],
    watch: Watch,
) -> None:
    done = 0
    pushers = [
        _Pusher(dataset, part) for dataset, part in zip(datasets, (TRAINED, HELD), strict=True) if dataset is not None
    ]
    for index, (batch, parts) in enumerate(_same_batches(rows, gathered.parts)):
        fold = gathered.folds[index] if gathered.folds else None
        for part, part_fold, start in _slices(batch, fold, datasets[0].feature_count):
            features = gathered.fit.apply_training(raw_block(part, arguments), part_fold)
            for pusher in pushers:
                pusher.add(features, parts[start : start + part.num_rows])
        done += batch.num_rows
        watch.rows("binning", done, gathered.training.row_count + gathered.held_out.row_count)
    for pusher in pushers:
        pusher.flush()


def _same_batches(
    rows: Rows, parts: Sequence[npt.NDArray[np.uint8]]
) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.uint8]]]:
    """The labelled rows again, cut as in the first reading, each with the part it belongs to."""
    pending: list[pa.RecordBatch] = []
    source = rows.batches()
    for part in parts:
        batch = _take(source, pending, len(part))
        if (part == LEFT_OUT).any():
            kept = part != LEFT_OUT
            batch, part = batch.filter(pa.array(kept)), part[kept]  # noqa: PLW2901 - the part of the rows that are left
        yield batch, part
    if any(batch.num_rows for batch in (*pending, *source)):
        raise _changed()


def _take(source: Iterator[pa.RecordBatch], pending: list[pa.RecordBatch], count: int) -> pa.RecordBatch:
    """The next ``count`` rows, whatever batches the engine cuts them into this time."""
    taken: list[pa.RecordBatch] = []
    while count:
        batch = pending.pop() if pending else next(source, None)
        if batch is None:
            raise _changed()
        if batch.num_rows > count:
            pending.append(batch.slice(count))
            batch = batch.slice(0, count)
        taken.append(batch)
        count -= batch.num_rows
    if len(taken) == 1:
        return taken[0]
    return pa.Table.from_batches(taken).combine_chunks().to_batches()[0]


def _changed() -> TrainingError:
    return TrainingError(
        "the training query returned another number of rows when it was read again",
        hint="Store its result in a table and train on that.",
    )
