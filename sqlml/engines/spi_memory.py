"""How much memory is left for one process of a server: what the machine says, and the limits of its container."""

from __future__ import annotations

import os
from pathlib import Path

_MACHINE = Path("/proc/meminfo")
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def free_memory() -> int:
    """Bytes that can be taken without anything being swapped out or killed."""
    return max(min([_of_machine(), *filter(None, map(_of_container, _LIMITS))]), 0)


def _of_machine() -> int:
    try:
        for line in _MACHINE.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


def _of_container(files: tuple[Path, Path]) -> int | None:
    try:
        limit, used = (path.read_text(encoding="ascii").strip() for path in files)
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdecimal() else None
