"""Numeric preprocessors in PL/pgSQL: scalers, buckets, imputed values, norms and products."""

from __future__ import annotations

import math

from udfs.model import Step
from udfs.postgres.plsql_guards import add, divide, multiply, subtract
from udfs.postgres.plsql_literals import double, doubles
from udfs.postgres.plsql_power import power
from udfs.postgres.plsql_scope import Scope


def scaler(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """(x - shift) / divisor within limits."""
    shift, divisor, low, high = (double(value) for value in step.params["scaling"].tolist())
    moved = scope.let("float8", subtract(inputs[0], shift))
    scaled = scope.let("float8", divide(moved, divisor))
    # a missing value must stay one: least and greatest would skip it
    return [f"CASE WHEN {scaled} < {low} THEN {low} WHEN {scaled} > {high} THEN {high} ELSE {scaled} END"]


def imputer(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """A value for missing ones."""
    value = float(step.params["value"])
    return [inputs[0] if math.isnan(value) else f"coalesce({inputs[0]}, {double(value)})"]


def bucketize(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """How many points are not above x."""
    points = step.params["points"].tolist()
    if not points:
        return [f"CASE WHEN {inputs[0]} IS NOT NULL THEN {double(0.0)} END"]
    return [f"width_bucket({inputs[0]}, {doubles(points)})::float8"]


def polynomial_expand(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Products of inputs, from left to right."""
    terms, at = [], 0
    factors = step.params["terms"].tolist()
    for size in step.params["sizes"].tolist():
        product = inputs[factors[at]]
        for factor in factors[at + 1 : at + size]:
            product = scope.let("float8", multiply(product, inputs[factor]))
        terms.append(product)
        at += size
    return terms


def normalizer(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Values divided by their norm."""
    p = float(step.params["p"])
    norm = scope.let("float8", _norm(inputs, p, scope))
    divisor = scope.let("float8", f"CASE WHEN {norm} = 0 THEN {double(1.0)} ELSE {norm} END")
    return [divide(x, divisor) for x in inputs]


def _norm(inputs: list[str], p: float, scope: Scope) -> str:
    missing = " OR ".join(f"{x} IS NULL" for x in inputs)
    if p == 0.0:
        counts = " + ".join(f"({x} <> 0)::int4" for x in inputs)
        return f"({counts})::float8"
    if math.isinf(p):
        largest = ", ".join(f"abs({x})" for x in inputs)
        return f"CASE WHEN {missing} THEN NULL ELSE greatest({largest}) END"
    total = double(0.0)
    for x in inputs:
        total = scope.let("float8", add(total, _powered(x, p, scope)))
    if p == 1.0:
        return total
    return f"sqrt({total})" if p == 2.0 else power(total, double(1.0 / p))


def _powered(x: str, p: float, scope: Scope) -> str:
    if p == 1.0:
        return scope.let("float8", f"abs({x})")
    if p == 2.0:
        return scope.let("float8", multiply(x, x))
    return scope.let("float8", power(scope.let("float8", f"abs({x})"), double(p)))
