"""The operators of the transform program that have a form in PL/pgSQL, by the names of ``udfs.transforms.OPERATORS``.

A form takes a step, the variables of its inputs and the scope to write helper variables to, and returns one expression an
output, equal to what the operator's kernel gives, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

from udfs.model import Step
from udfs.postgres.plsql_scope import Scope

Form = Callable[[Step, list[str], Scope], list[str]]

FORMS: dict[str, Form] = {}
