"""Portable expressions by Postgres' rules of types, where they differ from DuckDB's.

Whole numbers divide to whole numbers; what is computed in ``numeric`` beyond sums and products stays with the server, whose digits no
double has; ``real`` beside any other number becomes ``double precision``; the order of texts is a collation's and stays with the
server, as do seconds, which come with their fraction; EXTRACT gives ``numeric``, and date_part as good as that.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from sqlml.planning import arithmetic as rules
from sqlml.planning.calendar import calendar_part
from sqlml.planning.expressions import Compiler
from sqlml.planning.values import DOUBLE, NotPortableError, SqlType, Value, decimal

_ORDERED = ("lt", "le", "gt", "ge")
# Fields of EXTRACT that mean in whole numbers what the kernels compute.
_PARTS = {
    **{
        part: part
        for part in ("year", "month", "day", "dow", "doy", "hour", "minute", "quarter", "week", "isoyear", "isodow")
    },
    "microseconds": "microsecond",
}


class PostgresCompiler(Compiler):
    """Compiles the server's own SQL."""

    dialect = "postgres"

    def _binary(self, function: str, left: Value, right: Value) -> Value:
        bases = {left.type.base, right.type.base}
        if "float" in bases and bases & {"integer", "decimal"}:
            left, right = (Value(self._emitter.double(value), DOUBLE) for value in (left, right))
        elif function in ("divide", "power", "modulo") and "double" not in bases and "float" not in bases:
            return self._exact(function, left, right)
        if function == "modulo":
            raise NotPortableError("a remainder of floating point numbers, which Postgres does not have")
        return super()._binary(function, left, right)

    def _exact(self, function: str, left: Value, right: Value) -> Value:
        """Operators of whole and decimal numbers that are not sums and products."""
        bases = {left.type.base, right.type.base}
        if bases - {"integer", "null"} and function != "modulo":
            raise NotPortableError(f"{function} of numeric")
        if function == "power" or "null" in bases:
            return super()._binary(function, left, right)
        return super()._binary("whole_divide" if function == "divide" else function, left, right)

    def _function(self, function: str, value: Value) -> Value:
        if value.type.base == "decimal":
            raise NotPortableError(f"{function} of numeric")
        return super()._function(function, value)

    def _round_to(self, value: Value, digits: int | None) -> Value:
        base = value.type.base
        if base == "decimal" and not (digits or 0) < 0:
            return super()._round_to(value, digits)
        if base in ("double", "float") and digits is None:
            return Value(self._emitter.elementwise("half_even", self._emitter.double(value)), DOUBLE)
        raise NotPortableError(f"round of {base}")

    def _comparison(self, function: str, left: Value, right: Value) -> Value:
        if function in _ORDERED and {left.type.base, right.type.base} & {"text", "enum"}:
            raise NotPortableError("the order of texts")
        return super()._comparison(function, left, right)

    def _converted(self, value: Value, target: SqlType) -> Value:
        if target.base == "decimal" and value.type.base in ("double", "float"):
            raise NotPortableError("CAST of floating point as numeric")
        if value.type.base == "boolean" and target.base not in ("boolean", "integer"):
            raise NotPortableError(f"CAST of boolean as {target.base}, which Postgres does not have")
        return rules.cast(self._emitter, value, target)

    def _extract(self, node: exp.Extract) -> Value:
        part = node.name.lower()
        name = _PARTS.get(part)
        if name is None:
            raise NotPortableError(part)
        register = calendar_part(self._emitter, name, self.compile(node.expression), self._time_zone).register
        return Value(register, decimal(0), units=True)

    def _part(self, part: str, node: Any) -> Value:
        raise NotPortableError(f"{part}(), which Postgres does not have")

    def _anonymous(self, node: exp.Anonymous) -> Value:
        raise NotPortableError(str(node.this))

    def _if(self, node: exp.If) -> Value:
        raise NotPortableError("if(), which Postgres does not have")

    def _date_difference(self, node: exp.DateDiff) -> Value:
        raise NotPortableError("date_diff(), which Postgres does not have")
