"""ML.EVALUATE and kin over given rows, against scikit-learn; and what is stored of the held-out split."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from sqlml.errors import InputMismatchError, NotSupportedYetError, OptionError


def row_of(con, query):
    con.execute(query)
    return dict(zip([d[0] for d in con.description], con.fetchone(), strict=True))


def test_regression_metrics_equal_scikit_learn(con):
    got = row_of(con, "SELECT * FROM ML.EVALUATE(MODEL worth, TABLE churn)")
    y, p = np.array(con.execute("SELECT value, PREDICT(worth, *) FROM churn").fetchall()).T
    expected = {
        "mean_absolute_error": metrics.mean_absolute_error(y, p),
        "mean_squared_error": metrics.mean_squared_error(y, p),
        "mean_squared_log_error": metrics.mean_squared_log_error(y, p),
        "median_absolute_error": metrics.median_absolute_error(y, p),
        "r2_score": metrics.r2_score(y, p),
        "explained_variance": metrics.explained_variance_score(y, p),
    }
    assert list(got) == list(expected)
    assert list(got.values()) == pytest.approx(list(expected.values()), rel=1e-9)


@pytest.mark.parametrize("threshold", [None, 0.2, 0.7])
def test_binary_metrics_equal_scikit_learn(con, threshold):
    setting = f", STRUCT({threshold} AS threshold)" if threshold else ""
    got = row_of(con, f"SELECT * FROM ML.EVALUATE(MODEL churned, TABLE churn{setting})")
    y, p = np.array(con.execute("SELECT left_us::INTEGER, PREDICT_PROBA(churned, *) FROM churn").fetchall()).T
    chosen = p > (threshold or 0.5)
    expected = {
        "precision": metrics.precision_score(y, chosen, zero_division=0),
        "recall": metrics.recall_score(y, chosen),
        "accuracy": metrics.accuracy_score(y, chosen),
        "f1_score": metrics.f1_score(y, chosen),
        "log_loss": metrics.log_loss(y, p),
        "roc_auc": metrics.roc_auc_score(y, p),
    }
    assert list(got) == list(expected)
    assert list(got.values()) == pytest.approx(list(expected.values()), rel=1e-9)


def test_multiclass_metrics_equal_scikit_learn(con):
    got = row_of(con, "SELECT * FROM ML.EVALUATE(MODEL kind, (SELECT * FROM churn))")
    rows = con.execute("SELECT * FROM ML.PREDICT(MODEL kind, TABLE churn, STRUCT(TRUE AS flat))").arrow()
    y, chosen = rows["segment"].to_pylist(), rows["predicted_segment"].to_pylist()
    probs = np.column_stack([rows[f"predicted_segment_prob_{name}"] for name in ("big", "new", "small")])
    expected = {
        "precision": metrics.precision_score(y, chosen, average="macro", zero_division=0),
        "recall": metrics.recall_score(y, chosen, average="macro"),
        "accuracy": metrics.accuracy_score(y, chosen),
        "f1_score": metrics.f1_score(y, chosen, average="macro"),
        "log_loss": metrics.log_loss(y, probs),
        "roc_auc": metrics.roc_auc_score(y, probs, multi_class="ovr"),
    }
    assert list(got) == list(expected)
    assert list(got.values()) == pytest.approx(list(expected.values()), rel=1e-9)


def test_confusion_matrix_equals_scikit_learn(con):
    con.execute("SELECT * FROM ML.CONFUSION_MATRIX(MODEL kind, TABLE churn)")
    assert [d[0] for d in con.description] == ["expected_label", "big", "new", "small"]
    rows = con.fetchall()
    y, chosen = zip(
        *con.execute("SELECT segment, predicted_segment FROM ML.PREDICT(MODEL kind, TABLE churn)").fetchall(),
        strict=True,
    )
    assert [row[0] for row in rows] == ["big", "new", "small"]
    assert np.array_equal([row[1:] for row in rows], metrics.confusion_matrix(y, chosen))


def test_roc_curve_over_rows(con):
    rows = con.execute("SELECT * FROM ML.ROC_CURVE(MODEL churned, TABLE churn)").fetchall()
    y, p = np.array(con.execute("SELECT left_us::INTEGER, PREDICT_PROBA(churned, *) FROM churn").fetchall()).T
    for threshold, recall, fpr, tp, fp, tn, fn in rows:
        assert (tp, fp) == (int(((p >= threshold) & (y == 1)).sum()), int(((p >= threshold) & (y == 0)).sum()))
        assert recall == pytest.approx(tp / (tp + fn))
        assert fpr == pytest.approx(fp / (fp + tn))
    assert rows == sorted(rows, reverse=True)
    assert len(rows) > 20


def test_roc_curve_at_given_thresholds(con):
    rows = con.execute(
        "SELECT threshold FROM ML.ROC_CURVE(MODEL churned, TABLE churn, STRUCT([0.2, 0.8] AS thresholds))"
    )
    assert rows.fetchall() == [(0.8,), (0.2,)]


def test_stored_metrics_of_the_held_out_split(con):
    stored = row_of(con, "SELECT * FROM ML.EVALUATE(MODEL churned)")
    assert list(stored) == ["precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc"]
    table = dict(
        con.execute("SELECT metric, value FROM ML.METRICS(MODEL churned) WHERE split = 'evaluation'").fetchall()
    )
    assert table == stored


def test_stored_confusion_matrix_and_roc_curve(con):
    matrix = con.execute("SELECT * FROM ML.CONFUSION_MATRIX(MODEL churned)").fetchall()
    assert [row[0] for row in matrix] == [False, True]
    total = sum(sum(row[1:]) for row in matrix)
    curve = con.execute("SELECT * FROM ML.ROC_CURVE(MODEL churned)").fetchall()
    assert all(tp + fp + tn + fn == total for _, _, _, tp, fp, tn, fn in curve)


def test_rows_without_label_are_left_out(con):
    con.execute("CREATE TABLE part AS SELECT * FROM churn")
    expected = row_of(con, "SELECT * FROM ML.EVALUATE(MODEL worth, (SELECT * FROM part WHERE id >= 100))")
    con.execute("UPDATE part SET value = NULL WHERE id < 100")
    assert row_of(con, "SELECT * FROM ML.EVALUATE(MODEL worth, TABLE part)") == pytest.approx(expected)


def test_a_label_never_seen_is_an_error_of_the_model(con):
    con.execute(
        "CREATE TABLE odd AS SELECT tenure, charges, plan, CASE WHEN id < 300 THEN 'unheard of' ELSE segment END AS segment FROM churn"
    )
    got = row_of(con, "SELECT * FROM ML.EVALUATE(MODEL kind, TABLE odd)")
    assert got["accuracy"] <= 0.9


def test_evaluation_over_no_rows_is_null(con):
    got = row_of(con, "SELECT * FROM ML.EVALUATE(MODEL worth, (SELECT * FROM churn WHERE FALSE))")
    assert set(got.values()) == {None}
    got = row_of(con, "SELECT accuracy, roc_auc FROM ML.EVALUATE(MODEL churned, (SELECT * FROM churn WHERE FALSE))")
    assert set(got.values()) == {None}


def test_evaluate_needs_the_label(con):
    with pytest.raises(InputMismatchError, match='needs the label column "value"'):
        con.execute("SELECT * FROM ML.EVALUATE(MODEL worth, (SELECT tenure, charges, plan, senior FROM churn))")


def test_classifier_functions_refuse_a_regression(con):
    with pytest.raises(InputMismatchError, match="is for classifiers"):
        con.execute("SELECT * FROM ML.CONFUSION_MATRIX(MODEL worth, TABLE churn)")
    with pytest.raises(InputMismatchError, match="ROC curve is of two"):
        con.execute("SELECT * FROM ML.ROC_CURVE(MODEL kind, TABLE churn)")


def test_feature_importance_equals_lightgbm(con, booster):
    own, model = booster(con, "churned")
    rows = con.execute(
        "SELECT feature, importance_weight, importance_gain FROM ML.FEATURE_IMPORTANCE(MODEL churned)"
    ).fetchall()
    names = [feature.name for feature in model.features]
    assert {name: weight for name, weight, _ in rows} == dict(zip(names, own.feature_importance("split"), strict=True))
    gains = dict(zip(names, own.feature_importance("gain"), strict=True))
    assert {name: gain for name, _, gain in rows} == pytest.approx(gains)
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


def test_feature_info(con):
    rows = {
        r[0]: r[1:]
        for r in con.execute(
            "SELECT input, kind, null_count, null_scores_as FROM ML.FEATURE_INFO(MODEL churned)"
        ).fetchall()
    }
    assert rows["tenure"] == ("number", 0, "zero")
    assert rows["charges"][0] == "number"
    assert rows["charges"][1] > 0
    assert rows["charges"][2] == "missing"
    assert rows["plan"][2] == "level"
    assert rows["since"][0] == "timestamp"


def test_training_info_is_the_learning_curve(con):
    rows = con.execute(
        "SELECT iteration, eval_loss FROM ML.TRAINING_INFO(MODEL churned) WHERE phase IS NULL ORDER BY iteration"
    ).fetchall()
    assert len(rows) == 20
    assert rows[-1][1] < rows[0][1]


def test_training_info_says_where_the_time_went(con):
    rows = con.execute(
        "SELECT phase, duration_ms FROM ML.TRAINING_INFO(MODEL churned) WHERE iteration IS NULL"
    ).fetchall()
    assert [phase for phase, _ in rows] == ["reading", "learning", "binning", "training", "evaluation", "store"]
    assert all(duration >= 0 for _, duration in rows)
    assert sum(duration for _, duration in rows) > 0


def test_facts_in_a_view_need_a_pinned_version(con):
    with pytest.raises(NotSupportedYetError, match="cannot follow the default"):
        con.execute("CREATE VIEW m AS SELECT * FROM ML.EVALUATE(MODEL churned)")
    con.execute("CREATE VIEW m AS SELECT * FROM ML.EVALUATE(MODEL churned@1)")
    assert con.execute("SELECT count(*) FROM m").fetchone() == (1,)


def test_evaluate_in_a_view_follows_the_rows(con):
    con.execute("CREATE VIEW quality AS SELECT * FROM ML.EVALUATE(MODEL worth, TABLE churn)")
    before = con.execute("SELECT mean_absolute_error FROM quality").fetchone()
    con.execute("UPDATE churn SET value = value + 100")
    assert con.execute("SELECT mean_absolute_error FROM quality").fetchone()[0] > before[0] + 50


def test_model_free_spellings(con):
    for query in ("SELECT * FROM ml.evaluate('worth')", "SELECT * FROM ML.EVALUATE(MODEL 'worth')"):
        assert row_of(con, query) == row_of(con, "SELECT * FROM ML.EVALUATE(MODEL worth)")


def test_functions_about_the_model_take_no_rows(con):
    with pytest.raises(InputMismatchError, match="takes no rows"):
        con.execute("SELECT * FROM ML.FEATURE_INFO(MODEL worth, TABLE churn)")
    with pytest.raises(OptionError, match="unknown setting"):
        con.execute("SELECT * FROM ML.EVALUATE(MODEL worth, TABLE churn, STRUCT(1 AS nonsense))")
