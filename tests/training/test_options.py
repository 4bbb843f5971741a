"""Options of CREATE MODEL: names, aliases, types, ranges, contradictions, and where each error points."""

from __future__ import annotations

import lightgbm
import pytest

from sqlml.errors import NotSupportedYetError, OptionError, OptionValueError
from sqlml.language.statements import Option, Span
from sqlml.planning.option_rules import CANONICAL, RULES
from sqlml.planning.options import parse_options


def parse(*pairs):
    """Options at positions 10, 20, ..."""
    return parse_options(
        [Option(key, value, Span(10 * (i + 1), 10 * (i + 1) + 5)) for i, (key, value) in enumerate(pairs)]
    )


def test_defaults():
    options = parse()
    assert options.label == "label"
    assert options.split_method == "auto_split"
    assert options.eval_fraction == 0.2
    assert options.stops_early
    assert options.wants_classes is None
    assert options.seed is None


def test_bigquery_and_lightgbm_names_are_one_option():
    assert parse(("max_iterations", 5)).given == parse(("num_boost_round", 5)).given == parse(("n_estimators", 5)).given
    assert parse(("learn_rate", 1)).given == parse(("eta", 1.0)).given == {"learn_rate": 1.0}
    assert parse(("input_label_cols", ("y",))).label == parse(("label", "y")).label == "y"


def test_every_alias_of_lightgbm_is_the_same_alias_here():
    """LightGBM is the oracle: each of its aliases we know leads to its parameter, and none leads elsewhere."""
    from_lightgbm = lightgbm.basic._ConfigAliases._get_all_param_aliases()
    ours = {rule.parameter: name for name, rule in RULES.items() if rule.parameter}
    for parameter, aliases in from_lightgbm.items():
        for alias in aliases if parameter in ours else ():
            assert CANONICAL.get(alias) == ours[parameter], alias


def test_same_option_twice_with_one_value_is_fine():
    assert parse(("eta", 0.5), ("learn_rate", 0.5)).given == {"learn_rate": 0.5}


def test_two_names_with_two_values():
    with pytest.raises(OptionError, match='option "eta" and option "learn_rate" are two names of one option') as caught:
        parse(("learn_rate", 0.5), ("eta", 0.6))
    assert caught.value.position == 20
    with pytest.raises(OptionError, match='option "eta" stands twice, with different values'):
        parse(("eta", 0.5), ("eta", 0.6))


def test_unknown_option_names_the_nearest():
    with pytest.raises(OptionError, match='unknown option "max_iteration"') as caught:
        parse(("seed", 1), ("max_iteration", 5))
    assert caught.value.hint.startswith("Did you mean max_iterations")
    assert caught.value.position == 20
    with pytest.raises(OptionError, match="unknown option") as caught:
        parse(("wqxz", 5))
    assert "README" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("max_iterations", "ten", "an integer at least 1 and at most 1000000, got 'ten'"),
        ("max_iterations", 0, "an integer at least 1 and at most 1000000, got 0"),
        ("max_iterations", 2.5, "got 2.5"),
        ("max_iterations", True, "got TRUE"),
        ("learn_rate", 0, "a number above 0, got 0"),
        ("learn_rate", float("nan"), "got nan"),
        ("learn_rate", float("inf"), "got inf"),
        ("learn_rate", None, "got NULL"),
        ("subsample", 1.5, "a number above 0 and at most 1, got 1.5"),
        ("data_split_eval_fraction", 1, "a number above 0 and below 1, got 1"),
        ("early_stop", 1, "TRUE or FALSE, got 1"),
        ("data_split_method", "randm", "one of auto_split, random, .*, got 'randm'"),
        ("model_type", "kmeans", "one of boosted_tree_classifier, .*, got 'kmeans'"),
        ("input_label_cols", ("a", "b"), r"the name of one column, got \['a', 'b'\]"),
        ("exclude", (1,), "a list of column names"),
        ("memory_limit", "2 apples", "a size such as '2GB', got '2 apples'"),
        ("memory_limit", 0, "a size such as"),
        ("class_weights", ("yes", 2.0), "pairs of a class and a weight above 0"),
        ("class_weights", (("yes", -1.0),), "pairs of a class and a weight above 0"),
        ("monotone_constraints", {"age": 2}, "-1, 0 or 1 for each feature"),
        ("monotone_constraints", "age", "-1, 0 or 1 for each feature"),
        ("description", 3, "text"),
    ],
)
def test_wrong_type_or_range(key, value, message):
    with pytest.raises(OptionValueError, match=f'option "{key}" must be .*{message}') as caught:
        parse((key, value))
    assert caught.value.position == 10


def test_a_choice_near_another_gets_a_hint():
    with pytest.raises(OptionValueError, match="got 'randm'") as caught:
        parse(("data_split_method", "randm"))
    assert caught.value.hint == "Did you mean random?"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("data_split_method", "SEQ")], 'data_split_method "seq" needs option "data_split_col"'),
        ([("data_split_col", "t")], 'option "data_split_col" contradicts data_split_method "auto_split"'),
        ([("data_split_method", "no_split"), ("data_split_eval_fraction", 0.1)], "contradicts data_split_method"),
        (
            [("model_type", "boosted_tree_regressor"), ("objective", "binary")],
            'objective "binary" contradicts model_type',
        ),
        ([("model_type", "boosted_tree_classifier"), ("objective", "mse")], 'objective "regression" contradicts'),
        ([("auto_class_weights", True), ("class_weights", {"a": 1.0})], 'option "class_weights" contradicts'),
        ([("auto_class_weights", True), ("objective", "l2")], "is for classifiers only"),
        ([("model_type", "random_forest_regressor"), ("booster_type", "dart")], "is for boosted trees only"),
        ([("force_row_wise", True), ("force_col_wise", True)], 'option "force_row_wise" contradicts'),
    ],
)
def test_contradictions(pairs, message):
    with pytest.raises(OptionError, match=message):
        parse(*pairs)


@pytest.mark.parametrize(
    "pair",
    [
        ("num_trials", 10),
        ("linear_tree", True),
        ("tree_method", "EXACT"),
        ("colsample_bylevel", 0.5),
        ("num_parallel_tree", 4),
        ("objective", "lambdarank"),
        ("dart_normalize_type", "FOREST"),
    ],
)
def test_known_but_not_supported(pair):
    with pytest.raises(NotSupportedYetError, match="support") as caught:
        parse(pair)
    assert caught.value.hint


def test_values_are_normalised():
    options = parse(
        ("model_type", "BOOSTED_TREE_CLASSIFIER"),
        ("memory_limit", "1.5GiB"),
        ("class_weights", (("yes", 2), {"_0": "no", "_1": 0.5}, (True, 1))),
        ("exclude", "id"),
        ("monotone_constraints", {"age": 1, "x": -1}),
        ("metric", "AUC"),
    )
    assert options.given == {
        "model_type": "boosted_tree_classifier",
        "memory_limit": 3 * 2**29,
        "class_weights": (("yes", 2.0), ("no", 0.5), ("true", 1.0)),
        "exclude": ("id",),
        "monotone_constraints": (("age", 1), ("x", -1)),
        "metric": "auc",
    }
    assert parse(("monotone_constraints", (1, 0, -1))).given["monotone_constraints"] == (1, 0, -1)


def test_only_what_changes_the_model_is_hashed():
    options = parse(("eta", 0.5), ("num_threads", 2), ("memory_limit", "1GB"), ("description", "x"), ("threshold", 0.3))
    assert options.hashed == {"learn_rate": 0.5}
    assert options.model_options == {"description": "x", "threshold": 0.3}


def test_columns_that_are_read_but_are_no_features():
    options = parse(("data_split_method", "custom"), ("data_split_col", "held"), ("weight", "w"), ("exclude", ("id",)))
    assert options.exclude == ("id",)
    assert options.reserved_columns == ("w", "held")


def test_no_early_stop_for_forests_and_dart():
    assert not parse(("model_type", "random_forest_classifier")).stops_early
    assert not parse(("booster_type", "DART")).stops_early
    assert not parse(("early_stop", False)).stops_early
