"""Whether a statement's own SQL can be parsed at all, asked before its calls are blamed for what is missing around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlml.errors import EngineError
from sqlml.language.splice import splice
from sqlml.language.statements import ScalarCall

if TYPE_CHECKING:
    from sqlml.language.statements import Call, EngineStatement
    from sqlml.session import Session


def require_syntax(session: Session, statement: EngineStatement, text: str) -> None:
    """Raise the engine's syntax error, at the user's place, if it has one about the statement with its calls left out."""
    calls = statement.calls
    outermost = [call for call in calls if not any(_holds(other, call) for other in calls)]
    stand_ins = [(call.span, _stand_in(call, calls, text)) for call in outermost]
    sql, offsets = splice(text, stand_ins, statement.span)
    try:
        session.engine.require_syntax(sql)
    except EngineError as error:
        if error.position is not None:
            error.position = offsets.to_user(error.position)
        error.text = text
        raise


def _stand_in(call: Call, calls: tuple[Call, ...], text: str) -> str:
    """SQL that parses where the call's own expressions do."""
    if not isinstance(call, ScalarCall):
        return "((SELECT 1) AS a CROSS JOIN (SELECT 1) AS b)"  # with or without an alias, which Postgres asks of a subquery
    plain = [argument.span for argument in call.arguments if not argument.star]
    plain = [span for span in plain if not any(span.start <= c.span.start and c.span.end <= span.end for c in calls)]
    return f"coalesce({', '.join(span.of(text) for span in plain) or 'NULL'})"


def _holds(outer: Call, inner: Call) -> bool:
    return outer is not inner and outer.span.start <= inner.span.start and inner.span.end <= outer.span.end
