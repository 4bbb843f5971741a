"""DuckDB's phrases: its SQL has lists, structs and functions of any type, which the modules below speak."""

from __future__ import annotations

from sqlml.planning.evaluation import confusion_matrix_sql, evaluate_sql, roc_curve_sql, scored_rows_sql, values_sql
from sqlml.planning.explaining import (
    difference_table_sql,
    explain_sql,
    explain_table_sql,
    global_table_sql,
    interactions_table_sql,
)
from sqlml.planning.scoring import (
    predict_sql,
    predict_table_sql,
    probability_sql,
    scored_model,
    transform_table_sql,
)

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
