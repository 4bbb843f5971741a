"""What the SQL scorer cannot score, or not within reason: a model in, a sentence for its user or None out.

What a session pays for CASE expressions, measured on PostgreSQL 15 with 3,100 to 31,500 leaves: 3.3 KB of memory and 8 microseconds
of the first call a leaf, and 0.35 microseconds a leaf in every transaction. ``MOST_LEAVES`` is 65 MiB, 0.16 s and 7 ms.
"""

from __future__ import annotations

import numpy as np

from udfs.model import Forest, Model, Step
from udfs.postgres.plsql_elementwise import elementwise_refusal
from udfs.postgres.plsql_features import depth
from udfs.postgres.plsql_objective import objective_refusal
from udfs.postgres.plsql_operators import FORMS

MOST_ARGUMENTS = 100  # of a PostgreSQL function
MOST_LEAVES = 20_000
MOST_LEVELS = 1_000  # of CASE in CASE: the server's parser gives up between 2,000 and 3,000
MOST_SUM = 1e308


def plsql_refusal(model: Model) -> str | None:
    """Why a model cannot be scored by functions in PL/pgSQL, or None."""
    if len(model.arguments) > MOST_ARGUMENTS:
        return f"a PostgreSQL function takes {MOST_ARGUMENTS} arguments, the model has {len(model.arguments)}"
    for step in model.steps:
        if reason := _step_refusal(step):
            return reason
    return _forest_refusal(model.forest) or objective_refusal(model.forest)


def _step_refusal(step: Step) -> str | None:
    if step.op == "elementwise":
        return elementwise_refusal(step)
    return None if step.op in (*FORMS, "copy") else f'operator "{step.op}" of the transform has no form in SQL'


def _forest_refusal(forest: Forest) -> str | None:
    leaves = sum(len(tree.leaf_value) for tree in forest.trees)
    if leaves > MOST_LEAVES:
        return f"the SQL scorer takes up to {MOST_LEAVES} leaves, the model has {leaves}"
    levels = max((depth(tree) for tree in forest.trees), default=0)
    if levels > MOST_LEVELS:
        return f"the SQL scorer takes trees of up to {MOST_LEVELS} levels, the model has one of {levels}"
    if not all(np.isfinite(tree.leaf_value).all() for tree in forest.trees):
        return "a leaf of the model is not a finite number"
    if sum(float(np.abs(tree.leaf_value).max()) for tree in forest.trees) >= MOST_SUM:
        return "sums of the model's leaves leave the range of doubles"
    return None
