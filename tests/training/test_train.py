"""CREATE MODEL's work end to end on every engine, LightGBM the oracle."""

from __future__ import annotations

import json

import lightgbm
import numpy as np
import pyarrow as pa
import pytest

from sqlml.errors import MissingColumnError
from sqlml.training import rows as training_rows
from sqlml.training.team import BLOCKS
from udfs.artifact import artifact_hash
from udfs.forest.text import format_lightgbm

ROWS = 3_000


@pytest.fixture
def matrix(engine):
    """Table ``t``: four numbers, NULLs among them, a text of five levels, and labels of every kind; the same as a matrix."""
    rng = np.random.default_rng(0)
    found = rng.normal(size=(ROWS, 5))
    found[:, 1] = np.where(rng.random(ROWS) < 0.2, np.nan, found[:, 1])
    found[:, 2] = np.where(rng.random(ROWS) < 0.7, 0.0, found[:, 2])
    found[:, 3] = rng.integers(0, 9, ROWS)
    found[:, 4] = np.arange(ROWS) % 15 % 5  # levels by frequency: each as frequent as the others, so by name
    value = found[:, 0] + np.nan_to_num(found[:, 1]) + found[:, 3] % 3 + (found[:, 4] == 2)
    table = pa.table(
        {
            **{name: pa.array(found[:, i], from_pandas=True) for i, name in enumerate("abcd")},
            "s": ["abcde"[int(code)] for code in found[:, 4]],
            "y": value,
            "k": [("low", "mid", "top")[int(np.digitize(v, [0.5, 1.5]))] for v in value],
            "p": value > 1,
            "w": np.arange(ROWS) % 3 + 1.0,
        }
    )
    with engine.lending(table) as given:
        engine.run(f"CREATE TABLE t AS SELECT * FROM {given}")
    return found


@pytest.fixture
def column(engine):
    """A column of ``t``, NULL as None."""

    def read(name):
        values = pa.concat_arrays([batch.column(0) for batch in engine.stream(f"SELECT {name} AS v FROM t")])
        return values.to_numpy(zero_copy_only=False)

    return read


def trees(text):
    return text[text.index("Tree=0") : text.index("end of trees")]


def oracle(matrix, label, categorical=(4,), iterations=20, weight=None, **parameters):
    settings = {"verbosity": -1, "deterministic": True, "force_col_wise": True, "num_threads": 1, **parameters}
    data = lightgbm.Dataset(matrix, label, weight=weight, categorical_feature=list(categorical), params=settings)
    return lightgbm.train(settings, data, iterations)


def booster(model):
    return lightgbm.Booster(model_str=format_lightgbm(model.forest))


FEATURES = "a, b, c, d, s"
CASES = {
    "regression": ("y", {}, {"objective": "regression"}),
    "binary": ("p", {}, {"objective": "binary"}),
    "multiclass": ("k", {}, {"objective": "multiclass", "num_class": 3}),
    "quantile": ("y", {"objective": "quantile", "alpha": 0.3}, {"objective": "quantile", "alpha": 0.3}),
    "seeded": (
        "y",
        {"seed": 7, "subsample": 0.5, "colsample_bytree": 0.5},
        {"seed": 7, "bagging_fraction": 0.5, "bagging_freq": 1, "feature_fraction": 0.5},
    ),
    "leaves": (
        "y",
        {"num_leaves": 5, "min_data_in_leaf": 3, "l2_reg": 2},
        {"num_leaves": 5, "min_data_in_leaf": 3, "lambda_l2": 2.0},
    ),
    "dart": ("y", {"booster_type": "DART", "dropout": 0.3}, {"boosting": "dart", "drop_rate": 0.3}),
    "goss": (  # its sample is drawn block by block, so that it depends on LightGBM's number of threads
        "p",
        {"data_sample_strategy": "goss"},
        {"objective": "binary", "data_sample_strategy": "goss", "num_threads": BLOCKS},
    ),
    "monotone": ("y", {"monotone_constraints": {"a": 1, "D": -1}}, {"monotone_constraints": [1, 0, 0, -1, 0]}),
    "zero_as_missing": ("y", {"zero_as_missing": True}, {"zero_as_missing": True}),
    "few_bins": ("y", {"max_bin": 15, "learn_rate": 0.3}, {"max_bin": 15, "learning_rate": 0.3}),
    "forest": (
        "y",
        {"model_type": "random_forest_regressor", "num_leaves": 31},
        {"boosting": "rf", "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction_bynode": 0.8, "max_depth": 15},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_model_equals_lightgbm(case, matrix, column, fit, model_of):
    name, options, parameters = CASES[case]
    given = {"max_iterations": 20, "data_split_method": "no_split", **options}
    model = model_of(fit(f"SELECT {FEATURES}, {name} FROM t", label=name, **given))
    label = column(name)
    if model.label.classes:
        label = np.searchsorted(np.array(model.label.classes), label)
    expected = oracle(matrix, label, **parameters)
    found = booster(model)
    assert trees(found.model_to_string()) == trees(expected.model_to_string())
    assert (found.predict(matrix) == expected.predict(matrix)).all()
    assert [f.has_missing for f in model.features] == [False, True, False, False, False]
    assert model.features[4].levels == tuple("abcde")


def test_weights(matrix, column, fit, model_of):
    query = f"SELECT {FEATURES}, p, w FROM t"
    options = {"label": "p", "max_iterations": 10, "data_split_method": "no_split", "instance_weight_col": "w"}
    label = column("p").astype(float)
    found = booster(model_of(fit(query, **options)))
    expected = oracle(matrix, label, iterations=10, weight=column("w"), objective="binary")
    assert trees(found.model_to_string()) == trees(expected.model_to_string())
    balanced = booster(model_of(fit(query, **options, auto_class_weights=True)))
    share = label.mean()
    both = column("w") * np.where(label, 0.5 / share, 0.5 / (1 - share))
    expected = oracle(matrix, label, iterations=10, weight=both, objective="binary")
    assert trees(balanced.model_to_string()) == trees(expected.model_to_string())


def test_held_out_rows_are_not_trained_on(matrix, column, fit, model_of, connection):
    connection.execute("ALTER TABLE t ADD COLUMN held BOOLEAN")
    connection.execute("UPDATE t SET held = CASE WHEN w = 1 THEN TRUE WHEN w = 2 AND a > 1 THEN NULL ELSE FALSE END")
    version = fit(
        "SELECT a, b, c, d, y, held FROM t", label="y", max_iterations=30, early_stop=False,
        data_split_method="CUSTOM", data_split_col="HELD",
    )  # fmt: skip
    held = np.array([value is not False for value in column("held")])
    expected = oracle(matrix[~held, :4], column("y")[~held], (), iterations=30)
    found = booster(model_of(version))
    assert trees(found.model_to_string()) == trees(expected.model_to_string())
    error = ((expected.predict(matrix[held, :4]) - column("y")[held]) ** 2).mean()
    metrics = {row.metric: row.value for row in version.metrics if row.iteration is None}
    assert metrics["mean_squared_error"] == pytest.approx(error, rel=1e-9)
    curve = [row.value for row in version.metrics if row.iteration is not None and row.split == "evaluation"]
    assert len(curve) == 30
    assert curve[-1] == pytest.approx(error, rel=1e-5)
    assert version.evaluation["rows"] == held.sum()


def test_early_stopping_keeps_the_best_iteration(connection, fit, model_of):
    connection.execute(
        "CREATE TABLE n AS SELECT i * 7919 % 9973 % 97 AS x, i * 104729 % 15485863 % 10 AS y, i % 4 = 0 AS h FROM range(2000) r(i)"
    )
    options = {
        "label": "y",
        "model_type": "boosted_tree_regressor",
        "data_split_method": "custom",
        "data_split_col": "h",
    }
    version = fit("SELECT * FROM n", **options, early_stopping_rounds=5)
    curve = [row.value for row in version.metrics if row.iteration is not None and row.split == "evaluation"]
    full = fit("SELECT * FROM n", **options, early_stop=False)
    whole = [row.value for row in full.metrics if row.iteration is not None and row.split == "evaluation"]
    assert len(whole) == 100
    kept = len(model_of(version).forest.trees)
    assert kept == len(curve) == version.training_info["iterations"] < 20
    assert version.training_info["stopped"] == "early_stop"
    assert curve == whole[:kept]
    assert whole[kept - 1] == min(whole[: kept + 5])


def test_binary_version_holds_all_there_is_to_know(matrix, fit, model_of, engine_name):
    version = fit("SELECT a, b, c, d, s, p FROM t", label="P", max_iterations=5, seed=3)
    model = model_of(version)
    assert version.artifact_hash == artifact_hash(version.artifact)
    assert (version.task, version.label, version.label_type) == (
        "binary",
        "p",
        "BOOLEAN" if engine_name == "duckdb" else "boolean",
    )
    assert model.label.classes == (False, True)
    assert version.signature == (("a", "number"), ("b", "number"), ("c", "number"), ("d", "number"), ("s", "text"))
    assert version.options == {"input_label_cols": "p", "max_iterations": 5, "seed": 3, "num_threads": 1}
    assert version.engine == engine_name
    assert version.reproducible
    assert version.seed == 3
    final = {row.metric: row.value for row in version.metrics if row.iteration is None}
    assert list(final) == ["precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc"]
    info = version.training_info
    assert info["training_rows"] + info["held_out_rows"] == ROWS
    assert 0.15 * ROWS < info["held_out_rows"] < 0.25 * ROWS
    matrix_rows = version.evaluation["confusion_matrix"]
    assert sum(map(sum, matrix_rows)) == version.evaluation["rows"] == info["held_out_rows"]
    assert version.evaluation["classes"] == [False, True]
    assert version.evaluation["roc_curve"][0].keys() >= {"threshold", "recall", "false_positive_rate"}
    json.dumps(version.evaluation)
    json.dumps(version.training_info)
    json.dumps(version.options)
    statistics = {item.name: item for item in version.feature_statistics}
    assert statistics["b"].null_count == np.isnan(matrix[:, 1]).sum()
    assert statistics["a"].mean == pytest.approx(matrix[:, 0].mean())
    assert statistics["a"].stddev == pytest.approx(matrix[:, 0].std(ddof=1))
    assert float(statistics["a"].maximum) == matrix[:, 0].max()
    assert statistics["s"].distinct_count == 5
    assert sum(count for _, count in statistics["s"].top_values) == info["training_rows"]


def test_same_again_is_the_same_hash_and_nothing_else_is(matrix, fit, connection):
    query = f"SELECT {FEATURES}, y FROM t"
    options = {"label": "y", "max_iterations": 5, "subsample": 0.8}
    first = fit(query, **options)
    assert fit(query, **options, num_threads=2).artifact_hash == first.artifact_hash
    assert fit(query, **options, memory_limit="8GB", description="x").artifact_hash == first.artifact_hash
    assert fit(query, **options, seed=1).artifact_hash != first.artifact_hash
    connection.execute("UPDATE t SET a = a + 1 WHERE a = (SELECT max(a) FROM t)")
    other = fit(query, **options)
    assert other.artifact_hash != first.artifact_hash
    assert other.fingerprint.content_hash != first.fingerprint.content_hash


def test_a_sample_by_gradients_does_not_depend_on_the_number_of_threads(matrix, fit):
    """LightGBM draws it block by block, and has as many blocks as threads."""
    options = {"label": "p", "data_sample_strategy": "goss", "max_iterations": 20, "data_split_method": "no_split"}
    first, second = (fit(f"SELECT {FEATURES}, p FROM t", **options, num_threads=threads) for threads in (1, 2))
    assert first.artifact_hash == second.artifact_hash


def test_order_of_rows_does_not_matter_where_the_query_has_none(matrix, fit, connection):
    """A join has no order of its own: its result is sorted, so that the same rows give the same model."""
    connection.execute("CREATE TABLE u AS SELECT DISTINCT s, ascii(s) AS code FROM t")
    connection.execute("CREATE TABLE t2 AS SELECT * FROM t ORDER BY c, d, a")
    found = [
        fit(f"SELECT a, b, code, y FROM {table} JOIN u USING (s)", label="y", max_iterations=5) for table in ("t", "t2")
    ]
    assert found[0].reproducible
    assert found[0].artifact_hash == found[1].artifact_hash
    assert found[0].fingerprint == found[1].fingerprint


def test_volatile_query_is_read_once(matrix, fit, monkeypatch):
    monkeypatch.setattr(training_rows, "KEPT_BYTES", 1_000)
    version = fit("SELECT a, b, random() AS r, y FROM t", label="y", max_iterations=5)
    assert not version.reproducible


@pytest.mark.parametrize("limit", [0, 40_000, 1 << 30])
@pytest.mark.parametrize("split", ["random", "stratified", "seq", "group"])
@pytest.mark.parametrize(
    "query",
    ["SELECT a, b, s, k, d FROM t", "SELECT a, b, t.s, k, d FROM t JOIN (SELECT DISTINCT s FROM t) u ON t.s = u.s"],
)
def test_readings_agree_however_rows_are_kept(query, split, limit, matrix, fit, monkeypatch, connection):
    """In memory, read twice, or spooled: the model is the same."""
    connection.execute("UPDATE t SET k = NULL WHERE w = 3 AND a > 1")
    options = {"label": "k", "max_iterations": 3, "data_split_method": split}
    if split in ("seq", "group"):
        options["data_split_col"] = "d"
    expected = fit(query, **options)
    monkeypatch.setattr(training_rows, "KEPT_BYTES", limit)
    monkeypatch.setattr(training_rows, "BATCH_ROWS", 2_048)
    found = fit(query, **options)
    assert found.artifact_hash == expected.artifact_hash
    assert found.metrics == expected.metrics
    assert found.fingerprint == expected.fingerprint


def test_user_transaction_is_left_as_it_was(matrix, fit, engine, connection):
    connection.execute("BEGIN")
    connection.execute("UPDATE t SET y = y + 1")
    fit(f"SELECT {FEATURES}, y FROM t", label="y", max_iterations=2)
    assert engine.in_transaction()
    connection.execute("ROLLBACK")
    fit(f"SELECT {FEATURES}, y FROM t", label="y", max_iterations=2)
    assert not engine.in_transaction()


def test_temporary_and_uncommitted_rows_are_seen(connection, fit):
    connection.execute("CREATE TEMP TABLE own AS SELECT i AS x, i * 2.5::float8 AS y FROM range(300) r(i)")
    assert fit("SELECT * FROM own", label="y", max_iterations=2).training_info["training_rows"] == 300


@pytest.mark.parametrize("role", ["input_label_cols", "instance_weight_col", "data_split_col"])
def test_missing_columns(role, matrix, fit):
    options = {"label": "y", "data_split_method": "custom", "data_split_col": "p", "instance_weight_col": "w"}
    if role == "input_label_cols":
        del options["label"]
    options[role] = "aa"
    with pytest.raises(MissingColumnError, match='column "aa" is not in the training query') as caught:
        fit("SELECT * FROM t", **options)
    assert caught.value.hint == 'Did you mean "a"?'


def test_missing_default_label(matrix, fit):
    with pytest.raises(MissingColumnError, match='label column "label" is not in the training query') as caught:
        fit("SELECT * FROM t")
    assert "input_label_cols" in caught.value.hint


def test_names_that_lightgbm_does_not_take(connection, fit, model_of):
    connection.execute(
        'CREATE TABLE odd AS SELECT i AS "a b", i % 7 AS "a:b", i % 5 AS "ü""; DROP", i AS "y y" FROM range(600) r(i)'
    )
    model = model_of(fit("SELECT * FROM odd", label="y y", max_iterations=2))
    assert [feature.name for feature in model.features] == ["a b", "a:b", 'ü"; DROP']
    assert booster(model).feature_name() == ["a_b", "a_b_2", "ü_;_DROP"]
