"""LightGBM's text: what we read is what LightGBM means, what we write LightGBM reads, what is broken is refused."""

from __future__ import annotations

import dataclasses
import re

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from udfs.errors import ArtifactError, UnsupportedModelError
from udfs.forest.text import format_lightgbm, parse_lightgbm, parse_pandas_categorical


def equal(left, right):
    if dataclasses.is_dataclass(left):
        return all(equal(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return left == right


def test_round_trip(kind, trained, hard_rows):
    booster, _ = trained(kind)
    forest = parse_lightgbm(booster.model_to_string())
    text = format_lightgbm(forest)
    assert equal(parse_lightgbm(text), forest)
    rows = hard_rows(kind)
    again = lgb.Booster(model_str=text)
    for raw_score in (True, False):
        wanted = booster.predict(rows, raw_score=raw_score)
        assert (again.predict(rows, raw_score=raw_score).view(np.int64) == wanted.view(np.int64)).all()


def test_importances_survive(trained):
    booster, _ = trained("categories")
    again = lgb.Booster(model_str=format_lightgbm(parse_lightgbm(booster.model_to_string())))
    for kind in ("split", "gain"):
        assert np.allclose(again.feature_importance(kind), booster.feature_importance(kind), rtol=1e-5)
    assert again.feature_name() == booster.feature_name()
    assert again.num_trees() == booster.num_trees()


def test_reads_what_lightgbm_knows(trained):
    booster, _ = trained("monotone")
    forest = parse_lightgbm(booster.model_to_string())
    dumped = booster.dump_model()
    assert list(forest.monotone_constraints) == dumped["monotone_constraints"]
    assert list(forest.feature_names) == dumped["feature_names"]
    assert [len(tree.leaf_value) for tree in forest.trees] == [tree["num_leaves"] for tree in dumped["tree_info"]]
    assert "[num_leaves: 31]" in forest.parameters


def test_older_versions_and_line_ends(trained, hard_rows):
    booster, _ = trained("binary")
    text = booster.model_to_string()
    forest = parse_lightgbm(text)
    old = re.sub(r"tree_sizes=.*\n", "", text.replace("version=v4", "version=v2").replace("is_linear=0\n", ""))
    assert equal(parse_lightgbm(old), forest)
    assert equal(parse_lightgbm(text.replace("\n", "\r\n")), forest)


def test_pandas_categories():
    frame = pd.DataFrame({"a": pd.Categorical(["x", "y", "z"] * 40), "b": np.arange(120.0)})
    data = lgb.Dataset(frame, np.arange(120) % 3)
    booster = lgb.train({"verbose": -1, "min_data_per_group": 1, "cat_smooth": 0}, data, 2)
    assert parse_pandas_categorical(booster.model_to_string()) == [["x", "y", "z"]]
    assert parse_pandas_categorical("tree\npandas_categorical:null\n") is None
    assert parse_pandas_categorical("tree\n") is None
    with pytest.raises(ArtifactError, match="is not JSON"):
        parse_pandas_categorical("pandas_categorical:[[\n")


def test_linear_trees_are_refused(trained):
    _, x = trained("binary")
    booster = lgb.train({"verbose": -1, "linear_tree": True}, lgb.Dataset(x, x[:, 0], params={"linear_tree": True}), 2)
    with pytest.raises(UnsupportedModelError, match=r"^line \d+: linear trees are not supported$"):
        parse_lightgbm(booster.model_to_string())


_DAMAGES = {
    "empty": (r"(?s).*", "", "line 1: not a LightGBM model text"),
    "another file": (r"\Atree", "a,b,c", "line 1: not a LightGBM model text, got 'a,b,c'"),
    "future version": (r"version=v4", "version=v5", 'line 2: version "v5" .* not supported'),
    "no version": (r"version=v4\n", "", '"version" is missing'),
    "cut off": (r"(?s)end of trees.*", "", '"end of trees" is missing, the text is cut off'),
    "no leaf values": (r"leaf_value=.*\n", "", r'line \d+: "leaf_value" is missing'),
    "a leaf too few": (r"leaf_value=\S+ ", "leaf_value=", r'line \d+: "leaf_value" has 30 values, wanted 31'),
    "no number": (r"threshold=\S+", "threshold=soon", r'line \d+: "threshold" has a value that is no number'),
    "fraction": (r"left_child=\S+", "left_child=1.5", r'line \d+: "left_child" has a value that is no number'),
    "wild child": (r"left_child=\S+", "left_child=70", "tree 0 has a child out of range"),
    "loop": (r"left_child=\S+", "left_child=0", "tree 0 has a child that does not come after its parent"),
    "wild feature": (r"split_feature=\S+", "split_feature=8", "tree 0 splits on a feature outside 0 to 7"),
    "wrapping feature": (r"split_feature=\S+", "split_feature=4294967296", r'line \d+: "split_feature" has a value outside'),
    "missing tree": (r"(?s)Tree=0\n.*?\n\n\n", "", r"line \d+: the text has 11 trees, wanted 12"),
    "twice": (r"num_class=1\n", "num_class=1\nnum_class=1\n", 'line 4: "num_class" comes twice in the head'),
    "negative": (r"num_leaves=31", "num_leaves=-1", r'line \d+: "num_leaves" is -1, wanted at least 1'),
    "no outputs": (r"num_tree_per_iteration=1", "num_tree_per_iteration=0", "the forest has 0 outputs"),
    "not a number": (r"threshold=\S+", "threshold=nan", "tree 0 has a threshold that is not a number"),
}  # fmt: skip


@pytest.mark.parametrize("damage", list(_DAMAGES))
def test_damage_is_refused(damage, trained):
    pattern, replacement, message = _DAMAGES[damage]
    booster, _ = trained("binary")
    text = re.sub(pattern, replacement, booster.model_to_string(), count=1)
    with pytest.raises((ArtifactError, UnsupportedModelError), match=message):
        parse_lightgbm(text)
