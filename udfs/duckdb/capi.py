"""DuckDB's C API as far as scoring needs it, called through ctypes: structures, functions, and readable views of its objects.

The second family of the API (``duckdb_v2_*``, stable since DuckDB 2.0) does the work, because it can give a call of a function
its own result type; the first family is used to read the catalog tables while a database is being opened.
"""

from __future__ import annotations

import ctypes
import logging
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

LOG = logging.getLogger("sqlml")
P = ctypes.c_void_p
U64 = ctypes.c_uint64
INT = ctypes.c_int

# DUCKDB_V2_LOGICAL_TYPE_ID
SQLNULL, UNKNOWN, ANY = 1, 2, 3
BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, DATE, TIME = range(10, 17)
TIMESTAMP_S, TIMESTAMP_MS, TIMESTAMP, TIMESTAMP_NS, DECIMAL, FLOAT, DOUBLE = range(17, 24)
VARCHAR, UTINYINT, USMALLINT, UINTEGER, UBIGINT, TIMESTAMP_TZ = 25, 28, 29, 30, 31, 32
TIME_TZ, TIME_NS, UHUGEINT, HUGEINT, UUID = 34, 35, 49, 50, 54
STRUCT, LIST, ENUM = 100, 101, 104

# DUCKDB_V2_FUNCTION_PROPERTY_KEY and _VALUE
NULL_HANDLING, NULL_HANDLING_SPECIAL = 65_792, 65_793
STABILITY, STABILITY_CONSISTENT, STABILITY_WITHIN_QUERY = 65_536, 65_536, 65_538

# DUCKDB_V2_FUNCTION_PARAMETER_KIND
POSITIONAL_ONLY, VAR_POSITIONAL = 0, 2

# DUCKDB_V2_ERROR
ERROR_BINDER, ERROR_PARAMETER_NOT_RESOLVED = 5_003, 5_010

V1_SYMBOLS: Final[dict[str, tuple[Any, ...]]] = {
    "duckdb_register_static_extension": (ctypes.c_int32, P),
    "duckdb_connect": (INT, P, P),
    "duckdb_disconnect": (None, P),
    "duckdb_query": (INT, P, ctypes.c_char_p, P),
    "duckdb_destroy_result": (None, P),
    "duckdb_column_count": (U64, P),
    "duckdb_data_chunk_get_size": (U64, P),
    "duckdb_data_chunk_get_vector": (P, P, U64),
    "duckdb_destroy_data_chunk": (None, P),
    "duckdb_vector_get_data": (P, P),
    "duckdb_vector_get_validity": (P, P),
}

V2_SYMBOLS: Final[dict[str, tuple[Any, ...]]] = {
    "context_get_factory": (P, P, P),
    "factory_create_type_from_text": (P, P, P, P),
    "factory_create_type_from_id": (P, INT, P, P, U64, P, P),
    "logical_type_destroy": (P,),
    "logical_type_get_id": (P, P, P),
    "logical_type_get_param_count": (P, P, P),
    "logical_type_get_param": (P, U64, P, P, P),
    "value_destroy": (P,),
    "value_is_null": (P, P, P),
    "value_to_string": (P, P, U64, P, P),
    "value_get_type": (P, P, P),
    "value_get_utinyint": (P, P, P),
    "error_info_get_code": (P, P),
    "error_info_get_raw_text": (P, P),
    "error_info_set_code": (P, INT),
    "error_info_set_text": (P, P),
    "error_info_destroy": (P,),
    "scalar_function_create": (P, P, P),
    "scalar_function_destroy": (P,),
    "scalar_function_set_name": (P, P, P),
    "scalar_function_get_signature": (P, P, P),
    "scalar_function_set_user_data": (P, P, P),
    "scalar_function_set_property": (P, INT, INT, P),
    "scalar_function_set_resolve_types_callback": (P, P, P),
    "scalar_function_set_bind_callback": (P, P, P),
    "scalar_function_set_init_callback": (P, P, P),
    "scalar_function_set_exec_callback": (P, P, P),
    "function_signature_add_parameter": (P, P, P, P, INT, P),
    "function_signature_set_return_type": (P, P, P),
    "extension_register_scalar_function": (P, P, P),
    "function_bind_get_user_data": (P, P, P),
    "function_bind_get_arg_count": (P, P, P, P, P, P),
    "function_bind_get_arg_type": (P, U64, P, P),
    "function_bind_get_arg_value": (P, U64, P, P),
    "scalar_function_resolve_types_set_return_type": (P, P, P),
    "scalar_function_bind_set_bind_data": (P, P, P),
    "scalar_function_init_get_bind_data": (P, P, P),
    "scalar_function_init_set_init_data": (P, P, P),
}

# What machine code calls while a query runs.
EXECUTION_SYMBOLS: Final = (
    "scalar_function_exec_get_bind_data",
    "scalar_function_exec_get_init_data",
    "scalar_function_exec_get_row_count",
    "scalar_function_exec_get_arg",
    "scalar_function_exec_get_result",
    "vector_get_view",
    "vector_get_vector_type",
    "vector_flatten",
    "vector_get_child",
    "vector_get_data_mutable",
    "vector_set_size",
    "vector_get_arena",
    "arena_allocate",
)


class Str(ctypes.Structure):
    """``duckdb_v2_str``: a borrowed view of text."""

    _fields_ = (("ptr", P), ("len", U64))

    def text(self) -> str:
        """A copy of the text."""
        return ctypes.string_at(self.ptr, self.len).decode() if self.ptr and self.len else ""


class Opaque(ctypes.Structure):
    """``duckdb_v2_opaque``: a pointer of ours with what frees and compares it."""

    _fields_ = (("ptr", P), ("destroy", P), ("equals", P))


class ExtensionInput(ctypes.Structure):
    """``duckdb_v2_extension_input``: what the entry point is given."""

    _fields_ = (("get_api", P), ("extension", P), ("context", P), ("err", P))


class Descriptor(ctypes.Structure):
    """``duckdb_extension_descriptor``: how a statically linked extension introduces itself."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("set_error", P),
        ("internal", P),
        ("name", ctypes.c_char_p),
        ("extension_version", ctypes.c_char_p),
        ("api_version", ctypes.c_char_p),
        ("entry_cpp", P),
        ("entry_capi_v1", P),
        ("entry_capi_v2", P),
    )


class ExtensionAccess(ctypes.Structure):
    """``duckdb_extension_access``: what an entry point of the first family is given."""

    _fields_ = (
        ("set_error", ctypes.CFUNCTYPE(None, P, ctypes.c_char_p)),
        ("get_database", ctypes.CFUNCTYPE(P, P)),
        ("get_api", P),
    )


class Result(ctypes.Structure):
    """``duckdb_result`` of the first family."""

    _fields_ = (("words", U64 * 6),)


DESCRIBE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(Descriptor))
ENTRY_V1 = ctypes.CFUNCTYPE(ctypes.c_bool, P, ctypes.POINTER(ExtensionAccess))
ENTRY_V2 = ctypes.CFUNCTYPE(None, ctypes.POINTER(ExtensionInput))
BIND = ctypes.CFUNCTYPE(None, P, P, P, ctypes.POINTER(P))


class ApiError(Exception):
    """A call of the C API failed; carries DuckDB's own error code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Library:
    """The functions of one loaded DuckDB library, with their signatures."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = ctypes.CDLL(path)
        for name, (result, *arguments) in V1_SYMBOLS.items():
            self._declare(name, result, arguments)
        # Takes its result struct by value.
        self._declare("duckdb_fetch_chunk", P, [Result])
        for name, parameters in V2_SYMBOLS.items():
            self._declare(f"duckdb_v2_{name}", INT, list(parameters))
        for name in EXECUTION_SYMBOLS:
            getattr(self._handle, f"duckdb_v2_{name}")

    def _declare(self, name: str, result: Any, arguments: list[Any]) -> None:
        function = getattr(self._handle, name)
        function.restype, function.argtypes = result, arguments
        setattr(self, name, function)

    def address(self, name: str) -> int:
        """Where a function of the library is."""
        return int(ctypes.cast(getattr(self._handle, name), P).value or 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the second family; an error becomes ``ApiError``."""
        error = P()
        code = getattr(self, f"duckdb_v2_{name}")(*arguments, ctypes.byref(error))
        if code == 0:
            return
        text = Str()
        if error.value:
            self.duckdb_v2_error_info_get_raw_text(error, ctypes.byref(text))  # type: ignore[attr-defined]
        message = text.text() or f"{name} failed"
        self.duckdb_v2_error_info_destroy(ctypes.byref(error))  # type: ignore[attr-defined]
        raise ApiError(message, code)

    def get(self, name: str, *arguments: Any) -> int:
        """Call a function that hands out a pointer as its last argument before the error slot."""
        out = P()
        self.call(name, *arguments, ctypes.byref(out))
        return out.value or 0

    def destroy(self, name: str, handle: int) -> None:
        """Give an owned handle back."""
        getattr(self, f"duckdb_v2_{name}_destroy")(ctypes.byref(P(handle)))


# The second family of the API is young: another release may keep a symbol and change its signature, which nothing would notice
# before it crashed. A release is added here once the tests have run on it.
TRIED_VERSIONS = ("2.0.",)


@cache
def library() -> Library | None:
    """The DuckDB of this process, or None where it does not export what is needed, or was never tried."""
    import _duckdb  # noqa: PLC0415 - importing this module must stay cheap

    if not _duckdb.__version__.startswith(TRIED_VERSIONS):
        LOG.info("DuckDB %s was not tried with native scoring functions: scoring through Arrow", _duckdb.__version__)
        return None
    try:
        return Library(_duckdb.__file__)
    except (AttributeError, OSError):
        return None


def string(text: str) -> Str:
    """A view of text to pass to the API; keep the result alive during the call."""
    data = text.encode()
    view = Str(ctypes.cast(ctypes.c_char_p(data), P), len(data))
    view.keep = data
    return view


@dataclass(frozen=True)
class DuckType:
    """A logical type read into plain data. ``fields`` of a STRUCT, ``words`` of an ENUM, width and scale of a DECIMAL."""

    id: int
    width: int = 0
    scale: int = 0
    words: tuple[str, ...] = ()
    fields: tuple[tuple[str, DuckType], ...] = ()


def read_type(lib: Library, handle: int) -> DuckType:
    """Read a logical type and give its handle back."""
    try:
        number = INT()
        lib.call("logical_type_get_id", handle, ctypes.byref(number))
        if number.value not in (DECIMAL, ENUM, STRUCT):
            return DuckType(number.value)
        count = U64()
        lib.call("logical_type_get_param_count", handle, ctypes.byref(count))
        params = [_param(lib, handle, index, number.value) for index in range(count.value)]
    finally:
        lib.destroy("logical_type", handle)
    if number.value == DECIMAL:
        return DuckType(DECIMAL, width=params[0][1], scale=params[1][1])
    if number.value == ENUM:
        return DuckType(ENUM, words=tuple(value for _, value in params))
    return DuckType(STRUCT, fields=tuple(params))


def _param(lib: Library, handle: int, index: int, number: int) -> tuple[str, Any]:
    name, value = Str(), P()
    lib.call("logical_type_get_param", handle, index, ctypes.byref(name), ctypes.byref(value))
    try:
        if number == STRUCT:
            return name.text(), read_type(lib, lib.get("value_get_type", value))
        if number == ENUM:
            return "", value_text(lib, value.value or 0)
        small = ctypes.c_uint8()
        lib.call("value_get_utinyint", value, ctypes.byref(small))
        return "", small.value
    finally:
        lib.destroy("value", value.value or 0)


def value_text(lib: Library, value: int) -> str | None:
    """A value as text, as CAST(value AS VARCHAR) has it; None for NULL."""
    null = ctypes.c_bool()
    lib.call("value_is_null", value, ctypes.byref(null))
    if null.value:
        return None
    length = U64()
    lib.call("value_to_string", value, None, 0, ctypes.byref(length))
    buffer = ctypes.create_string_buffer(length.value + 1)
    lib.call("value_to_string", value, buffer, len(buffer), ctypes.byref(length))
    return buffer.raw[: length.value].decode()
