"""Keeps numba from loading SciPy, which costs more than all kernels of this package together and is needed by none of them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any


def defer_blas() -> None:
    """Let numba find out whether SciPy is there without importing it; whoever compiles linear algebra still gets it.

    The first thing numba compiles, or loads from a cache, makes it import its array functions, and these import SciPy's BLAS to
    see whether there is one.
    """
    if "numba.np.arraymath" in sys.modules:
        return
    linear: Any = importlib.import_module("numba.np.linalg")
    import_blas = linear.ensure_blas
    linear.ensure_blas = _find_blas
    try:
        arrays: Any = importlib.import_module("numba.np.arraymath")
    finally:
        linear.ensure_blas = import_blas
    arrays.ensure_blas = import_blas


def _find_blas() -> None:
    if importlib.util.find_spec("scipy") is None:
        raise ImportError("no SciPy, no BLAS")
