"""Models of every kind that LightGBM trains, and the values that are hard for them."""

from __future__ import annotations

import functools

import lightgbm as lgb
import numpy as np
import pytest

ROWS, FEATURES = 3000, 8
_BASE = {"verbose": -1, "num_threads": 1, "num_leaves": 31, "min_data_in_leaf": 5, "seed": 7, "deterministic": True}


def _table(name):
    """Features by name of the table, and a score that depends on them."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((ROWS, FEATURES))
    if name == "lognormal":
        x = np.exp(4 * x)
    elif name == "counts":
        x = rng.poisson(3.0, x.shape).astype(float) - 2
    elif name == "tiny":
        x *= np.where(rng.random(x.shape) < 0.3, 1e-35, 1e-33)
    elif name == "huge":
        x = np.where(rng.random(x.shape) < 0.05, np.sign(x) * 1e300, x)
    elif name in {"missing", "categories"}:
        x[rng.random(x.shape) < 0.15] = np.nan
        x[rng.random(x.shape) < 0.15] = 0.0
    if name == "categories":
        for column, count in ((5, 12), (6, 300), (7, 3000)):
            x[:, column] = np.floor(rng.beta(1, 3, ROWS) * count)
        x[rng.random(ROWS) < 0.1, 6] = np.nan
        x[rng.random(ROWS) < 0.1, 7] = -1
    spread = np.nan_to_num(x)
    score = np.tanh(spread[:, 0]) + np.sin(spread[:, 1] * 3) + np.cos(spread[:, 6]) * np.sin(spread[:, 7] / 7)
    return x, score + 0.3 * rng.standard_normal(ROWS)


def _custom(predictions, data):
    return predictions - data.get_label(), np.ones_like(predictions)


# kind: (table, parameters)
KINDS = {
    "regression": ("normal", {"objective": "regression"}),
    "regression sqrt": ("normal", {"objective": "regression", "reg_sqrt": True}),
    "l1": ("normal", {"objective": "regression_l1"}),
    "l1 sqrt": ("normal", {"objective": "regression_l1", "reg_sqrt": True}),
    "huber": ("normal", {"objective": "huber"}),
    "fair": ("normal", {"objective": "fair"}),
    "quantile": ("normal", {"objective": "quantile", "alpha": 0.8}),
    "mape": ("normal", {"objective": "mape"}),
    "poisson": ("counts", {"objective": "poisson"}),
    "gamma": ("lognormal", {"objective": "gamma"}),
    "tweedie": ("normal", {"objective": "tweedie"}),
    "binary": ("normal", {"objective": "binary"}),
    "binary sigmoid": ("missing", {"objective": "binary", "sigmoid": 2.5}),
    "cross entropy": ("normal", {"objective": "cross_entropy"}),
    "cross entropy lambda": ("normal", {"objective": "cross_entropy_lambda"}),
    "multiclass": ("missing", {"objective": "multiclass", "num_class": 5}),
    "one against all": ("normal", {"objective": "multiclassova", "num_class": 4, "sigmoid": 0.7}),
    "lambdarank": ("normal", {"objective": "lambdarank"}),
    "xendcg": ("normal", {"objective": "rank_xendcg"}),
    "custom": ("normal", {"objective": _custom}),
    "random forest": ("missing", {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}),
    "multiclass forest": (
        "normal",
        {"objective": "multiclass", "num_class": 3, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    ),
    "dart": ("normal", {"objective": "binary", "boosting": "dart"}),
    "goss": ("normal", {"objective": "regression", "data_sample_strategy": "goss"}),
    "extra trees": ("normal", {"objective": "regression", "extra_trees": True}),
    "zero as missing": ("missing", {"objective": "binary", "zero_as_missing": True}),
    "no missing": ("missing", {"objective": "binary", "use_missing": False}),
    "categories": ("categories", {"objective": "binary", "min_data_per_group": 3, "cat_smooth": 1.0}),
    "categories onehot": ("categories", {"objective": "regression", "max_cat_to_onehot": 500, "num_leaves": 60}),
    "categories zero": ("categories", {"objective": "binary", "zero_as_missing": True, "min_data_per_group": 3}),
    "monotone": ("normal", {"objective": "regression", "monotone_constraints": [1, -1, 0, 0, 0, 0, 0, 0]}),
    "lognormal": ("lognormal", {"objective": "regression"}),
    "counts": ("counts", {"objective": "regression"}),
    "tiny": ("tiny", {"objective": "regression"}),
    "huge": ("huge", {"objective": "regression"}),
    "many thresholds": ("missing", {"objective": "regression", "max_bin": 2000, "num_leaves": 100, "min_data_in_leaf": 2}),
    "200 leaves": ("missing", {"objective": "regression", "num_leaves": 200, "min_data_in_leaf": 2}),
    "256 leaves": ("normal", {"objective": "regression", "num_leaves": 256, "min_data_in_leaf": 2}),
    "400 leaves": ("categories", {"objective": "regression", "num_leaves": 400, "min_data_in_leaf": 2}),
    "stumps": ("missing", {"objective": "binary", "num_leaves": 2}),
    "one leaf": ("normal", {"objective": "binary", "min_data_in_leaf": 2500}),
}  # fmt: skip


@functools.cache
def train(kind):
    """A booster of this kind, and the rows it was trained on."""
    table, parameters = KINDS[kind]
    x, score = _table(table)
    objective = parameters["objective"]
    label = score
    if objective in {"binary", "cross_entropy", "cross_entropy_lambda"}:
        label = (score > 0).astype(float)
    elif objective in {"poisson", "gamma", "tweedie"}:
        label = np.exp(np.clip(score, -3, 3))
    elif "num_class" in parameters:
        edges = np.quantile(score, np.linspace(0, 1, parameters["num_class"] + 1)[1:-1])
        label = np.digitize(score, edges)
    elif objective in {"lambdarank", "rank_xendcg"}:
        label = np.digitize(score, np.quantile(score, [0.5, 0.9]))
    ranked = objective in {"lambdarank", "rank_xendcg"}
    data = lgb.Dataset(
        x,
        label,
        group=[ROWS // 30] * 30 if ranked else None,
        categorical_feature=[5, 6, 7] if table == "categories" else [],
        params={"verbose": -1, "num_threads": 1},
    )
    return lgb.train({**_BASE, **parameters}, data, 12), x


@functools.cache
def _hard_rows(kind):
    booster, x = train(kind)
    rng = np.random.default_rng(5)
    tiny = float(np.float32(1e-35))
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, tiny, -tiny, 5e-324, -5e-324, 2.2e-308, 1e-36, -1e-36, 1e308, -1e308]
    special += [
        3.7,
        -0.5,
        -1.0,
        -7.0,
        2.0**31,
        2.0**31 - 1,
        1e18,
        4.999999,
        np.nextafter(tiny, 1),
        np.nextafter(-tiny, -1),
    ]
    thresholds = [split["threshold"] for split in _splits(booster) if isinstance(split["threshold"], float)]
    thresholds = np.array(thresholds or [0.0])
    pool = np.concatenate((special, thresholds, np.nextafter(thresholds, np.inf), np.nextafter(thresholds, -np.inf)))
    hard = rng.choice(pool, (1500, FEATURES))
    mixed = x[rng.integers(0, ROWS, 1500)].copy()
    where = rng.random(mixed.shape) < 0.2
    mixed[where] = rng.choice(pool, int(where.sum()))
    return np.concatenate((x[:600], hard, mixed))


def _splits(booster):
    waiting = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            yield node
            waiting += [node["left_child"], node["right_child"]]


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def kinds():
    return list(KINDS)


@pytest.fixture(scope="session")
def trained():
    """From a kind to its booster and training rows."""
    return train


@pytest.fixture(scope="session")
def hard_rows():
    """From a kind to rows of its own thresholds, their neighbours, and everything that is special about doubles."""
    return _hard_rows
