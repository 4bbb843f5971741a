"""How much memory a training needs, told before it is taken, and refused where it is too much."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Sequence

import pyarrow as pa

from sqlml.errors import ResourceError
from sqlml.planning.options import TrainingOptions
from udfs.model import Feature

# Per row and class: label, score, gradient, hessian, row numbers of the tree under way, and the hash table of the split.
ROW_BYTES = 64
BASE_BYTES = 150 << 20
SAMPLE_BYTES = 64 << 20  # held twice for a moment: as it was read, and as features
DEFAULT_SAMPLE = 200_000  # LightGBM's bin_construct_sample_cnt
LEAST_SAMPLE = 10_000
DEFAULT_BINS = 255
SLACK = 1.1
MAX_ROWS = 2**31 - 1


def estimate_bytes(
    row_count: int, features: Sequence[Feature], classes: int, options: TrainingOptions, *, row_wise: bool
) -> int:
    """The peak over the idle process, without what the engine takes for the query."""
    sizes = [_value_bytes(feature, options) for feature in features]
    bins = sum(sizes) + row_wise * len(sizes) * max(sizes, default=0)  # row by row a second time, and all values alike
    return int(bins * row_count * SLACK) + ROW_BYTES * row_count * max(1, classes) + BASE_BYTES


def _value_bytes(feature: Feature, options: TrainingOptions) -> int:
    count = len(feature.levels) if feature.categorical else options.given.get("max_bin", DEFAULT_BINS)
    return 1 if count < 256 else 2


def sample_count(features: int, options: TrainingOptions) -> int:
    """How many rows cut the bins: LightGBM's number, or as many as fit the sample's memory where there are many features."""
    asked = options.given.get("bin_construct_sample_cnt")
    if asked is not None:
        return int(asked)
    return max(min(DEFAULT_SAMPLE, SAMPLE_BYTES // (8 * max(features, 1))), LEAST_SAMPLE)


def check_memory(needed: int, limit: int, row_count: int, options: TrainingOptions) -> None:
    """Refuses a training that would not fit, before any data is read for it."""
    if row_count > MAX_ROWS:
        raise ResourceError(f"training takes at most {MAX_ROWS:,} rows, got {row_count:,}", hint="Sample in the query.")
    if needed > limit:
        raise ResourceError(
            f"training on {row_count:,} rows needs about {_shown(needed)} of memory, more than the limit of {_shown(limit)}",
            hint="Raise OPTIONS (memory_limit = '...'), sample in the query, leave columns out, or set a smaller max_bin.",
            position=options.position("memory_limit"),
        )


def _shown(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def release_memory() -> None:
    """Gives memory that was freed back to the system, where the allocators can be asked to."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def strip_machine(parameters: str) -> str:
    """LightGBM's parameter text without what depends on the machine or the run, so that it does not enter a model's hash."""
    return re.sub(
        r"(?m)^\[(num_threads|verbosity|num_machines|local_listen_port|time_out|machines|machine_list_filename): .*\]\n?",
        "",
        parameters,
    )
