"""The table of CREATE MODEL's options: name, aliases, type, range, and LightGBM's parameter behind it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

ValueKind = Literal["integer", "real", "boolean", "text", "choice", "column", "columns", "size", "weights", "signs"]


@dataclass(frozen=True)
class Rule:
    """One option. ``open_low`` and ``open_high`` exclude the ends of the range; ``parameter`` is LightGBM's name for it.

    ``hashed`` is False for options that do not change the model: how much memory, how many threads, words for people.
    """

    kind: ValueKind
    aliases: tuple[str, ...] = ()
    low: float = -inf
    high: float = inf
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    parameter: str | None = None
    hashed: bool = True


def _integer(parameter: str | None, *aliases: str, low: float = 0, high: float = 2**31 - 1) -> Rule:
    return Rule("integer", aliases, low, high, parameter=parameter)


def _real(
    parameter: str | None,
    *aliases: str,
    low: float = 0,
    high: float = inf,
    open_low: bool = False,
    open_high: bool = False,
) -> Rule:
    return Rule("real", aliases, low, high, open_low, open_high, parameter=parameter)


def _fraction(parameter: str, *aliases: str) -> Rule:
    return _real(parameter, *aliases, high=1, open_low=True)


def _boolean(parameter: str | None, *aliases: str) -> Rule:
    return Rule("boolean", aliases, parameter=parameter)


def _choice(parameter: str | None, *choices: str, aliases: tuple[str, ...] = ()) -> Rule:
    return Rule("choice", aliases, choices=choices, parameter=parameter)


MODEL_TYPES = (
    "boosted_tree_classifier",
    "boosted_tree_regressor",
    "random_forest_classifier",
    "random_forest_regressor",
)
SPLIT_METHODS = ("auto_split", "random", "stratified", "seq", "group", "custom", "no_split")
REGRESSION_OBJECTIVES = (
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "poisson",
    "quantile",
    "mape",
    "gamma",
    "tweedie",
    "cross_entropy",
    "cross_entropy_lambda",
)
CLASS_OBJECTIVES = ("binary", "multiclass", "multiclassova")
RANKING_OBJECTIVES = ("lambdarank", "rank_xendcg")
METRICS = (
    "l1", "l2", "rmse", "mape", "quantile", "huber", "fair", "poisson", "gamma", "gamma_deviance", "tweedie", "r2",
    "auc", "average_precision", "binary_logloss", "binary_error", "auc_mu", "multi_logloss", "multi_error",
    "cross_entropy", "cross_entropy_lambda", "kullback_leibler",
)  # fmt: skip
# LightGBM's other spellings of the same objective.
OBJECTIVE_ALIASES = {
    **dict.fromkeys(
        ("regression_l2", "l2", "mean_squared_error", "mse", "l2_root", "root_mean_squared_error", "rmse"), "regression"
    ),
    **dict.fromkeys(("l1", "mean_absolute_error", "mae"), "regression_l1"),
    "mean_absolute_percentage_error": "mape",
    "softmax": "multiclass",
    **dict.fromkeys(("multiclass_ova", "ova", "ovr"), "multiclassova"),
    "xentropy": "cross_entropy",
    "xentlambda": "cross_entropy_lambda",
    **dict.fromkeys(("xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart"), "rank_xendcg"),
}

# BigQuery ML's names where it has one, else LightGBM's own; the aliases are theirs too.
RULES: dict[str, Rule] = {
    # what is learned, from which rows
    "model_type": _choice(None, *MODEL_TYPES),
    "input_label_cols": Rule("column", ("label", "label_column", "label_col")),
    "instance_weight_col": Rule("column", ("weight", "weight_column")),
    "categorical_features": Rule("columns", ("categorical_feature", "cat_feature", "categorical_column", "cat_column")),
    "exclude": Rule("columns", ("ignore_column", "ignore_feature", "blacklist")),
    "auto_class_weights": _boolean(None),
    "class_weights": Rule("weights"),
    "data_split_method": _choice(None, *SPLIT_METHODS),
    "data_split_col": Rule("column"),
    "data_split_eval_fraction": _real(None, high=1, open_low=True, open_high=True),
    "deterministic": _boolean(None),
    "seed": _integer("seed", "random_seed", "random_state"),
    # how long
    "max_iterations": _integer(
        "num_iterations", "num_iterations", "num_iteration", "n_iter", "num_tree", "num_trees", "num_round", "num_rounds",
        "nrounds", "num_boost_round", "n_estimators", "max_iter", low=1, high=1_000_000,
    ),
    "early_stop": _boolean(None),
    "early_stopping_rounds": _integer(None, "early_stopping_round", "early_stopping", "n_iter_no_change", low=1),
    "min_rel_progress": _real(None),
    "metric": _choice("metric", *METRICS, aliases=("metrics", "metric_types")),
    # the trees
    "objective": _choice(
        None, *REGRESSION_OBJECTIVES, *CLASS_OBJECTIVES, *RANKING_OBJECTIVES, *OBJECTIVE_ALIASES,
        aliases=("objective_type", "app", "application", "loss"),
    ),
    "booster_type": _choice(None, "gbtree", "dart", "gbdt", aliases=("boosting", "boosting_type", "boost")),
    "tree_method": _choice(None, "auto", "hist", "exact", "approx"),
    "num_parallel_tree": _integer(None, low=1, high=1_000_000),
    "learn_rate": _real("learning_rate", "learning_rate", "shrinkage_rate", "eta", open_low=True),
    "num_leaves": _integer("num_leaves", "num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes", low=2, high=131_072),
    "max_tree_depth": _integer("max_depth", "max_depth", low=-1),
    "min_data_in_leaf": _integer("min_data_in_leaf", "min_data_per_leaf", "min_data", "min_child_samples", "min_samples_leaf"),
    "min_tree_child_weight": _real(
        "min_sum_hessian_in_leaf", "min_sum_hessian_in_leaf", "min_sum_hessian_per_leaf", "min_sum_hessian", "min_hessian",
        "min_child_weight",
    ),
    "min_split_loss": _real("min_gain_to_split", "min_gain_to_split", "min_split_gain"),
    "l1_reg": _real("lambda_l1", "lambda_l1", "reg_alpha", "l1_regularization"),
    "l2_reg": _real("lambda_l2", "lambda_l2", "reg_lambda", "lambda", "l2_regularization"),
    "max_delta_step": _real("max_delta_step", "max_tree_output", "max_leaf_output"),
    "path_smooth": _real("path_smooth"),
    "extra_trees": _boolean("extra_trees", "extra_tree"),
    "monotone_constraints": Rule("signs", ("mc", "monotone_constraint", "monotonic_cst")),
    "monotone_constraints_method": _choice(
        "monotone_constraints_method", "basic", "intermediate", "advanced", aliases=("monotone_constraining_method", "mc_method")
    ),
    "monotone_penalty": _real("monotone_penalty", "monotone_splits_penalty", "ms_penalty", "mc_penalty"),
    # rows and columns drawn for each tree
    "subsample": _fraction("bagging_fraction", "bagging_fraction", "sub_row", "bagging"),
    "bagging_freq": _integer("bagging_freq", "subsample_freq"),
    "pos_bagging_fraction": _fraction("pos_bagging_fraction", "pos_sub_row", "pos_subsample", "pos_bagging"),
    "neg_bagging_fraction": _fraction("neg_bagging_fraction", "neg_sub_row", "neg_subsample", "neg_bagging"),
    "data_sample_strategy": _choice("data_sample_strategy", "bagging", "goss"),
    "top_rate": _real("top_rate", high=1),
    "other_rate": _real("other_rate", high=1),
    "colsample_bytree": _fraction("feature_fraction", "feature_fraction", "sub_feature"),
    "colsample_bylevel": _fraction("colsample_bylevel"),
    "colsample_bynode": _fraction("feature_fraction_bynode", "feature_fraction_bynode", "sub_feature_bynode"),
    # DART
    "dropout": _real("drop_rate", "drop_rate", "rate_drop", high=1),
    "dart_normalize_type": _choice(None, "tree", "forest"),
    "max_drop": _integer("max_drop", low=-1),
    "skip_drop": _real("skip_drop", high=1),
    "uniform_drop": _boolean("uniform_drop"),
    "xgboost_dart_mode": _boolean("xgboost_dart_mode"),
    # bins and categories
    "max_bin": _integer("max_bin", "max_bins", low=2, high=65_535),
    "min_data_in_bin": _integer("min_data_in_bin", low=1),
    "bin_construct_sample_cnt": _integer("bin_construct_sample_cnt", "subsample_for_bin", low=1),
    "enable_bundle": _boolean("enable_bundle", "is_enable_bundle", "bundle"),
    "is_enable_sparse": _boolean("is_enable_sparse", "is_sparse", "enable_sparse", "sparse"),
    "feature_pre_filter": _boolean("feature_pre_filter"),
    "use_missing": _boolean("use_missing"),
    "zero_as_missing": _boolean("zero_as_missing"),
    "min_data_per_group": _integer("min_data_per_group", low=1),
    "max_cat_threshold": _integer("max_cat_threshold", low=1),
    "max_cat_to_onehot": _integer("max_cat_to_onehot", low=1),
    "cat_l2": _real("cat_l2"),
    "cat_smooth": _real("cat_smooth"),
    # the loss
    "is_unbalance": _boolean("is_unbalance", "unbalance", "unbalanced_sets"),
    "scale_pos_weight": _real("scale_pos_weight", open_low=True),
    "sigmoid": _real("sigmoid", open_low=True),
    "boost_from_average": _boolean("boost_from_average"),
    "reg_sqrt": _boolean("reg_sqrt"),
    "alpha": _real("alpha", open_low=True),
    "fair_c": _real("fair_c", open_low=True),
    "poisson_max_delta_step": _real("poisson_max_delta_step", open_low=True),
    "tweedie_variance_power": _real("tweedie_variance_power", low=1, high=2, open_high=True),
    # seeds of LightGBM's parts, all drawn from ``seed`` unless given
    "data_random_seed": _integer("data_random_seed", "data_seed"),
    "bagging_seed": _integer("bagging_seed", "bagging_fraction_seed"),
    "feature_fraction_seed": _integer("feature_fraction_seed"),
    "extra_seed": _integer("extra_seed"),
    "drop_seed": _integer("drop_seed"),
    "objective_seed": _integer("objective_seed"),
    # the machine
    "force_col_wise": _boolean("force_col_wise"),
    "force_row_wise": _boolean("force_row_wise"),
    "histogram_pool_size": _real("histogram_pool_size", "hist_pool_size", low=-1),
    "use_quantized_grad": _boolean("use_quantized_grad"),
    "num_grad_quant_bins": _integer("num_grad_quant_bins", low=2),
    "quant_train_renew_leaf": _boolean("quant_train_renew_leaf"),
    "stochastic_rounding": _boolean("stochastic_rounding"),
    "num_threads": Rule(
        "integer", ("num_thread", "nthread", "nthreads", "n_jobs"), 0, 1024, parameter="num_threads", hashed=False
    ),
    "memory_limit": Rule("size", hashed=False),
    # words for people, kept with the model
    "description": Rule("text", hashed=False),
    "threshold": Rule("real", (), 0, 1, hashed=False),
}  # fmt: skip

CANONICAL: dict[str, str] = {alias: name for name, rule in RULES.items() for alias in (name, *rule.aliases)}

# What BigQuery ML or LightGBM offers and sqlml does not: the way out.
ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(
        (
            "num_trials",
            "max_parallel_trials",
            "hparam_tuning_algorithm",
            "hparam_tuning_objectives",
            "data_split_test_fraction",
        ),
        "Hyperparameter tuning is not part of this release; train one model for each setting and compare with ML.EVALUATE.",
    ),
    "category_encoding_method": "Text is used as a categorical feature as it is; use ML.ONE_HOT_ENCODER, ML.LABEL_ENCODER or "
    "ML.TARGET_ENCODER in TRANSFORM for another encoding.",
    **dict.fromkeys(
        ("enable_global_explain", "approx_global_feature_contrib"),
        "Use ML.FEATURE_IMPORTANCE, which needs no option.",
    ),
    **dict.fromkeys(
        ("linear_tree", "linear_trees", "linear_lambda"), "Trees with linear leaves cannot be scored in the database."
    ),
    **dict.fromkeys(
        (
            "group_column",
            "query_column",
            "group_id",
            "query_id",
            "lambdarank_truncation_level",
            "lambdarank_norm",
            "label_gain",
        ),
        "Ranking is not part of this release.",
    ),
    **dict.fromkeys(("device", "device_type", "gpu_device_id", "num_gpu"), "Training runs on the processor."),
}
