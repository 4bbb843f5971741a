"""Machine code in files: where it is kept and under which names, and how it comes into a process that loads no compiler.

A package that was built as a wheel brings code for levels of x86-64 along (``udfs.ship``); it counts as long as the sources are
those it was made from. What it lacks is compiled and cached on disk under a name made of everything it depends on: all source files
of this package, numba, llvmlite, Python, the CPU, the function. A file's name is its identity: there is no index to merge, hence
no race between processes. ``SQLML_KERNEL_CACHE`` names another directory, or is ``off``.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from udfs import object_file, processor
from udfs.later import Later
from udfs.levels import best_level

if TYPE_CHECKING:
    import llvmlite.binding as llvm
else:
    llvm = Later("llvmlite.binding")

ENTRY = "sqlml_entry"  # the one function that the object file of a routine offers
SHIPPED, STAMP = (
    "shipped",
    "stamp",
)  # the folder of code that comes with the package, and the file in it that says for which sources

_PACKAGE = Path(__file__).resolve().parent
_LOADED: list[Any] = []  # engines own the code; it stays for the life of the process
_LIBRARIES: list[str] = []


@cache
def _sources() -> bytes:
    digest = hashlib.sha256()
    root = os.fspath(_PACKAGE)
    files = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names if name.endswith(".py")]  # noqa: PTH118
    for file in sorted(files):  # strings, as 150 objects of pathlib's cost more than all the hashing
        digest.update(f"{file[len(root) + 1 :].replace(os.sep, '/')}\0".encode())
        with open(file, "rb") as source:  # noqa: PTH123
            digest.update(source.read())
    return digest.digest()


@cache
def source_hash() -> str:
    """A hash of every source file of this package and of the compilers: code made from other sources is never loaded."""
    import llvmlite  # noqa: PLC0415 - who imports sqlml need not open a database

    compilers = _numba_version() + f"{llvmlite.__version__} {sys.version}".encode()
    return hashlib.sha256(_sources() + compilers).hexdigest()[:24]


def stamp() -> str:
    """What shipped code is for: these sources, on this kind of system. Which compilers made it does not matter to what it does."""
    return f"{_sources().hex()} {sys.platform} {platform.machine()}"


@cache
def shipped_directory(package: Path = _PACKAGE) -> Path | None:
    """Where the code is that came with the package, of the best level that the CPU has; None where none came, or sources have changed."""
    folder = package / SHIPPED
    try:
        if (folder / STAMP).read_text(encoding="ascii") != stamp():
            return None
    except OSError:
        return None
    level = best_level(processor.features())
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


def kept(name: str, compile_it: Callable[[], tuple[bytes, bool]]) -> bytes:
    """The object file of that name: it came with the package, or is in the cache, or is compiled, and then kept if it is portable."""
    code = read_shipped(name)
    if code is not None:
        return code
    if cache_directory() is None:
        return compile_it()[0]
    file = f"{name}.{processor.identity()}.o"
    code = read(file)
    if code is None:
        code, is_portable = compile_it()
        if is_portable:
            write(file, code)
    return code


def look_in(library: str) -> None:
    """Let code be loaded that calls functions of this library, which the process has loaded."""
    if library not in _LIBRARIES:
        _LIBRARIES.append(library)


def load(code: bytes, *names: str) -> list[int]:
    """Bring an object file into the process; returns the addresses of its functions of these names."""
    try:
        return object_file.load(code, names, _address)
    except object_file.ObjectError:
        return _load_with_llvm(code, names)


def _address(name: str) -> int | None:
    """Where a function is: of C's, or of a library we were told of."""
    for library in (None, "libm.so.6", *_LIBRARIES):
        try:
            return ctypes.cast(getattr(_opened(library), name), ctypes.c_void_p).value
        except (AttributeError, OSError):
            continue
    return None


@cache
def _opened(library: str | None) -> ctypes.CDLL:
    return ctypes.CDLL(library)


def tell_llvm() -> None:
    """Let LLVM find functions of the libraries, too."""
    for library in _LIBRARIES:
        llvm.load_library_permanently(library)


def _load_with_llvm(code: bytes, names: Sequence[str]) -> list[int]:
    tell_llvm()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _LOADED.append(engine)
    return [int(engine.get_function_address(name)) for name in names]
