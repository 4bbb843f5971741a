"""How a value finds its place among a feature's thresholds (cuts): the tables of the two searches in ``udfs.forest.ranks``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from udfs.forest.ranks import KEY_TABLE, NEAR_ZERO, TOP_KEY

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_BUCKETS = 2048


@dataclass
class Buckets:
    """How a value finds its cuts: ``starts[min(max((x - low) * scale, 0), last)]`` are below its bucket, then a search."""

    low: float
    scale: float
    by_bits: bool
    starts: npt.NDArray[np.int32]
    step: int  # first step of the search: a power of two, or 0 where every bucket is empty

    def words(self) -> list[int]:
        numbers = np.array([self.low, self.scale, len(self.starts) - 1.0]).view(np.int64)
        return [*numbers.tolist(), int(self.by_bits)]


def ordered_bits(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A monotone function of doubles that spreads them by magnitude, as the kernel computes it."""
    bits = values.view(np.int64)
    return (bits ^ ((bits >> 63) & np.int64(2**63 - 1))).astype(np.float64)


def best_buckets(cuts: npt.NDArray[np.float64]) -> Buckets:
    """The buckets with the shortest search, among these the fewest, for sorted cuts."""
    best = Buckets(0.0, 0.0, False, np.zeros(1, np.int32), 1 << (len(cuts).bit_length() - 1))
    finite = cuts[np.isfinite(cuts)]
    for by_bits in (False, True):
        where = ordered_bits(cuts) if by_bits else cuts
        ends = ordered_bits(finite) if by_bits else finite
        if len(finite) < 2 or not np.isfinite(float(ends[-1]) - float(ends[0])):
            continue
        size = 32
        while size <= MAX_BUCKETS:
            found = _buckets(where, float(ends[0]), float(ends[-1]), size, by_bits)
            if found is not None and found.step < best.step:
                best = found
            size *= 2
    return best


def _buckets(where: npt.NDArray[np.float64], low: float, high: float, size: int, by_bits: bool) -> Buckets | None:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scale = float(np.float64(size - 1) / np.float64(high - low))
        if not (np.isfinite(scale) and scale > 0):
            return None
        bucket = np.clip((where - low) * scale, 0.0, size - 1.0).astype(np.int64)
    fullest = int(np.bincount(bucket).max())
    starts = np.searchsorted(bucket, np.arange(size)).astype(np.int32)
    return Buckets(low, scale, by_bits, starts, 1 << (fullest.bit_length() - 1))


@dataclass
class Keys:
    """A monotone map of doubles to 16-bit keys: ``(x - low) * scale + 1`` cut to 0..65534, where ``x`` may be moved first.

    A value whose key is that of no cut is above exactly the cuts with lower keys. With ``apart``, what is not zero moves away
    from it, and cuts on either side of zero stand between: features are often exactly 0, and cuts often next to it.
    """

    low: float
    scale: float
    apart: float
    by_bits: bool
    keys: npt.NDArray[np.uint16]  # of the cuts

    def words(self) -> list[int]:
        numbers = np.array([self.low, self.scale, self.apart]).view(np.int64)
        return [*numbers.tolist(), int(self.by_bits)]

    def shared(self) -> float:
        """An estimate of the share of values with a cut's key, as if data were spread evenly between neighbouring cuts."""
        gaps = np.diff(self.keys.astype(np.float64))
        return float(np.mean(1.0 / np.maximum(gaps, 1.0))) if len(gaps) else 0.0


def best_keys(cuts: npt.NDArray[np.float64]) -> Keys:
    """The map of sorted cuts to keys, in values or in their ordered bits, that leaves the fewest values undecided."""
    found = [keys for by_bits in (False, True) if (keys := _keys(cuts, by_bits)) is not None]
    return min(found, key=Keys.shared, default=Keys(0.0, 0.0, 0.0, True, np.ones(len(cuts), np.uint16)))


def _keys(cuts: npt.NDArray[np.float64], by_bits: bool) -> Keys | None:
    finite = cuts[np.isfinite(cuts)]
    small = np.abs(finite) <= -np.nextafter(-NEAR_ZERO, -np.inf)
    if not len(finite):
        return None
    ends = ordered_bits(finite[[0, -1]]) if by_bits else finite[[0, -1]]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        width = float(ends[1] - ends[0]) or abs(float(ends[0])) or 1.0
        scale = float(np.float64(65_000) / np.float64(width))
        apart = float(4 / np.float64(scale)) if small.any() and not by_bits else 0.0
        if not (np.isfinite(width) and np.isfinite(scale) and scale > 0 and np.isfinite(apart)):
            return None
        where = _moved_apart(cuts, apart) if apart else ordered_bits(cuts) if by_bits else cuts
        low = float(where[np.isfinite(cuts)][0])
        keys = np.clip((where - low) * scale + 1.0, 0.0, TOP_KEY)
        if np.isnan(keys).any():
            return None
    return Keys(low, scale, apart, by_bits, keys.astype(np.uint16))


def _moved_apart(cuts: npt.NDArray[np.float64], apart: float) -> npt.NDArray[np.float64]:
    small = np.abs(cuts) <= -np.nextafter(-NEAR_ZERO, -np.inf)
    return np.where(small, np.sign(cuts) * (apart / 2), cuts + np.sign(cuts) * apart)


def search_tree(keys: npt.NDArray[np.uint16]) -> tuple[npt.NDArray[np.uint16], int]:
    """Sorted keys as a complete search tree of 5 to 8 levels in breadth-first order, filled up with keys no value has."""
    levels = max(5, len(keys).bit_length())
    padded = np.full((1 << levels) - 1, 65535, np.uint16)
    padded[: len(keys)] = keys
    table = np.full(KEY_TABLE, 65535, np.uint16)
    for level in range(levels):
        first, step = (1 << (levels - 1 - level)) - 1, 1 << (levels - level)
        table[1 << level : 2 << level] = padded[first::step]
    return table, levels
