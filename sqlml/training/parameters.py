"""Options to LightGBM's parameters, for this label and these features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.errors import DataError, OptionValueError
from sqlml.planning.option_rules import RULES
from sqlml.planning.options import TrainingOptions
from sqlml.training.labels import Labels
from sqlml.training.team import is_limitable
from udfs.model import Feature

DEFAULT_ITERATIONS = 100
# BigQuery ML's defaults for random forests; more leaves than for boosting, because nothing corrects a coarse tree.
FOREST: dict[str, Any] = {
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction_bynode": 0.8,
    "max_depth": 15,
    "num_leaves": 255,
}
FIXED: dict[str, Any] = {"verbosity": -1, "deterministic": True}
# Where LightGBM is told to sum row by row: up to a third faster than column by column, and no slower for fewer columns than
# these, for twice the bins. The choice must not depend on the machine, since a sum in another order is another sum.
ROW_WISE_ROWS, ROW_WISE_COLUMNS, ROW_WISE_VALUES = 100_000, 50, 1 << 27
HIGHER_IS_BETTER = ("auc", "average_precision", "auc_mu", "r2")


def iterations(options: TrainingOptions) -> int:
    """How many iterations are wanted: BigQuery ML counts a forest's trees as num_parallel_tree."""
    if options.is_forest and "num_parallel_tree" in options.given:
        return int(options.given["num_parallel_tree"])
    return int(options.given.get("max_iterations", DEFAULT_ITERATIONS))


def is_row_wise(options: TrainingOptions, row_count: int, columns: int) -> bool:
    """Whether histograms are summed row by row."""
    given = options.given
    if given.get("force_row_wise") or given.get("force_col_wise") or not is_limitable():
        return bool(given.get("force_row_wise"))
    is_small = row_count < ROW_WISE_ROWS or row_count * columns > ROW_WISE_VALUES
    return not is_small and columns <= ROW_WISE_COLUMNS


def lightgbm_parameters(options: TrainingOptions, labels: Labels, features: Sequence[Feature]) -> dict[str, Any]:
    """All parameters, those of the dataset and those of the trees."""
    given = options.given
    parameters = dict(FIXED)
    parameters["objective"] = objective(options, labels)
    if labels.task == "multiclass":
        parameters["num_class"] = labels.class_count
    parameters["boosting"] = _boosting(options)
    if options.is_forest:
        parameters |= FOREST
    parameters |= {rule.parameter: given[name] for name, rule in RULES.items() if rule.parameter and name in given}
    parameters.pop("colsample_bylevel", None)
    row_wise = is_row_wise(options, labels.row_count, len(features))
    parameters |= {"force_row_wise": row_wise, "force_col_wise": not row_wise}
    parameters["num_iterations"] = iterations(options)
    if parameters.get("bagging_fraction", 1.0) < 1.0:
        parameters.setdefault("bagging_freq", 1)
    if given.get("dart_normalize_type") == "tree":
        parameters["xgboost_dart_mode"] = True
    categorical = [str(index) for index, feature in enumerate(features) if feature.categorical]
    if categorical:
        parameters["categorical_feature"] = ",".join(categorical)
    constraints = _constraints(options, features)
    if any(constraints):
        parameters["monotone_constraints"] = constraints
    _check_forest_draws(options, parameters)
    return parameters


def objective(options: TrainingOptions, labels: Labels) -> str:
    """LightGBM's objective: the user's, or the usual one of the task."""
    return options.objective or {"binary": "binary", "multiclass": "multiclass"}.get(labels.task, "regression")


def _boosting(options: TrainingOptions) -> str:
    if options.is_forest:
        return "rf"
    return "dart" if options.given.get("booster_type") == "dart" else "gbdt"


def _check_forest_draws(options: TrainingOptions, parameters: dict[str, Any]) -> None:
    """A random forest without randomness is the same tree many times: LightGBM refuses it, and so do we, in words."""
    draws_rows = parameters.get("bagging_freq", 0) > 0 and parameters.get("bagging_fraction", 1.0) < 1.0
    draws_columns = parameters.get("feature_fraction", 1.0) < 1.0
    if options.is_forest and not (draws_rows or draws_columns):
        raise OptionValueError(
            "a random forest needs subsample or colsample_bytree below 1", position=options.position("subsample")
        )


def _constraints(options: TrainingOptions, features: Sequence[Feature]) -> list[int]:
    """One sign a feature, from pairs by name or from a list in the order of the features."""
    given = options.given.get("monotone_constraints", ())
    position = options.position("monotone_constraints")
    signs = [0] * len(features)
    if given and isinstance(given[0], int):
        if len(given) != len(features):
            names = ", ".join(feature.name for feature in features)
            raise OptionValueError(
                f'option "monotone_constraints" expects {len(features)} signs, got {len(given)}',
                hint=f"The features are: {names}.",
                position=position,
            )
        signs = list(given)
    else:
        for name, sign in given:
            places = [i for i, feature in enumerate(features) if name.casefold() in _names(feature)]
            if not places:
                raise OptionValueError(
                    f'option "monotone_constraints" names unknown feature "{name}"', position=position
                )
            for place in places:
                signs[place] = sign
    for sign, feature in zip(signs, features, strict=True):
        if sign and feature.categorical:
            raise DataError(
                f'feature "{feature.name}" is categorical and cannot be monotone',
                hint="Only numbers can be constrained.",
                position=position,
            )
    return signs


def class_weights(options: TrainingOptions, labels: Labels) -> npt.NDArray[np.float64] | None:
    """A weight for each class: BigQuery ML's balance of frequencies, or the user's, 1 for classes not named."""
    if options.given.get("auto_class_weights") and labels.class_count:
        counts = np.array(labels.counts, np.float64)
        weights: npt.NDArray[np.float64] = counts.sum() / (len(counts) * counts)
        return weights
    given = options.given.get("class_weights")
    if not given:
        return None
    names = [_class_name(value) for value in labels.label.classes]
    found = np.ones(labels.class_count)
    for name, weight in given:
        if name not in names:
            raise OptionValueError(
                f'option "class_weights" names class "{name}", which label "{labels.label.name}" does not have',
                hint=f"The classes are: {', '.join(names[:20])}.",
                position=options.position("class_weights"),
            )
        found[names.index(name)] = weight
    return found


def _class_name(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _names(feature: Feature) -> tuple[str, str]:
    return feature.name.casefold(), feature.source.casefold()
