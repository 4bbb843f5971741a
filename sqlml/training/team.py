"""How many threads train a model, so that the model does not depend on it.

LightGBM cuts rows into as many blocks as it has threads, sums each block and adds the sums: another number of threads rounds
otherwise. So it is always told the same number, and OpenMP is told how many threads may share the blocks.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlml.training.lightgbm import library

T = TypeVar("T")
# A block has a histogram of its own: more of them would not stay in a processor's cache. Columns have nothing to do with blocks but
# where LightGBM bundles sparse ones.
ROW_WISE_BLOCKS, BLOCKS = 8, 16
_Region = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def is_limitable() -> bool:
    """Whether OpenMP's runtime is GNU's (from GCC 9), which has the entry that compilers use for ``teams thread_limit``."""
    return hasattr(library(), "GOMP_teams_reg")


def in_blocks(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Parameters that make LightGBM cut rows alike everywhere, and how many threads were asked for."""
    size = int(parameters.get("num_threads", 0)) or int(library().omp_get_max_threads())
    blocks = ROW_WISE_BLOCKS if parameters.get("force_row_wise") else BLOCKS
    return {**parameters, "num_threads": blocks}, size


def in_team(size: int, work: Callable[[], T]) -> T:
    """What ``work`` gives, whose parallel regions get ``size`` threads at most, whatever they ask for."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run_once(_: Any) -> None:
        if results or errors:
            return
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - also an interrupt: ctypes would print it and go on
            errors.append(error)

    region = _Region(run_once)
    # The runtime counts teams for all threads of the process together, and may miscount where two begin.
    while not (results or errors):
        library().GOMP_teams_reg(region, None, ctypes.c_uint(1), ctypes.c_uint(size), ctypes.c_uint(0))
    if errors:
        raise errors[0]
    return results[0]
