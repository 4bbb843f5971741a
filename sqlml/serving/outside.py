"""The outside scorer: arguments of rows out of Postgres as Arrow, through the kernels of this process, scores back by COPY."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sqlml.planning.postgres.outside import Given, arguments_query, rows_statement
from udfs.postgres.copy_rows import packed_scores

if TYPE_CHECKING:
    from sqlml.engines.engine import Engine
    from udfs.model import Model
    from udfs.scorer import Scorer

BATCH_ROWS = 1 << 16
_KERNELS: dict[str, Callable[[Scorer, pa.RecordBatch], Any]] = {
    "value": lambda scorer, batch: scorer.predict(batch),
    "probs": lambda scorer, batch: scorer.probabilities(batch),
    "raw": lambda scorer, batch: scorer.raw_scores(batch),
    "features": lambda scorer, batch: scorer.features(batch),
    "contribs": lambda scorer, batch: scorer.attributions(batch),
    "interactions": lambda scorer, batch: scorer.interactions(batch),
}
"""Scoring functions by the name that generated SQL knows them by; one row or several rows of numbers."""


def score_outside(engine: Engine, model: Model, given: Given, functions: Iterable[str]) -> None:
    """Fill the two temporary tables that stand for the rows given."""
    from udfs.scorer import build_scorer  # noqa: PLC0415 - numba, which other scorers do not need here

    scorer, names = build_scorer(model), tuple(functions)
    engine.run(rows_statement(given))
    blocks = []
    for batch in engine.stream(arguments_query(given), BATCH_ROWS):
        arguments = batch.select(range(1, batch.num_columns))
        results = [_KERNELS[name](scorer, arguments) for name in names]
        blocks.append(packed_scores(batch.column(0), results))
    columns = ", ".join(
        f'"__sqlml_{name}" {"double precision" if name == "value" else "double precision[]"}' for name in names
    )
    engine.run(f'CREATE TEMPORARY TABLE {given.scores} ("__sqlml_key" bigint, {columns})')
    engine.copy_binary(given.scores, blocks)
    engine.run(f"ANALYZE {given.scores}")
