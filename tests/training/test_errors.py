"""Data that cannot be trained on: each with its own words, a hint, and nothing left behind."""

from __future__ import annotations

import pyarrow as pa
import pytest

from sqlml.errors import (
    CancelledError,
    DataError,
    EngineError,
    OptionValueError,
    ResourceError,
    UnsupportedTypeError,
)
from sqlml.training import rows as training_rows
from sqlml.training.progress import Progress



@pytest.mark.parametrize(
    ("label", "options", "error", "message"),
    [
        ("NULL::FLOAT8", {}, DataError, 'label "y" is NULL in every row'),
        ("NULL::VARCHAR", {}, DataError, 'label "y" is NULL in every row'),
        ("5.0::FLOAT8", {}, DataError, 'label "y" is constant: every row has 5'),
        ("'a'", {}, DataError, 'label "y" is constant: every row has a'),
        ("i", {"model_type": "boosted_tree_classifier", "objective": "binary"}, DataError, 'objective "binary" expects 2 classes, got 100'),
        ("CASE WHEN i = 3 THEN 'inf'::FLOAT8 ELSE i END", {}, DataError, 'label "y" has infinite values'),
        ("CASE WHEN i = 3 THEN 1e300 ELSE i END", {}, DataError, 'label "y" has values beyond 3.4e38'),
        ("i - 5", {"objective": "poisson"}, DataError, 'objective "poisson" expects labels at least 0, got -5'),
        ("i", {"objective": "gamma"}, DataError, 'objective "gamma" expects labels above 0, got 0'),
        ("i", {"objective": "cross_entropy"}, DataError, 'objective "cross_entropy" expects labels between 0 and 1, got 99'),
        ("ARRAY[i]", {}, UnsupportedTypeError, r'column "y" of type (?i:BIGINT)\[\] cannot be a label'),
        ("'a' || i", {"model_type": "boosted_tree_regressor"}, UnsupportedTypeError, "cannot be the label of a regression"),
        ("i", {"data_split_method": "custom", "data_split_col": "g"}, UnsupportedTypeError, 'split column "g" must be BOOLEAN, got int64'),
        ("i + 0.5", {"data_split_method": "stratified"}, DataError, "a stratified split needs a classifier"),
        ("i", {"instance_weight_col": "n"}, DataError, 'weight column "n" has values that are NULL, negative or infinite'),
        ("i", {"instance_weight_col": "t"}, DataError, 'weight column "t" must be a number'),
        ("i", {"data_split_method": "seq", "data_split_col": "c"}, DataError, 'split column "c" has one value only'),
        ("i", {"data_split_method": "custom", "data_split_col": "b"}, DataError, "the split leaves 0 of 100 rows to train on"),
        ("i % 2 = 0", {"class_weights": {"maybe": 2.0}}, OptionValueError, 'names class "maybe", which label "y" does not have'),
        ("i", {"monotone_constraints": (1, 1)}, OptionValueError, 'option "monotone_constraints" expects 1 signs, got 2'),
        ("i", {"monotone_constraints": {"zz": 1}}, OptionValueError, 'names unknown feature "zz"'),
        ("i", {"model_type": "random_forest_regressor", "subsample": 1.0}, OptionValueError, "a random forest needs subsample"),
        ("i", {"memory_limit": "1MB"}, ResourceError, "training on 100 rows needs about 157 MB of memory, more than the limit of 1 MB"),
    ],
)  # fmt: skip
def test_labels_and_splits(label, options, error, message, fit, engine):
    extra = {"n": "NULL::FLOAT8", "t": "'a'", "c": "1", "b": "TRUE"}
    used = {value for value in options.values() if isinstance(value, str)}
    columns = "".join(f", {sql} AS {name}" for name, sql in extra.items() if name in used)
    with pytest.raises(error, match=message):
        fit(
            f"SELECT i AS x, i % 10 AS g, {label} AS y {columns} FROM range(100) r(i)",
            label="y",
            exclude=("g",),
            **options,
        )
    assert not engine.in_transaction()


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows(rows, fit):
    message = ["the training query returned no rows", "the training query returned one labelled row"][rows]
    with pytest.raises(DataError, match=message):
        fit(f"SELECT i AS x, i AS y FROM range({rows}) r(i)", label="y")


def test_too_many_classes(fit):
    with pytest.raises(DataError, match='label "y" has more than 1000 classes') as caught:
        fit("SELECT i AS x, 'c' || i AS y FROM range(3000) r(i)", label="y")
    assert "regressor" in caught.value.hint


def test_rows_without_label_are_left_out_and_told(fit):
    version = fit(
        "SELECT i AS x, CASE WHEN i % 3 > 0 THEN i END AS y FROM range(300) r(i)", label="y", max_iterations=2
    )
    assert version.training_info["training_rows"] == 200
    assert version.training_info["rows_without_label"] == 100
    assert version.notices[0] == '100 rows were left out of training because label "y" is NULL'


def test_nan_labels_are_left_out(fit):
    version = fit(
        "SELECT i AS x, CASE WHEN i % 3 > 0 THEN i ELSE 'nan'::FLOAT8 END AS y FROM range(300) r(i)",
        label="y",
        max_iterations=2,
    )
    assert version.training_info["rows_without_label"] == 100


def test_labels_that_change_in_32_bits_are_told(fit):
    version = fit("SELECT i AS x, 16777216 + i AS y FROM range(300) r(i)", label="y", max_iterations=2)
    assert 'label "y" changes by up to 1 in the 32-bit numbers' in version.notices[0]
    assert fit("SELECT i AS x, i * 0.1 AS y FROM range(300) r(i)", label="y", max_iterations=2).notices == ()


def test_big_integers_are_told(fit):
    version = fit("SELECT i * 100000000000000000 AS x, i AS y FROM range(90) r(i)", label="y", max_iterations=2)
    assert 'column "x" has whole numbers beyond 2^53' in version.notices[0]


def test_no_split_is_told(fit):
    version = fit("SELECT i AS x, i AS y FROM range(10) r(i)", label="y")
    assert "the trees found no split" in version.notices[0]


def test_infinite_features_are_taken(fit):
    version = fit(
        "SELECT CASE WHEN i % 9 = 0 THEN 'inf'::FLOAT8 ELSE i END AS x, i AS y FROM range(300) r(i)",
        label="y",
        max_iterations=2,
    )
    assert version.training_info["training_rows"] == 300


def test_a_query_that_fails_half_way(fit, engine):
    with pytest.raises(EngineError, match="Could not convert string|invalid input syntax for type integer"):
        fit("SELECT CASE WHEN i = 99000 THEN 'x' ELSE '1' END::INT AS x, i AS y FROM range(100000) r(i)", label="y")
    assert not engine.in_transaction()
    assert engine.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize("phase", ["reading", "learning", "binning", "training"])
@pytest.mark.parametrize("how", ["cancelled", "interrupt"])
def test_stopping_leaves_nothing(phase, how, fit, engine, monkeypatch):
    monkeypatch.setattr(training_rows, "KEPT_BYTES", 1_000)
    seen: list[Progress] = []

    def watch(event):
        seen.append(event)
        if how == "interrupt" and event.phase == phase:
            raise KeyboardInterrupt

    def cancelled():
        return how == "cancelled" and bool(seen) and seen[-1].phase == phase

    with pytest.raises((CancelledError, KeyboardInterrupt)):
        fit("SELECT i AS x, i % 7 AS y FROM range(50000) r(i)", label="y", progress=watch, cancelled=cancelled)
    assert seen[-1].phase == phase
    assert not engine.in_transaction()
    assert engine.rows("SELECT 1") == [(1,)]


def test_a_full_disk_is_told(fit, monkeypatch):
    monkeypatch.setattr(training_rows, "KEPT_BYTES", 1_000)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pa.ipc, "new_stream", full)
    with pytest.raises(ResourceError, match="cannot spool the training rows: No space left on device") as caught:
        fit("SELECT random() AS x, i AS y FROM range(5000) r(i)", label="y")
    assert "TMPDIR" in caught.value.hint


def test_progress_tells_rows_iterations_and_metric(fit, monkeypatch):
    monkeypatch.setattr("sqlml.training.progress.INTERVAL", 0.0)
    seen: list[Progress] = []
    fit(
        "SELECT i AS x, i % 7 AS y FROM range(2000) r(i)",
        label="y",
        max_iterations=5,
        early_stop=False,
        progress=seen.append,
    )
    assert [event.phase for event in seen if event.phase != seen[seen.index(event) - 1].phase] == [
        "reading", "learning", "binning", "training", "finished",
    ]  # fmt: skip
    trained = [event for event in seen if event.phase == "training"]
    assert [event.iteration for event in trained] == [1, 2, 3, 4, 5]
    assert {(event.iterations, event.metric) for event in trained} == {(5, "l2")}
    assert all(event.value > 0 for event in trained)
    assert trained[-1].eta == 0
    assert [event.rows for event in seen if event.phase == "binning"][-1] == 2000


def test_an_interrupted_engine_is_a_cancelled_training(fit, engine, monkeypatch):
    """Whoever cancels from another thread also interrupts the query under way."""
    asked: list[bool] = []

    def interrupted(*arguments):
        asked.append(True)
        raise EngineError("interrupted")

    monkeypatch.setattr(engine, "stream", interrupted)
    with pytest.raises(CancelledError, match="training was cancelled"):
        fit("SELECT i AS x, i AS y FROM range(1000) r(i)", label="y", cancelled=lambda: bool(asked))
    with pytest.raises(EngineError, match="interrupted"):
        fit("SELECT i AS x, i AS y FROM range(1000) r(i)", label="y")
    assert not engine.in_transaction()
