"""What the processor can do, and which one it is: as Linux tells on x86-64, elsewhere as LLVM does, whose library takes 30 ms to load."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from functools import cache
from typing import TYPE_CHECKING

from udfs.later import Later

if TYPE_CHECKING:
    import llvmlite.binding as llvm
else:
    llvm = Later("llvmlite.binding")

# What Linux calls otherwise than LLVM.
_NAMES = {"pni": "sse3", "sse4_1": "sse4.1", "sse4_2": "sse4.2", "bmi1": "bmi", "abm": "lzcnt"}
_IDENTITY = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
_FIRST_PROCESSOR = 4096  # bytes that hold its lines; the file has as many blocks as the machine has processors
_INFORMATION = "/proc/cpuinfo"


@cache
def _told_by_linux() -> dict[str, str] | None:
    """The lines that tell one kind of processor from another; None where there are none."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    try:
        with open(_INFORMATION, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - one read, not all of it
            lines = file.read(_FIRST_PROCESSOR).partition("\n\n")[0].splitlines()
    except OSError:
        return None
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {name: told[name] for name in _IDENTITY if name in told} if "flags" in told else None


@cache
def features() -> frozenset[str]:
    """The instruction sets that code is compiled for: the CPU's, unless NUMBA_CPU_NAME or NUMBA_CPU_FEATURES say otherwise."""
    wanted = os.environ.get("NUMBA_CPU_FEATURES")
    if wanted is not None:
        return frozenset(f[1:] for f in wanted.split(",") if f.startswith("+"))
    told = _told_by_linux()
    if told is None:
        return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)
    return frozenset(_NAMES.get(flag, flag) for flag in told["flags"].split())


@cache
def identity() -> str:
    """What code is compiled for, as part of a file's name."""
    told = _told_by_linux()
    found = llvm.get_host_cpu_name() if told is None else sorted(told.items())
    name = os.environ.get("NUMBA_CPU_NAME")
    text = f"{sys.platform} {platform.machine()} {name} {found} {sorted(features())}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
