"""Machine code in files: where it is kept and under which names, and how it comes into a process that loads no compiler.

A package that was built as a wheel brings code for levels of x86-64 along (``udfs.ship``); it counts as long as the sources are
those it was made from. What it lacks is compiled and cached on disk under a name made of everything it depends on: all source files
of this package, numba, llvmlite, Python, the CPU, the function. A file's name is its identity: there is no index to merge, hence
no race between processes. ``SQLML_KERNEL_CACHE`` names another directory, or is ``off``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from udfs.levels import best_level

ENTRY = "sqlml_entry"  # the one function that an object file offers
SHIPPED, STAMP = (
    "shipped",
    "stamp",
)  # the folder of code that comes with the package, and the file in it that says for which sources

_PACKAGE = Path(__file__).resolve().parent
_LOADED: list[Any] = []  # engines own the code; it stays for the life of the process


@cache
def _sources() -> bytes:
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.digest()


@cache
def source_hash() -> str:
    """A hash of every source file of this package and of the compilers: code made from other sources is never loaded."""
    compilers = _numba_version() + f"{llvmlite.__version__} {sys.version}".encode()
    return hashlib.sha256(_sources() + compilers).hexdigest()[:24]


def stamp() -> str:
    """What shipped code is for: these sources, on this kind of system. Which compilers made it does not matter to what it does."""
    return f"{_sources().hex()} {sys.platform} {llvm.get_default_triple().partition('-')[0]}"


@cache
def shipped_directory(package: Path = _PACKAGE) -> Path | None:
    """Where the code is that came with the package, of the best level that the CPU has; None where none came, or sources have changed."""
    folder = package / SHIPPED
    try:
        if (folder / STAMP).read_text(encoding="ascii") != stamp():
            return None
    except OSError:
        return None
    level = best_level(cpu_features())
    return None if level is None else folder / level


def read_shipped(name: str) -> bytes | None:
    """The object file of a function that came with the package."""
    directory = shipped_directory()
    try:
        return None if directory is None else (directory / f"{name}.o").read_bytes()
    except OSError:
        return None


def _numba_version() -> bytes:
    """What numba says its version is, read and not imported: that would cost as much as scoring a million rows."""
    found = importlib.util.find_spec("numba")
    if found is None or found.origin is None:
        return b""
    return Path(found.origin).with_name("_version.py").read_bytes()


def _candidates() -> list[Path]:
    override = os.environ.get("SQLML_KERNEL_CACHE")
    if override:
        return [] if override == "off" else [Path(override).expanduser()]
    base = os.environ.get("XDG_CACHE_HOME")
    user = Path(base) if base else Path("~").expanduser() / ".cache"
    owner = os.getuid() if hasattr(os, "getuid") else 0
    return [user / "sqlml" / "kernels", Path(tempfile.gettempdir()) / f"sqlml-kernels-{owner}"]


def _is_private(path: Path) -> bool:
    """Machine code is loaded from here, so nobody else may be able to write to it."""
    if not hasattr(os, "getuid"):
        return True
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


@cache
def cache_directory() -> str | None:
    """The directory of this build's machine code, or None where no directory can be written."""
    for base in _candidates():
        path = base / source_hash()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = path / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError:
            continue
        if _is_private(path):
            return str(path)
    return None


def is_ours(source: str) -> bool:
    """Whether a source file is one that the hash of sources vouches for: only of those is code kept."""
    return Path(source).resolve().is_relative_to(_PACKAGE)


def is_cached(source: str) -> bool:
    """Whether code made from this source file is kept on disk."""
    return is_ours(source) and cache_directory() is not None


def read(name: str) -> bytes | None:
    """The content of a cached file; None where there is none, or a damaged one that is to be made again."""
    directory = cache_directory()
    try:
        content = Path(directory or "", name).read_bytes()
    except OSError:
        return None
    digest, payload = content[:32], content[32:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def write(name: str, payload: bytes) -> None:
    """Put a file into the cache, whole or not at all; a full or vanished disk costs time, never a result."""
    path = Path(cache_directory() or "", name)
    partial = path.with_name(f".{name}.{os.getpid()}")
    try:
        partial.write_bytes(hashlib.sha256(payload).digest() + payload)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)


@cache
def cpu_features() -> frozenset[str]:
    """The instruction sets that code is compiled for: the CPU's, unless NUMBA_CPU_NAME or NUMBA_CPU_FEATURES say otherwise."""
    wanted = os.environ.get("NUMBA_CPU_FEATURES")
    if wanted is not None:
        return frozenset(f[1:] for f in wanted.split(",") if f.startswith("+"))
    return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)


@cache
def processor() -> str:
    """What code is compiled for, as part of a file's name."""
    name = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    text = f"{llvm.get_default_triple()} {name} {sorted(cpu_features())}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load(code: bytes) -> int:
    """Bring an object file into the process; returns the address of its entry."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _LOADED.append(engine)
    return int(engine.get_function_address(ENTRY))
