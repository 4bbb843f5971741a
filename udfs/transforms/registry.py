"""The operators of the transform program by the name that artifacts call them: stored models depend on every key."""

from __future__ import annotations

from udfs.transforms.arithmetic import ARITHMETIC
from udfs.transforms.bag_of_words import BAG_OF_WORDS
from udfs.transforms.bucketize import BUCKETIZE, QUANTILE_BUCKETIZE
from udfs.transforms.calendar import CALENDAR
from udfs.transforms.choice import NUMBER_CHOICE, TEXT_CHOICE, TIME_CHOICE
from udfs.transforms.comparison import NUMBER_COMPARISON, TEXT_COMPARISON, TIME_COMPARISON
from udfs.transforms.constant import NUMBER_CONSTANT, TEXT_CONSTANT, TIME_CONSTANT
from udfs.transforms.copy import COPY
from udfs.transforms.dictionary import DICTIONARY
from udfs.transforms.durations import TIME_DIFFERENCE, TIME_FLOOR
from udfs.transforms.elementwise import ELEMENTWISE
from udfs.transforms.feature_cross import FEATURE_CROSS
from udfs.transforms.hash_bucketize import HASH_BUCKETIZE
from udfs.transforms.imputer import IMPUTER
from udfs.transforms.label_encoder import LABEL_ENCODER
from udfs.transforms.logic import LOGIC, TEXT_IS_NULL, TIME_IS_NULL, TRUTH
from udfs.transforms.max_abs_scaler import MAX_ABS_SCALER
from udfs.transforms.membership import NUMBER_MEMBERSHIP, TEXT_MEMBERSHIP
from udfs.transforms.min_max_scaler import MIN_MAX_SCALER
from udfs.transforms.multi_hot_encoder import MULTI_HOT_ENCODER
from udfs.transforms.normalizer import NORMALIZER
from udfs.transforms.number_dictionary import NUMBER_DICTIONARY
from udfs.transforms.one_hot_encoder import ONE_HOT_ENCODER
from udfs.transforms.operator import Operator
from udfs.transforms.polynomial_expand import POLYNOMIAL_EXPAND
from udfs.transforms.robust_scaler import ROBUST_SCALER
from udfs.transforms.standard_scaler import STANDARD_SCALER
from udfs.transforms.target_encoder import TARGET_ENCODER
from udfs.transforms.text_slots import TEXT_SLOTS

OPERATORS: dict[str, Operator] = {
    # registers
    "copy": COPY,
    "text_slots": TEXT_SLOTS,
    "number_constant": NUMBER_CONSTANT,
    "time_constant": TIME_CONSTANT,
    "text_constant": TEXT_CONSTANT,
    # kinds inferred from columns
    "dictionary": DICTIONARY,
    "number_dictionary": NUMBER_DICTIONARY,
    "calendar": CALENDAR,
    # expressions
    "arithmetic": ARITHMETIC,
    "elementwise": ELEMENTWISE,
    "number_comparison": NUMBER_COMPARISON,
    "time_comparison": TIME_COMPARISON,
    "text_comparison": TEXT_COMPARISON,
    "logic": LOGIC,
    "truth": TRUTH,
    "time_is_null": TIME_IS_NULL,
    "text_is_null": TEXT_IS_NULL,
    "number_choice": NUMBER_CHOICE,
    "time_choice": TIME_CHOICE,
    "text_choice": TEXT_CHOICE,
    "number_membership": NUMBER_MEMBERSHIP,
    "text_membership": TEXT_MEMBERSHIP,
    "time_difference": TIME_DIFFERENCE,
    "time_floor": TIME_FLOOR,
    # preprocessors
    "standard_scaler": STANDARD_SCALER,
    "min_max_scaler": MIN_MAX_SCALER,
    "max_abs_scaler": MAX_ABS_SCALER,
    "robust_scaler": ROBUST_SCALER,
    "normalizer": NORMALIZER,
    "imputer": IMPUTER,
    "bucketize": BUCKETIZE,
    "quantile_bucketize": QUANTILE_BUCKETIZE,
    "one_hot_encoder": ONE_HOT_ENCODER,
    "multi_hot_encoder": MULTI_HOT_ENCODER,
    "label_encoder": LABEL_ENCODER,
    "target_encoder": TARGET_ENCODER,
    "feature_cross": FEATURE_CROSS,
    "polynomial_expand": POLYNOMIAL_EXPAND,
    "hash_bucketize": HASH_BUCKETIZE,
    "bag_of_words": BAG_OF_WORDS,
}
