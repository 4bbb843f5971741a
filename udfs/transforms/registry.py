"""The operators of the transform program by the name that artifacts call them: stored models depend on every key."""

from __future__ import annotations

from udfs.transforms.calendar import CALENDAR
from udfs.transforms.copy import COPY
from udfs.transforms.dictionary import DICTIONARY
from udfs.transforms.number_dictionary import NUMBER_DICTIONARY
from udfs.transforms.operator import Operator
from udfs.transforms.text_slots import TEXT_SLOTS

OPERATORS: dict[str, Operator] = {
    "copy": COPY,
    "text_slots": TEXT_SLOTS,
    "dictionary": DICTIONARY,
    "number_dictionary": NUMBER_DICTIONARY,
    "calendar": CALENDAR,
}
