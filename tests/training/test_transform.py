"""TRANSFORM in training: what LightGBM sees is what the stored program makes of the raw columns."""

from __future__ import annotations

import lightgbm
import numpy as np
import pyarrow as pa
import pytest

from sqlml.training import rows as training_rows
from udfs.columns import raw_block
from udfs.forest.text import format_lightgbm
from udfs.transforms.program import apply_program

COLUMNS = ("a", "b", "s", "d", "z", "f")
QUERY = """
    SELECT i % 97 AS a, CASE WHEN i % 5 > 0 THEN i * 7919 % 1000 / 10.0::float8 END AS b, chr((97 + i % 7)::INT) AS s,
        DATE '2020-01-01' + (i % 400)::INT AS d, CAST('2021-03-01 10:00:00+00' AS timestamptz) + i * INTERVAL '37 minutes' AS z,
        i % 3 = 0 AS f, (i % 97) * 0.5::float8 + i % 7 + (i * 104729 % 100) / 50.0::float8 AS y, i % 97 > 40 AS p,
        chr((65 + (i % 97 - i % 97 % 33) / 33)::INT) AS k
    FROM range(2000) r(i)
"""
TRANSFORMS = {
    "none": None,
    "scalers": "ML.STANDARD_SCALER(a) OVER () AS a, ML.MIN_MAX_SCALER(b) OVER () AS b, {y}",
    "imputer": "ML.IMPUTER(b, 'median') OVER () AS b, a, {y}",
    "one_hot": "ML.ONE_HOT_ENCODER(s) OVER () AS s, a, {y}",
    "buckets": "ML.QUANTILE_BUCKETIZE(a, 5) OVER () AS a, ML.BUCKETIZE(b, [10, 50]) AS b, {y}",
    "expressions": "a * 2 + coalesce(b, 0) AS ab, CASE WHEN s IN ('a', 'b') THEN 1 ELSE 0 END AS t, extract(month FROM d) AS m, {y}",
    "star": "* EXCEPT (z), a / 2 AS half",
    "engine_bound": "a, bit_length(s || 'x') + ascii(s) AS odd, {y}",
}


@pytest.mark.parametrize("label", ["y", "p", "k"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_stored_program_gives_what_was_trained_on(name, label, fit, model_of, engine):
    """Trained again by LightGBM on the features of the stored program, the trees are the same."""
    transform = TRANSFORMS[name]
    query = f"SELECT {', '.join(COLUMNS)}, {label} FROM ({QUERY}) AS q ORDER BY 1, 2, 3, 4, 5, 6, 7"
    version = fit(
        query, label=label, max_iterations=5, data_split_method="no_split",
        transform=None if transform is None else transform.format(y=label),
    )  # fmt: skip
    model = model_of(version)
    items = ", ".join(f'{a.expression} AS "{a.name}"' if a.expression else f'"{a.name}"' for a in model.arguments)
    batches = list(engine.stream(f"SELECT {items}, {label} AS __label FROM ({query}) AS q"))
    batch = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    matrix = apply_program(model, raw_block(batch, model.arguments)).T
    values = np.array(batch.column(batch.num_columns - 1).to_pylist())
    target = np.searchsorted(model.label.classes, values) if model.label.classes else values.astype(float)
    parameters = {
        "verbosity": -1, "deterministic": True, "force_col_wise": True, "num_threads": 1,
        "objective": {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}[model.task],
        "num_class": 3 if model.task == "multiclass" else 1,
    }  # fmt: skip
    categorical = [index for index, feature in enumerate(model.features) if feature.categorical]
    expected = lightgbm.train(parameters, lightgbm.Dataset(matrix, target, categorical_feature=categorical), 5)
    found = lightgbm.Booster(model_str=format_lightgbm(model.forest))
    assert (found.predict(matrix) == expected.predict(matrix)).all()
    assert len(model.forest.trees) == 5 * model.forest.outputs


@pytest.mark.parametrize(("label", "features"), [("y", 1), ("p", 1), ("k", 3)])
def test_target_encoding_is_out_of_fold_while_training(label, features, fit, model_of):
    """A text that every row has for itself says nothing about other rows: in fold it would say everything."""
    query = f"SELECT 'row ' || i AS s, {label} FROM (SELECT row_number() OVER () AS i, q.* FROM ({QUERY}) AS q) AS r"
    version = fit(
        query,
        label=label,
        transform=f"ML.TARGET_ENCODER(s) OVER () AS s, {label}",
        max_iterations=5,
        data_split_method="no_split",
    )
    model = model_of(version)
    assert len(model.features) == features
    metrics = {row.metric: row.value for row in version.metrics if row.iteration is None}
    assert metrics.get("r2_score", 0) < 0.05
    assert metrics.get("roc_auc", 0.5) < 0.6


def test_held_out_rows_teach_the_transform_nothing(fit, model_of):
    query = "SELECT i AS x, CASE WHEN i < 900 THEN 'early' ELSE 'late' END AS s, i % 9 AS y, i >= 900 AS h FROM range(1000) r(i)"
    version = fit(
        query, label="y", transform="ML.MAX_ABS_SCALER(x) OVER () AS x, s, y, h", max_iterations=1,
        data_split_method="custom", data_split_col="h",
    )  # fmt: skip
    model = model_of(version)
    scale = apply_program(model, raw_block(pa.record_batch({"x": [899.0], "s": ["early"]}), model.arguments))
    assert scale[0, 0] == 1.0
    assert model.features[1].levels == ("early",)


@pytest.mark.parametrize("limit", [1_000, 1 << 20])
def test_computed_label(limit, fit, connection, monkeypatch):
    monkeypatch.setattr(training_rows, "KEPT_BYTES", limit)
    connection.execute("CREATE TABLE v AS SELECT i % 10 AS x, i AS y FROM range(3000) r(i)")
    version = fit("SELECT * FROM v", label="y", transform="x, y % 2 = 0 AS y", max_iterations=2)
    assert version.evaluation["classes"] == [False, True]


def test_many_features_are_sampled_thinner(fit, model_of, monkeypatch):
    monkeypatch.setattr("sqlml.training.memory.SAMPLE_BYTES", 1 << 20)
    monkeypatch.setattr("sqlml.training.memory.LEAST_SAMPLE", 100)
    monkeypatch.setattr("sqlml.training.binning.BLOCK_BYTES", 1 << 14)
    version = fit(
        "SELECT 's' || i % 300 AS s, i AS x, CASE WHEN i % 300 = 7 THEN 2 ELSE 0 END + i % 2 AS y FROM range(5000) r(i)",
        label="y", transform="ML.ONE_HOT_ENCODER(s) OVER () AS s, x, y", max_iterations=2, data_split_method="no_split", model_type="boosted_tree_regressor",
    )  # fmt: skip
    assert len(model_of(version).features) > 300
