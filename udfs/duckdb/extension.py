"""The extension that every database opened in this process gets: the scoring functions, and the committed models of its file.

Two static extensions share the work. One registers functions, through the second family of DuckDB's C API; the other reads the
catalog tables, for which only the first family gives a connection. DuckDB runs both on the thread that opens the database.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from typing import TYPE_CHECKING, Any

from udfs.duckdb import capi
from udfs.duckdb.bind import FUNCTIONS, INSTANCE_FUNCTION, Call, match_columns, understand
from udfs.duckdb.capi import ApiError, DuckType, Library, library, string
from udfs.duckdb.committed import load_committed
from udfs.duckdb.labels import LabelTable, encode_labels
from udfs.duckdb.registry import Instance, close_instance, instance, last_change, new_instance
from udfs.duckdb.trampolines import PLAN_CODE, PLAN_STATE, PLAN_WORDS, Block, Keeper, Trampolines, trampolines
from udfs.errors import SqlmlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOG = logging.getLogger("sqlml")
_VERSION = b"1"
_NAMES = (INSTANCE_FUNCTION, *FUNCTIONS)

KNOWN_CALLS = 64  # calls whose plans are kept for the next statement
_FOLDS_MORE = ("ml_predict_proba",)  # functions that look at more constants than the reference

_opening = threading.local()
_functions = Keeper()  # one block a registered function: instance, number of the function
_plans = Keeper()
_REGISTERED: list[Any] = []


def install() -> bool:
    """Register both extensions for all databases opened from now on; False where DuckDB offers no such thing."""
    lib = library()
    if lib is None:
        return False
    if not _REGISTERED:
        callbacks = Callbacks(lib)
        _REGISTERED.append(callbacks)
        describe_functions = _describe(b"sqlml", b"v2.0.0", "entry_capi_v2", callbacks.open_functions)
        describe_catalog = _describe(b"sqlml_catalog", b"v1.2.0", "entry_capi_v1", callbacks.open_catalog)
        _REGISTERED.extend((describe_functions, describe_catalog))
        for describe in (describe_functions, describe_catalog):
            # A failed registration would make every later open fail, but with a valid descriptor it does not fail.
            if lib.duckdb_register_static_extension(describe) != 0:  # type: ignore[attr-defined]
                LOG.warning("DuckDB did not accept the native scoring functions")
                return False
    return True


def _describe(name: bytes, version: bytes, entry: str, function: Any) -> Any:
    @capi.DESCRIBE
    def describe(descriptor: Any) -> int:
        d = descriptor.contents
        d.version, d.name, d.extension_version, d.api_version = 1, name, _VERSION, version
        setattr(d, entry, ctypes.cast(function, ctypes.c_void_p))
        return 0

    return describe


def opening_instance(part: str) -> Instance:
    """The instance whose database is being opened on this thread: the first of the two extensions makes it."""
    pending: tuple[Instance, str] | None = getattr(_opening, "pending", None)
    if pending is not None and pending[1] != part:
        _opening.pending = None
        return pending[0]
    created = new_instance()
    _opening.pending = (created, part)
    return created


class Prepared:
    """A call that is understood, with its plan once that is made."""

    def __init__(
        self,
        call: Call,
        types: Sequence[DuckType],
        opened: Instance,
        *,
        change: int,
        result: str,
        labels: LabelTable | None,
    ) -> None:
        self.change = change
        self.result = result
        self._call, self._types, self._labels, self._opened = call, types, labels, opened
        self._plan: tuple[list[int], Any] | None = None

    @property
    def model_hash(self) -> str:
        return self._call.model_hash

    def plan(self) -> tuple[list[int], Any]:
        """The words of the plan and what they point into."""
        if self._plan is None:
            from udfs.duckdb.plan import plan_words  # noqa: PLC0415 - loads numba, at the first use of a model

            is_row, columns = match_columns(self._call, self._types)
            scorer = self._opened.scorer_of(self._call.model_hash)
            self._plan = plan_words(self._call, scorer, columns, self._labels, is_row=is_row)
        return self._plan


class Callbacks:
    """What DuckDB calls in Python: when a database is opened, and once a plan."""

    def __init__(self, lib: Library) -> None:
        self.lib = lib
        self._known: dict[Any, Prepared] = {}
        self.open_functions = capi.ENTRY_V2(self._open_functions)
        self.open_catalog = capi.ENTRY_V1(self._open_catalog)
        self._resolve = capi.BIND(self._guarded(self._resolve_types))
        self._bind = capi.BIND(self._guarded(self._make_plan))

    def _open_functions(self, given: Any) -> None:
        """Entry point of the functions; must not fail, or the database could not be opened."""
        try:
            _sweep()
            opened = opening_instance("functions")
            code = trampolines(self.lib)
            factory = self.lib.get("context_get_factory", given.contents.context)
            for number in range(len(_NAMES)):
                self._register(given.contents.extension, factory, code, opened, number)
        except Exception:
            LOG.exception("native scoring functions are not available in this database")

    def _open_catalog(self, info: int, access: Any) -> bool:
        try:
            opened = opening_instance("catalog")
            load_committed(self.lib, access.contents.get_database(info), opened)
        except Exception:
            LOG.exception("the models of this database could not be read")
        return True

    def _register(self, extension: int, factory: int, code: Trampolines, opened: Instance, number: int) -> None:
        lib, name = self.lib, _NAMES[number]
        function = lib.get("scalar_function_create", factory)
        try:
            lib.call("scalar_function_set_name", function, ctypes.byref(string(name)))
            signature = lib.get("scalar_function_get_signature", function)
            if name == INSTANCE_FUNCTION:
                result: str | None = "BIGINT"
            else:
                self._parameter(signature, factory, "model", "VARCHAR", capi.POSITIONAL_ONLY)
                self._parameter(signature, factory, "columns", None, capi.VAR_POSITIONAL)
                result = FUNCTIONS[name]
            handle = self._type(factory, result)
            lib.call("function_signature_set_return_type", signature, handle)
            lib.destroy("logical_type", handle)
            lib.call("scalar_function_set_property", function, capi.NULL_HANDLING, capi.NULL_HANDLING_SPECIAL)
            # A call of constants by a model's name, folded while a statement is prepared, would keep to that time's version.
            stability = capi.STABILITY_CONSISTENT if name == INSTANCE_FUNCTION else capi.STABILITY_WITHIN_QUERY
            lib.call("scalar_function_set_property", function, capi.STABILITY, stability)
            block = Block([opened.id, number, 0, 4])
            opaque = capi.Opaque(_functions.hold(block, opened.id), code.release, None)
            lib.call("scalar_function_set_user_data", function, ctypes.byref(opaque))
            lib.call("scalar_function_set_resolve_types_callback", function, self._resolve)
            lib.call("scalar_function_set_bind_callback", function, self._bind)
            lib.call("scalar_function_set_init_callback", function, code.init)
            lib.call("scalar_function_set_exec_callback", function, code.execute)
            lib.call("extension_register_scalar_function", extension, function)
        finally:
            lib.destroy("scalar_function", function)

    def _parameter(self, signature: int, factory: int, name: str, kind: str | None, how: int) -> None:
        handle = self._type(factory, kind)
        given = ctypes.byref(string(name))
        self.lib.call("function_signature_add_parameter", signature, given, handle, None, how)
        self.lib.destroy("logical_type", handle)

    def _type(self, factory: int, text: str | None) -> int:
        """A logical type by its SQL text; None is ANY."""
        if text is None:
            return self.lib.get("factory_create_type_from_id", factory, capi.ANY, None, None, 0)
        return self.lib.get("factory_create_type_from_text", factory, ctypes.byref(string(text)))

    def _guarded(self, step: Callable[[int, int, int], None]) -> Callable[[int, int, int, Any], None]:
        """Turn every exception into an error that DuckDB reports as its own, on one line."""

        def run(info: int, target: int, context: int, error: Any) -> None:
            try:
                step(info, target, context)
            except SqlmlError as problem:
                hint = f"; hint: {problem.hint}" if problem.hint else ""
                self._report(error, capi.ERROR_BINDER, f"{problem.message}{hint}")
            except ApiError as problem:
                self._report(error, problem.code, str(problem))
            except BaseException as problem:  # noqa: BLE001 - nothing may unwind into DuckDB
                self._report(error, capi.ERROR_BINDER, f"internal error of sqlml: {type(problem).__name__}: {problem}")

        return run

    def _report(self, error: Any, code: int, message: str) -> None:
        text = string(" ".join(message.split("\n")))
        self.lib.duckdb_v2_error_info_set_text(error[0], ctypes.byref(text))  # type: ignore[attr-defined]
        self.lib.duckdb_v2_error_info_set_code(error[0], code)  # type: ignore[attr-defined]

    def _function(self, info: int) -> tuple[int, str]:
        """Instance and name of the function that is being bound."""
        block = self.lib.get("function_bind_get_user_data", info)
        words = (ctypes.c_int64 * 2).from_address(block)
        return words[0], _NAMES[words[1]]

    def _types(self, info: int) -> list[DuckType]:
        fixed, variadic = ctypes.c_uint64(), ctypes.c_uint64()
        self.lib.call("function_bind_get_arg_count", info, ctypes.byref(fixed), ctypes.byref(variadic), None, None)
        handles = [self.lib.get("function_bind_get_arg_type", info, i) for i in range(fixed.value + variadic.value)]
        return [capi.read_type(self.lib, handle) for handle in handles]

    def _prepared(self, info: int, context: int) -> Prepared:
        """A call that is understood, of a model that whoever runs the statement may use."""
        found = self._understood(info, context)
        instance(self._function(info)[0]).require_use(found.model_hash)
        return found

    def _understood(self, info: int, context: int) -> Prepared:
        """A call that is understood; one that was met before, with nothing changed since, is found and not made again."""
        number, name = self._function(info)
        types = tuple(self._types(info))
        change = last_change()
        is_own = name in _FOLDS_MORE or instance(number).sees_uncommitted()
        key = None if is_own else (number, name, self._constant(info, 0), types)
        found = self._known.get(key)
        if found is not None and found.change == change:
            return found
        opened = instance(number)
        call = understand(name, opened, types, lambda index: self._constant(info, index))
        result, table = FUNCTIONS[name], None
        if result is None:
            result, table = self._label_type(self.lib.get("context_get_factory", context), call)
        prepared = Prepared(call, types, opened, change=change, result=result, labels=table)
        if key is not None:
            if len(self._known) >= KNOWN_CALLS or any(known.change != change for known in list(self._known.values())):
                self._known.clear()
            self._known[key] = prepared
        return prepared

    def _constant(self, info: int, index: int) -> str | None:
        value = self.lib.get("function_bind_get_arg_value", info, index)
        try:
            return capi.value_text(self.lib, value)
        finally:
            self.lib.destroy("value", value)

    def _resolve_types(self, info: int, target: int, context: int) -> None:
        """First of two steps of binding: the result's type, where it depends on the model."""
        _, name = self._function(info)
        if name == INSTANCE_FUNCTION or FUNCTIONS[name] is not None:
            return
        prepared = self._prepared(info, context)
        handle = self._type(self.lib.get("context_get_factory", context), prepared.result)
        self.lib.call("scalar_function_resolve_types_set_return_type", target, handle)
        self.lib.destroy("logical_type", handle)

    def _label_type(self, factory: int, call: Call) -> tuple[str, LabelTable | None]:
        """The SQL type of a call's label and the labels in it; labels of types not known here are text."""
        if not call.wants_label:
            return "DOUBLE", None
        label = call.model.label
        try:
            kind = capi.read_type(self.lib, self._type(factory, label.sql_type))
        except ApiError:
            kind = DuckType(capi.VARCHAR)
        table = encode_labels(label.classes, kind)
        if table is not None:
            return (label.sql_type if kind.id != capi.VARCHAR else "VARCHAR"), table
        return "VARCHAR", encode_labels(label.classes, DuckType(capi.VARCHAR))

    def _make_plan(self, info: int, target: int, context: int) -> None:
        """Second step: match the columns and hand a plan to the machine code."""
        _sweep()
        number, name = self._function(info)
        code = trampolines(self.lib)
        if name == INSTANCE_FUNCTION:
            block, kept = self._instance_plan(number)
        else:
            words, kept = self._prepared(info, context).plan()
            block = Block(words)
        opaque = capi.Opaque(_plans.hold(block, kept), code.release, code.equals)
        self.lib.call("scalar_function_bind_set_bind_data", target, ctypes.byref(opaque))

    def _instance_plan(self, number: int) -> tuple[Block, Any]:
        words = [0] * 8
        words[PLAN_CODE] = trampolines(self.lib).constant
        words[PLAN_STATE], words[PLAN_WORDS], words[4] = 64, len(words), number
        return Block(words), None


def _sweep() -> None:
    """Free what DuckDB has let go of: plans, and the instances of closed databases."""
    _plans.sweep()
    for (number,) in _functions.sweep():
        close_instance(number)
