"""What the SQL scorer cannot score, or not within reason: a model in, a sentence for its user or None out."""

from __future__ import annotations

import numpy as np

from udfs.model import Model
from udfs.postgres.plsql_elementwise import elementwise_refusal
from udfs.postgres.plsql_objective import objective_refusal
from udfs.postgres.plsql_operators import FORMS

MOST_ARGUMENTS = 100  # of a PostgreSQL function
MOST_LEAVES = 20_000


def plsql_refusal(model: Model) -> str | None:
    """Why a model cannot be scored by functions in PL/pgSQL, or None."""
    if len(model.arguments) > MOST_ARGUMENTS:
        return f"a PostgreSQL function takes {MOST_ARGUMENTS} arguments, the model has {len(model.arguments)}"
    leaves = sum(len(tree.leaf_value) for tree in model.forest.trees)
    if leaves > MOST_LEAVES:
        return f"the SQL scorer takes up to {MOST_LEAVES} leaves, the model has {leaves}"
    for step in model.steps:
        if step.op != "copy" and step.op not in FORMS:
            return f'operator "{step.op}" of the transform has no form in SQL'
        if step.op == "elementwise" and (reason := elementwise_refusal(step)):
            return reason
    if not all(np.isfinite(tree.leaf_value).all() for tree in model.forest.trees):
        return "a leaf of the model is not a finite number"
    largest = sum(float(np.abs(tree.leaf_value).max()) for tree in model.forest.trees)
    if not largest < 1e308:
        return "sums of the model's leaves leave the range of doubles"
    return objective_refusal(model.forest)
