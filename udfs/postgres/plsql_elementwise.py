"""One number to one in PL/pgSQL, as ``udfs.transforms.elementwise`` computes it."""

from __future__ import annotations

import math
from collections.abc import Callable

from udfs.model import Step
from udfs.postgres.plsql_expressions import single
from udfs.postgres.plsql_guards import INFINITY, add, divide, exponential, multiply
from udfs.postgres.plsql_literals import double
from udfs.postgres.plsql_scope import Scope

Form = Callable[[str, str, Scope], str]


def half_away(x: str) -> str:
    """To a whole number, halves away from zero."""
    return f"CASE WHEN abs({x} - trunc({x})) >= '0.5' THEN trunc({x}) + sign({x}) ELSE trunc({x}) END"


def _sign(x: str) -> str:
    """-1 or 1, and a zero as it is."""
    return f"CASE WHEN {x} = 0 THEN {x} ELSE sign({x}) END"


def _logarithm(function: str) -> Form:
    return lambda x, factor, scope: f"CASE WHEN {x} > 0 THEN {function}({x}) WHEN {x} = 0 THEN -{INFINITY} END"


def _circular(function: str) -> Form:
    return lambda x, factor, scope: f"CASE WHEN abs({x}) < {INFINITY} THEN {function}({x}) END"


def _half_away_of(x: str, scope: Scope) -> str:
    return half_away(scope.let("float8", x))


def _to_units(x: str, factor: str, scope: Scope) -> str:
    product = scope.let("float8", multiply(x, factor))
    nudge = scope.let("float8", f"{double(1e-9)} * ({_sign(x)})")
    return _half_away_of(add(product, nudge), scope)


def _round_digits(x: str, factor: str, scope: Scope) -> str:
    product = scope.let("float8", multiply(x, factor))
    whole = scope.let("float8", half_away(product))
    return f"CASE WHEN abs({product}) = {INFINITY} THEN {x} ELSE {divide(whole, factor)} END"


def _round_tens(x: str, factor: str, scope: Scope) -> str:
    return multiply(scope.let("float8", _half_away_of(divide(x, factor), scope)), factor)


_FORMS: dict[str, Form] = {
    "negate": lambda x, factor, scope: f"-{x}",
    "abs": lambda x, factor, scope: f"abs({x})",
    "ln": _logarithm("ln"),
    "log10": _logarithm("log"),
    "exp": lambda x, factor, scope: exponential(x),
    "sqrt": lambda x, factor, scope: f"CASE WHEN {x} >= 0 THEN sqrt({x}) END",
    "floor": lambda x, factor, scope: f"floor({x})",
    "ceil": lambda x, factor, scope: f"ceil({x})",
    "trunc": lambda x, factor, scope: f"trunc({x})",
    "sign": lambda x, factor, scope: _sign(x),
    "single": lambda x, factor, scope: single(x),
    "half_even": lambda x, factor, scope: f"round({x})",
    "half_away": lambda x, factor, scope: half_away(x),
    "scaled": lambda x, factor, scope: _half_away_of(multiply(x, factor), scope),
    "unscaled": lambda x, factor, scope: divide(x, factor),
    "rescaled": lambda x, factor, scope: _half_away_of(divide(x, factor), scope),
    "round_digits": _round_digits,
    "round_tens": _round_tens,
    "multiply": lambda x, factor, scope: multiply(x, factor),
    "sin": _circular("sin"),
    "cos": _circular("cos"),
    "tan": _circular("tan"),
    "to_units": _to_units,
}


def elementwise(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """One number to one."""
    factor = float(step.params.get("factor", 1.0))
    constant = double(factor) if math.isfinite(factor) else scope.let("float8", double(factor))
    return [_FORMS[step.params["function"]](inputs[0], constant, scope)]


def elementwise_refusal(step: Step) -> str | None:
    """Why a function has no form: PostgreSQL has no binary logarithm."""
    function = step.params["function"]
    return None if function in _FORMS else f'function "{function}" of the transform has no form in SQL'
