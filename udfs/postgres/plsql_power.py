"""C's pow and fmod in PL/pgSQL: powers outside the range of doubles, and remainders, which Postgres has for decimals only."""

from __future__ import annotations

from udfs.postgres.plsql_guards import INFINITY, is_negative, signed_infinity, signed_zero
from udfs.postgres.plsql_literals import double
from udfs.postgres.plsql_scope import Scope


def power(a: str, b: str) -> str:
    """C's pow, NULL where it is no number; the last few doubles before either end of the range count as beyond it."""
    logarithm = f"least(greatest({b}, '-1e20'), '1e20') * ln(abs({a}))"
    is_odd = f"abs({b}) < '9007199254740992' AND trunc({b}) = {b} AND trunc({b} * '0.5') * 2 <> {b}"
    negative = f"{is_negative(a)} AND {is_odd}"
    return (
        f"CASE WHEN {a} IS NULL OR {b} IS NULL THEN NULL "
        f"WHEN {a} = 0 AND {b} < 0 THEN {signed_infinity(negative)} "
        f"WHEN {a} < 0 AND trunc({b}) <> {b} THEN CASE WHEN {a} = -{INFINITY} THEN power(-({a}), {b}) END "
        f"WHEN {a} = 0 OR abs({a}) = {INFINITY} OR abs({b}) = {INFINITY} OR abs({b}) < '1e-300' "
        f"OR {logarithm} BETWEEN '-700' AND '700' THEN power({a}, {b}) "
        f"WHEN {logarithm} > '720' THEN {signed_infinity(negative)} "
        f"WHEN {logarithm} < '-750' THEN {signed_zero(negative)} "
        f"WHEN {logarithm} > 0 THEN CASE WHEN power(abs({a}), {b} * '0.5') >= {double(2.0**512)} "
        f"THEN {signed_infinity(negative)} ELSE power({a}, {b}) END "
        f"WHEN power(abs({a}), {b} * '0.5') * {double(2.0**537)} <= {double(0.5**0.5)} "
        f"THEN {signed_zero(negative)} ELSE power({a}, {b}) END"
    )


def remainder(a: str, b: str, scope: Scope) -> str:
    """C's fmod by subtraction of b's doubles, each of them exact; NULL where b is 0. Returns a variable."""
    left, least, step = (scope.declare("float8") for _ in range(3))
    scope.emit(f"IF abs({a}) < {INFINITY} AND abs({b}) > 0 THEN")
    scope.emit(f"{left} := abs({a}); {least} := abs({b});")
    scope.emit(f"IF {left} >= {least} AND {least} < {INFINITY} THEN")
    scope.emit(f"{step} := {least};")
    scope.emit(f"WHILE {left} - {step} >= {step} LOOP {step} := {step} + {step}; END LOOP;")
    scope.emit(f"LOOP IF {left} >= {step} THEN {left} := {left} - {step}; END IF;")
    scope.emit(f"EXIT WHEN {step} <= {least}; {step} := {step} * '0.5'; END LOOP;")
    scope.emit("END IF;")
    scope.emit(f"IF {is_negative(a)} THEN {left} := -{left}; END IF;")
    scope.emit("END IF;")
    return left
