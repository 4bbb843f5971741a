"""What LightGBM's objectives make of raw scores, as PL/pgSQL: variables of raw scores in, expressions of predictions out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from udfs.forest.objective import exponential, log1p_exp, parse_objective, sigmoid, signed_square, softmax
from udfs.jit import Routine
from udfs.model import Forest
from udfs.postgres.plsql_guards import (
    EXP_HIGH,
    EXP_LOW,
    SQUARE_HIGH,
    SQUARE_LOW,
    signed_infinity,
    signed_zero,
)
from udfs.postgres.plsql_guards import exponential as exp_of
from udfs.postgres.plsql_literals import double
from udfs.postgres.plsql_scope import Scope

Form = Callable[[Sequence[str], float, Scope], list[str]]


def _exponentials(scores: Sequence[str], factor: float, scope: Scope) -> list[str]:
    return [exp_of(score) for score in scores]


def _sigmoids(scores: Sequence[str], factor: float, scope: Scope) -> list[str]:
    return [_sigmoid(score, factor, scope) for score in scores]


def _sigmoid(score: str, factor: float, scope: Scope) -> str:
    """1 / (1 + exp(-factor * x)), with products that neither vanish nor overflow: beyond either limit exp is 1, 0 or infinite."""
    if factor == 1.0:
        power = f"-{score}"
    else:
        none, most = double(1e-20 / factor), double(1000.0 / factor)
        power = (
            f"CASE WHEN abs({score}) < {none} THEN {double(0.0)} "
            f"ELSE {double(-factor)} * least(greatest({score}, -{most}), {most}) END"
        )
    power = scope.let("float8", power)
    return (
        f"CASE WHEN {power} > {double(EXP_HIGH)} THEN {double(0.0)} WHEN {power} < {double(EXP_LOW)} "
        f"THEN {double(1.0)} ELSE {double(1.0)} / ({double(1.0)} + exp({power})) END"
    )


def _signed_squares(scores: Sequence[str], factor: float, scope: Scope) -> list[str]:
    return [
        f"CASE WHEN abs({x}) <= {double(SQUARE_LOW)} THEN {signed_zero(f'{x} < 0')} "
        f"WHEN abs({x}) > {double(SQUARE_HIGH)} THEN {signed_infinity(f'{x} < 0')} ELSE sign({x}) * {x} * {x} END"
        for x in scores
    ]


def _softmax(scores: Sequence[str], factor: float, scope: Scope) -> list[str]:
    largest = scope.let("float8", f"greatest({', '.join(scores)})")
    distances = [scope.let("float8", f"{score} - {largest}") for score in scores]
    powers = [scope.let("float8", exp_of(distance)) for distance in distances]
    total = scope.let("float8", " + ".join([double(0.0), *powers]))
    return [_share(power, total) for power in powers]


def _share(part: str, total: str) -> str:
    """A quotient that may vanish; both are at least 0."""
    scale = double(2.0**537)
    return (
        f"CASE WHEN {part} = 0 OR {part} < '1e-300' AND {part} * {scale} * {scale} * 2 <= {total} THEN {double(0.0)} "
        f"ELSE {part} / {total} END"
    )


_FORMS: dict[Routine, Form] = {
    exponential: _exponentials,
    sigmoid: _sigmoids,
    signed_square: _signed_squares,
    softmax: _softmax,
}


def write_predictions(forest: Forest, scores: Sequence[str], scope: Scope) -> list[str]:
    """Expressions of the predictions, one an output."""
    if forest.average_output:
        count = double(float(len(forest.trees) // forest.outputs))
        scores = [scope.let("float8", _average(score, count)) for score in scores]
    routine, parameter = parse_objective(forest.objective, forest.outputs)
    return list(scores) if routine is None else _FORMS[routine](scores, parameter, scope)


def _average(score: str, count: str) -> str:
    scale = double(2.0**537)
    return (
        f"CASE WHEN {score} = 0 THEN {score} "
        f"WHEN abs({score}) < '1e-300' AND abs({score}) * {scale} * {scale} * 2 <= {count} "
        f"THEN {signed_zero(f'{score} < 0')} ELSE {score} / {count} END"
    )


def objective_refusal(forest: Forest) -> str | None:
    """Why the objective has no form, if it has none.

    The C library's log1p takes fused multiply-adds where the processor has them, so that no fixed sequence of operations has its bits.
    """
    routine, _ = parse_objective(forest.objective, forest.outputs)
    if routine is log1p_exp:
        return f'objective "{forest.objective}" needs log1p, which PostgreSQL does not have'
    return None
