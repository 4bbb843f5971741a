"""Preprocessors against scikit-learn and numpy, on data with NULLs, ties and awkward text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn import feature_extraction, preprocessing
from sklearn.impute import SimpleImputer

from sqlml.planning.features import FeatureOptions
from udfs.errors import InputMismatchError
from udfs.transforms.hash_bucketize import hash_bucketize_reference

ROWS = 3_000
WORDS = ["red", "green", "blue", "", "żółty", "red green", "a much longer category name", "rare"]


def make_table(seed=3, rows=ROWS):
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(50, 20, rows), 1)
    heavy = rng.lognormal(3, 2, rows)
    x_missing = np.where(rng.random(rows) < 0.1, np.nan, x)
    p = np.array([0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.018, 0.002])
    color = rng.choice(WORDS, rows, p=p)
    shape = rng.choice(["round", "square", "long"], rows)
    text = [" ".join(rng.choice(["the", "cat", "sat", "on", "mat", "dog"], rng.integers(1, 8))) for _ in range(rows)]
    lists = [list(rng.choice(["a", "b", "c", "d"], rng.integers(0, 4), replace=False)) for _ in range(rows)]
    y = (rng.random(rows) < 0.3 + 0.1 * (color == "red")).astype(float)
    return pa.table(
        {
            "x": pa.array(x),
            "heavy": pa.array(heavy),
            "m": pa.array(x_missing, from_pandas=True),
            "i": pa.array(rng.integers(-5, 6, rows)),
            "color": pa.array([None if rng.random() < 0.05 else c for c in color], pa.string()),
            "shape": pa.array(shape, pa.string()).dictionary_encode(),
            "text": pa.array(text),
            "tags": pa.array(lists, pa.list_(pa.string())),
            "y": pa.array(y),
        }
    )


@pytest.fixture(scope="module")
def table():
    return make_table()


def column(table, name):
    return table[name].to_numpy().reshape(-1, 1)


def test_standard_scaler_equals_numpy(table, fit_transform):
    got = fit_transform(table, "ML.STANDARD_SCALER(m) OVER() AS s, ML.STANDARD_SCALER(heavy) OVER() AS h").apply()
    for name, source in (("s", "m"), ("h", "heavy")):
        x = table[source].to_numpy()
        np.testing.assert_allclose(got[name], (x - np.nanmean(x)) / np.nanstd(x, ddof=1), rtol=1e-13, equal_nan=True)


def test_standard_scaler_does_not_depend_on_batches(table, fit_transform):
    transform = "ML.STANDARD_SCALER(heavy) OVER() AS s, ML.IMPUTER(m) OVER() AS i, ML.TARGET_ENCODER(color) OVER() AS t"
    found = []
    for batch in (7 * 64, 1_000, 3_000):
        fitted = fit_transform(table, transform, label="y", batch=batch)
        found.append(
            [str({k: getattr(v, "tolist", lambda v=v: v)() for k, v in s.params.items()}) for s in fitted.steps]
        )
    assert found[0] == found[1] == found[2]


def test_min_max_scaler_equals_sklearn_and_clips(table, fit_transform):
    fitted = fit_transform(table, "ML.MIN_MAX_SCALER(m) OVER() AS s")
    x = column(table, "m")
    np.testing.assert_allclose(
        fitted.apply()["s"], preprocessing.MinMaxScaler().fit_transform(x)[:, 0], atol=1e-15, equal_nan=True
    )
    beyond = table.set_column(2, "m", pa.array(np.where(np.arange(ROWS) % 2, -1e9, 1e9)))
    assert set(fitted.apply(beyond)["s"]) == {0.0, 1.0}


def test_max_abs_scaler_equals_sklearn(table, fit_transform):
    got = fit_transform(table, "ML.MAX_ABS_SCALER(m) OVER() AS s").apply()["s"]
    np.testing.assert_array_equal(got, preprocessing.MaxAbsScaler().fit_transform(column(table, "m"))[:, 0])


@pytest.mark.parametrize("quantiles", [(25, 75), (10, 95.5)])
def test_robust_scaler_equals_sklearn(table, fit_transform, quantiles):
    transform = f"ML.ROBUST_SCALER(heavy, [{quantiles[0]}, {quantiles[1]}]) OVER() AS s"
    got = fit_transform(table, transform).apply()["s"]
    want = preprocessing.RobustScaler(quantile_range=quantiles).fit_transform(column(table, "heavy"))[:, 0]
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_robust_scaler_switches(table, fit_transform):
    got = fit_transform(table, "ML.ROBUST_SCALER(x, [25, 75], FALSE, FALSE) OVER() AS s").apply()["s"]
    np.testing.assert_array_equal(got, table["x"].to_numpy())


def test_scalers_leave_a_constant_column_at_zero(fit_transform):
    table = pa.table({"c": pa.array([5.0] * 10)})
    transform = "ML.STANDARD_SCALER(c) OVER() AS a, ML.MIN_MAX_SCALER(c) OVER() AS b, ML.ROBUST_SCALER(c) OVER() AS d"
    assert all((values == 0).all() for values in fit_transform(table, transform).apply().values())


@pytest.mark.parametrize("p", [0, 1, 2, 3.5, "CAST('+INF' AS FLOAT64)"])
def test_normalizer_equals_numpy(table, fit_transform, p):
    got = fit_transform(table, f"ML.NORMALIZER([x, heavy, i], {p}) AS v").apply()
    x = np.array([table[name].to_numpy().astype(float) for name in ("x", "heavy", "i")])
    norm = np.linalg.norm(x, np.inf if isinstance(p, str) else p, axis=0)
    np.testing.assert_allclose(np.array(list(got.values())), x / norm, rtol=1e-13)
    assert list(got) == ["v_x", "v_heavy", "v_i"]


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_imputer_equals_sklearn(table, fit_transform, strategy):
    got = fit_transform(table, f"ML.IMPUTER(m, '{strategy}') OVER() AS s").apply()["s"]
    want = SimpleImputer(strategy=strategy).fit_transform(column(table, "m"))[:, 0]
    np.testing.assert_allclose(got, want, rtol=1e-14)


def test_imputer_of_text_takes_the_most_frequent(table, fit_transform):
    fitted = fit_transform(table, "ML.IMPUTER(color, 'most_frequent') OVER() AS c")
    levels = fitted.features[0].levels
    got = [levels[int(code)] for code in fitted.apply()["c"]]
    assert got == [value if value is not None else "red" for value in table["color"].to_pylist()]
    assert None not in levels


def test_bucketize_equals_numpy(table, fit_transform):
    fitted = fit_transform(table, "ML.BUCKETIZE(m, [30, 50, 70.5]) AS b, ML.BUCKETIZE(m, [30, 50, 70.5], TRUE) AS e")
    got = fitted.apply()
    x = table["m"].to_numpy()
    want = np.where(np.isnan(x), np.nan, np.digitize(x, [30, 50, 70.5]))
    np.testing.assert_array_equal(got["b"], want)
    np.testing.assert_array_equal(got["e"], np.where(np.isnan(x), np.nan, x >= 50))
    assert fitted.features[0].levels == ("bin_1", "bin_2", "bin_3", "bin_4")


def test_quantile_bucketize_equals_sklearn(table, fit_transform):
    fitted = fit_transform(table, "ML.QUANTILE_BUCKETIZE(heavy, 7, 'bucket_ranges') OVER() AS q")
    binner = preprocessing.KBinsDiscretizer(7, encode="ordinal", strategy="quantile", quantile_method="linear")
    np.testing.assert_array_equal(fitted.apply()["q"], binner.fit_transform(column(table, "heavy"))[:, 0])
    assert fitted.features[0].levels[0].startswith("(-inf, ")


def test_one_hot_encoder_equals_sklearn(table, fit_transform):
    fitted = fit_transform(table, "ML.ONE_HOT_ENCODER(color, 'none', 1000, 0) OVER() AS c")
    words = sorted({v for v in table["color"].to_pylist() if v is not None}, key=str.encode)
    assert fitted.names == [f"c_{word or '(empty)'}" for word in words]
    values = np.array([[v if v is not None else "(null)"] for v in table["color"].to_pylist()])
    encoder = preprocessing.OneHotEncoder(categories=[words], handle_unknown="ignore", sparse_output=False)
    np.testing.assert_array_equal(np.array(list(fitted.apply().values())).T, encoder.fit_transform(values))


def test_one_hot_encoder_drops_and_limits(table, fit_transform):
    assert "c_red" not in fit_transform(table, "ML.ONE_HOT_ENCODER(color, 'most_frequent') OVER() AS c").names
    assert fit_transform(table, "ML.ONE_HOT_ENCODER(color, 'none', 2) OVER() AS c").names == ["c_green", "c_red"]
    assert "c_rare" not in fit_transform(table, "ML.ONE_HOT_ENCODER(color, 'none', 100, 50) OVER() AS c").names


def test_label_encoder_equals_sklearn(table, fit_transform):
    got = fit_transform(table, "ML.LABEL_ENCODER(shape) OVER() AS s").apply()["s"]
    want = preprocessing.LabelEncoder().fit_transform(np.array(table["shape"].to_pylist()))
    np.testing.assert_array_equal(got, want + 1)


def test_label_encoder_gives_zero_to_null_and_unknown(table, fit_transform):
    got = fit_transform(table, "ML.LABEL_ENCODER(color, 2) OVER() AS s").apply()["s"]
    want = [{"green": 1.0, "red": 2.0}.get(value, 0.0) for value in table["color"].to_pylist()]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("smooth", ["auto", 0.5, 10])
def test_target_encoder_equals_sklearn(table, fit_transform, smooth):
    written = "" if smooth == "auto" else f", {smooth}"
    fitted = fit_transform(table, f"ML.TARGET_ENCODER(color{written}) OVER() AS c, y", label="y")
    values = np.array([[v if v is not None else "(null)"] for v in table["color"].to_pylist()])
    encoder = preprocessing.TargetEncoder(smooth=smooth, target_type="continuous").fit(values, table["y"].to_numpy())
    np.testing.assert_allclose(fitted.apply()["c"], encoder.transform(values)[:, 0], rtol=1e-12)


def test_target_encoder_of_many_classes(fit_transform):
    rng = np.random.default_rng(1)
    table = pa.table({"g": rng.choice(["a", "b"], 500), "y": rng.integers(0, 3, 500)})
    fitted = fit_transform(table, "ML.TARGET_ENCODER(g) OVER() AS g", label="y", classes=3)
    assert fitted.names == ["g_class_0", "g_class_1", "g_class_2"]
    encoder = preprocessing.TargetEncoder(target_type="multiclass")
    encoder.fit(np.array(table["g"]).reshape(-1, 1), np.array(table["y"]))
    want = encoder.transform(np.array(table["g"]).reshape(-1, 1))
    np.testing.assert_allclose(np.array(list(fitted.apply().values())).T, want, rtol=1e-12)


def test_target_encoder_of_many_classes_is_no_number(fit_transform):
    table = pa.table({"g": ["a", "b", "c"] * 5, "y": [0, 1, 2] * 5})
    with pytest.raises(InputMismatchError, match="uses a preprocessor that makes one feature a class"):
        fit_transform(table, "ML.TARGET_ENCODER(g) OVER() + 1 AS g", label="y", late_classes=3)


def test_target_encoder_leaves_the_own_fold_out(table, fit_transform):
    fold = (np.arange(ROWS) * 7 % 5).astype(np.int8)
    fold[::50] = -1
    fitted = fit_transform(table, "ML.TARGET_ENCODER(color, 3) OVER() AS c, x", label="y", fold=fold)
    got = fitted.apply_training("y")
    colors = np.array([v if v is not None else "(null)" for v in table["color"].to_pylist()])
    y = table["y"].to_numpy()
    want = np.empty(ROWS)
    for number in range(-1, 5):
        others = fold != number if number >= 0 else np.full(ROWS, True)
        mean = y[others].mean()
        for color in set(colors):
            rows = others & (colors == color)
            want[(fold == number) & (colors == color)] = (y[rows].sum() + 3 * mean) / (rows.sum() + 3)
    np.testing.assert_allclose(got["c"], want, rtol=1e-12)
    np.testing.assert_array_equal(got["x"], table["x"].to_numpy())


def test_feature_cross_equals_pairs(table, fit_transform):
    fitted = fit_transform(table, "ML.FEATURE_CROSS(STRUCT(color, shape)) AS c")
    levels = fitted.features[0].levels
    rows = zip(table["color"].to_pylist(), table["shape"].to_pylist(), strict=True)
    want = [None if None in row else "_".join(row) for row in rows]
    got = [None if np.isnan(code) else levels[int(code)] for code in fitted.apply()["c"]]
    assert got == want
    counts = [want.count(level) for level in levels]
    assert counts == sorted(counts, reverse=True)
    unseen = table.set_column(4, "color", pa.array(["never"] * ROWS))
    assert (fitted.apply(unseen)["c"] == -1).all()


def test_feature_cross_of_three(table, fit_transform):
    fitted = fit_transform(table, "ML.FEATURE_CROSS(STRUCT(color AS c, shape, lower(text[1:3]) AS t), 2) AS f")
    assert fitted.names == ["f_c_shape", "f_c_t", "f_shape_t"]
    assert len(fit_transform(table, "ML.FEATURE_CROSS(STRUCT(color, shape, text[1:3]), 3) AS f").names) == 1


def test_feature_cross_keeps_joined_names_apart(fit_transform):
    table = pa.table({"a": ["a_b", "a", "a_b"], "b": ["c", "b_c", "c"]})
    assert fit_transform(table, "ML.FEATURE_CROSS(STRUCT(a, b)) AS c").apply()["c"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_polynomial_expand_equals_sklearn(table, fit_transform, degree):
    got = fit_transform(table, f"ML.POLYNOMIAL_EXPAND(STRUCT(x, i AS j, heavy), {degree}) AS p").apply()
    x = np.array([table[name].to_numpy().astype(float) for name in ("x", "i", "heavy")]).T
    expander = preprocessing.PolynomialFeatures(degree, include_bias=False)
    np.testing.assert_allclose(np.array(list(got.values())).T, expander.fit_transform(x), rtol=1e-13)
    assert "p_j" in got


@pytest.mark.parametrize(
    ("text", "fingerprint"),
    [
        # published in BigQuery's reference of FARM_FINGERPRINT
        ("1footrue", -1541654101129638711),
        ("2applefalse", 2794438866806483259),
        ("3true", -4880158226897771312),
    ],
)
def test_hash_bucketize_equals_bigquery(fit_transform, text, fingerprint):
    table = pa.table({"s": [text, None]})
    for buckets in (1, 2, 10_007):
        got = fit_transform(table, f"ML.HASH_BUCKETIZE(s, {buckets}) AS h").apply()["h"]
        assert got[0] == hash_bucketize_reference([fingerprint], buckets)[0] == abs(fingerprint) % buckets
        assert np.isnan(got[1])


def test_bag_of_words_equals_sklearn(table, fit_transform):
    for tokens in ("text", "split(text, ' ')", "string_split(text, ' ')", "regexp_split_to_array(text, ' +')"):
        got = fit_transform(table, f"ML.BAG_OF_WORDS({tokens}) OVER() AS b").apply()
        counter = feature_extraction.text.CountVectorizer(token_pattern=None, tokenizer=str.split)
        want = counter.fit_transform(table["text"].to_pylist()).toarray()
        assert list(got) == [f"b_{word}" for word in counter.get_feature_names_out()]
        np.testing.assert_array_equal(np.array(list(got.values())).T, want)


def test_ngrams_equal_sklearn(table, fit_transform):
    transform = "ML.BAG_OF_WORDS(ML.NGRAMS(split(text, ' '), [1, 3], '#'), 1000, 0) OVER() AS b"
    got = fit_transform(table, transform).apply()
    counter = feature_extraction.text.CountVectorizer(token_pattern=None, tokenizer=str.split, ngram_range=(1, 3))
    want = counter.fit_transform(table["text"].to_pylist()).toarray()
    order = [list(got).index("b_" + name.replace(" ", "#")) for name in counter.get_feature_names_out()]
    assert len(got) == len(order)
    np.testing.assert_array_equal(np.array(list(got.values()))[order].T, want)
    alone = fit_transform(table, "ML.NGRAMS(text, [2, 2]) AS n").apply()
    assert set(np.unique(list(alone.values()))) == {0.0, 1.0}


def test_multi_hot_encoder_equals_sklearn(table, fit_transform):
    fitted = fit_transform(table, "ML.MULTI_HOT_ENCODER(tags) OVER() AS t")
    encoder = preprocessing.MultiLabelBinarizer()
    want = encoder.fit_transform(table["tags"].to_pylist())
    assert fitted.names == [f"t_{name}" for name in encoder.classes_]
    np.testing.assert_array_equal(np.array(list(fitted.apply().values())).T, want)
    assert fitted.plan.dialect == "duckdb"
    assert [item.name for item in fitted.plan.inputs] == ["tags"]


def test_expressions_around_and_inside_preprocessors(table, fit_transform):
    transform = """ML.STANDARD_SCALER(ln(heavy)) OVER () * 2 + i AS a, ML.MAX_ABS_SCALER(CAST(length(text) AS DOUBLE)) OVER() AS b,
                   CASE WHEN ML.LABEL_ENCODER(shape) OVER() > 1 THEN x ELSE 0 END AS c"""
    got = fit_transform(table, transform).apply()
    log = np.log(table["heavy"].to_numpy())
    np.testing.assert_allclose(
        got["a"], (log - log.mean()) / log.std(ddof=1) * 2 + table["i"].to_numpy(), rtol=1e-10, atol=1e-10
    )
    lengths = np.array([len(text) for text in table["text"].to_pylist()])
    np.testing.assert_array_equal(got["b"], lengths / lengths.max())
    shapes = np.array(table["shape"].to_pylist())
    np.testing.assert_array_equal(got["c"], np.where(shapes == "long", 0, table["x"].to_numpy()))


def test_dictionaries_fold_rare_levels(fit_transform, monkeypatch):
    monkeypatch.setattr("udfs.transforms.dictionary.LEVEL_LIMIT", 3)
    monkeypatch.setattr("udfs.transforms.number_dictionary.LEVEL_LIMIT", 2)
    table = pa.table({"s": list("aaabbcddddef"), "n": [1, 1, 1, 2, 2, 3, 4, 4, 4, 4, 5, 6]})
    fitted = fit_transform(table, None, options=FeatureOptions(categorical_features=("n",)))
    assert fitted.features[0].levels == ("d", "a", "b")
    assert fitted.features[1].levels == ("4", "1")
    assert fitted.fit.folded_levels() == {"s": 3, "n": 4}
    got = fitted.apply()
    assert got["s"].tolist() == [1, 1, 1, 2, 2, -1, 0, 0, 0, 0, -1, -1]
    assert got["n"].tolist() == [1, 1, 1, -1, -1, -1, 0, 0, 0, 0, -1, -1]
