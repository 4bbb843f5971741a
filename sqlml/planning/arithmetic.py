"""Operators and numeric functions on typed values, by DuckDB's rules of types."""

from __future__ import annotations

from decimal import Decimal

from sqlml.planning.values import (
    BOOLEAN,
    DOUBLE,
    FLOAT,
    INTEGER,
    NUMBERS,
    TEXTS,
    TIMES,
    Emitter,
    NotPortableError,
    SqlType,
    Value,
    common_type,
    decimal,
)
from udfs.columns import DAY

SHAPES = {
    **dict.fromkeys((*NUMBERS, "null"), "number"),
    **dict.fromkeys((*TIMES, "timestamptz"), "time"),
    **dict.fromkeys(TEXTS, "text"),
}


def binary(emitter: Emitter, function: str, left: Value, right: Value) -> Value:  # noqa: PLR0911 - a table of types
    """``add``, ``subtract``, ``multiply``, ``modulo``, ``divide``, ``whole_divide`` or ``power``."""
    bases = {left.type.base, right.type.base}
    if function == "subtract" and bases == {"date"}:
        days = emitter.emit("time_difference", (right.register, left.register), unit=DAY, offset=0)
        return Value(days, INTEGER)
    if not bases <= {"integer", "decimal", "float", "double", "null"}:
        raise NotPortableError(f"{function} of {left.type.base} and {right.type.base}")
    if "null" in bases:
        return emitter.null(common_type((left.type, right.type)))
    if function == "power":
        return _on_doubles(emitter, "power", left, right)
    if function == "whole_divide" and bases == {"integer"}:
        return Value(emitter.emit("arithmetic", (left.register, right.register), function="truncated_divide"), INTEGER)
    if function in ("divide", "whole_divide"):
        single = "float" in bases and "double" not in bases
        return (_on_singles if single else _on_doubles)(emitter, "divide", left, right)
    if "double" in bases:
        return _on_doubles(emitter, function, left, right)
    if "float" in bases:
        return _on_singles(emitter, function, left, right)
    return _on_units(emitter, function, left, right)


def _on_doubles(emitter: Emitter, function: str, left: Value, right: Value) -> Value:
    registers = (emitter.double(left), emitter.double(right))
    return Value(emitter.emit("arithmetic", registers, function=function), DOUBLE)


def _on_singles(emitter: Emitter, function: str, left: Value, right: Value) -> Value:
    registers = (emitter.single(left), emitter.single(right))
    return Value(emitter.emit("arithmetic", registers, function=function, single=True), FLOAT)


def _on_units(emitter: Emitter, function: str, left: Value, right: Value) -> Value:
    """Integers and decimals, exactly."""
    if function == "multiply":
        scale = left.type.scale + right.type.scale
        registers = (emitter.units(left, left.type.scale), emitter.units(right, right.type.scale))
    else:
        scale = max(left.type.scale, right.type.scale)
        registers = (emitter.units(left, scale), emitter.units(right, scale))
    exact = left.type.base == right.type.base == "integer"
    kind = INTEGER if exact else decimal(scale)
    return Value(emitter.emit("arithmetic", registers, function=function), kind, units=not exact)


def compare(emitter: Emitter, function: str, left: Value, right: Value) -> Value:
    """``eq``, ``ne``, ``lt``, ``le``, ``gt``, ``ge``, ``distinct`` or ``not_distinct``."""
    if "enum" in (left.type.base, right.type.base) and function in ("lt", "le", "gt", "ge"):
        raise NotPortableError("the order of an enum")
    kind = common_type((left.type, right.type))
    shape = SHAPES.get(kind.base)
    if shape is None:
        raise NotPortableError(f"comparison of {kind.base}")
    registers = (emitter.convert(left, kind).register, emitter.convert(right, kind).register)
    return Value(emitter.emit(f"{shape}_comparison", registers, function=function), BOOLEAN)


def choose(emitter: Emitter, condition: str, first: Value, second: Value) -> Value:
    """The first value where the condition is true, else the second; both already of one type."""
    shape = SHAPES.get(first.type.base)
    if shape is None:
        raise NotPortableError(f"a choice of {first.type.base}")
    register = emitter.emit(f"{shape}_choice", (condition, first.register, second.register))
    return Value(register, first.type, units=first.units or second.units)  # NULL is in any units


def is_null(emitter: Emitter, value: Value) -> str:
    """The register that says where a value is NULL."""
    shape = SHAPES.get(value.type.base)
    if shape is None:
        raise NotPortableError(f"IS NULL of {value.type.base}")
    if shape == "number":
        return emitter.emit("truth", (value.register,), function="is_null")
    return emitter.emit(f"{shape}_is_null", (value.register,))


def function_of_double(emitter: Emitter, function: str, value: Value) -> Value:
    """ln, sqrt, ...: always DOUBLE."""
    return Value(emitter.elementwise(function, emitter.double(value)), DOUBLE)


def same_type(emitter: Emitter, function: str, value: Value) -> Value:
    """Negate or abs, which keep the type."""
    if value.type.base not in ("integer", "decimal", "float", "double"):
        raise NotPortableError(f"{function} of {value.type.base}")
    literal = value.literal
    if isinstance(literal, Decimal):
        literal = -literal if function == "negate" else abs(literal)
    return Value(emitter.elementwise(function, value.register), value.type, value.units, literal)


def sign(emitter: Emitter, value: Value) -> Value:
    """-1, 0 or 1."""
    return Value(emitter.elementwise("sign", emitter.double(value)), INTEGER)


def to_whole(emitter: Emitter, function: str, value: Value) -> Value:
    """floor, ceil and trunc."""
    base = value.type.base
    if base == "integer":
        return value if function == "trunc" else Value(value.register, DOUBLE)
    if base == "decimal":
        return Value(emitter.elementwise(function, emitter.double(_in_units(emitter, value))), decimal(0), units=True)
    if base in ("float", "double"):
        return Value(emitter.elementwise(function, value.register), value.type)
    raise NotPortableError(f"{function} of {base}")


def _in_units(emitter: Emitter, value: Value) -> Value:
    return Value(emitter.units(value, value.type.scale), value.type, units=True)


def round_to(emitter: Emitter, value: Value, digits: int | None) -> Value:
    """round(x) and round(x, digits); ``digits`` None means that there is no second argument."""
    places = digits or 0
    if abs(places) > MAX_DIGITS:
        raise NotPortableError("round to so many digits")
    base = value.type.base
    if base == "integer":
        if places >= 0:
            return value
        return Value(emitter.elementwise("round_tens", value.register, 10**-places), INTEGER)
    if base == "decimal":
        return _round_decimal(emitter, value, places)
    if base == "float" and digits is None:
        return Value(emitter.elementwise("half_away", value.register), FLOAT)
    if base != "double":
        raise NotPortableError(f"round of {base}")
    if digits is None:
        return Value(emitter.elementwise("half_away", value.register), DOUBLE)
    function = "round_tens" if places < 0 else "round_digits"
    return Value(emitter.elementwise(function, value.register, 10 ** abs(places)), DOUBLE)


MAX_DIGITS = 15


def _round_decimal(emitter: Emitter, value: Value, places: int) -> Value:
    scale = value.type.scale
    if places >= scale:
        return value
    units = emitter.elementwise("rescaled", emitter.units(value, scale), 10 ** (scale - places))
    if places < 0:
        units = emitter.elementwise("multiply", units, 10**-places)
    return Value(units, decimal(max(places, 0)), units=True)


def cast(emitter: Emitter, value: Value, kind: SqlType) -> Value:  # noqa: PLR0911 - a table of types
    """CAST between kinds that need no text."""
    source, target = value.type.base, kind.base
    if source == "null":
        return emitter.null(kind)
    if source in TIMES and target in TIMES:
        if (source, target) == ("timestamp", "date"):
            return Value(emitter.emit("time_floor", (value.register,), unit=DAY, offset=0), kind)
        return Value(value.register, kind)
    if source in TEXTS and target == "text":
        return Value(value.register, kind)
    if source not in NUMBERS or target not in NUMBERS:
        raise NotPortableError(f"CAST of {source} as {target}")
    if target == "double":
        return Value(emitter.double(value), kind)
    if target == "float":
        return Value(emitter.single(value), kind)
    if target == "boolean":
        return Value(emitter.condition(value), kind)
    return _cast_exact(emitter, value, kind)


def _cast_exact(emitter: Emitter, value: Value, kind: SqlType) -> Value:
    """To an integer or a decimal."""
    source, scale = value.type.base, kind.scale
    exact = kind.base == "decimal"
    if source in ("boolean", "integer"):
        return Value(emitter.units(value, scale), kind, units=exact)
    if source == "decimal":
        if scale >= value.type.scale:
            return Value(emitter.units(value, scale), kind, units=exact)
        factor = 10 ** (value.type.scale - scale)
        return Value(emitter.elementwise("rescaled", emitter.units(value, value.type.scale), factor), kind, units=exact)
    if not exact:
        return Value(emitter.elementwise("half_even", value.register), kind)
    if source == "float":
        raise NotPortableError("CAST of FLOAT as DECIMAL")
    return Value(emitter.elementwise("to_units", value.register, 10**scale), kind, units=True)
