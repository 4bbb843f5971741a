"""The one door to numba: how kernels and routines are declared, and views of raw memory.

Declaring loads nothing. A routine is machine code that other machine code calls by its address: it is compiled once, kept as an
object file (``udfs.machine_code``), and a process that finds it there never loads numba, which costs half a second. A kernel is
a function of routines and of Python; it is compiled by numba when one of them needs it (``udfs.compiler``).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from udfs import machine_code
from udfs.later import Later

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = {"nogil": True, "error_model": "numpy"}


types, cgutils, arrayobj = (Later(f"numba.{name}") for name in ("core.types", "core.cgutils", "np.arrayobj"))


def _compiler() -> Any:
    return importlib.import_module("udfs.compiler")


class Deferred:
    """Something of numba's that is made when a compiler, or a caller, first asks for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def made(self) -> Any:
        """What numba has of it."""
        return self._make()

    @property
    def _numba_type_(self) -> Any:
        """What numba asks a value that it does not know for."""
        return _compiler().type_of(self.made)


class Kernel(Deferred):
    """A function that numba compiles at its first call with each signature."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(lambda: _compiler().dispatcher(function, options))
        self.py_func, self.targetoptions = function, options  # what numba's inlining looks at
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self.made(*arguments)

    @cached_property
    def _callee(self) -> Any:
        return _compiler().callee(self.py_func, self.targetoptions)

    @property
    def _numba_type_(self) -> Any:
        return _compiler().type_of(self._callee if _compiler().compiles_routine() else self.made)


def kernel(function: Callable[..., Any]) -> Any:
    """Declare a function that Python and other kernels call, with the options all kernels share."""
    return Kernel(function, OPTIONS)


def part(function: Callable[..., Any]) -> Any:
    """A piece of a kernel or routine, compiled as if written at the place of its call: it costs no compilation of its own."""
    return Kernel(function, {"inline": "always", **OPTIONS})


def intrinsic(function: Callable[..., Any]) -> Any:
    """A piece of a kernel that is written as LLVM's instructions."""
    return Deferred(lambda: _compiler().intrinsic(function))


def external(name: str, arguments: int) -> Any:
    """A function of C's that kernels call by its name: int32 of as many int64."""
    return Deferred(lambda: _compiler().external(name, arguments))


class Routine:
    """A function of integers that is called by its address: by machine code that finds it in an image, or by a database.

    Numba compiles a kernel's callees again and again, once with each of their callers; a routine is compiled once, and not at
    all as long as no model needs it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @cached_property
    def address(self) -> int:
        """Where the machine code is; it stays there for the life of the process."""
        is_ours = machine_code.is_ours(self.function.__code__.co_filename)
        code = machine_code.kept(self.name, self.compile) if is_ours else self.compile()[0]
        (address,) = machine_code.load(code, machine_code.ENTRY)
        return address

    def compile(self) -> tuple[bytes, bool]:
        """An object file, and whether it means the same in another process."""
        made: tuple[bytes, bool] = _compiler().object_code(self.function, OPTIONS)
        return made

    @property
    def name(self) -> str:
        """Of the function, with what it closes over."""
        function = self.function
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        variant = hashlib.sha256(repr(cells).encode()).hexdigest()[:12] if cells else "-"
        return f"{function.__module__}.{function.__qualname__}.{variant}".replace("<locals>.", "")


def routine(function: Callable[..., Any]) -> Routine:
    """Declare a function of int64 arguments, without a result, as a routine."""
    return Routine(function)


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
def scratch(typing_context):
    """The address of 1,024 zero bytes on the stack, until the kernel returns."""

    def codegen(context, builder, signature, arguments):
        room = cgutils.alloca_once(builder, ir.ArrayType(ir.IntType(64), 128), zfill=True)
        return builder.ptrtoint(room, ir.IntType(64))

    return types.int64(), codegen


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
