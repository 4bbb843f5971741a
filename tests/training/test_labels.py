"""Tasks, classes and their order from labels of every type."""

from __future__ import annotations

import pytest

CASES = {
    # the label of row i of 300, what is asked for, the task, the classes
    "boolean": ("i % 2 = 0", {}, "binary", (False, True)),
    "zero_one": ("i % 2", {}, "binary", (0, 1)),
    "small_zero_one": ("(i % 2)::SMALLINT", {}, "binary", (0, 1)),
    "whole_zero_one_decimal": ("(i % 2)::DECIMAL(5,0)", {}, "binary", ("0", "1")),
    "whole": ("i % 3", {}, "regression", ()),
    "whole_asked": ("i % 3", {"model_type": "boosted_tree_classifier"}, "multiclass", (0, 1, 2)),
    "negative_asked": ("i % 3 - 12", {"model_type": "boosted_tree_classifier"}, "multiclass", (-12, -11, -10)),
    "zero_one_regressed": ("i % 2", {"model_type": "boosted_tree_regressor"}, "regression", ()),
    "double": ("i % 2 * 1.0::FLOAT8", {}, "regression", ()),
    "double_asked": ("i % 3 / 2.0::FLOAT8", {"model_type": "boosted_tree_classifier"}, "multiclass", (0.0, 0.5, 1.0)),
    "decimal": ("(i % 3 * 1.25)::DECIMAL(9,2)", {}, "regression", ()),
    "decimal_asked": ("(i % 3 * 5.5)::DECIMAL(9,2)", {"model_type": "random_forest_classifier"}, "multiclass", ("0.00", "5.50", "11.00")),
    "text": ("(ARRAY['a', 'b', 'c'])[1 + i % 3]", {}, "multiclass", ("a", "b", "c")),
    "text_by_bytes": ("(ARRAY['é', 'z', 'B', 'a', ''])[1 + i % 5]", {}, "multiclass", ("", "B", "a", "z", "é")),
    "two_texts": ("(ARRAY['yes', 'no'])[1 + i % 2]", {}, "binary", ("no", "yes")),
    "two_texts_as_many": ("(ARRAY['yes', 'no'])[1 + i % 2]", {"objective": "multiclass"}, "multiclass", ("no", "yes")),
    "one_against_rest": ("(ARRAY['a', 'b', 'c'])[1 + i % 3]", {"objective": "ova"}, "multiclass", ("a", "b", "c")),
    "enum": ("CAST((ARRAY['up', 'down'])[1 + i % 2] AS mood)", {}, "binary", ("down", "up")),
    "date": ("DATE '2020-01-01' + (i % 3)::INT", {"model_type": "boosted_tree_classifier"}, "multiclass", ("2020-01-01", "2020-01-02", "2020-01-03")),
    "big": ("9007199254740993 + i % 3", {"model_type": "boosted_tree_classifier"}, "multiclass", tuple(2**53 + 1 + k for k in range(3))),
    "null_left_out": ("CASE WHEN i % 3 < 2 THEN i % 3 END", {}, "binary", (0, 1)),
    "share": ("i / 300.0::FLOAT8", {"objective": "cross_entropy"}, "regression", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_task_and_classes(case, fit, model_of, engine):
    label, options, task, classes = CASES[case]
    if "mood" in label:
        engine.run("CREATE TYPE mood AS ENUM ('up', 'down')")
    if "DECIMAL" in label and engine.dialect == "postgres":  # where numeric travels as double
        classes = tuple(int(value) if ",0)" in label else float(value) for value in classes)
    version = fit(f"SELECT i % 7 AS x, {label} AS y FROM range(300) r(i)", label="y", max_iterations=3, **options)
    model = model_of(version)
    assert version.task == model.task == task
    assert model.label.classes == classes
    assert [type(value) for value in model.label.classes] == [type(value) for value in classes]
    assert model.forest.outputs == (len(classes) if task == "multiclass" else 1)


def test_label_of_another_case(fit, model_of):
    version = fit('SELECT i AS x, i % 2 AS "Churned" FROM range(300) r(i)', label="churned", max_iterations=2)
    assert version.label == "Churned"
    assert [feature.name for feature in model_of(version).features] == ["x"]
