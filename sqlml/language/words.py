"""Words of SQL that the token-level reader has to know: reserved ones, clause openers, join words, our function names."""

from __future__ import annotations

# fmt: off

# Reserved in DuckDB 2.0 or in Postgres 15: they never name a model or an alias without quotes.
RESERVED = frozenset({
        "ALL", "ANALYSE", "ANALYZE", "AND", "ANY", "ARRAY", "AS", "ASC", "ASYMMETRIC", "BOTH", "CASE", "CAST",
        "CHECK", "COLLATE", "COLUMN", "CONSTRAINT", "CREATE", "DEFAULT", "DEFERRABLE", "DESC", "DESCRIBE",
        "DISTINCT", "DO", "ELSE", "END", "EXCEPT", "FALSE", "FETCH", "FOR", "FOREIGN", "FROM", "GRANT", "GROUP",
        "HAVING", "IN", "INITIALLY", "INTERSECT", "INTO", "LAMBDA", "LATERAL", "LEADING", "LIMIT", "NOT", "NULL",
        "OFFSET", "ON", "ONLY", "OR", "ORDER", "PIVOT", "PIVOT_LONGER", "PIVOT_WIDER", "PLACING", "PRIMARY",
        "QUALIFY", "REFERENCES", "RETURNING", "SELECT", "SHOW", "SOME", "SUMMARIZE", "SYMMETRIC", "TABLE", "THEN",
        "TO", "TRAILING", "TRUE", "UNION", "UNIQUE", "UNPIVOT", "USING", "VARIADIC", "WHEN", "WHERE", "WINDOW",
        "WITH",
})

# Words after which a relation of a FROM list is over.
JOIN_PREFIXES = frozenset(
    {"NATURAL", "INNER", "LEFT", "RIGHT", "FULL", "OUTER", "CROSS", "SEMI", "ANTI", "ASOF", "POSITIONAL"}
)
NOT_AN_ALIAS = RESERVED | JOIN_PREFIXES | frozenset({"JOIN", "TABLESAMPLE", "SET", "VALUES"})

SET_OPERATORS = frozenset({"UNION", "INTERSECT", "EXCEPT"})
QUERY_STARTS = frozenset({
        "SELECT", "FROM", "WITH", "VALUES", "TABLE", "PIVOT", "PIVOT_WIDER", "UNPIVOT", "PIVOT_LONGER", "DESCRIBE",
        "DESC", "SUMMARIZE", "SHOW",
})
CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
MODIFIERS = frozenset({"ORDER", "LIMIT", "OFFSET", "FETCH"})
CLAUSES = MODIFIERS | frozenset(
    {"SELECT", "FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "RETURNING", "FOR", "INTO", "USING"}
)

SCALAR_FUNCTIONS = frozenset({"PREDICT", "PREDICT_PROBA", "EXPLAIN_PREDICT"})
# The spelling for tools whose parser knows no MODEL keyword.
MODEL_FREE_FUNCTIONS = {
    "ML_PREDICT": "predict",
    "ML_PREDICT_PROBA": "predict_proba",
    "ML_EXPLAIN_PREDICT": "explain_predict",
}
TABLE_FUNCTIONS = frozenset({
        "PREDICT", "EVALUATE", "CONFUSION_MATRIX", "ROC_CURVE", "EXPLAIN_PREDICT", "GLOBAL_EXPLAIN", "EXPLAIN_DIFFERENCE", "INTERACTIONS",
        "FEATURE_IMPORTANCE", "FEATURE_INFO", "TRAINING_INFO", "TRIAL_INFO", "TRANSFORM", "METRICS",
        "VALIDATE_DATA_SKEW", "VALIDATE_DATA_DRIFT", "DESCRIBE_DATA", "WEIGHTS",
})
# Table functions that need no model.
DATA_FUNCTIONS = frozenset({"VALIDATE_DATA_DRIFT", "DESCRIBE_DATA"})
# fmt: on
