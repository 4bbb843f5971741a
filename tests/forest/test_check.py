"""No forest with wild indices passes the check, whatever was done to it."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.errors import ArtifactError
from udfs.forest.check import check_forest, tree_depth
from udfs.forest.nodes import build_forest_image
from udfs.forest.reference import leaf_of
from udfs.forest.text import parse_lightgbm
from udfs.forest.walk import raw_scores


@pytest.fixture(scope="module")
def forest(trained):
    booster, _ = trained("categories")
    return parse_lightgbm(booster.model_to_string())


def changed(forest, number=0, **arrays):
    trees = list(forest.trees)
    trees[number] = dataclasses.replace(trees[number], **arrays)
    return dataclasses.replace(forest, trees=tuple(trees))


def put(values, index, value):
    copy = values.copy()
    copy[index] = value
    return copy


def categorical_node(tree):
    return int(np.flatnonzero(tree.decision_type & 1)[0])


_WILD = {
    "child too large": (lambda t: {"left_child": put(t.left_child, 0, 1000)}, "tree 3 has a child out of range"),
    "leaf too large": (lambda t: {"right_child": put(t.right_child, 2, ~31)}, "tree 3 has a child out of range"),
    "least integer": (lambda t: {"right_child": put(t.right_child, 2, -(2**31))}, "tree 3 has a child out of range"),
    "self": (lambda t: {"left_child": put(t.left_child, 5, 5)}, "does not come after its parent"),
    "shared child": (lambda t: {"left_child": put(t.left_child, 0, t.right_child[0])}, "without exactly one parent"),
    "shared leaf": (
        lambda t: {"left_child": np.where(t.left_child < 0, t.left_child.min(), t.left_child)},
        "has a leaf without exactly one parent",
    ),
    "feature": (lambda t: {"split_feature": put(t.split_feature, 1, 8)}, "feature outside 0 to 7"),
    "negative feature": (lambda t: {"split_feature": put(t.split_feature, 1, -1)}, "feature outside 0 to 7"),
    "threshold": (lambda t: {"threshold": put(t.threshold, 1, np.nan)}, "threshold that is not a number"),
    "missing type": (lambda t: {"decision_type": put(t.decision_type, 1, 12)}, "unknown missing type"),
    "short leaves": (lambda t: {"leaf_value": t.leaf_value[:-1]}, 'has 30 values of "split_feature", wanted 29'),
    "short counts": (lambda t: {"leaf_count": t.leaf_count[:-1]}, 'has 30 values of "leaf_count", wanted 31'),
    "no leaves": (lambda t: {"leaf_value": t.leaf_value[:0]}, "tree 3 has 0 leaves"),
    "type": (lambda t: {"left_child": t.left_child.astype(np.int64)}, '"left_child" of type int64, wanted int32'),
    "set": (lambda t: {"threshold": put(t.threshold, categorical_node(t), 99.0)}, "category set outside"),
    "negative set": (lambda t: {"threshold": put(t.threshold, categorical_node(t), -1.0)}, "category set outside"),
    "endless set": (lambda t: {"threshold": put(t.threshold, categorical_node(t), np.inf)}, "category set outside"),
    "half a set": (lambda t: {"threshold": put(t.threshold, categorical_node(t), 0.5)}, "category set outside"),
    "set bounds": (lambda t: {"cat_boundaries": put(t.cat_boundaries, 1, -5)}, "sets that do not follow one another"),
    "last bound": (lambda t: {"cat_boundaries": put(t.cat_boundaries, -1, 10**6)}, "category sets of"),
    "no bounds": (lambda t: {"cat_boundaries": t.cat_boundaries[:0]}, "sets that do not follow one another"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(_WILD))
def test_wild_trees(name, forest):
    damage, message = _WILD[name]
    with pytest.raises(ArtifactError, match=message):
        check_forest(changed(forest, 3, **damage(forest.trees[3])), 8)


def test_wild_heads(forest):
    for change, message in (
        ({"outputs": 0}, "has 0 outputs"),
        ({"outputs": 5}, "has 12 trees, wanted a multiple of 5"),
        ({"feature_names": ("a",)}, "names 1 features, wanted 8"),
        ({"feature_infos": ("none",)}, "describes 1 features, wanted 8"),
        ({"monotone_constraints": (1,)}, "has 1 constraints, wanted 8"),
    ):
        with pytest.raises(ArtifactError, match=message):
            check_forest(dataclasses.replace(forest, **change), 8)
    check_forest(dataclasses.replace(forest, trees=()), 8)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_passes_can_be_walked(forest, data):
    """Random damage is refused, or leaves a forest that every walk can take without leaving its arrays."""
    number = data.draw(st.integers(0, len(forest.trees) - 1))
    tree = forest.trees[number]
    names = [
        "split_feature",
        "left_child",
        "right_child",
        "decision_type",
        "threshold",
        "cat_boundaries",
        "cat_threshold",
    ]
    name = data.draw(st.sampled_from([name for name in names if len(getattr(tree, name))]))
    values = getattr(tree, name)
    index = data.draw(st.integers(0, len(values) - 1))
    info = np.iinfo(values.dtype) if values.dtype.kind in "iu" else None
    value = data.draw(st.integers(int(info.min), int(info.max)) | st.integers(0, 40) if info else st.floats())
    damaged = changed(forest, number, **{name: put(values, index, value)})
    try:
        check_forest(damaged, 8)
    except ArtifactError:
        return
    rows = np.tile(np.array([[0.5, np.nan, -3.0, 2.0, 7.0, 1e9, 40.0, 2000.0]]), (40, 1))
    wanted = sum(tree.leaf_value[leaf_of(tree, rows[0])] for tree in damaged.trees)
    for allow_coded in (True, False):
        image = build_forest_image(damaged, 8, allow_coded=allow_coded)
        out = np.empty((1, 40))
        raw_scores(image.ctypes.data, np.ascontiguousarray(rows.T), 40, out)
        assert (out == wanted).all()


def test_ten_thousand_trees_are_checked_fast(forest):
    many = dataclasses.replace(forest, trees=forest.trees * 833)
    start = time.process_time()
    check_forest(many, 8)
    assert time.process_time() - start < 2


def test_depth(forest):
    for tree in forest.trees:
        assert 5 <= tree_depth(tree) <= 30
