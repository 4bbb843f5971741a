"""The operators of the transform program that have a form in PL/pgSQL, by the names of ``udfs.transforms.OPERATORS``.

A form takes a step, the variables of its inputs and the scope to write helper variables to, and returns one expression an
output, equal to what the operator's kernel gives, bit for bit. (``copy`` needs none: the program resolves it.)
"""

from __future__ import annotations

from collections.abc import Callable

from udfs.model import Step
from udfs.postgres import plsql_expressions as expressions
from udfs.postgres import plsql_preprocessors as preprocessors
from udfs.postgres import plsql_texts as texts
from udfs.postgres.plsql_calendar import calendar
from udfs.postgres.plsql_elementwise import elementwise
from udfs.postgres.plsql_scope import Scope
from udfs.postgres.plsql_tokens import bag_of_words, multi_hot_encoder

Form = Callable[[Step, list[str], Scope], list[str]]

FORMS: dict[str, Form] = {
    # registers
    "number_constant": expressions.number_constant,
    "time_constant": expressions.time_constant,
    "text_constant": expressions.text_constant,
    # kinds inferred from columns
    "dictionary": texts.dictionary,
    "number_dictionary": texts.number_dictionary,
    "calendar": calendar,
    # expressions
    "arithmetic": expressions.arithmetic,
    "elementwise": elementwise,
    "number_comparison": expressions.comparison,
    "time_comparison": expressions.comparison,
    "text_comparison": expressions.comparison,
    "logic": expressions.logic,
    "truth": expressions.truth,
    "time_is_null": expressions.is_null,
    "text_is_null": expressions.is_null,
    "number_choice": expressions.choice,
    "time_choice": expressions.choice,
    "text_choice": expressions.choice,
    "number_membership": expressions.number_membership,
    "text_membership": expressions.text_membership,
    "time_difference": expressions.time_difference,
    "time_floor": expressions.time_floor,
    # preprocessors
    "standard_scaler": preprocessors.scaler,
    "min_max_scaler": preprocessors.scaler,
    "max_abs_scaler": preprocessors.scaler,
    "robust_scaler": preprocessors.scaler,
    "normalizer": preprocessors.normalizer,
    "imputer": preprocessors.imputer,
    "bucketize": preprocessors.bucketize,
    "quantile_bucketize": preprocessors.bucketize,
    "one_hot_encoder": texts.one_hot_encoder,
    "multi_hot_encoder": multi_hot_encoder,
    "label_encoder": texts.label_encoder,
    "target_encoder": texts.target_encoder,
    "feature_cross": texts.feature_cross,
    "polynomial_expand": preprocessors.polynomial_expand,
    "bag_of_words": bag_of_words,
}
