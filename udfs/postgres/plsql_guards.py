"""Arithmetic on doubles as C has it, in SQL that Postgres never answers with "out of range".

Postgres refuses a finite sum that is infinite, a product that vanishes, exp(-800) and 1/0, where IEEE arithmetic, and so
LightGBM and the kernels, go on with infinity and zero. Every form below first asks whether its operands are ordinary, which is
all that ordinary rows pay; the rest decides from scaled operands what the hardware would have said. Operands are names of
variables or constants, as they are repeated; NULL gives NULL; results that are no numbers are NULL.
"""

from __future__ import annotations

import math

from udfs.postgres.plsql_literals import double

INFINITY = double(math.inf)
EXP_HIGH = 709.782712893384  # the largest double whose exponential is finite
EXP_LOW = -745.1332191019411  # the smallest double whose exponential is not zero
SQUARE_LOW = 1.5717277847026285e-162  # the largest double whose square vanishes
SQUARE_HIGH = 1.3407807929942596e154  # the largest double whose square is finite


def exponential(x: str) -> str:
    """C's exp."""
    return (
        f"CASE WHEN {x} > {double(EXP_HIGH)} THEN {INFINITY} WHEN {x} < {double(EXP_LOW)} THEN {double(0.0)} "
        f"ELSE exp({x}) END"
    )


def signed_zero(negative: str) -> str:
    """A zero of the sign that a condition tells."""
    return f"CASE WHEN {negative} THEN {double(-0.0)} ELSE {double(0.0)} END"


def signed_infinity(negative: str) -> str:
    """An infinity of the sign that a condition tells."""
    return f"CASE WHEN {negative} THEN {double(-math.inf)} ELSE {INFINITY} END"


def is_ordinary(x: str) -> str:
    """Far enough from zero and infinity that a product or quotient of two is as well."""
    return f"abs({x}) BETWEEN '1e-150' AND '1e150'"


def is_negative(x: str) -> str:
    """The sign bit, which a comparison does not see of -0.0."""
    return f"({x} < 0 OR {x} = 0 AND {x}::text = '-0')"


def add(a: str, b: str) -> str:
    """A + b."""
    return _sum(a, b, "+")


def subtract(a: str, b: str) -> str:
    """A - b."""
    return _sum(a, b, "-")


def _sum(a: str, b: str, sign: str) -> str:
    # halves are exact where they matter: beside a number this large, one below 1e-300 is nothing
    half_a, half_b = (f"CASE WHEN abs({x}) > '1e-300' THEN {x} * '0.5' ELSE {double(0.0)} END" for x in (a, b))
    half = f"({half_a} {sign} {half_b})"
    limit = double(2.0**1023)
    return (
        f"CASE WHEN abs({a}) < '8e307' AND abs({b}) < '8e307' THEN {a} {sign} {b} "
        f"WHEN abs({a}) = {INFINITY} OR abs({b}) = {INFINITY} THEN nullif({a} {sign} {b}, 'NaN') "
        f"WHEN {half} >= {limit} THEN {INFINITY} WHEN {half} <= -{limit} THEN -{INFINITY} ELSE {a} {sign} {b} END"
    )


def multiply(a: str, b: str) -> str:
    """A * b."""
    negative = f"{is_negative(a)} <> {is_negative(b)}"
    big, small = double(2.0**-512), double(2.0**537)
    return (
        f"CASE WHEN {is_ordinary(a)} AND {is_ordinary(b)} THEN {a} * {b} "
        f"WHEN abs({a}) = {INFINITY} OR abs({b}) = {INFINITY} THEN nullif({a} * {b}, 'NaN') "
        f"WHEN abs({a}) > 1 AND abs({b}) > 1 THEN CASE WHEN abs(({a} * {big}) * ({b} * {big})) >= 1 "
        f"THEN {signed_infinity(negative)} ELSE {a} * {b} END "
        f"WHEN {a} <> 0 AND {b} <> 0 AND abs({a}) < 1 AND abs({b}) < 1 "
        f"THEN CASE WHEN abs(({a} * {small}) * ({b} * {small})) <= '0.5' "
        f"THEN {signed_zero(negative)} ELSE {a} * {b} END ELSE {a} * {b} END"
    )


def divide(a: str, b: str) -> str:
    """A / b."""
    negative = f"{is_negative(a)} <> {is_negative(b)}"
    root = f"sqrt(sqrt(abs({a}))) / sqrt(sqrt(abs({b})))"  # of the magnitude of the quotient: always in range
    over = (
        f"CASE WHEN abs({b}) < {double(2.0**-400)} THEN abs({a} / ({b} * {double(2.0**500)})) "
        f"ELSE abs({a} * {double(2.0**-500)} / {b}) END >= {double(2.0**524)}"
    )
    under = f"abs({a} * {double(2.0**537)} / {b}) <= {double(2.0**-538)}"
    return (
        f"CASE WHEN {is_ordinary(a)} AND {is_ordinary(b)} THEN {a} / {b} "
        f"WHEN {b} = 0 THEN CASE WHEN {a} <> 0 THEN {signed_infinity(negative)} END "
        f"WHEN abs({b}) = {INFINITY} THEN CASE WHEN abs({a}) < {INFINITY} THEN {signed_zero(negative)} END "
        f"WHEN {a} = 0 OR abs({a}) = {INFINITY} THEN {a} / {b} "
        f"WHEN {root} > {double(2.0**256.5)} THEN {signed_infinity(negative)} "
        f"WHEN {root} < {double(2.0**-269.5)} THEN {signed_zero(negative)} "
        f"WHEN {root} > {double(2.0**255.5)} THEN CASE WHEN {over} THEN {signed_infinity(negative)} ELSE {a} / {b} END "
        f"WHEN {root} < {double(2.0**-267.5)} THEN CASE WHEN {under} THEN {signed_zero(negative)} ELSE {a} / {b} END "
        f"ELSE {a} / {b} END"
    )
