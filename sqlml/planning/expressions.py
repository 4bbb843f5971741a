"""Portable expressions: an AST read by sqlglot in, steps of the transform program out; anything else raises NotPortableError.

Results are what DuckDB gives, with these differences: NaN counts as NULL; what DuckDB refuses with an error for one row (division of
whole numbers by zero, overflow, a cast out of range) is NULL or a number here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import reduce
from typing import Any

import numpy as np
import sqlglot
from sqlglot import exp

from sqlml.planning import arithmetic as rules
from sqlml.planning.calendar import CALENDAR_CLASSES, PART_NAMES, calendar_part, date_difference, parse_moment
from sqlml.planning.values import (
    BOOLEAN,
    DATE,
    DOUBLE,
    FLOAT,
    INTEGER,
    TEXT,
    TEXTS,
    TIMES,
    TIMESTAMP,
    Emitter,
    NotPortableError,
    SqlType,
    Value,
    common_type,
    decimal,
)

Node = exp.Expression
ColumnOf = Callable[[exp.Column], Value]


class Compiler:
    """Compiles expressions over columns that ``column_of`` provides (it raises for a column nobody knows)."""

    dialect = "duckdb"

    def __init__(self, emitter: Emitter, column_of: ColumnOf, time_zone: str) -> None:
        self._emitter = emitter
        self._column_of = column_of
        self._time_zone = time_zone

    def parse(self, source: str) -> Any:
        """The AST of an expression; raises sqlglot's error where it cannot be read."""
        return sqlglot.parse_one(source, dialect=self.dialect)

    def compile(self, node: Any) -> Value:
        """The value of an expression."""
        method = _METHODS.get(type(node).__name__)
        if method is not None:
            value: Value = getattr(self, method)(node)
            return value
        name = type(node).__name__
        if name in _BINARY:
            return self._binary(_BINARY[name], self.compile(node.this), self.compile(node.expression))
        if name in _COMPARISONS:
            return self._compare(_COMPARISONS[name], node.this, node.expression)
        if name in _DOUBLE_FUNCTIONS:
            _only(node, "this")
            return self._function(_DOUBLE_FUNCTIONS[name], self.compile(node.this))
        if name in CALENDAR_CLASSES:
            _only(node, "this")
            return self._part(CALENDAR_CLASSES[name], node.this)
        raise NotPortableError(name)

    def _binary(self, function: str, left: Value, right: Value) -> Value:
        return rules.binary(self._emitter, function, left, right)

    def _function(self, function: str, value: Value) -> Value:
        return rules.function_of_double(self._emitter, function, value)

    def _column(self, node: exp.Column) -> Value:
        return self._column_of(node)

    def _paren(self, node: exp.Paren) -> Value:
        return self.compile(node.this)

    def _literal(self, node: exp.Literal) -> Value:
        text = str(node.this)
        if node.is_string:
            return Value(self._emitter.emit("text_constant", value=text), TEXT, literal=text)
        try:
            number = Decimal(text.replace("_", ""))
        except InvalidOperation as error:
            raise NotPortableError(text) from error
        if "e" in text.lower():
            return self._emitter.number(number, DOUBLE)
        if "." not in text:
            return self._emitter.number(number, INTEGER)
        exponent = number.as_tuple().exponent
        return self._emitter.number(number, decimal(-int(exponent)))

    def _boolean(self, node: exp.Boolean) -> Value:
        return Value(self._emitter.emit("number_constant", value=float(bool(node.this))), BOOLEAN)

    def _null(self, node: exp.Null) -> Value:
        return self._emitter.null()

    def _negate(self, node: exp.Neg) -> Value:
        return rules.same_type(self._emitter, "negate", self.compile(node.this))

    def _abs(self, node: exp.Abs) -> Value:
        return rules.same_type(self._emitter, "abs", self.compile(node.this))

    def _sign(self, node: exp.Sign) -> Value:
        return rules.sign(self._emitter, self.compile(node.this))

    def _to_whole(self, node: Node) -> Value:
        _only(node, "this")
        return rules.to_whole(self._emitter, type(node).__name__.lower(), self.compile(node.this))

    def _round(self, node: exp.Round) -> Value:
        _only(node, "this", "decimals")
        digits = node.args.get("decimals")
        return self._round_to(self.compile(node.this), None if digits is None else _whole(digits))

    def _round_to(self, value: Value, digits: int | None) -> Value:
        return rules.round_to(self._emitter, value, digits)

    def _log(self, node: exp.Log) -> Value:
        if not node.expression:
            return self._function("log10", self.compile(node.this))
        # sqlglot reads log2(x) and log(2, x) alike, which differ in their last bits; log10(x) and log(10, x) do not
        if isinstance(node.this, exp.Literal) and str(node.this.this) == "10":
            return self._function("log10", self.compile(node.expression))
        raise NotPortableError("log with a base")

    def _connect(self, node: exp.Connector) -> Value:
        registers = tuple(self._emitter.condition(self.compile(side)) for side in (node.this, node.expression))
        return Value(self._emitter.emit("logic", registers, function=type(node).__name__.lower()), BOOLEAN)

    def _not(self, node: exp.Not) -> Value:
        register = self._emitter.condition(self.compile(node.this))
        return Value(self._emitter.emit("truth", (register,), function="not"), BOOLEAN)

    def _is(self, node: exp.Is) -> Value:
        _only(node, "this", "expression", "negate")
        if node.args.get("negate"):  # how Postgres' NOT is read
            return self._not(exp.Not(this=exp.Is(this=node.this, expression=node.expression)))
        value = self.compile(node.this)
        if isinstance(node.expression, exp.Null):
            return Value(rules.is_null(self._emitter, value), BOOLEAN)
        if not isinstance(node.expression, exp.Boolean):
            raise NotPortableError("IS")
        function = "is_true" if node.expression.this else "is_false"
        return Value(self._emitter.emit("truth", (self._emitter.condition(value),), function=function), BOOLEAN)

    def _compare(self, function: str, left: Node, right: Node) -> Value:
        a, b = self._pair(self.compile(left), self.compile(right))
        return self._comparison(function, a, b)

    def _comparison(self, function: str, left: Value, right: Value) -> Value:
        return rules.compare(self._emitter, function, left, right)

    def _pair(self, left: Value, right: Value) -> tuple[Value, Value]:
        """Two operands of a comparison, a string literal beside a date read as one."""
        return self._moment(left, right.type), self._moment(right, left.type)

    def _moment(self, value: Value, other: SqlType) -> Value:
        if not isinstance(value.literal, str) or other.base not in TIMES:
            return value
        micros = parse_moment(value.literal, with_clock=other.base == "timestamp")
        return Value(self._emitter.emit("time_constant", value=micros), other)

    def _between(self, node: exp.Between) -> Value:
        _only(node, "this", "low", "high")
        low = self._compare("ge", node.this, node.args["low"])
        high = self._compare("le", node.this, node.args["high"])
        return Value(self._emitter.emit("logic", (low.register, high.register), function="and"), BOOLEAN)

    def _in(self, node: exp.In) -> Value:
        _only(node, "this", "expressions")
        value = self.compile(node.this)
        items = [item for item in node.expressions if not isinstance(item, exp.Null)]
        has_null = len(items) < len(node.expressions)
        literals = [_text_literal(item) for item in items]
        if value.type.base in TEXTS and None not in literals:
            return self._in_texts(value, [text for text in literals if text is not None], has_null=has_null)
        results = [self._compare("eq", node.this, item) for item in node.expressions]
        if not results:
            raise NotPortableError("IN ()")
        registers = [result.register for result in results]
        return Value(reduce(lambda a, b: self._emitter.emit("logic", (a, b), function="or"), registers), BOOLEAN)

    def _in_texts(self, value: Value, texts: list[str], *, has_null: bool) -> Value:
        encoded = [text.encode() for text in texts]
        offsets = np.cumsum([0, *(len(data) for data in encoded)]).astype(np.int64)
        blob = np.frombuffer(b"".join(encoded), np.uint8)
        register = self._emitter.emit(
            "text_membership", (value.register,), values=blob, values_offsets=offsets, has_null=has_null
        )
        return Value(register, BOOLEAN)

    def _case(self, node: exp.Case) -> Value:
        subject = node.this
        conditions = []
        for branch in node.args["ifs"]:
            if subject is None:
                conditions.append(self._emitter.condition(self.compile(branch.this)))
            else:
                conditions.append(self._compare("eq", subject, branch.this).register)
        default = node.args.get("default")
        results = [self.compile(branch.args["true"]) for branch in node.args["ifs"]]
        return self._chain(conditions, [*results, self._emitter.null() if default is None else self.compile(default)])

    def _if(self, node: exp.If) -> Value:
        condition = self._emitter.condition(self.compile(node.this))
        other = node.args.get("false")
        default = self._emitter.null() if other is None else self.compile(other)
        return self._chain([condition], [self.compile(node.args["true"]), default])

    def _chain(self, conditions: list[str], results: list[Value]) -> Value:
        kind = common_type(result.type for result in results)
        converted = [self._emitter.convert(result, kind) for result in results]
        chosen = converted.pop()
        for condition, result in zip(reversed(conditions), reversed(converted), strict=True):
            chosen = rules.choose(self._emitter, condition, result, chosen)
        return chosen

    def _coalesce(self, node: exp.Coalesce) -> Value:
        values = [self.compile(item) for item in (node.this, *node.expressions)]
        kind = common_type(value.type for value in values)
        converted = [self._emitter.convert(value, kind) for value in values]
        chosen = converted.pop()
        for value in reversed(converted):
            chosen = rules.choose(self._emitter, rules.is_null(self._emitter, value), chosen, value)
        return chosen

    def _nullif(self, node: exp.Nullif) -> Value:
        value = self.compile(node.this)
        equal = self._compare("eq", node.this, node.expression)
        return rules.choose(self._emitter, equal.register, self._emitter.null(value.type), value)

    def _extreme(self, node: Node) -> Value:
        values = [self.compile(item) for item in (node.this, *node.expressions)]
        kind = common_type(value.type for value in values)
        if kind.base not in ("integer", "decimal", "float", "double"):
            raise NotPortableError(f"{type(node).__name__} of {kind.base}")
        converted = [self._emitter.convert(value, kind) for value in values]
        function = type(node).__name__.lower()
        chosen = converted[0]
        for value in converted[1:]:
            register = self._emitter.emit("arithmetic", (chosen.register, value.register), function=function)
            chosen = Value(register, kind, units=kind.base == "decimal")
        return chosen

    def _cast(self, node: exp.Cast) -> Value:
        target = sql_type_of(node.args["to"])
        value = self.compile(node.this)
        if isinstance(value.literal, str):
            if target.base in TIMES:
                return self._moment(value, target)
            if target.base != "text":
                raise NotPortableError("CAST of text")
        return self._converted(value, target)

    def _converted(self, value: Value, target: SqlType) -> Value:
        return rules.cast(self._emitter, value, target)

    def _extract(self, node: exp.Extract) -> Value:
        return self._part(node.name.lower(), node.expression)

    def _part(self, part: str, node: Node) -> Value:
        return calendar_part(self._emitter, PART_NAMES.get(part, part), self.compile(node), self._time_zone)

    def _date_difference(self, node: exp.DateDiff) -> Value:
        unit = node.args.get("unit")
        if unit is None:
            raise NotPortableError("date_diff")
        return date_difference(self._emitter, unit.name.lower(), self.compile(node.expression), self.compile(node.this))

    def _anonymous(self, node: exp.Anonymous) -> Value:
        name, arguments = str(node.this).lower(), node.expressions
        if name in ("date_part", "datepart") and len(arguments) == 2:
            part = _text_literal(arguments[0])
            if part is not None:
                return self._part(part.lower(), arguments[1])
        if name in PART_NAMES and len(arguments) == 1:
            return self._part(name, arguments[0])
        raise NotPortableError(name)


def _only(node: Node, *names: str) -> None:
    """Refuse arguments of a function that we do not look at."""
    for name, value in node.args.items():
        if name not in names and value not in (None, False, []):
            raise NotPortableError(f"{type(node).__name__} with {name}")


def _whole(node: Any) -> int:
    if isinstance(node, exp.Neg):
        return -_whole(node.this)
    if isinstance(node, exp.Literal) and not node.is_string and re.fullmatch(r"\d+", str(node.this)):
        return int(str(node.this))
    raise NotPortableError("a computed number of digits")


def _text_literal(node: Any) -> str | None:
    return str(node.this) if isinstance(node, exp.Literal) and node.is_string else None


def sql_type_of(node: exp.DataType) -> SqlType:
    """The type that a CAST names."""
    name = getattr(node.this, "name", str(node.this))
    if name == "DECIMAL":
        numbers = [int(str(parameter.this.this)) for parameter in node.expressions]
        return decimal(numbers[1] if len(numbers) > 1 else 3 if not numbers else 0)
    if name in _CAST_TYPES and not node.expressions:
        return _CAST_TYPES[name]
    raise NotPortableError(f"CAST as {name}")


_CAST_TYPES = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT", "UTINYINT", "USMALLINT", "UINT", "UBIGINT"), INTEGER),
    "FLOAT": FLOAT,
    "DOUBLE": DOUBLE,
    "BOOLEAN": BOOLEAN,
    "TEXT": TEXT,
    "VARCHAR": TEXT,
    "DATE": DATE,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMPNTZ": TIMESTAMP,
}
_BINARY = {
    "Add": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "Div": "divide",
    "IntDiv": "whole_divide",
    "Mod": "modulo",
    "Pow": "power",
}
_COMPARISONS = {
    "EQ": "eq",
    "NEQ": "ne",
    "LT": "lt",
    "LTE": "le",
    "GT": "gt",
    "GTE": "ge",
    "NullSafeEQ": "not_distinct",
    "NullSafeNEQ": "distinct",
}
_DOUBLE_FUNCTIONS = {"Ln": "ln", "Exp": "exp", "Sqrt": "sqrt", "Sin": "sin", "Cos": "cos", "Tan": "tan"}
_METHODS = {
    "Column": "_column",
    "Paren": "_paren",
    "Literal": "_literal",
    "Boolean": "_boolean",
    "Null": "_null",
    "Neg": "_negate",
    "Abs": "_abs",
    "Sign": "_sign",
    "Floor": "_to_whole",
    "Ceil": "_to_whole",
    "Trunc": "_to_whole",
    "Round": "_round",
    "Log": "_log",
    "And": "_connect",
    "Or": "_connect",
    "Not": "_not",
    "Is": "_is",
    "Between": "_between",
    "In": "_in",
    "Case": "_case",
    "If": "_if",
    "Coalesce": "_coalesce",
    "Nullif": "_nullif",
    "Greatest": "_extreme",
    "Least": "_extreme",
    "Cast": "_cast",
    "Extract": "_extract",
    "DateDiff": "_date_difference",
    "Anonymous": "_anonymous",
}
