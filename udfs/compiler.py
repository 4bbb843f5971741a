"""All that needs numba: kernels for Python's callers, and routines as object files. Importing this module loads numba.

Kernels hold no lock (``nogil``), divide as C does (``error_model="numpy"``) and never reassociate (no ``fastmath``): sums
must equal LightGBM's bit for bit. They are serial, because a database brings its own threads.

Numba's own cache looks at one file's date only, so it misses changes in callees, and its index files race between processes; ours
is that of ``udfs.machine_code``.
"""

from __future__ import annotations

import gc
import hashlib
import pickle
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numba
from llvmlite import binding, ir
from numba import _dynfunc
from numba.core import caching, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import intrinsic as intrinsic  # noqa: PLC0414 - handed on to udfs.jit

from udfs import machine_code
from udfs.blas import defer_blas
from udfs.jit import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

defer_blas()

# What object files may leave open for the process to fill in: DuckDB's C API, and functions of libc and libm.
_KNOWN_SYMBOLS = frozenset(
    [
        "malloc",
        "free",
        "memcpy",
        "memset",
        "memmove",
        "memcmp",
        "exp",
        "log",
        "log1p",
        "log10",
        "log2",
        "exp2",
        "pow",
        "sin",
        "cos",
        "tan",
        "fmod",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "sqrt",
        "fabs",
        "copysign",
        "round",
        "nearbyint",
    ]
)


class _Locator(caching._CacheLocator):  # type: ignore[misc]  # noqa: SLF001 - numba offers no public way to place its cache
    """Tells numba where the cache of a function is and that the directory's name vouches for the sources."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file = py_file
        self._line = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return machine_code.cache_directory() or ""

    def get_source_stamp(self) -> str:
        return machine_code.source_hash()

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_func, py_file)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]  # noqa: RUF012 - numba's own protocol


class _Files(caching.IndexDataCacheFile):  # type: ignore[misc]
    """One file a compiled signature, named by a hash of its key."""

    def _name(self, key: Any) -> str:
        stem = self._index_name.removesuffix(".nbi")
        return f"{stem}.{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.nbc"

    def save(self, key: Any, data: Any) -> None:
        machine_code.write(self._name(key), self._dump(data))

    def load(self, key: Any) -> Any:
        payload = machine_code.read(self._name(key))
        return None if payload is None else pickle.loads(payload)  # noqa: S301 - from a directory that only this user can write to


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, machine_code.source_hash())


def dispatcher(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """A kernel as numba has it: compiled at its first call with each signature."""
    made = numba.njit(**options)(function)
    if machine_code.is_cached(function.__code__.co_filename):
        made._cache = _KernelCache(made.py_func)  # noqa: SLF001 - what cache=True does, with another place
    return made


def callee(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """A kernel as routines call it: apart from the one above, since it is never machine code by itself."""
    return numba.njit(**{**options, "no_cpython_wrapper": True, "no_cfunc_wrapper": True})(function)


def type_of(value: Any) -> Any:
    """Numba's type of a kernel, an intrinsic or a function of C's, which may have been made in the midst of a compilation."""
    for context in (cpu_target.typing_context, cpu_target.target_context):
        context.refresh()
    return cpu_target.typing_context.resolve_value_type(value)


def compiles_routine() -> bool:
    """Whether a routine, and not a kernel for Python's callers, is being compiled."""
    return "get_executable" in vars(cpu_target.target_context)


def external(name: str, arguments: int) -> Any:
    """A function of C's by its name: int32 of as many int64."""
    machine_code.tell_llvm()
    return types.ExternalFunction(name, types.int32(*[types.int64] * arguments))


def object_code(function: Callable[..., Any], options: dict[str, Any]) -> tuple[bytes, bool]:
    """A function of int64 arguments, without a result, as an object file; and whether it means the same in another process."""
    words = [types.int64] * function.__code__.co_argcount
    with _bitcode_only(), _no_collector():
        made = callee(function, options)
        made.compile(tuple(words))
        compiled = made.overloads[tuple(words)]
        return _linked(compiled.library, compiled.fndesc.llvm_func_name, len(words))


@contextmanager
def _no_collector() -> Iterator[None]:
    """A compilation makes objects by the hundred thousand and cycles of few: looking for these takes a sixth of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _bitcode_only() -> Iterator[None]:
    """Keep numba from optimizing every function on the way and making it machine code: routines are linked, then compiled whole."""
    context = cpu_target.target_context
    codegen = context.codegen()
    changes = [
        (codegen, "_add_module", lambda module: None),
        (codegen._engine, "finalize_object", lambda: None),  # noqa: SLF001 - no option of numba's says so
        (codegen._library_class, "_optimize_functions", lambda self, module: None),  # noqa: SLF001
        (codegen._library_class, "_optimize_final_module", lambda self: None),  # noqa: SLF001
        (context, "get_executable", _no_executable),
    ]
    with global_compiler_lock:
        for owner, name, value in changes:
            setattr(owner, name, value)  # hides what the class, or its base, has
        try:
            yield
        finally:
            for owner, name, _ in changes:
                delattr(owner, name)


def _no_executable(library: Any, fndesc: Any, env: Any) -> Any:
    """What Python would call; nobody does."""
    return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))


def _linked(library: Any, name: str, arguments: int) -> tuple[bytes, bool]:
    body = library._get_module_for_linking()  # noqa: SLF001 - what numba itself links into callers
    module = binding.parse_assembly(_entry(name, arguments))
    module.data_layout, module.triple = body.data_layout, body.triple
    module.link_in(body, preserve=True)
    for item in (*module.functions, *module.global_variables):
        if not item.is_declaration and item.name != machine_code.ENTRY:
            item.linkage = "internal"
    for options in ({"loop_vectorize": False, "slp_vectorize": False, "cost": "cheap"}, {}):  # as numba ends with
        passes, builder = library.codegen._module_pass_manager(**options)  # noqa: SLF001
        passes.run(module, builder)
    undefined = [
        item.name
        for item in (*module.functions, *module.global_variables)
        if item.is_declaration and not item.name.startswith("llvm.")
    ]
    portable = all(name in _KNOWN_SYMBOLS or name.startswith("duckdb_v2_") for name in undefined)
    return library.codegen._tm.emit_object(module), portable  # noqa: SLF001 - the machine numba compiles for


def _entry(inner: str, arguments: int) -> str:
    """What C calls: the function as numba compiles it returns a status, which is always success here, and wants two places."""
    module = ir.Module("routine")
    word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word] * arguments), machine_code.ENTRY)
    builder = ir.IRBuilder(function.append_basic_block())
    kind = ir.FunctionType(ir.IntType(32), [pointer.as_pointer(), pointer.as_pointer(), *[word] * arguments])
    places = [builder.alloca(pointer) for _ in range(2)]
    builder.call(ir.Function(module, kind, inner), [*places, *function.args])
    builder.ret_void()
    return str(module)


def name_elsewhere(name: str) -> None:
    """Promise numba, which loads whatever it compiles, a name that only another process has; here it leads to ``abort``."""
    if binding.address_of_symbol(name) is None:
        binding.add_symbol(name, binding.address_of_symbol("abort"))


def compile_for_elsewhere() -> None:
    """From now on, kernels get no reference counts and no wrappers for Python, which another process has no use for."""
    OPTIONS.update(_BARE)


_BARE = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}


def emit_modules(functions: Iterable[tuple[Callable[..., Any], Any]]) -> Iterator[tuple[str, binding.ModuleRef]]:
    """The name and the LLVM module of each function of int64 and its result, all it calls included, for code that runs elsewhere.

    Call ``compile_for_elsewhere`` before the kernels are imported: what is emitted must need nothing of numba's runtime. A module is
    neither optimized nor made machine code here: what it shares with the others is the same work for all of them.
    """
    with _bitcode_only():
        for function, result in functions:
            signature = result(*[types.int64] * function.__code__.co_argcount)
            made = callee(function, {**OPTIONS, **_BARE})
            made.compile(signature)
            compiled = made.overloads[signature.args]
            yield str(compiled.fndesc.llvm_func_name), compiled.library._get_module_for_linking()  # noqa: SLF001
