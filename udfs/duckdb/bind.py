"""What a call of a scoring function means: its model, its settings, and which argument or field feeds which input.

Knows DuckDB's types as plain data and nothing of callbacks or machine code; every problem is an error with a way out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from udfs.duckdb import capi
from udfs.duckdb.capi import DuckType
from udfs.duckdb.references import Reference, parse_reference
from udfs.duckdb.registry import Instance
from udfs.errors import InputMismatchError, ModelReferenceError

if TYPE_CHECKING:
    from udfs.model import Argument, Kind, Model

# Every function and the SQL type of its result; None: the type of the model's label.
FUNCTIONS: dict[str, str | None] = {
    "__sqlml_value": "DOUBLE",
    "__sqlml_raw": "DOUBLE[]",
    "__sqlml_probs": "DOUBLE[]",
    "__sqlml_prob": "DOUBLE",
    "__sqlml_class": "INTEGER",
    "__sqlml_label": None,
    "__sqlml_features": "DOUBLE[]",
    "__sqlml_contribs": "DOUBLE[]",
    "__sqlml_interactions": "DOUBLE[]",
    "ml_predict": None,
    "ml_predict_proba": "DOUBLE",
}
INSTANCE_FUNCTION = "__sqlml_instance"
CLASSIFIERS = ("binary", "multiclass")
_OWN_TYPE = ("__sqlml_label", "ml_predict")
_NEEDS_CLASSES = ("__sqlml_probs", "__sqlml_prob", "__sqlml_class", "ml_predict_proba")

_NAMES = {
    capi.BOOLEAN: "BOOLEAN", capi.TINYINT: "TINYINT", capi.SMALLINT: "SMALLINT", capi.INTEGER: "INTEGER",
    capi.BIGINT: "BIGINT", capi.DATE: "DATE", capi.TIME: "TIME", capi.TIMESTAMP_S: "TIMESTAMP_S",
    capi.TIMESTAMP_MS: "TIMESTAMP_MS", capi.TIMESTAMP: "TIMESTAMP", capi.TIMESTAMP_NS: "TIMESTAMP_NS",
    capi.DECIMAL: "DECIMAL", capi.FLOAT: "FLOAT", capi.DOUBLE: "DOUBLE", capi.VARCHAR: "VARCHAR",
    capi.UTINYINT: "UTINYINT", capi.USMALLINT: "USMALLINT", capi.UINTEGER: "UINTEGER", capi.UBIGINT: "UBIGINT",
    capi.TIMESTAMP_TZ: "TIMESTAMP WITH TIME ZONE", capi.TIME_TZ: "TIME WITH TIME ZONE", capi.TIME_NS: "TIME_NS",
    capi.UHUGEINT: "UHUGEINT", capi.HUGEINT: "HUGEINT", capi.UUID: "UUID", capi.STRUCT: "STRUCT", capi.LIST: "LIST",
    capi.ENUM: "ENUM",
}  # fmt: skip
_NUMBERS = {
    capi.BOOLEAN: "boolean", capi.TINYINT: "int8", capi.SMALLINT: "int16", capi.INTEGER: "int32", capi.BIGINT: "int64",
    capi.UTINYINT: "uint8", capi.USMALLINT: "uint16", capi.UINTEGER: "uint32", capi.UBIGINT: "uint64",
    capi.FLOAT: "float32", capi.DOUBLE: "float64", capi.UHUGEINT: "uint128",
}  # fmt: skip
# Filler, microseconds a unit (0: see the last number; below 0: bits to drop), units a microsecond.
_TIMES = {
    capi.DATE: ("date", 0, 0), capi.TIMESTAMP_S: ("time", 1_000_000, 0), capi.TIMESTAMP_MS: ("time", 1_000, 0),
    capi.TIMESTAMP: ("time", 1, 0), capi.TIMESTAMP_NS: ("time", 0, 1_000), capi.TIMESTAMP_TZ: ("time", 1, 0),
    capi.TIME: ("time", 1, 0), capi.TIME_NS: ("time", 0, 1_000), capi.TIME_TZ: ("time", -24, 0),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """How one argument of a model is read: from which field or position, by which filler with which settings."""

    position: int
    filler: str
    setting: int = 0
    pointer: int = 0
    powers: tuple[float, float] | None = None  # the pointer and setting words as the bits of two doubles
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """A call as far as it is understood before its columns are matched."""

    function: str
    model_hash: str
    model: Model
    first: int  # position of the first column among the arguments
    threshold: float
    class_index: int

    @property
    def wants_label(self) -> bool:
        """Whether the result is a label in its own type."""
        return self.function in _OWN_TYPE and self.model.task in CLASSIFIERS


def understand(
    function: str, instance: Instance, types: Sequence[DuckType], constant: Callable[[int], str | None]
) -> Call:
    """Resolve the reference and settings of a call; ``constant`` folds an argument and gives its text."""
    text = constant(0)
    if text is None:
        raise ModelReferenceError("the name of a model must not be NULL")
    reference = parse_reference(text)
    model_hash = instance.resolve(reference)
    model = instance.model(model_hash)
    require_classes(function, model, reference)
    class_name, first = None, 1
    if function == "ml_predict_proba" and _has_class_argument(model, types):
        class_name, first = constant(1), 2
    return Call(
        function, model_hash, model, first, _threshold(reference), _class_index(function, model, reference, class_name)
    )


def require_classes(function: str, model: Model, reference: Reference) -> None:
    """Refuse functions that make no sense for the model's task."""
    name = describe(reference)
    if function in _NEEDS_CLASSES and model.task not in CLASSIFIERS:
        raise InputMismatchError(
            f"{name} is a {model.task} model: it has no classes", hint="Ask for its value, with ml_predict or PREDICT."
        )
    if function == "__sqlml_value" and model.task == "multiclass":
        raise InputMismatchError(f"{name} is a multiclass model: it has no single value", hint=_which_class(model))


def describe(reference: Reference) -> str:
    """How an error speaks of the model."""
    return "the model" if reference.hash else f'model "{reference.text}"'


def _which_class(model: Model) -> str:
    shown = ", ".join(str(label) for label in model.label.classes[:10])
    return f"Name the class whose probability you want, one of {shown}."


def _threshold(reference: Reference) -> float:
    text = reference.settings.get("threshold", "0.5")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise InputMismatchError(f'invalid threshold "{text}"', hint="Use a number from 0 to 1.")
    return value


def _has_class_argument(model: Model, types: Sequence[DuckType]) -> bool:
    """``f(name, row)`` and ``f(name, a, b)`` name no class, ``f(name, class, row)`` and ``f(name, class, a, b)`` do."""
    if len(types) >= 3 and types[-1].id == capi.STRUCT:
        return True
    return len(types) == len(model.arguments) + 2


def _class_index(function: str, model: Model, reference: Reference, name: str | None) -> int:
    if function not in ("__sqlml_prob", "ml_predict_proba"):
        return 0
    index = reference.settings.get("class_index")
    if index is not None:
        if not index.isdecimal() or int(index) >= len(model.label.classes):
            raise InputMismatchError(f'invalid class index "{index}"', hint="Classes are counted from 0.")
        return int(index)
    name = reference.settings.get("class", name)
    if name is None:
        if model.task == "multiclass":
            raise InputMismatchError(f"{describe(reference)} has more than two classes", hint=_which_class(model))
        return 1
    labels = [_spelled(label) for label in model.label.classes]
    wanted = name.casefold() if isinstance(model.label.classes[0], bool) else name
    if wanted not in labels:
        wanted = _as_number(name, model) or wanted
    if wanted not in labels:
        raise InputMismatchError(f'{describe(reference)} has no class "{name}"', hint=_which_class(model))
    return labels.index(wanted)


def _spelled(label: bool | float | str) -> str:
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label)


def _as_number(name: str, model: Model) -> str | None:
    """The spelling of a numeric class that is written otherwise: 1 for 1.0."""
    try:
        number = float(name)
    except ValueError:
        return None
    numeric = [x for x in model.label.classes if isinstance(x, (int, float)) and not isinstance(x, bool)]
    return next((str(label) for label in numeric if label == number), None)


def match_columns(call: Call, types: Sequence[DuckType]) -> tuple[bool, list[Column]]:
    """Whether the columns come as one row, and how each argument of the model is read."""
    given = types[call.first :]
    if call.function.startswith("ml_"):
        _refuse_computed(call.model)
    if not given:
        raise InputMismatchError(
            "no columns given", hint=f"Pass a row of a table, or the columns {_listed(call.model)}."
        )
    if len(given) == 1 and given[0].id == capi.STRUCT:
        return True, match_fields(call.model, given[0].fields)
    wanted = call.model.arguments
    if len(given) == 1 and given[0].id == capi.UNKNOWN:
        return False, [_null_column(argument.kind) for argument in wanted]
    if len(given) != len(wanted):
        raise InputMismatchError(
            f"the model takes {len(wanted)} columns, got {len(given)}",
            hint=f"Pass them in this order: {_listed(call.model)}.",
        )
    return False, [read_column(a, i, t) for i, (a, t) in enumerate(zip(wanted, given, strict=True))]


def _refuse_computed(model: Model) -> None:
    """Refuse a model whose TRANSFORM the database computes: only a session writes that into a query."""
    computed = [argument.expression for argument in model.arguments if argument.expression is not None]
    if computed:
        raise InputMismatchError(
            f"the model needs {computed[0]}, which only the database can compute",
            hint="Use PREDICT or ML.PREDICT in a session of sqlml, or a view created there.",
        )


def _listed(model: Model) -> str:
    return ", ".join(argument.name for argument in model.arguments)


def match_fields(model: Model, fields: Sequence[tuple[str, DuckType]]) -> list[Column]:
    """Find every argument among the named fields of a row: exactly, else by the only name that differs in case alone."""
    positions = match_names(model, [name for name, _ in fields])
    return [read_column(a, i, fields[i][1]) for a, i in zip(model.arguments, positions, strict=True)]


def match_names(model: Model, names: Sequence[str]) -> list[int]:
    """The position of every argument among names; raises for those that are missing or ambiguous, all at once."""
    exact = {name: i for i, name in reversed(list(enumerate(names)))}
    folded: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        folded.setdefault(name.casefold(), []).append(i)
    found = [[exact[a.name]] if a.name in exact else folded.get(a.name.casefold(), []) for a in model.arguments]
    missing = [a for a, positions in zip(model.arguments, found, strict=True) if not positions]
    if missing:
        raise _missing(missing, names)
    for argument, positions in zip(model.arguments, found, strict=True):
        if len(positions) > 1:
            spelled = " and ".join(f'"{names[i]}"' for i in positions)
            raise InputMismatchError(
                f'column "{argument.name}" is ambiguous: the row has {spelled}', hint="Name it exactly as in training."
            )
    return [positions[0] for positions in found]


def _missing(missing: Sequence[Argument], names: Sequence[str]) -> InputMismatchError:
    listed = ", ".join(f'"{argument.name}"' for argument in missing)
    word = "column" if len(missing) == 1 else "columns"
    return InputMismatchError(f"missing {word} {listed}", hint=f"The row has {', '.join(names) or 'no columns'}.")


def read_column(argument: Argument, position: int, kind: DuckType) -> Column:
    """How a value of a type becomes the argument; raises for types that do not convert."""
    if kind.id in (capi.SQLNULL, capi.UNKNOWN):
        # An untyped parameter or NULL: the plan is made again once its type is known.
        return _null_column(argument.kind)
    reader = _READERS[argument.kind]
    column = reader(position, kind)
    if column is None:
        raise InputMismatchError(
            f'column "{argument.name}" must be {_WANTED[argument.kind]}, got {_NAMES.get(kind.id, "another type")}',
            hint="Cast it to the type the model was trained on.",
        )
    return column


_WANTED: dict[Kind, str] = {
    "number": "a number",
    "boolean": "a BOOLEAN",
    "text": "text",
    "date": "a DATE or TIMESTAMP",
    "timestamp": "a TIMESTAMP, DATE or TIME",
    "timestamptz": "a TIMESTAMP WITH TIME ZONE",
}


def _null_column(kind: Kind) -> Column:
    if kind in ("number", "boolean"):
        return Column(-1, "null", powers=(math.nan, 0.0))
    return Column(-1, "null", setting=2 if kind == "text" else 1)


def _read_number(position: int, kind: DuckType) -> Column | None:
    if kind.id in _NUMBERS:
        return Column(position, _NUMBERS[kind.id])
    if kind.id == capi.HUGEINT:
        return Column(position, "decimal128", powers=(1.0, 0.0))
    if kind.id != capi.DECIMAL:
        return None
    size = 16 if kind.width <= 4 else 32 if kind.width <= 9 else 64 if kind.width <= 18 else 128
    return Column(position, f"decimal{size}", powers=power_of_ten(kind.scale))


def power_of_ten(scale: int) -> tuple[float, float]:
    """Ten to the scale as the sum of two doubles, the second 0 where the first is exact."""
    high = float(10**scale)
    return high, float(10**scale - int(high))


def _read_boolean(position: int, kind: DuckType) -> Column | None:
    return Column(position, "boolean") if kind.id == capi.BOOLEAN else None


def _read_text(position: int, kind: DuckType) -> Column | None:
    if kind.id == capi.ENUM:
        size = 8 if len(kind.words) <= 256 else 16 if len(kind.words) <= 65_536 else 32
        return Column(position, f"enum{size}", words=kind.words)
    if kind.id in (capi.VARCHAR, capi.UUID):
        return Column(position, "text" if kind.id == capi.VARCHAR else "uuid")
    return None


def _read_time(position: int, kind: DuckType) -> Column | None:
    if kind.id not in _TIMES or kind.id == capi.TIMESTAMP_TZ:
        return None
    filler, setting, pointer = _TIMES[kind.id]
    return Column(position, filler, setting, pointer)


def _read_date(position: int, kind: DuckType) -> Column | None:
    return None if kind.id in (capi.TIME, capi.TIME_NS, capi.TIME_TZ) else _read_time(position, kind)


def _read_zoned(position: int, kind: DuckType) -> Column | None:
    return Column(position, "time", setting=1) if kind.id == capi.TIMESTAMP_TZ else None


_READERS: dict[Kind, Callable[[int, DuckType], Column | None]] = {
    "number": _read_number,
    "boolean": _read_boolean,
    "text": _read_text,
    "date": _read_date,
    "timestamp": _read_time,
    "timestamptz": _read_zoned,
}
