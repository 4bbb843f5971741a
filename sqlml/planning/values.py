"""Typed values of portable expressions and the conversions between them: what DuckDB's types make of a number.

Arithmetic happens on doubles, and stays exact where DuckDB's is: integers are whole doubles, and a DECIMAL takes part as its whole
number of units (12.34 with scale 2 is 1234). Both are exact up to 2^53, decimals read from a column up to 2^51 units; beyond that a
result may differ in its last digits, where DuckDB would compute in 64 or 128 bits, or raise an error on overflow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from udfs.model import Step

Base = Literal[
    "boolean",
    "integer",
    "decimal",
    "float",
    "double",
    "text",
    "enum",
    "date",
    "timestamp",
    "timestamptz",
    "time",
    "null",
]
NUMBERS = ("boolean", "integer", "decimal", "float", "double")
TIMES = ("date", "timestamp")
TEXTS = ("text", "enum")
MAX_SCALE = 15  # of decimals that doubles can hold units of


class NotPortableError(Exception):
    """An expression, or a part of it, that only the engine can compute."""


@dataclass(frozen=True)
class SqlType:
    """A type as far as arithmetic depends on it."""

    base: Base
    scale: int = 0


BOOLEAN = SqlType("boolean")
INTEGER = SqlType("integer")
FLOAT = SqlType("float")
DOUBLE = SqlType("double")
TEXT = SqlType("text")
DATE = SqlType("date")
TIMESTAMP = SqlType("timestamp")
NULL = SqlType("null")


@dataclass(frozen=True)
class Value:
    """A register and its type; ``units`` says that a decimal's register holds units. Literals keep their exact value."""

    register: str
    type: SqlType
    units: bool = False
    literal: Decimal | str | None = None


def decimal(scale: int) -> SqlType:
    """The decimal type of a scale."""
    if scale > MAX_SCALE:
        raise NotPortableError(f"decimals with {scale} digits after the point")
    return SqlType("decimal", scale)


def common_type(types: Iterable[SqlType]) -> SqlType:  # noqa: PLR0911 - a table of types
    """The type that CASE, COALESCE and GREATEST give values of these types."""
    known = [kind for kind in types if kind.base != "null"]
    if not known:
        return NULL
    bases = {kind.base for kind in known}
    if bases <= set(NUMBERS):
        for base, kind in (("double", DOUBLE), ("float", FLOAT)):
            if base in bases:
                return kind
        if "decimal" in bases:
            return decimal(max(kind.scale for kind in known))
        return INTEGER if "integer" in bases else BOOLEAN
    if bases <= set(TEXTS):
        return TEXT
    if bases <= set(TIMES):
        return TIMESTAMP if "timestamp" in bases else DATE
    if bases == {"timestamptz"}:
        return known[0]
    raise NotPortableError("values of different kinds")


def _key(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    return (type(value).__name__, repr(value))


class Emitter:
    """Writes steps, each computation once, and converts values between types."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.steps: list[Step] = []
        self._taken = set(taken)
        self._known: dict[Any, str] = {}
        self._count = 0

    def fresh(self) -> str:
        """A register name that no argument has."""
        while True:
            self._count += 1
            name = f"${self._count}"
            if name not in self._taken:
                return name

    def emit(self, op: str, inputs: tuple[str, ...] = (), **params: Any) -> str:
        """The register of ``op(inputs)``."""
        key = (op, inputs, tuple((name, _key(value)) for name, value in sorted(params.items())))
        if key not in self._known:
            register = self.fresh()
            self.steps.append(Step(op, inputs, (register,), params))
            self._known[key] = register
        return self._known[key]

    def emit_many(self, op: str, inputs: tuple[str, ...], count: int, **params: Any) -> tuple[str, ...]:
        """The registers of an operator with several outputs."""
        registers = tuple(self.fresh() for _ in range(count))
        self.steps.append(Step(op, inputs, registers, params))
        return registers

    def elementwise(self, function: str, register: str, factor: int | None = None) -> str:
        """A function of one number."""
        if factor is None:
            return self.emit("elementwise", (register,), function=function)
        return self.emit("elementwise", (register,), function=function, factor=float(factor))

    def null(self, kind: SqlType = NULL) -> Value:
        """NULL of a type."""
        if kind.base in TEXTS:
            return Value(self.emit("text_constant", value=None), kind)
        if kind.base in (*TIMES, "timestamptz"):
            return Value(self.emit("time_constant", value=None), kind)
        return Value(self.emit("number_constant", value=None), kind)

    def number(self, literal: Decimal, kind: SqlType) -> Value:
        """A numeric literal."""
        return Value(self.emit("number_constant", value=float(literal)), kind, literal=literal)

    def double(self, value: Value) -> str:
        """The register of a number as a double."""
        if value.type.base == "null":
            return self.null().register
        if value.type.base not in NUMBERS:
            raise NotPortableError(f"{value.type.base} where a number is needed")
        if value.units and value.type.scale:
            return self.elementwise("unscaled", value.register, 10**value.type.scale)
        return value.register

    def single(self, value: Value) -> str:
        """The register of a number rounded to FLOAT."""
        register = self.double(value)
        return register if value.type.base in ("float", "boolean") else self.elementwise("single", register)

    def units(self, value: Value, scale: int) -> str:
        """The register of an exact number as units of 10^-scale; ``scale`` is not below the value's own."""
        if isinstance(value.literal, Decimal):
            return self.emit("number_constant", value=float(value.literal.scaleb(scale)))
        register = value.register
        own = value.type.scale
        if value.type.base == "decimal" and not value.units:
            register = self.elementwise("scaled", register, 10**own)
        return self.elementwise("multiply", register, 10 ** (scale - own)) if scale > own else register

    def condition(self, value: Value) -> str:
        """The register of a value as a boolean."""
        if value.type.base == "boolean":
            return value.register
        return self.emit("truth", (self.double(value),), function="truth")

    def convert(self, value: Value, kind: SqlType) -> Value:
        """A value as the common type of several."""
        if value.type.base == "null":
            return self.null(kind)
        if kind.base == "double":
            return Value(self.double(value), kind)
        if kind.base == "float":
            return Value(self.single(value), kind)
        if kind.base == "decimal":
            return Value(self.units(value, kind.scale), kind, units=True)
        return replace(value, type=kind)
