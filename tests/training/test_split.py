"""Which rows are held out, by each method."""

from __future__ import annotations

import pytest


def parts(version):
    return version.training_info["training_rows"], version.training_info["held_out_rows"]


@pytest.mark.parametrize(
    ("rows", "low", "high"), [(499, 0, 0), (500, 60, 140), (50_000, 9_700, 10_300), (60_000, 9_700, 10_300)]
)
def test_auto_split_is_bigquerys(rows, low, high, fit):
    version = fit(f"SELECT i AS x, i % 10 AS y FROM range({rows}) r(i)", label="y", max_iterations=1)
    assert low <= parts(version)[1] <= high
    assert sum(parts(version)) == rows


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_random_fraction(fraction, fit):
    version = fit(
        "SELECT i AS x, i % 9 AS y FROM range(10000) r(i)",
        label="y",
        max_iterations=1,
        data_split_eval_fraction=fraction,
    )
    assert abs(parts(version)[1] / 10_000 - fraction) < 0.02
    other = fit(
        "SELECT i AS x, i % 9 AS y FROM range(10000) r(i)",
        label="y",
        max_iterations=1,
        data_split_eval_fraction=fraction,
        seed=1,
    )
    assert other.metrics != version.metrics


def test_few_distinct_rows_are_split_all_the_same(fit):
    version = fit("SELECT i % 2 AS x, i % 4 AS y FROM range(4000) r(i)", label="y", max_iterations=1)
    assert abs(parts(version)[1] - 800) < 120


def test_stratified_takes_the_same_share_of_each_class(fit):
    query = "SELECT i AS x, CASE WHEN i % 50 = 0 THEN 'rare' WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END AS y FROM range(1000) r(i)"
    version = fit(query, label="y", max_iterations=1, data_split_method="STRATIFIED", data_split_eval_fraction=0.25)
    counts = [sum(row) for row in version.evaluation["confusion_matrix"]]
    assert version.evaluation["classes"] == ["even", "odd", "rare"]
    assert counts == [120, 125, 5]


@pytest.mark.parametrize(
    ("column", "held"),
    [
        ("i", 200),
        ("-i * 0.5", 200),
        ("DATE '2020-01-01' + i::INT", 200),
        ("CAST('2020-01-01' AS timestamptz) + i * INTERVAL '1 hour'", 200),
        ("lpad(CAST(i AS varchar), 4, '0')", 200),
        ("(i - i % 300) / 300", 100),  # 0, 1, 2, 3: the cut falls into 2, so only 3 is held out
        ("least(i, 700)", 300),  # the cut falls among the greatest values: they are all held out
        ("CASE WHEN i >= 500 THEN i END", 100),  # NULL counts as early
    ],
)
def test_sequence_holds_the_greatest_out(column, held, fit, connection):
    version = fit(
        f"SELECT i AS x, i % 7 AS y, {column} AS t FROM range(1000) r(i)",
        label="y", max_iterations=1, data_split_method="SEQ", data_split_col="t",
    )  # fmt: skip
    assert parts(version) == (1000 - held, held)


def test_groups_stay_together(fit):
    query = "SELECT i % 100 AS g, i AS x, i % 3 AS z, i % 100 AS y FROM range(10000) r(i)"
    version = fit(query, label="y", model_type="boosted_tree_classifier", max_iterations=1, data_split_method="group", data_split_col="g", exclude=("x",))  # fmt: skip
    counts = [sum(row) for row in version.evaluation["confusion_matrix"]]
    assert set(counts) == {0, 100}
    assert 5 <= counts.count(100) <= 35


def test_no_row_held_out_is_told(fit):
    version = fit(
        "SELECT i AS x, i AS y, FALSE AS h FROM range(300) r(i)",
        label="y", max_iterations=1, data_split_method="custom", data_split_col="h",
    )  # fmt: skip
    assert parts(version) == (300, 0)
    assert "no row fell into the held-out part" in version.notices[0]
    assert {row.split for row in version.metrics} == {"training"}
