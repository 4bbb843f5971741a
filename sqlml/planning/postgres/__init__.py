"""Postgres' phrases: the SQL that ML calls become there, in arrays, jsonb and derived tables."""

from __future__ import annotations

from sqlml.planning.postgres.evaluation import confusion_matrix_sql, evaluate_sql, roc_curve_sql, scored_rows_sql
from sqlml.planning.postgres.explaining import (
    difference_table_sql,
    explain_sql,
    explain_table_sql,
    global_table_sql,
    interactions_table_sql,
)
from sqlml.planning.postgres.scoring import (
    predict_sql,
    predict_table_sql,
    probability_sql,
    scored_model,
    transform_table_sql,
)
from sqlml.planning.postgres.tables import values_sql

__all__ = [
    "confusion_matrix_sql",
    "difference_table_sql",
    "evaluate_sql",
    "explain_sql",
    "explain_table_sql",
    "global_table_sql",
    "interactions_table_sql",
    "predict_sql",
    "predict_table_sql",
    "probability_sql",
    "roc_curve_sql",
    "scored_model",
    "scored_rows_sql",
    "transform_table_sql",
    "values_sql",
]
