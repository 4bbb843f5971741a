"""SQL of ML.EVALUATE, ML.CONFUSION_MATRIX and ML.ROC_CURVE over given data in Postgres; the definitions are those of
``sqlml.planning.evaluation``, and so are the columns ``__y``, ``__p`` and ``__c`` of the derived table that all of these read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlml.engines.type_names import postgres_type
from sqlml.planning.evaluation import class_columns
from sqlml.planning.kinds import kind_of
from sqlml.planning.postgres.scoring import class_index_sql, class_literal, classes_sql, primary, scored_source
from sqlml.planning.postgres.tables import array, constant, derived, literal
from sqlml.planning.scoring import Scored
from udfs.model import Label

_LEAST = "CAST('1e-15' AS double precision)"  # probabilities are not taken for less in a log


def scored_rows_sql(scored: Scored, source: str, label: tuple[str, str], row: str, threshold: float | None) -> str:
    """The derived table of labels, probabilities and predicted classes; ``label`` is the SQL of the label and its type."""
    model = scored.model
    label_sql, label_type = label
    score = "__sqlml_scores.__p"
    if not model.label.classes:
        selection = f"CAST({label_sql} AS double precision) AS __y, {score} AS __p"
    else:
        selection = (
            f"{_position(label_sql, label_type, model.label)} - 1 AS __y, {score} AS __p, "
            f"{class_index_sql(model, score, threshold)} AS __c"
        )
    rows = scored_source(scored, source, row, {"__p": primary(scored, row)})
    return derived(f"SELECT {selection} FROM {rows} WHERE {label_sql} IS NOT NULL")


def _position(sql: str, given: str, label: Label) -> str:
    """Which class a label is, from 1; NULL for one that training never saw. Other types compare as numbers, or as text."""
    if postgres_type(label.sql_type) == given:
        return f"array_position({classes_sql(label)}, {sql})"
    if kind_of(given) == "number" and all(isinstance(value, int | float) for value in label.classes):
        numbers = array([constant(float(value)) for value in label.classes], "double precision")
        return f"array_position({numbers}, CAST({sql} AS double precision))"
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in label.classes]
    return f"array_position({array([literal(text) for text in texts], 'text')}, CAST({sql} AS text))"


def evaluate_sql(scored: Scored, rows: str) -> str:
    """One row of metrics, named as in BigQuery ML."""
    task = scored.model.task
    if task == "binary":
        return derived(_evaluate_binary(rows))
    if task == "multiclass":
        return derived(_evaluate_multiclass(rows, len(scored.model.label.classes)))
    return derived(_evaluate_regression(rows))


def _evaluate_regression(rows: str) -> str:
    negative = "bool_or(__y <= -1 OR __p <= -1)"
    log = "power(ln(1 + greatest(__y, -0.5)) - ln(1 + greatest(__p, -0.5)), 2)"
    return f"""SELECT
  avg(abs(__y - __p)) AS mean_absolute_error,
  avg((__y - __p) * (__y - __p)) AS mean_squared_error,
  CASE WHEN NOT {negative} THEN avg({log}) END AS mean_squared_log_error,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(__y - __p)) AS median_absolute_error,
  1 - sum((__y - __p) * (__y - __p)) / nullif(var_pop(__y) * count(*), 0) AS r2_score,
  1 - var_pop(__y - __p) / nullif(var_pop(__y), 0) AS explained_variance
FROM {rows} """


def _share(part: str, whole: str) -> str:
    """A quotient of counts; 0 where there is nothing to divide by, as scikit-learn has it."""
    return f"coalesce(CAST({part} AS double precision) / nullif({whole}, 0), 0)"


def _evaluate_binary(rows: str) -> str:
    return f"""WITH __s AS MATERIALIZED (SELECT __y, __p, __c FROM {rows}), __m AS (
  SELECT count(*) AS n,
    count(*) FILTER (WHERE __y = 1 AND __c = 1) AS tp, count(*) FILTER (WHERE __y = 0 AND __c = 1) AS fp,
    count(*) FILTER (WHERE __y = 1 AND __c = 0) AS fn, count(*) FILTER (WHERE __y = __c) AS hits,
    avg(-ln(greatest(CASE __y WHEN 1 THEN __p WHEN 0 THEN 1 - __p ELSE 0 END, {_LEAST}))) AS log_loss
  FROM __s)
SELECT {_share("tp", "tp + fp")} AS "precision", {_share("tp", "tp + fn")} AS recall,
  CAST(hits AS double precision) / nullif(n, 0) AS accuracy, {_share("2 * tp", "2 * tp + fp + fn")} AS f1_score,
  log_loss, {_auc("__y = 1", "__p")} AS roc_auc
FROM __m"""


def _evaluate_multiclass(rows: str, classes: int) -> str:
    per_class = ", ".join(f"({index})" for index in range(classes))
    aucs = array([_auc(f"__y = {index}", f"__p[{index + 1}]") for index in range(classes)], "double precision")
    return f"""WITH __s AS MATERIALIZED (SELECT __y, __p, __c FROM {rows}), __k(k) AS (VALUES {per_class}), __m AS (
  SELECT k, count(*) FILTER (WHERE __y = k AND __c = k) AS tp, count(*) FILTER (WHERE __y IS DISTINCT FROM k AND __c = k) AS fp,
    count(*) FILTER (WHERE __y = k AND __c IS DISTINCT FROM k) AS fn
  FROM __k LEFT JOIN __s ON __y = k OR __c = k GROUP BY k), __seen AS (SELECT * FROM __m WHERE tp + fp + fn > 0)
SELECT (SELECT avg({_share("tp", "tp + fp")}) FROM __seen) AS "precision",
  (SELECT avg({_share("tp", "tp + fn")}) FROM __seen) AS recall,
  CAST(count(*) FILTER (WHERE __y = __c) AS double precision) / nullif(count(*), 0) AS accuracy,
  (SELECT avg({_share("2 * tp", "2 * tp + fp + fn")}) FROM __seen) AS f1_score,
  avg(-ln(greatest(coalesce(__p[__y + 1], 0), {_LEAST}))) AS log_loss,
  (SELECT avg(__a) FROM unnest({aucs}) AS __a) AS roc_auc
FROM __s"""


def _auc(positive: str, score: str) -> str:
    """Area under the ROC curve by the Mann-Whitney statistic, ties counted half; NULL where a class has no rows."""
    return (
        "(SELECT sum(pos * (below + neg / 2)) / nullif(sum(pos) * sum(neg), 0) FROM ("
        "SELECT pos, neg, coalesce(sum(neg) OVER (ORDER BY s ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS below FROM ("
        f"SELECT {score} AS s, CAST(count(*) FILTER (WHERE {positive}) AS double precision) AS pos, "
        f"CAST(count(*) FILTER (WHERE NOT ({positive})) AS double precision) AS neg "
        "FROM __s WHERE __y IS NOT NULL GROUP BY 1) AS __counts) AS __ranks)"
    )


def confusion_matrix_sql(scored: Scored, rows: str) -> str:
    """A row a class: ``expected_label`` and how often each class was predicted for it."""
    label, quote = scored.model.label, scored.quote
    counts = ", ".join(
        f"count(*) FILTER (WHERE __c = {index}) AS {quote(name)}" for index, name in enumerate(class_columns(label))
    )
    classes = ", ".join(f"({index}, {class_literal(label, index)})" for index in range(len(label.classes)))
    return derived(
        f"SELECT __l AS expected_label, {counts} FROM (VALUES {classes}) AS __k(k, __l) "
        f"LEFT JOIN {rows} ON __y = k GROUP BY k, __l ORDER BY k"
    )


def roc_curve_sql(rows: str, thresholds: Sequence[float] | None) -> str:
    """A row a threshold, from the strictest to the loosest; without thresholds, the hundred quantiles of the scores."""
    if thresholds is None:
        # The percentiles are taken of the scores themselves, so that each threshold is a score and the curve has no empty steps.
        shares = array([repr(share / 100) for share in range(100)], "double precision")
        cuts = (
            "SELECT DISTINCT threshold FROM (SELECT unnest("
            f"percentile_disc({shares}) WITHIN GROUP (ORDER BY __p)) AS threshold FROM __s) AS __cuts"
        )
    else:
        cuts = f"SELECT unnest({array([constant(float(t)) for t in thresholds], 'double precision')}) AS threshold"
    return derived(f"""WITH __s AS MATERIALIZED (SELECT __y, __p FROM {rows} WHERE __y IS NOT NULL), __t AS ({cuts}),
__m AS (SELECT threshold, count(*) FILTER (WHERE __p >= threshold AND __y = 1) AS true_positives,
    count(*) FILTER (WHERE __p >= threshold AND __y = 0) AS false_positives, count(*) FILTER (WHERE __p < threshold AND __y = 0) AS true_negatives,
    count(*) FILTER (WHERE __p < threshold AND __y = 1) AS false_negatives
  FROM __t, __s GROUP BY threshold)
SELECT threshold, CAST(true_positives AS double precision) / nullif(true_positives + false_negatives, 0) AS recall,
  CAST(false_positives AS double precision) / nullif(false_positives + true_negatives, 0) AS false_positive_rate,
  true_positives, false_positives, true_negatives, false_negatives
FROM __m ORDER BY threshold DESC""")
