"""OPTIONS of CREATE MODEL, as parsed, to checked values by canonical name, each error at its option's place."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlml.errors import NotSupportedYetError, OptionError, OptionValueError
from sqlml.language.statements import Option
from sqlml.planning.option_rules import (
    CANONICAL,
    CLASS_OBJECTIVES,
    ELSEWHERE,
    RANKING_OBJECTIVES,
    RULES,
    Rule,
)
from sqlml.planning.option_values import MismatchError, read_value, shown

SplitMethod = Literal["auto_split", "random", "stratified", "seq", "group", "custom", "no_split"]
DEFAULT_LABEL = "label"  # BigQuery ML's
DEFAULT_EVAL_FRACTION = 0.2  # BigQuery ML's
DEFAULT_PATIENCE = 20
COLUMN_SPLITS = ("seq", "group", "custom")
MODEL_OPTIONS = ("description", "threshold")


@dataclass(frozen=True)
class TrainingOptions:
    """Checked options. ``given`` holds what the user wrote, by canonical name; ``positions`` where each stands in the text."""

    given: Mapping[str, Any] = field(default_factory=dict)
    positions: Mapping[str, int] = field(default_factory=dict)

    def position(self, name: str) -> int | None:
        """Where the option stands in the user's statement, for errors found later."""
        return self.positions.get(name)

    @property
    def label(self) -> str:
        return str(self.given.get("input_label_cols", DEFAULT_LABEL))

    @property
    def weight_column(self) -> str | None:
        return self.given.get("instance_weight_col")

    @property
    def categorical_features(self) -> tuple[str, ...]:
        return tuple(self.given.get("categorical_features", ()))

    @property
    def exclude(self) -> tuple[str, ...]:
        """Columns that the user does not want as features."""
        return tuple(self.given.get("exclude", ()))

    @property
    def reserved_columns(self) -> tuple[str, ...]:
        """Columns that training reads beside the features and the label; none of them is a feature, as in BigQuery ML."""
        return tuple(name for name in (self.weight_column, self.split_column) if name is not None)

    @property
    def is_forest(self) -> bool:
        return str(self.given.get("model_type", "")).startswith("random_forest")

    @property
    def wants_classes(self) -> bool | None:
        """Whether a classifier is asked for; None when the label's type decides."""
        if "model_type" in self.given:
            return bool(self.given["model_type"].endswith("classifier"))
        objective = self.objective
        return None if objective is None else objective in CLASS_OBJECTIVES

    @property
    def objective(self) -> str | None:
        return self.given.get("objective")

    @property
    def split_method(self) -> SplitMethod:
        default = "random" if "data_split_eval_fraction" in self.given else "auto_split"
        method: SplitMethod = self.given.get("data_split_method", default)
        return method

    @property
    def split_column(self) -> str | None:
        return self.given.get("data_split_col")

    @property
    def eval_fraction(self) -> float:
        return float(self.given.get("data_split_eval_fraction", DEFAULT_EVAL_FRACTION))

    @property
    def seed(self) -> int | None:
        return self.given.get("seed")

    @property
    def deterministic(self) -> bool | None:
        return self.given.get("deterministic")

    @property
    def stops_early(self) -> bool:
        """Early stopping belongs to boosting; DART changes earlier trees, a random forest has no order of trees."""
        return (
            bool(self.given.get("early_stop", True)) and not self.is_forest and self.given.get("booster_type") != "dart"
        )

    @property
    def memory_limit(self) -> int | None:
        return self.given.get("memory_limit")

    @property
    def hashed(self) -> dict[str, Any]:
        """The options that change the model: they are part of the artifact."""
        return {name: value for name, value in sorted(self.given.items()) if RULES[name].hashed}

    @property
    def model_options(self) -> dict[str, Any]:
        """The options that belong to the model's name and not to the version: what ALTER MODEL SET OPTIONS sets."""
        return {name: self.given[name] for name in MODEL_OPTIONS if name in self.given}


def parse_options(options: Sequence[Option]) -> TrainingOptions:
    """Check names, types, ranges and contradictions."""
    given: dict[str, Any] = {}
    positions: dict[str, int] = {}
    written: dict[str, str] = {}
    for option in options:
        name = canonical_name(option)
        value = _checked(option, RULES[name])
        if name in given and given[name] != value:
            also = (
                "stands twice"
                if written[name] == option.key
                else f'and option "{written[name]}" are two names of one option'
            )
            raise OptionError(
                f'option "{option.key}" {also}, with different values',
                position=option.span.start,
                hint="Give one of them.",
            )
        given.setdefault(name, value)
        positions.setdefault(name, option.span.start)
        written.setdefault(name, option.key)
    parsed = TrainingOptions(given, positions)
    for check in (_check_objective, _check_split, _check_weights, _check_trees):
        check(parsed)
    return parsed


def parse_model_options(options: Sequence[Option]) -> dict[str, Any]:
    """The options of ALTER MODEL ... SET OPTIONS; NULL takes one back to its default."""
    values: dict[str, Any] = {}
    for option in options:
        if option.key not in MODEL_OPTIONS:
            canonical_name(option)  # raises where there is no such option at all
            raise OptionError(
                f'option "{option.key}" belongs to a version, which never changes',
                hint=f"Train another with CREATE OR REPLACE MODEL. A model's own options are {', '.join(MODEL_OPTIONS)}.",
                position=option.span.start,
            )
        values[option.key] = None if option.value is None else _checked(option, RULES[option.key])
    return values


def canonical_name(option: Option) -> str:
    """The canonical name of an option, or an error with the nearest names."""
    name = CANONICAL.get(option.key)
    if name is not None:
        return name
    if option.key in ELSEWHERE:
        raise NotSupportedYetError(
            f'option "{option.key}" is not supported', hint=ELSEWHERE[option.key], position=option.span.start
        )
    near = difflib.get_close_matches(option.key, CANONICAL, n=2, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}?" if near else "The README lists the options of CREATE MODEL."
    raise OptionError(f'unknown option "{option.key}"', hint=hint, position=option.span.start)


def _checked(option: Option, rule: Rule) -> Any:
    """The option's value in the type of its rule."""
    try:
        return read_value(option.value, rule)
    except MismatchError as mismatch:
        raise OptionValueError(
            f'option "{option.key}" must be {mismatch.wanted}, got {shown(option.value)}',
            hint=mismatch.hint or _WAYS_OUT.get(CANONICAL[option.key], "Leave it out to take the default."),
            position=option.span.start,
        ) from None


_WAYS_OUT = {
    "input_label_cols": "A model predicts one column, as in input_label_cols = ['price']; train one model for each label.",
    "model_type": "Boosted trees and random forests are what this release trains; leave it out to have it chosen by the label.",
}


def _contradiction(options: TrainingOptions, name: str, message: str, hint: str | None = None) -> OptionError:
    return OptionError(message, hint=hint, position=options.position(name))


def _check_objective(options: TrainingOptions) -> None:
    objective, model_type = options.objective, options.given.get("model_type")
    if objective in RANKING_OBJECTIVES:
        raise NotSupportedYetError(
            f'objective "{objective}" is not supported', hint="Ranking is not part of this release.",
            position=options.position("objective"),
        )  # fmt: skip
    if objective and model_type and (objective in CLASS_OBJECTIVES) != model_type.endswith("classifier"):
        raise _contradiction(options, "objective", f'objective "{objective}" contradicts model_type "{model_type}"')


def _check_split(options: TrainingOptions) -> None:
    method = options.split_method
    if method in COLUMN_SPLITS and options.split_column is None:
        raise _contradiction(
            options,
            "data_split_method",
            f'data_split_method "{method}" needs option "data_split_col"',
            "Name the column that decides, as in data_split_col = 'day'.",
        )
    if options.split_column is not None and method not in COLUMN_SPLITS:
        raise _contradiction(
            options,
            "data_split_col",
            f'option "data_split_col" contradicts data_split_method "{method}"',
            "Set data_split_method to 'seq' (the greatest values are held out), 'group' or 'custom'.",
        )
    if method in ("custom", "no_split") and "data_split_eval_fraction" in options.given:
        raise _contradiction(
            options,
            "data_split_eval_fraction",
            f'option "data_split_eval_fraction" contradicts data_split_method "{method}"',
        )


def _check_weights(options: TrainingOptions) -> None:
    given = [
        name
        for name in ("auto_class_weights", "class_weights", "is_unbalance", "scale_pos_weight")
        if options.given.get(name)
    ]
    if len(given) > 1:
        raise _contradiction(options, given[1], f'option "{given[1]}" contradicts option "{given[0]}"')
    if given and options.wants_classes is False:
        raise _contradiction(options, given[0], f'option "{given[0]}" is for classifiers only')


def _check_trees(options: TrainingOptions) -> None:
    given = options.given
    unsupported = {
        "tree_method": given.get("tree_method") in ("exact", "approx"),
        "colsample_bylevel": given.get("colsample_bylevel", 1.0) < 1.0,
        "num_parallel_tree": given.get("num_parallel_tree", 1) > 1 and not options.is_forest,
        "dart_normalize_type": given.get("dart_normalize_type") == "forest",
    }
    for name, is_unsupported in unsupported.items():
        if is_unsupported:
            raise NotSupportedYetError(
                f'option "{name}" does not support {shown(given[name])}',
                hint="Trees grow leaf by leaf on histograms, one an iteration.",
                position=options.position(name),
            )
    if options.is_forest and given.get("booster_type") not in (None, "gbtree", "gbdt"):
        raise _contradiction(options, "booster_type", 'option "booster_type" is for boosted trees only')
    if given.get("force_col_wise") and given.get("force_row_wise"):
        raise _contradiction(options, "force_row_wise", 'option "force_row_wise" contradicts option "force_col_wise"')
