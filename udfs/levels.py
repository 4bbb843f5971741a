"""Levels of x86-64 that machine code is made for elsewhere than where it runs: which instruction sets each one needs.

The last has the permutes of bytes that the walk takes where there are any (``udfs.forest.vectors``): AVX-512 as of 2019.
"""

from __future__ import annotations

from collections.abc import Collection

# By LLVM's names.
_V2 = ("cx16", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vbmi")
LEVELS: dict[str, tuple[str, ...]] = {"x86-64-v2": _V2, "x86-64-v3": _V3, "x86-64-v4": _V4}
_PERMUTES = {"avx512vbmi", "avx512bw", "avx512vl", "avx512dq"}


def has_permutes(features: Collection[str]) -> bool:
    """Whether images are laid out for code with permutes of bytes, and code is made to read such images."""
    return set(features) >= _PERMUTES


def shuffle_bytes(features: Collection[str]) -> int:
    """How many bytes one instruction looks up in tables of 16: those of a vector, or 0 where there is no such instruction."""
    if "avx2" in features:
        return 32
    return 16 if {"ssse3", "sse4.1", "sse4.2", "avx"} & set(features) else 0


def best_level(features: Collection[str]) -> str | None:
    """The last level that a CPU with these features runs, and whose code reads the images that are made on it."""
    fitting = (
        level
        for level, wanted in reversed(LEVELS.items())
        if set(wanted) <= set(features) and has_permutes(wanted) == has_permutes(features)
    )
    return next(fitting, None)


def compiler_settings(level: str) -> dict[str, str]:
    """Variables for a process whose numba is to compile for a level and not for this machine."""
    return {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in LEVELS[level])}
