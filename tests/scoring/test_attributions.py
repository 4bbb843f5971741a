"""Attributions through the scoring functions, against LightGBM's ``pred_contrib``; natively and through Arrow UDFs."""

from __future__ import annotations

import numpy as np
import pytest


def lists(connection, sql):
    return np.array([row[0] for row in connection.execute(sql).fetchall()])


def test_attributions_equal_lightgbm(database, binary, multiclass, regression):
    for name, trained in (("late", binary), ("size", multiclass), ("delay", regression)):
        got = lists(database, f"SELECT __sqlml_contribs('{name}', t) FROM t")
        want = trained.booster.predict(trained.matrix, pred_contrib=True)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-9)
        raw = lists(database, f"SELECT __sqlml_raw('{name}', t) FROM t")
        np.testing.assert_allclose(got.reshape(len(raw), raw.shape[1], -1).sum(axis=2), raw, rtol=0, atol=1e-9)


def test_attributions_of_features_that_a_program_makes(connect, mixed):
    import pyarrow as pa

    connection, registry = connect()
    registry.put(mixed.hash, mixed.artifact)
    rng = np.random.default_rng(3)
    colours, rows = ["red", "a rather long colour name", "grün", None, "never seen"], 2500
    table = pa.table({
        "colour": [colours[i] for i in rng.integers(0, 5, rows)],
        "flag": pa.array(rng.integers(0, 2, rows).astype(bool)),
        "day": pa.array((rng.integers(0, 20_000, rows)).astype("datetime64[D]")),
        "moment": pa.array((rng.integers(0, 10**15, rows)).astype("datetime64[us]")),
        "price": rng.normal(size=rows),
    })  # fmt: skip
    connection.register("source", table)
    connection.execute("CREATE TABLE t AS SELECT * FROM source")
    matrix = lists(connection, f"SELECT __sqlml_features('sha256:{mixed.hash}', t) FROM t")
    got = lists(connection, f"SELECT __sqlml_contribs('sha256:{mixed.hash}', t) FROM t")
    np.testing.assert_allclose(got, mixed.booster.predict(matrix, pred_contrib=True), rtol=0, atol=1e-9)


def test_interactions_sum_to_attributions(database, multiclass):
    got = lists(database, "SELECT __sqlml_interactions('size', t) FROM t")
    features = multiclass.matrix.shape[1]
    cells = got.reshape(len(got), -1, features * (features + 1) // 2)
    matrix = np.zeros((*cells.shape[:2], features, features))
    upper = np.triu_indices(features)
    matrix[..., upper[0], upper[1]] = cells / 2
    want = multiclass.booster.predict(multiclass.matrix, pred_contrib=True).reshape(*cells.shape[:2], -1)
    np.testing.assert_allclose((matrix + matrix.swapaxes(2, 3)).sum(axis=3), want[..., :-1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("rows", [0, 1, 33, 2049])
def test_any_number_of_rows(database, binary, rows):
    got = lists(database, f"SELECT __sqlml_contribs('late', t) FROM (FROM t LIMIT {rows}) t")
    want = binary.booster.predict(binary.matrix, pred_contrib=True)[:rows]
    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=0, atol=1e-9)


def test_scores_and_attributions_in_one_query(database, binary):
    rows = database.execute(
        "SELECT __sqlml_raw('late', t)[1], list_sum(__sqlml_contribs('late', t)), __sqlml_value('late', t) FROM t"
    ).fetchall()
    raw, total, value = map(np.array, zip(*rows, strict=True))
    np.testing.assert_allclose(total, raw, rtol=0, atol=1e-9)
    assert np.array_equal(value, binary.predictions())
