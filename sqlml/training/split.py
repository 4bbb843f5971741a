"""Which rows are held out: decided before training, from hashes of the rows, a column's values, or not at all.

BigQuery ML's methods with its meaning (auto_split, random, seq, custom, no_split), and two more: ``stratified`` holds the same
fraction of every class out, ``group`` all rows or no row of each value of a column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sqlml.errors import DataError, UnsupportedTypeError
from sqlml.planning.options import SplitMethod, TrainingOptions
from udfs.rowhash import HashArray

Mask = npt.NDArray[np.bool_]
# BigQuery ML's AUTO_SPLIT: small tables hold nothing out, large ones no more than this many rows.
AUTO_SMALL = 500
AUTO_LARGE = 50_000
AUTO_HELD = 10_000


@dataclass(frozen=True)
class Split:
    """How rows are divided. ``fraction`` is the part held out; ``cut`` the last value of training of a seq split.

    ``limits`` are, by class, the draws below which a row of a stratified split is held out.
    """

    method: SplitMethod
    fraction: float = 0.0
    cut: Any = None
    limits: HashArray | None = None

    @property
    def uses_rows(self) -> bool:
        """Whether rows are drawn by the hash of their content."""
        return self.method in ("random", "stratified")

    def held_out(self, draws: HashArray | None, codes: npt.NDArray[np.float64], column: Any) -> Mask | None:
        """Which rows are held out; None when none is. ``draws`` are of rows or of groups, as the method needs."""
        if self.method == "no_split":
            return None
        if self.method == "custom":
            return np.asarray(column.fill_null(True))  # NULL is held out, as in BigQuery ML
        if self.method == "seq":
            return np.asarray(pc.greater(column, self.cut).fill_null(False))
        if draws is None:
            raise DataError("a split by hash needs hashes")
        if self.limits is not None:
            return draws < self.limits[np.nan_to_num(codes, nan=0.0).astype(np.int64)]
        return draws < np.uint64(min(self.fraction * 2.0**64, 2.0**64 - 2048))


def plan_split(options: TrainingOptions, row_count: int) -> Split:
    """The split as far as the number of rows decides it."""
    method, fraction = options.split_method, options.eval_fraction
    if method != "auto_split":
        return Split(method, 0.0 if method in ("no_split", "custom") else fraction)
    if row_count < AUTO_SMALL:
        return Split("no_split")
    return Split("random", fraction if row_count <= AUTO_LARGE else AUTO_HELD / row_count)


def sequence_cut(column: pa.ChunkedArray[Any], fraction: float, options: TrainingOptions) -> Any:
    """The greatest value of the training part: rows beyond it are held out, rows equal to it are not."""
    name, position = options.split_column, options.position("data_split_col")
    values = column.drop_null()
    try:
        order = pc.sort_indices(values)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise UnsupportedTypeError(
            f'column "{name}" of type {column.type} has no order to split by', position=position
        ) from None
    if not len(order) or values[order[0].as_py()] == values[order[-1].as_py()]:
        raise DataError(
            f'split column "{name}" has one value only',
            hint="A seq split needs a column that orders the rows, such as a time.",
            position=position,
        )
    place = max(int(np.ceil(len(order) * (1.0 - fraction))) - 1, 0)
    highest = values[order[-1].as_py()]
    # Where the cut falls among equal greatest values, they are all held out and the next smaller value is the cut.
    while place > 0 and values[order[place].as_py()] == highest:
        place -= 1
    return values[order[place].as_py()]


def stratified_limits(draws: HashArray, codes: npt.NDArray[np.int64], classes: int, fraction: float) -> HashArray:
    """For each class the draw below which exactly the wanted number of its rows lie."""
    limits = np.zeros(classes, np.uint64)
    for code in range(classes):
        own = np.sort(draws[codes == code])
        wanted = round(len(own) * fraction)
        if 0 < wanted < len(own):
            limits[code] = own[wanted]
        elif wanted:
            limits[code] = np.uint64(2**64 - 1)
    return limits


def check_custom(kind: pa.DataType, options: TrainingOptions) -> None:
    """A custom split column must be boolean."""
    if not pa.types.is_boolean(kind):
        raise UnsupportedTypeError(
            f'split column "{options.split_column}" must be BOOLEAN, got {kind}',
            hint="TRUE and NULL rows are held out, FALSE rows are trained on, as in BigQuery ML.",
            position=options.position("data_split_col"),
        )


def check_parts(training: int, held_out: int, options: TrainingOptions) -> tuple[str, ...]:
    """Refuses an empty training part; an empty held-out part is told as a notice."""
    wants_held_out = options.split_method not in ("auto_split", "no_split")
    if training < 2:
        raise DataError(
            f"the split leaves {training} of {training + held_out:,} rows to train on",
            hint="Change data_split_method or data_split_eval_fraction.",
            position=options.position("data_split_method"),
        )
    if wants_held_out and not held_out:
        return ("no row fell into the held-out part, so metrics are of the training rows",)
    return ()
