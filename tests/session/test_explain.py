"""Explanations as tables and as expressions, against LightGBM's own ``pred_contrib``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sqlml.errors import (
    DuplicateColumnError,
    InputMismatchError,
    NotSupportedYetError,
    OptionError,
    OptionValueError,
)
from udfs.forest.shap_image import build_shap_image
from udfs.forest.shap_interactions import interactions

in_expressions = pytest.mark.not_yet_on_postgres(
    "without an installation the server attributes nothing within expressions and views"
)
CLASSES = ["big", "new", "small"]


@pytest.fixture
def explained(con, features):
    """A model's feature names, LightGBM's contributions ``[rows, outputs, features + 1]``, and its raw scores, by id."""

    def make(name, where="true"):
        own, model, matrix = features(con, name, where)
        contributions = own.predict(matrix, pred_contrib=True).reshape(len(matrix), model.forest.outputs, -1)
        raw = own.predict(matrix, raw_score=True).reshape(len(matrix), -1)
        return [feature.name for feature in model.features], contributions, raw

    return make


def close(got, wanted):
    np.testing.assert_allclose(np.array(got, float), wanted, rtol=0, atol=1e-9)


def attributions(table, names):
    """The lists of a table as a matrix, one column a feature."""
    rows = table.column("top_feature_attributions").to_pylist()
    lists = [json.loads(row) if isinstance(row, str) else row for row in rows]  # which Arrow has as text from Postgres
    found = [{item["feature"]: item["attribution"] for item in items} for items in lists]
    return [[row[name] for name in names] for row in found]


def test_two_classes(con, explained):
    names, wanted, raw = explained("churned")
    table = con.execute(
        "SELECT * FROM ML.EXPLAIN_PREDICT(MODEL churned, TABLE churn, STRUCT(99 AS top_k_features)) ORDER BY id"
    ).arrow()
    assert table.column_names == [
        *con.execute("SELECT * FROM churn LIMIT 0").arrow().column_names,
        "predicted_left_us", "probability", "top_feature_attributions", "baseline_prediction_value", "prediction_value",
        "approximation_error",
    ]  # fmt: skip
    close(attributions(table, names), wanted[:, 0, :-1])
    close(table["baseline_prediction_value"], wanted[:, 0, -1])
    assert (table["prediction_value"].to_numpy() == raw[:, 0]).all()
    assert set(table["approximation_error"].to_pylist()) == {0.0}
    predicted = table["predicted_left_us"].to_numpy()
    chance = 1 / (1 + np.exp(-raw[:, 0]))
    assert (predicted == (chance > 0.5)).all()
    close(table["probability"], np.where(predicted, chance, 1 - chance))


def test_the_greatest_attributions_first(con, explained):
    names, wanted, _ = explained("churned")
    rows = con.execute(
        "SELECT top_feature_attributions FROM ML.EXPLAIN_PREDICT(MODEL churned, TABLE churn, STRUCT(3 AS top_k_features)) ORDER BY id"
    ).fetchall()
    for (found,), values in zip(rows, wanted[:, 0, :-1], strict=True):
        best = np.sort(np.abs(values))[::-1][:3]
        close([abs(item["attribution"]) for item in found], best)
        close([item["attribution"] for item in found], [values[names.index(item["feature"])] for item in found])
    default = con.execute(
        "SELECT top_feature_attributions FROM ML.EXPLAIN_PREDICT(MODEL churned, TABLE churn)"
    ).fetchone()
    assert len(default[0]) == 5


def test_a_number(con, explained):
    names, wanted, raw = explained("worth", "senior")
    table = con.execute(
        "SELECT * FROM ML.EXPLAIN_PREDICT(MODEL worth, (SELECT * FROM churn WHERE senior)) ORDER BY id"
    ).arrow()
    assert "probability" not in table.column_names
    close(attributions(table, names), wanted[:, 0, :-1])
    assert table["prediction_value"].equals(table["predicted_value"])
    assert (table["prediction_value"].to_numpy() == raw[:, 0]).all()


@in_expressions
def test_many_classes_explain_the_predicted_one(con, explained):
    names, wanted, raw = explained("kind")
    best = raw.argmax(axis=1)
    rows = np.arange(len(raw))
    table = con.execute("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL kind, TABLE churn) ORDER BY id").arrow()
    assert table["predicted_segment"].to_pylist() == [CLASSES[k] for k in best]
    close(attributions(table, names), wanted[rows, best, :-1])
    close(table["baseline_prediction_value"], wanted[rows, best, -1])
    assert (table["prediction_value"].to_numpy() == raw[rows, best]).all()
    powers = np.exp(raw)
    close(table["probability"], (powers / powers.sum(axis=1, keepdims=True))[rows, best])
    fields = con.execute("SELECT EXPLAIN_PREDICT(kind, *) AS e FROM churn ORDER BY id").fetchall()
    close([[e[name] for name in names] for (e,) in fields], wanted[rows, best, :-1])


def test_threshold(con, explained):
    _, _, raw = explained("churned")
    predicted = con.execute(
        "SELECT predicted_left_us, probability FROM ML.EXPLAIN_PREDICT(MODEL churned, TABLE churn, STRUCT(0.9 AS threshold)) ORDER BY id"
    ).fetchall()
    chance = 1 / (1 + np.exp(-raw[:, 0]))
    assert [label for label, _ in predicted] == (chance > 0.9).tolist()
    close([p for _, p in predicted], np.where(chance > 0.9, chance, 1 - chance))


@in_expressions
def test_forests_are_explained_on_the_scale_of_their_average(con):
    con.execute(
        "CREATE MODEL woods OPTIONS (model_type = 'random_forest_regressor', input_label_cols = ['value'], num_parallel_tree = 10) "
        "AS SELECT tenure, charges, plan, senior, value FROM churn"
    )
    table = con.execute("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL woods, TABLE churn) ORDER BY id").arrow()
    close(table["prediction_value"], table["predicted_value"].to_numpy())
    names = ["tenure", "charges", "plan", "senior"]
    sums = np.sum(attributions(table, names), axis=1) + table["baseline_prediction_value"].to_numpy()
    close(sums, table["predicted_value"].to_numpy())
    fields = con.execute("SELECT EXPLAIN_PREDICT(woods, *) FROM churn ORDER BY id").fetchall()
    close([[e[name] for name in names] for (e,) in fields], attributions(table, names))


@in_expressions
def test_as_an_expression(con, explained, door):
    names, wanted, _ = explained("churned")
    cursor = con.execute("SELECT EXPLAIN_PREDICT(churned, *) FROM churn ORDER BY id")
    assert [column[0] for column in cursor.description] == ["attributions"]
    close([[e[name] for name in names] for (e,) in cursor.fetchall()], wanted[:, 0, :-1])
    field = {"duckdb": "{}.tenure", "postgres": "CAST({}->>'tenure' AS FLOAT8)"}[door.name]
    pushed = con.execute(
        f"SELECT count(*) FROM churn WHERE {field.format('EXPLAIN_PREDICT(churned, *)')} > 1"
    ).fetchone()[0]
    assert pushed == (wanted[:, 0, names.index("tenure")] > 1).sum()


def test_of_all_rows(con, explained):
    for model in ("churned", "kind"):
        names, wanted, _ = explained(model)
        means = np.abs(wanted[:, :, :-1]).mean(axis=(0, 1))
        rows = con.execute(f"SELECT feature, attribution FROM ML.GLOBAL_EXPLAIN(MODEL {model}, TABLE churn)").fetchall()
        assert sorted(name for name, _ in rows) == sorted(names)
        close([value for _, value in rows], [means[names.index(name)] for name, _ in rows])
        assert [value for _, value in rows] == sorted((value for _, value in rows), reverse=True)


def test_of_segments(con, explained):
    query = "SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL kind, (SELECT *, id % 3 AS third FROM churn), STRUCT(['third', 'SENIOR'] AS group_by))"
    table = con.execute(query).arrow()
    assert table.column_names == ["third", "senior", "feature", "attribution"]
    rows = [tuple(row.values()) for row in table.to_pylist()]
    segments = con.execute("SELECT DISTINCT id % 3 AS third, senior FROM churn ORDER BY 1, 2").fetchall()
    assert list(dict.fromkeys(row[:2] for row in rows)) == segments
    for third, senior in segments:
        names, wanted, _ = explained("kind", f"id % 3 = {third} AND senior IS NOT DISTINCT FROM {senior}")
        means = np.abs(wanted[:, :, :-1]).mean(axis=(0, 1))
        found = [row[2:] for row in rows if row[:2] == (third, senior)]
        close([value for _, value in found], [means[names.index(name)] for name, _ in found])
        assert [value for _, value in found] == sorted((value for _, value in found), reverse=True)
    one = "SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL worth, TABLE churn, STRUCT('plan' AS group_by))"
    assert con.execute(one).fetchall() == con.execute(one.replace("'plan'", "['plan']")).fetchall()


def test_of_no_rows(con):
    assert (
        con.execute("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL churned, (SELECT * FROM churn LIMIT 0))").fetchall() == []
    )
    rows = con.execute("SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL worth, (SELECT * FROM churn LIMIT 0))").fetchall()
    assert rows == [(name, None) for name in ("tenure", "charges", "plan", "senior")]


def test_what_moved_the_mean(con, explained):
    query = "SELECT * FROM ML.EXPLAIN_DIFFERENCE(MODEL {}, (SELECT * FROM churn WHERE senior), (SELECT * FROM churn WHERE NOT senior))"
    names, a, raw_a = explained("worth", "senior")
    _, b, raw_b = explained("worth", "NOT senior")
    table = con.execute(query.format("worth")).arrow()
    assert table.column_names == ["feature", "mean_a", "mean_b", "difference"]
    order = [names.index(name) for name in table["feature"].to_pylist()]
    close(table["mean_a"], a[:, 0].mean(axis=0)[order])
    close(table["mean_b"], b[:, 0].mean(axis=0)[order])
    close(sum(table["difference"].to_pylist()), raw_b.mean() - raw_a.mean())
    _, _, raw_a = explained("kind", "senior")
    _, _, raw_b = explained("kind", "NOT senior")
    rows = con.execute(
        f"SELECT class, sum(difference) FROM ({query.format('kind')}) q GROUP BY class ORDER BY class"
    ).fetchall()
    assert [name for name, _ in rows] == CLASSES
    close([value for _, value in rows], raw_b.mean(axis=0) - raw_a.mean(axis=0))


@pytest.mark.parametrize("model", ["worth", "kind"])
def test_interactions(con, features, model):
    """The mean sizes of what the kernel gives, which sums to LightGBM's contributions feature by feature."""
    own, made, matrix = features(con, model)
    outputs, count = made.forest.outputs, len(made.features)
    found = interactions(build_shap_image(made.forest, count), np.ascontiguousarray(matrix.T))
    cells = np.zeros((outputs, count, count, len(matrix)))
    upper = np.triu_indices(count)
    cells[:, upper[0], upper[1]] = found.reshape(outputs, -1, len(matrix))
    sums = (cells.sum(axis=1) + cells.sum(axis=2)) / 2
    wanted = own.predict(matrix, pred_contrib=True).reshape(len(matrix), outputs, -1)[:, :, :-1]
    close(sums.transpose(2, 0, 1), wanted)
    table = con.execute(f"SELECT * FROM ML.INTERACTIONS(MODEL {model}, TABLE churn)").arrow()
    assert table.column_names == ["feature_a", "feature_b", "interaction"]
    assert table.num_rows == count * (count + 1) // 2
    names = [feature.name for feature in made.features]
    sizes = np.abs(cells).mean(axis=(0, 3))
    rows = table.to_pylist()
    close(
        [row["interaction"] for row in rows],
        [sizes[names.index(r["feature_a"]), names.index(r["feature_b"])] for r in rows],
    )
    assert [row["interaction"] for row in rows] == sorted((row["interaction"] for row in rows), reverse=True)


def test_interactions_ask_for_few_features(con):
    columns = ", ".join(f"(id * {k} + 1) % 97 AS f{k}" for k in range(2, 103))
    con.execute(
        f"CREATE MODEL wide OPTIONS (input_label_cols = ['value'], max_iterations = 1, num_threads = 1) AS SELECT {columns}, value FROM churn"
    )
    with pytest.raises(InputMismatchError, match='at most 100 features, model "wide" has 101'):
        con.execute("SELECT * FROM ML.INTERACTIONS(MODEL wide, TABLE churn)")
    with pytest.raises(OptionError, match=r"ML.INTERACTIONS has no settings"):
        con.execute("SELECT * FROM ML.INTERACTIONS(MODEL worth, TABLE churn, STRUCT(3 AS top_k_features))")


def test_within_larger_queries(con, door):
    items, name, value = {
        "duckdb": ("unnest", "item.feature", "item.attribution"),
        "postgres": ("jsonb_array_elements", "item->>'feature'", "CAST(item->>'attribution' AS FLOAT8)"),
    }[door.name]
    total = con.execute(f"""
        WITH old AS (SELECT * FROM churn WHERE tenure > 30)
        SELECT {name}, avg({value}) AS mean
        FROM ML.EXPLAIN_PREDICT(MODEL worth, TABLE old) AS e, {items}(e.top_feature_attributions) AS u(item)
        GROUP BY 1 ORDER BY mean DESC LIMIT 1
    """).fetchone()
    assert total[0] == "tenure"
    assert total[1] > 0


@in_expressions
def test_stored_texts_name_a_version(con):
    for query in (
        "SELECT * FROM ML.EXPLAIN_PREDICT(MODEL {}, TABLE churn)",
        "SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL {}, TABLE churn)",
        "SELECT * FROM ML.EXPLAIN_DIFFERENCE(MODEL {}, TABLE churn, TABLE churn)",
        "SELECT EXPLAIN_PREDICT({}, *) AS e FROM churn",
    ):
        with pytest.raises(NotSupportedYetError, match="cannot follow the default in a stored text") as caught:
            con.execute(f"CREATE VIEW why AS {query.format('worth')}")
        assert "worth@1" in caught.value.hint
        con.execute(f"CREATE OR REPLACE VIEW why AS {query.format('worth@1')}")
        assert con.execute("TABLE why").fetchall() == con.execute(query.format("worth")).fetchall()


def test_mistakes(con):
    with pytest.raises(OptionError, match='unknown setting "top_k"') as caught:
        con.execute("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL worth, TABLE churn, STRUCT(3 AS top_k))")
    assert "top_k_features" in caught.value.hint
    with pytest.raises(OptionError, match="stands twice"):
        con.execute(
            "SELECT * FROM ML.EXPLAIN_PREDICT(MODEL worth, TABLE churn, STRUCT(3 AS top_k_features, 4 AS top_k_features))"
        )
    for value in ("0", "-1", "1.5", "TRUE", "'many'"):
        with pytest.raises(OptionValueError, match="must be a number from 1 on"):
            con.execute(
                f"SELECT * FROM ML.EXPLAIN_PREDICT(MODEL worth, TABLE churn, STRUCT({value} AS top_k_features))"
            )
    with pytest.raises(OptionValueError, match="binary classifiers only"):
        con.execute("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL worth, TABLE churn, STRUCT(0.3 AS threshold))")
    with pytest.raises(OptionError, match='unknown setting "class_level_explain"'):
        con.execute("SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL worth, TABLE churn, STRUCT(TRUE AS class_level_explain))")
    with pytest.raises(OptionValueError, match='names "plam", which is not a column') as caught:
        con.execute("SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL worth, TABLE churn, STRUCT(['plam'] AS group_by))")
    assert "plan" in caught.value.hint
    for value in ("3", "[1]", "TRUE"):
        with pytest.raises(OptionValueError, match="must be a list of columns"):
            con.execute(f"SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL worth, TABLE churn, STRUCT({value} AS group_by))")
    with pytest.raises(OptionValueError, match="names a column twice"):
        con.execute("SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL worth, TABLE churn, STRUCT(['plan', 'PLAN'] AS group_by))")
    with pytest.raises(OptionError, match="stands twice"):
        con.execute(
            "SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL worth, TABLE churn, STRUCT(['plan'] AS group_by, 'plan' AS group_by))"
        )
    with pytest.raises(DuplicateColumnError, match='already has a column "feature"'):
        con.execute(
            "SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL worth, (SELECT *, 1 AS feature FROM churn), STRUCT('feature' AS group_by))"
        )
    with pytest.raises(InputMismatchError, match=r"ML\.EXPLAIN_PREDICT needs rows"):
        con.execute("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL worth)")
    with pytest.raises(InputMismatchError, match="needs two sets of rows, got 1"):
        con.execute("SELECT * FROM ML.EXPLAIN_DIFFERENCE(MODEL worth, TABLE churn)")
    with pytest.raises(DuplicateColumnError, match='already has a column "prediction_value"'):
        con.execute("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL worth, (SELECT *, 1 AS prediction_value FROM churn))")
