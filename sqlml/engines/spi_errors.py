"""Errors of the server's own programming interface to EngineError: message, detail, hint, SQLSTATE, place in the statement."""

from __future__ import annotations

from typing import Any

from sqlml.errors import EngineError

_INVALID_TRANSACTION = "SPI_ERROR_TRANSACTION"


def engine_error(error: Any, sql: str) -> EngineError:
    """The EngineError for a ``plpy.SPIError`` met while ``sql`` ran, maybe as part of a longer statement of ours."""
    message = str(error)
    if _INVALID_TRANSACTION in message:
        result = EngineError(
            "a transaction cannot begin or end inside of a function",
            hint="Send BEGIN, COMMIT, ROLLBACK and SAVEPOINT to the server as statements of their own.",
            text=sql or None,
        )
        result.sqlstate = "2D000"
        return result
    _, detail, hint, query, position = [*(getattr(error, "spidata", None) or ()), *[None] * 5][:5]
    result = EngineError(message, detail=detail, hint=hint, position=_position(sql, query, position), text=sql or None)
    result.sqlstate = getattr(error, "sqlstate", None) or EngineError.sqlstate
    return result


def _position(sql: str, query: str | None, position: int | None) -> int | None:
    """The offset in ``sql`` of what the server points at in the statement it ran; None where that is elsewhere."""
    if not query or not position or not sql:
        return None
    start = query.find(sql)
    place = position - 1 - start
    return place if start >= 0 and 0 <= place <= len(sql) else None
