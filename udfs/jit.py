"""The one door to numba: how kernels and callbacks are compiled, where machine code is kept, and views of raw memory.

Kernels hold no lock (``nogil``), divide as C does (``error_model="numpy"``) and never reassociate (no ``fastmath``): sums
must equal LightGBM's bit for bit. They are serial, because a database brings its own threads.

Machine code is cached on disk under a name made of everything it depends on: all source files of this package, numba,
llvmlite, Python, the CPU, the function and its signature. Numba's own cache looks at one file's date only, so it misses
changes in callees, and its index files race between processes; here a file's name is its identity and there is no index.
``SQLML_KERNEL_CACHE`` names another directory, or is ``off``.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llvmlite
import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import caching, cgutils, config, sigutils, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic
from numba.np import arrayobj

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = {"nogil": True, "error_model": "numpy"}


_PACKAGE = Path(__file__).resolve().parent


@cache
def source_hash() -> str:
    """A hash of every source file of this package and of the compilers: code made from other sources is never loaded."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    digest.update(f"{numba.__version__} {llvmlite.__version__} {sys.version}".encode())
    return digest.hexdigest()[:24]


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


class _Locator(caching._CacheLocator):  # type: ignore[misc]  # noqa: SLF001 - numba offers no public way to place its cache
    """Tells numba where the cache of a function is and that the directory's name vouches for the sources."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file = py_file
        self._line = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return cache_directory() or ""

    def get_source_stamp(self) -> str:
        return source_hash()

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_func, py_file)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]  # noqa: RUF012 - numba's own protocol


class _Files(caching.IndexDataCacheFile):  # type: ignore[misc]
    """One file a compiled signature, named by a hash of its key: nothing to merge, hence no race between processes."""

    def _name(self, key: Any) -> str:
        stem = self._index_name.removesuffix(".nbi")
        return f"{stem}.{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.nbc"

    def save(self, key: Any, data: Any) -> None:
        payload = self._dump(data)
        try:
            with self._open_for_write(self._data_path(self._name(key))) as file:
                file.write(hashlib.sha256(payload).digest() + payload)
        except OSError:
            return  # a full or vanished disk costs time, never a result

    def load(self, key: Any) -> Any:
        try:
            content = Path(self._data_path(self._name(key))).read_bytes()
        except OSError:
            return None
        digest, payload = content[:32], content[32:]
        if hashlib.sha256(payload).digest() != digest:
            return None  # damaged: compiled again and overwritten
        return pickle.loads(payload)  # noqa: S301 - from a directory that only this user can write to


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, source_hash())


def _is_cached(function: Callable[..., Any]) -> bool:
    """Only what the hash of sources vouches for is cached."""
    return cache_directory() is not None and Path(function.__code__.co_filename).resolve().is_relative_to(_PACKAGE)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function to machine code at its first call with each signature, with the options all kernels share."""
    dispatcher = numba.njit(**OPTIONS)(function)
    if _is_cached(function):
        dispatcher._cache = _KernelCache(dispatcher.py_func)  # noqa: SLF001 - what cache=True does, with another place
    return dispatcher


def callback(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function to a C callback of this signature; the result's ``address`` is what C code calls."""

    def compile_callback(function: Callable[..., Any]) -> Any:
        arguments, result = sigutils.normalize_signature(signature)
        compiled = CFunc(function, (arguments, result), locals={}, options=dict(OPTIONS))
        if _is_cached(function):
            compiled._cache = _KernelCache(function)  # noqa: SLF001 - as in kernel()
        compiled.compile()
        return compiled

    return compile_callback


def part(function: Callable[..., Any]) -> Any:
    """A piece of a kernel or routine, compiled as if written at the place of its call: it costs no compilation of its own."""
    return numba.njit(inline="always", **OPTIONS)(function)


class Routine:
    """A function of integers compiled at first use, which kernels call by an address that they find in an image.

    Numba compiles a kernel's callees again and again, once with each of their callers; a routine is compiled once, and not at
    all as long as no model needs it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @cached_property
    def _compiled(self) -> Any:
        count = self.function.__code__.co_argcount
        return callback(types.void(*[types.int64] * count))(self.function)

    @property
    def address(self) -> int:
        """Where the machine code is; it stays there for the life of the process."""
        address: int = self._compiled.address
        return address


def routine(function: Callable[..., Any]) -> Routine:
    """Declare a function of int64 arguments, without a result, as a routine."""
    return Routine(function)


def name_elsewhere(name: str) -> None:
    """Promise numba, which loads whatever it compiles, a name that only another process has; here it leads to ``abort``."""
    if llvmlite.binding.address_of_symbol(name) is None:
        llvmlite.binding.add_symbol(name, llvmlite.binding.address_of_symbol("abort"))


def compile_for_elsewhere() -> None:
    """From now on, kernels get no reference counts and no wrappers for Python, which another process has no use for."""
    OPTIONS.update(_BARE)


_BARE = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}


def emit_ir(function: Callable[..., Any], result: Any = types.void) -> tuple[str, str]:
    """The name and the LLVM module of a function of int64, all it calls included, for code that runs in another process.

    Call ``compile_for_elsewhere`` before the kernels are imported: what is emitted must need nothing of numba's runtime.
    """
    signature = result(*[types.int64] * function.__code__.co_argcount)
    compiled = numba.njit(signature, **{**OPTIONS, **_BARE})(function)
    found = compiled.overloads[compiled.signatures[0]]
    return str(found.fndesc.llvm_func_name), str(found.library.get_llvm_str())


@intrinsic
def invoke(typing_context, address, arguments):
    """Call the routine at an address with a tuple of int64."""

    def codegen(context, builder, signature, values):
        word = ir.IntType(64)
        unpacked = cgutils.unpack_tuple(builder, values[1])
        kind = ir.FunctionType(ir.VoidType(), [word] * len(unpacked))
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), unpacked)
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, len(arguments))), codegen


@cache
def cpu_features() -> frozenset[str]:
    """The instruction sets that numba compiles for: the CPU's, unless NUMBA_CPU_NAME or NUMBA_CPU_FEATURES say otherwise."""
    if config.CPU_FEATURES is not None:
        return frozenset(f[1:] for f in config.CPU_FEATURES.split(",") if f.startswith("+"))
    return frozenset(name for name, present in llvmlite.binding.get_host_cpu_features().items() if present)


# Written as instructions and not as calls of numba's array functions: every kernel begins with views, and each call of
# those costs a tenth of a second to compile.
@intrinsic
def view(typing_context, address, dtype, shape):
    """The memory at an address as an array of this type, such as ``np.float64``, and shape; nobody checks that it is there."""
    lengths = shape.count if isinstance(shape, types.BaseTuple) else 1
    kind = types.Array(dtype.dtype, lengths, "C")

    def codegen(context, builder, signature, arguments):
        length_type = context.get_value_type(types.intp)
        sizes = cgutils.unpack_tuple(builder, arguments[2]) if isinstance(shape, types.BaseTuple) else [arguments[2]]
        sizes = [builder.sext(s, length_type) if s.type.width < length_type.width else s for s in sizes]
        array = context.make_array(kind)(context, builder)
        element = context.get_data_type(kind.dtype)
        item = context.get_constant(types.intp, context.get_abi_sizeof(element))
        strides = [item]
        for size in reversed(sizes[1:]):
            strides.insert(0, builder.mul(strides[0], size))
        data = builder.inttoptr(arguments[0], element.as_pointer())
        arrayobj.populate_array(array, data=data, shape=sizes, strides=strides, itemsize=item, meminfo=None)
        return array._getvalue()  # noqa: SLF001 - numba's name for the value of a structure

    return kind(types.int64, dtype, shape), codegen


@intrinsic
def peek(typing_context, address, dtype, index):
    """The value of this type at an address, or ``index`` values after it: an array's element for a fraction of its price."""

    def codegen(context, builder, signature, arguments):
        at = builder.inttoptr(arguments[0], context.get_data_type(dtype.dtype).as_pointer())
        value = builder.load(builder.gep(at, [arguments[2]]))
        value.align = 1
        return context.data_model_manager[dtype.dtype].from_data(builder, value)

    return dtype.dtype(types.int64, dtype, types.int64), codegen


@intrinsic
def poke(typing_context, address, dtype, index, value):
    """Put a value of this type at an address, or ``index`` values after it."""

    def codegen(context, builder, signature, arguments):
        at = builder.inttoptr(arguments[0], context.get_data_type(dtype.dtype).as_pointer())
        data = context.data_model_manager[dtype.dtype].as_data(builder, arguments[3])
        builder.store(data, builder.gep(at, [arguments[2]])).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, dtype, types.int64, dtype.dtype), codegen


@intrinsic
def word(typing_context, address, number):
    """An int64 of a record or of an image's head."""

    def codegen(context, builder, signature, arguments):
        at = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(builder.gep(at, [arguments[1]]))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def address_of(typing_context, array):
    """The address of an array's first element, as an integer."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.int64))

    return types.int64(array), codegen


@intrinsic
def allocate(typing_context, size):
    """The address of ``size`` bytes of C's memory, or 0; give it back with ``release``."""

    def codegen(context, builder, signature, arguments):
        word = ir.IntType(64)
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, [word]), "malloc")
        return builder.call(function, arguments)

    return types.int64(types.int64), codegen


@intrinsic
def release(typing_context, address):
    """Free what ``allocate`` gave."""

    def codegen(context, builder, signature, arguments):
        word = ir.IntType(64)
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [word]), "free")
        builder.call(function, arguments)
        return context.get_dummy_value()

    return types.void(types.int64), codegen
