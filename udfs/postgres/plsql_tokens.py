"""Bags of words in PL/pgSQL: a text's tokens and n-grams, counted term by term."""

from __future__ import annotations

from udfs.model import Step
from udfs.postgres.plsql_literals import double, text
from udfs.postgres.plsql_scope import Scope
from udfs.postgres.plsql_texts import codes_of, lookup, step_texts

_ONE, _ZERO = double(1.0), double(0.0)


def bag_of_words(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """How often a text has each term."""
    return _count(step, inputs[0], scope, presence=False)


def multi_hot_encoder(step: Step, inputs: list[str], scope: Scope) -> list[str]:
    """Whether a text has each term."""
    return _count(step, inputs[0], scope, presence=True)


def _count(step: Step, x: str, scope: Scope, *, presence: bool) -> list[str]:
    terms = len(step.outputs)
    separator, low, high = step.params["separator"], step.params["low"], step.params["high"]
    # no text of PostgreSQL holds a zero byte: the whole of it is one token
    cut = f"string_to_array({x}, {text(separator)})"
    pieces = cut if separator != "\0" else f"CASE WHEN {x} <> '' THEN ARRAY[{x}] END"
    tokens = scope.let('text[] COLLATE "C"', pieces)
    counts = scope.let("float8[]", f"array_fill({_ZERO}, ARRAY[{terms}])")
    gram, code = scope.declare('text COLLATE "C"'), scope.declare("int4")
    joint = text(separator) if separator != "\0" else "''"
    scope.emit(f"FOR i IN 1 .. coalesce(cardinality({tokens}), 0) LOOP")
    scope.emit(f"FOR j IN i + {low - 1} .. least(i + {high - 1}, cardinality({tokens})) LOOP")
    scope.emit(f"{gram} := array_to_string({tokens}[i:j], {joint});" if high > 1 else f"{gram} := {tokens}[i];")
    scope.emit(f"{code} := {lookup(gram, codes_of(step_texts(step, 'vocabulary')))} + 1;")
    value = _ONE if presence else f"{counts}[{code}] + {_ONE}"
    scope.emit(f"IF {code} IS NOT NULL THEN {counts}[{code}] := {value}; END IF;")
    scope.emit("END LOOP; END LOOP;")
    return [f"{counts}[{k + 1}]" for k in range(terms)]
