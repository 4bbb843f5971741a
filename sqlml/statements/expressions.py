"""Expressions that only the engine computes: what one may be, for TRANSFORM and for models that come from a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlml.errors import ArtifactError, EngineError, SqlmlError, SqlSyntaxError, TransformError
from sqlml.language.places import named_in
from sqlml.language.statements import Span
from sqlml.language.tokens import Token, tokenize
from sqlml.planning.kinds import kind_of

if TYPE_CHECKING:
    from sqlml.session import Session
    from udfs.model import Model

# Words that make a query of what stands in brackets: Postgres' and DuckDB's.
_QUERIES = frozenset(
    [
        "SELECT",
        "WITH",
        "VALUES",
        "TABLE",
        "FROM",
        "PIVOT",
        "UNPIVOT",
        "DESCRIBE",
        "DESC",
        "SHOW",
        "SUMMARIZE",
        "CALL",
        "EXECUTE",
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE",
    ]
)
_CLOSING = {")": "(", "]": "[", "}": "{"}
# Strings and comments that two readers of SQL might end at different places.
_AMBIGUOUS = re.compile(r"(?i)\$|/\*|;|`|\be'[^']*\\")
_OF_MANY_ROWS = ("42803", "42P20")  # aggregates and windows where they cannot stand


def type_of_expression(session: Session, query: str, expression: str) -> str:
    """The SQL type of an expression over the training query; a position in its error counts from the expression's start."""
    head, source = "SELECT ", f"(\n{query}\n) AS {session.quote('training data')}"
    probe = f"{head}{expression}\n, 0 FROM {source}"
    query_word = _query_word(tokenize(expression, session.engine.dialect))
    if query_word is not None:
        raise TransformError(
            "a feature cannot hold a query",
            hint="Join what it needs in the training query, and in the rows to predict.",
            position=query_word.start,
        )
    try:
        sql_type = session.columns_of(probe)[0].sql_type
        session.columns_of(f"SELECT * FROM {source} WHERE ({expression}\n) IS NOT NULL")
    except EngineError as error:
        if error.sqlstate in _OF_MANY_ROWS or "WHERE clause cannot contain" in error.message:
            raise TransformError(
                f"{expression} is not computed from one row",
                hint="Use a preprocessor such as ML.STANDARD_SCALER(x) OVER (), which keeps what it learned from all rows.",
            ) from error
        inside = error.position is not None and 0 <= error.position - len(head) < len(expression)
        place = error.position - len(head) if inside and error.position is not None else None
        error.position = named_in(expression, Span(0, len(expression)), error.message) if place is None else place
        error.text = None
        raise
    if session.engine.is_volatile(probe) and not session.engine.is_volatile(query):
        raise TransformError(
            f"{expression} gives another value each time",
            hint="A feature must have the same value when the model predicts as when it is trained.",
        )
    return sql_type


def _query_word(tokens: Sequence[Token]) -> Token | None:
    """The word that makes an expression hold a query."""
    for index, token in enumerate(tokens):
        opened = index > 0 and tokens[index - 1].upper == "("
        if token.upper == "SELECT" or (opened and token.upper in _QUERIES):
            return token
    return None


def check_expressions(session: Session, model: Model) -> None:
    """A file's expressions run with the rights of whoever predicts: each must be one value of its row, as TRANSFORM would take it.

    Raises ArtifactError.
    """
    bound = [(argument, argument.expression) for argument in model.arguments if argument.expression is not None]
    if not bound:
        return
    columns = ", ".join(f"CAST(NULL AS {item.sql_type}) AS {session.quote(item.name)}" for item in model.inputs)
    for text in [item.sql_type for item in model.inputs] + [expression for _, expression in bound]:
        if _AMBIGUOUS.search(text) or not _is_balanced(text, session.engine.dialect):
            raise ArtifactError(f"the artifact has an expression that is none: {text}")
    for argument, expression in bound:
        try:
            found = kind_of(type_of_expression(session, f"SELECT {columns}", f"({expression}\n)"))
        except SqlmlError as error:
            message = f"the artifact has an expression that is refused: {error.message}"
            raise ArtifactError(message, hint=error.hint) from error
        if found != argument.kind:
            raise ArtifactError(f"the artifact has an expression of another type than it says: {expression}")


def _is_balanced(text: str, dialect: str) -> bool:
    """Whether every quote and bracket is closed by its own, so that the text cannot end what stands around it."""
    opened: list[str] = []
    try:
        tokens = tokenize(text, dialect)
    except SqlSyntaxError:
        return False
    for token in tokens:
        if token.upper in {"(", "[", "{"}:
            opened.append(token.upper)
        elif token.upper in _CLOSING and (not opened or opened.pop() != _CLOSING[token.upper]):
            return False
    return not opened
