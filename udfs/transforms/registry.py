"""The operators of the transform program by the name that artifacts call them: stored models depend on every key."""

from __future__ import annotations

from udfs.transforms.arithmetic import ARITHMETIC
from udfs.transforms.calendar import CALENDAR
from udfs.transforms.choice import NUMBER_CHOICE, TEXT_CHOICE, TIME_CHOICE
from udfs.transforms.comparison import NUMBER_COMPARISON, TEXT_COMPARISON, TIME_COMPARISON
from udfs.transforms.constant import NUMBER_CONSTANT, TEXT_CONSTANT, TIME_CONSTANT
from udfs.transforms.copy import COPY
from udfs.transforms.dictionary import DICTIONARY
from udfs.transforms.durations import TIME_DIFFERENCE, TIME_FLOOR
from udfs.transforms.elementwise import ELEMENTWISE
from udfs.transforms.logic import LOGIC, TEXT_IS_NULL, TIME_IS_NULL, TRUTH
from udfs.transforms.membership import NUMBER_MEMBERSHIP, TEXT_MEMBERSHIP
from udfs.transforms.number_dictionary import NUMBER_DICTIONARY
from udfs.transforms.operator import Operator
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
}
