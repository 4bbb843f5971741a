"""SQL of ML.EVALUATE, ML.CONFUSION_MATRIX and ML.ROC_CURVE over given data, so that the engine computes them where the rows are.

Each function takes the model and a derived table with columns ``__y`` (the class index, or the value), ``__p`` (the probability of
the positive class, the list of probabilities, or the predicted value) and, for classes, ``__c`` (the predicted class index), and
gives a derived table. Rows whose label is NULL are left out. A label that training never saw counts as an error of every class.

The definitions are scikit-learn's (``precision_score`` and kin with ``average='macro'`` and ``zero_division=0`` for more than two
classes, ``roc_auc_score`` one against the rest, ``log_loss`` with probabilities clipped at 1e-15).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlml.planning.scoring import Scored, class_literal, constant
from udfs.model import Label

CLIP = "1e-15::DOUBLE"


def scored_rows_sql(scored: Scored, source: str, label: tuple[str, str], row: str, threshold: float | None) -> str:
    """The derived table that all of these read: label, probability and predicted class of each labelled row of ``source``.

    ``label`` is the SQL of the label and its type.
    """
    model = scored.model
    label_sql, label_type = label
    if not model.label.classes:
        selection = f"CAST({label_sql} AS DOUBLE) AS __y, {scored.call('value', row)} AS __p"
    else:
        classes = ", ".join(class_literal(model.label, index) for index in range(len(model.label.classes)))
        chosen = scored.call("class", row, threshold=threshold)
        function = "value" if model.task == "binary" else "probs"
        selection = (
            f"list_position([{classes}], {_as_class(label_sql, label_type, model.label.sql_type)}) - 1 AS __y, "
            f"{scored.call(function, row)} AS __p, {chosen} AS __c"
        )
    return f"(SELECT {selection} FROM ({source}) AS __sqlml_rows WHERE {label_sql} IS NOT NULL)"


def _as_class(sql: str, given: str, wanted: str) -> str:
    """A label in the type of the classes; NULL, which no class equals, where it does not fit that type or only rounds to it."""
    if given == wanted:
        return sql
    cast = f"TRY_CAST({sql} AS {wanted})"
    if given.startswith(("VARCHAR", "ENUM")) or wanted == "FLOAT":
        return cast
    return f"CASE WHEN TRY_CAST({cast} AS {given}) = {sql} THEN {cast} END"


def evaluate_sql(scored: Scored, rows: str) -> str:
    """One row of metrics, named as in BigQuery ML."""
    task = scored.model.task
    if task == "binary":
        return _evaluate_binary(rows)
    if task == "multiclass":
        return _evaluate_multiclass(rows, len(scored.model.label.classes))
    return _evaluate_regression(rows)


def _evaluate_regression(rows: str) -> str:
    negative = "bool_or(__y <= -1 OR __p <= -1)"
    return f"""(SELECT
  avg(abs(__y - __p)) AS mean_absolute_error,
  avg((__y - __p) * (__y - __p)) AS mean_squared_error,
  CASE WHEN NOT {negative} THEN avg(pow(ln(1 + greatest(__y, -0.5)) - ln(1 + greatest(__p, -0.5)), 2)) END AS mean_squared_log_error,
  median(abs(__y - __p)) AS median_absolute_error,
  1 - sum((__y - __p) * (__y - __p)) / nullif(var_pop(__y) * count(*), 0) AS r2_score,
  1 - var_pop(__y - __p) / nullif(var_pop(__y), 0) AS explained_variance
FROM {rows} AS __s)"""


def _evaluate_binary(rows: str) -> str:
    return f"""(WITH __s AS MATERIALIZED (SELECT * FROM {rows} AS __r), __m AS (
  SELECT count(*) AS n,
    count(*) FILTER (WHERE __y = 1 AND __c = 1) AS tp, count(*) FILTER (WHERE __y = 0 AND __c = 1) AS fp,
    count(*) FILTER (WHERE __y = 1 AND __c = 0) AS fn, count(*) FILTER (WHERE __y = __c) AS hits,
    avg(-ln(greatest(CASE __y WHEN 1 THEN __p WHEN 0 THEN 1 - __p ELSE 0 END, {CLIP}))) AS log_loss
  FROM __s)
SELECT coalesce(tp / nullif(tp + fp, 0), 0.0::DOUBLE) AS precision, coalesce(tp / nullif(tp + fn, 0), 0.0::DOUBLE) AS recall,
  hits / nullif(n, 0) AS accuracy, coalesce(2 * tp / nullif(2 * tp + fp + fn, 0), 0.0::DOUBLE) AS f1_score,
  log_loss, {_auc("__y = 1", "__p", "__s WHERE __y IS NOT NULL")} AS roc_auc
FROM __m)"""


def _evaluate_multiclass(rows: str, classes: int) -> str:
    per_class = ", ".join(f"({index})" for index in range(classes))
    aucs = ", ".join(
        _auc(f"__y = {index}", f"__p[{index + 1}]", "__s WHERE __y IS NOT NULL") for index in range(classes)
    )
    return f"""(WITH __s AS MATERIALIZED (SELECT * FROM {rows} AS __r), __k(k) AS (VALUES {per_class}), __m AS (
  SELECT k, count(*) FILTER (WHERE __y = k AND __c = k) AS tp, count(*) FILTER (WHERE __y IS DISTINCT FROM k AND __c = k) AS fp,
    count(*) FILTER (WHERE __y = k AND __c IS DISTINCT FROM k) AS fn
  FROM __k LEFT JOIN __s ON __y = k OR __c = k GROUP BY k), __seen AS (SELECT * FROM __m WHERE tp + fp + fn > 0)
SELECT (SELECT avg(coalesce(tp / nullif(tp + fp, 0), 0)) FROM __seen) AS precision,
  (SELECT avg(coalesce(tp / nullif(tp + fn, 0), 0)) FROM __seen) AS recall,
  count(*) FILTER (WHERE __y = __c) / nullif(count(*), 0) AS accuracy,
  (SELECT avg(2 * tp / (2 * tp + fp + fn)) FROM __seen) AS f1_score,
  avg(-ln(greatest(coalesce(__p[__y + 1], 0), {CLIP}))) AS log_loss,
  list_avg([{aucs}]) AS roc_auc
FROM __s)"""


def _auc(positive: str, score: str, rows: str) -> str:
    """Area under the ROC curve by the Mann-Whitney statistic, ties counted half; NULL where a class has no rows."""
    return (
        "(SELECT sum(pos * (below + neg / 2)) / nullif(sum(pos) * sum(neg), 0) FROM ("
        "SELECT pos, neg, coalesce(sum(neg) OVER (ORDER BY s ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS below FROM ("
        f"SELECT {score} AS s, CAST(count(*) FILTER (WHERE {positive}) AS DOUBLE) AS pos, "
        f"CAST(count(*) FILTER (WHERE NOT ({positive})) AS DOUBLE) AS neg FROM {rows} GROUP BY s)))"
    )


def confusion_matrix_sql(scored: Scored, rows: str) -> str:
    """A row a class: ``expected_label`` and how often each class was predicted for it."""
    label, quote = scored.model.label, scored.quote
    names = class_columns(label)
    counts = ", ".join(f"count(*) FILTER (WHERE __c = {index}) AS {quote(name)}" for index, name in enumerate(names))
    classes = ", ".join(f"({index}, {class_literal(label, index)})" for index in range(len(label.classes)))
    return (
        f"(SELECT __l AS expected_label, {counts} FROM (VALUES {classes}) AS __k(k, __l) "
        f"LEFT JOIN {rows} AS __s ON __y = k GROUP BY k, __l ORDER BY k)"
    )


def class_columns(label: Label) -> list[str]:
    """BigQuery's column names of classes: the label's text, after an underscore where it does not begin with a letter."""
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in label.classes]
    return [text if text[:1].isalpha() or text[:1] == "_" else "_" + text for text in texts]


def roc_curve_sql(rows: str, thresholds: Sequence[float] | None) -> str:
    """A row a threshold, from the strictest to the loosest; without thresholds, the hundred quantiles of the scores."""
    if thresholds is None:
        # The percentiles are taken of the scores themselves, so that each threshold is a score and the curve has no empty steps.
        cuts = (
            "SELECT unnest(list_distinct(quantile_disc(__p, [i / 100 for i in range(0, 100)]))) AS threshold FROM __s"
        )
    else:
        cuts = f"SELECT unnest([{', '.join(map(repr, thresholds))}]::DOUBLE[]) AS threshold"
    return f"""(WITH __s AS MATERIALIZED (SELECT __y, __p FROM {rows} AS __r WHERE __y IS NOT NULL), __t AS ({cuts}),
__m AS (SELECT threshold, count(*) FILTER (WHERE __p >= threshold AND __y = 1) AS true_positives,
    count(*) FILTER (WHERE __p >= threshold AND __y = 0) AS false_positives, count(*) FILTER (WHERE __p < threshold AND __y = 0) AS true_negatives,
    count(*) FILTER (WHERE __p < threshold AND __y = 1) AS false_negatives
  FROM __t, __s GROUP BY threshold)
SELECT threshold, true_positives / nullif(true_positives + false_negatives, 0) AS recall,
  false_positives / nullif(false_positives + true_negatives, 0) AS false_positive_rate,
  true_positives, false_positives, true_negatives, false_negatives
FROM __m ORDER BY threshold DESC)"""


def values_sql(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]], quote: Callable[[str], str]
) -> str:
    """A derived table of constants with typed columns; it may have no rows."""
    selection = ", ".join(
        f"CAST({quote(f'c{i}')} AS {kind}) AS {quote(name)}" for i, (name, kind) in enumerate(columns)
    )
    aliases = ", ".join(quote(f"c{i}") for i in range(len(columns)))
    body = ", ".join("(" + ", ".join(map(constant, row)) + ")" for row in rows)
    if not rows:
        body = "(" + ", ".join(["NULL"] * len(columns)) + ")"
    return f"(SELECT {selection} FROM (VALUES {body}) AS __v({aliases}){'' if rows else ' WHERE FALSE'})"
