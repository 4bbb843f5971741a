"""The server as kernels see it: its functions and variables by name, its records by offset, its errors.

A kernel calls ``call(name, arguments)`` with 64-bit integers, as the C functions of the server are called; the linker leaves these
names for the server's loader to find. What the server calls back stands in the library under names of its own (``own``).
"""

# ruff: noqa: PLR0917 - kernels take addresses and counts, by position

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from udfs.compiler import name_elsewhere
from udfs.jit import kernel, peek, poke, word

_WORD = ir.IntType(64)
_INT = ir.IntType(32)
_BYTE = ir.IntType(8)
ERROR = 21  # PostgreSQL 14 and later
NAME = "sqlml"

# FunctionCallInfoBaseData and FmgrInfo, in words or bytes.
FLINFO = 0
ISNULL_BYTE, NARGS_SHORT, ARGS_BYTES, ARG_BYTES = 28, 15, 32, 16
FN_EXTRA, FN_CONTEXT = 3, 4  # words of FmgrInfo
# Types by their fixed numbers.
BOOL, BYTEA, NAME_TYPE, INT8, INT2, INT4, TEXT, UNKNOWN = 16, 17, 19, 20, 21, 23, 25, 705
FLOAT4, FLOAT8, BPCHAR, VARCHAR, DATE, TIME, TIMESTAMP, TIMESTAMPTZ = 700, 701, 1042, 1043, 1082, 1083, 1114, 1184
NUMERIC, UUID = 1700, 2950
DEFAULT_COLLATION = 100


def _literal(builder: Any, value: str) -> Any:
    """The address of a constant C string."""
    data = bytearray(value.encode() + b"\0")
    kind = ir.ArrayType(_BYTE, len(data))
    constant = cgutils.global_constant(builder, f".sqlml.{abs(hash(value))}", ir.Constant(kind, data))
    return builder.ptrtoint(constant, _WORD)


def _external(builder: Any, name: str, arguments: int, result: Any = _WORD) -> Any:
    name_elsewhere(name)
    kind = ir.FunctionType(result, [_WORD] * arguments)
    found = builder.module.globals.get(name)
    if found is not None:
        return builder.bitcast(found, kind.as_pointer()) if found.function_type != kind else found
    return ir.Function(builder.module, kind, name)


def _caller(result: Any) -> Any:
    def typed(typing_context: Any, name: Any, arguments: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            unpacked = cgutils.unpack_tuple(builder, values[1])
            function = _external(builder, name.literal_value, len(unpacked), result)
            found = builder.call(function, unpacked)
            if result == _WORD:
                return found
            return builder.sext(found, _WORD) if result == _INT else builder.zext(found, _WORD)

        return types.int64(name, arguments), codegen

    return typed


call = intrinsic(prefer_literal=True)(_caller(_WORD))  # of a function that returns a pointer, a Datum or nothing
call_int = intrinsic(prefer_literal=True)(_caller(_INT))
call_byte = intrinsic(prefer_literal=True)(_caller(_BYTE))  # of a function that returns bool or char


@intrinsic(prefer_literal=True)
def function_at(typing_context, name):
    """The address of a function of the server."""

    def codegen(context, builder, signature, values):
        return builder.ptrtoint(_external(builder, name.literal_value, 1), _WORD)

    return types.int64(name), codegen


@intrinsic(prefer_literal=True)
def variable(typing_context, name):
    """The address of a variable of the server, or of the library's own."""

    def codegen(context, builder, signature, values):
        name_elsewhere(name.literal_value)
        found = builder.module.globals.get(name.literal_value)
        if found is None:
            found = ir.GlobalVariable(builder.module, _WORD, name.literal_value)
        return builder.ptrtoint(found, _WORD)

    return types.int64(name), codegen


@intrinsic(prefer_literal=True)
def text(typing_context, value):
    """The address of a constant text that ends with a zero byte."""

    def codegen(context, builder, signature, values):
        return _literal(builder, value.literal_value)

    return types.int64(value), codegen


def _state(code: str) -> int:
    return sum(((ord(letter) - 48) & 0x3F) << (6 * place) for place, letter in enumerate(code))


def _formatted(builder: Any, name: str, template: str, values: list[Any]) -> None:
    name_elsewhere(name)
    kind = ir.FunctionType(_INT, [_WORD], var_arg=True)
    found = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    builder.call(found, [_literal(builder, template), *values])


@intrinsic(prefer_literal=True)
def fail(typing_context, code, message, values, hint, hint_values):
    """Raise an error with an SQLSTATE, a message and a hint; %s and %lld stand for the values. It never returns."""

    def codegen(context, builder, signature, arguments):
        begin = _external(builder, "errstart", 2, _BYTE)
        builder.call(begin, [ir.Constant(_WORD, ERROR), ir.Constant(_WORD, 0)])
        builder.call(_external(builder, "errcode", 1, _INT), [ir.Constant(_WORD, _state(code.literal_value))])
        _formatted(builder, "errmsg", message.literal_value, cgutils.unpack_tuple(builder, arguments[2]))
        if hint.literal_value:
            _formatted(builder, "errhint", hint.literal_value, cgutils.unpack_tuple(builder, arguments[4]))
        where = _literal(builder, NAME)
        builder.call(_external(builder, "errfinish", 3), [where, ir.Constant(_WORD, 0), where])
        return context.get_dummy_value()

    return types.void(code, message, values, hint, hint_values), codegen


@kernel
def allocate_in(context, size):
    """Zeroed memory of a memory context."""
    return call("MemoryContextAllocZero", (context, size))


@kernel
def argument(fcinfo, number):
    """An argument's Datum."""
    return word(fcinfo + ARGS_BYTES + ARG_BYTES * number, 0)


@kernel
def argument_is_null(fcinfo, number):
    """Whether an argument is NULL."""
    return peek(fcinfo + ARGS_BYTES + ARG_BYTES * number, types.uint8, 8) != 0


@kernel
def set_word(address, number, value):
    """Write a word of a record."""
    poke(address, types.int64, number, value)
