"""Expressions of a TRANSFORM in PL/pgSQL: constants, arithmetic, comparisons, logic, choices, lists, and points in time."""

from __future__ import annotations

import math

from udfs.model import Step
from udfs.postgres.plsql_guards import add, divide, is_negative, multiply, signed_infinity, signed_zero, subtract
from udfs.postgres.plsql_literals import double, doubles, text
from udfs.postgres.plsql_power import power, remainder
from udfs.postgres.plsql_scope import Scope
from udfs.postgres.plsql_texts import lookup, step_texts

_SIGNS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ALWAYS = {"distinct": "IS DISTINCT FROM", "not_distinct": "IS NOT DISTINCT FROM"}
ONE, ZERO = double(1.0), double(0.0)


def flag(condition: str) -> str:
    """A condition as a number: 1, 0, or NULL where it is unknown."""
    return f"({condition})::int4::float8"


def single(x: str) -> str:
    """The nearest float4 as a float8; Postgres refuses those beyond float4's range."""
    high, low = double(float.fromhex("0x1.ffffffp+127")), double(2.0**-150)
    return (
        f"CASE WHEN abs({x}) >= {high} THEN {signed_infinity(f'{x} < 0')} "
        f"WHEN abs({x}) <= {low} THEN {signed_zero(is_negative(x))} ELSE {x}::float4::float8 END"
    )


def number_constant(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """A number or NULL."""
    value = step.params["value"]
    missing = value is None or math.isnan(value)
    return ["NULL" if missing else double(float(value))]


def time_constant(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """A point in time or NULL."""
    value = step.params["value"]
    return ["NULL" if value is None else f"'{value}'::int8"]


def text_constant(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """A text or NULL; one with a zero byte cannot exist in PostgreSQL and equals nothing."""
    value = step.params["value"]
    return ["NULL" if value is None else text(value)]


def arithmetic(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Two numbers to one."""
    a, b = inputs
    match step.params["function"]:
        case "add":
            result = add(a, b)
        case "subtract":
            result = subtract(a, b)
        case "multiply":
            result = multiply(a, b)
        case "divide":
            result = divide(a, b)
        case "truncated_divide":
            rest = scope.let("float8", subtract(a, remainder(a, b, scope)))
            quotient = scope.let("float8", divide(rest, b))
            result = f"trunc({quotient})"
        case "modulo":
            result = remainder(a, b, scope)
        case "power":
            result = power(a, b)
        case "least" | "greatest" as function:
            result = f"{function}({a}, {b})"
    if not step.params.get("single"):
        return [result]
    return [single(scope.let("float8", result))]


def comparison(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Two values of any shape to a boolean."""
    function = step.params["function"]
    return [flag(f"{inputs[0]} {_SIGNS.get(function) or _ALWAYS[function]} {inputs[1]}")]


def logic(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Three-valued and, or; a number that is neither 0 nor 1 is what the kernel takes it for: not decisive."""
    a, b = inputs
    decisive, other = (ZERO, ONE) if step.params["function"] == "and" else (ONE, ZERO)
    decided = f"{a} = {decisive} OR {b} = {decisive}"
    return [f"CASE WHEN {decided} THEN {decisive} WHEN {a} IS NOT NULL AND {b} IS NOT NULL THEN {other} END"]


def truth(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """A number as a condition."""
    (x,) = inputs
    conditions = {
        "not": f"{x} = 0",
        "truth": f"{x} <> 0",
        "is_null": f"{x} IS NULL",
        "is_true": f"{x} IS NOT NULL AND {x} <> 0",
        "is_false": f"{x} IS NOT NULL AND {x} = 0",
    }
    return [flag(conditions[step.params["function"]])]


def is_null(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Whether a point in time or a text is missing."""
    return [flag(f"{inputs[0]} IS NULL")]


def choice(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """The first value where the condition is 1, else the second."""
    condition, first, second = inputs
    return [f"CASE WHEN {condition} = 1 THEN {first} ELSE {second} END"]


def number_membership(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Whether a number is in a list."""
    (x,) = inputs
    values = [value for value in step.params["values"].tolist() if not math.isnan(value)]
    absent = "NULL" if step.params["has_null"] else ZERO
    return [f"CASE WHEN {x} IS NULL THEN NULL WHEN {x} = ANY ({doubles(values)}) THEN {ONE} ELSE {absent} END"]


def text_membership(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Whether a text is in a list."""
    (x,) = inputs
    absent = "NULL" if step.params["has_null"] else ZERO
    found = lookup(x, {value: 1 for value in step_texts(step, "values") if value is not None})
    return [f"CASE WHEN {x} IS NULL THEN NULL WHEN {found} = 1 THEN {ONE} ELSE {absent} END"]


def floor_divide(x: str, unit: int) -> str:
    """A whole quotient, rounded down: Postgres' own is rounded towards zero."""
    return f"(({x}) / {unit} - (({x}) % {unit} < 0)::int4)"


def time_difference(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """How many boundaries of a unit lie between two points in time."""
    a, b = (f"{moment} + {step.params.get('offset', 0)}" for moment in inputs)
    unit = step.params["unit"]
    return [f"({floor_divide(b, unit)} - {floor_divide(a, unit)})::float8"]


def time_floor(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """The start of a unit."""
    unit, offset = step.params["unit"], step.params.get("offset", 0)
    return [f"{floor_divide(f'{inputs[0]} + {offset}', unit)} * {unit} - {offset}"]
