"""Errors of Postgres as psycopg raises them to EngineError: message, detail, hint, SQLSTATE, and the place in the statement."""

from __future__ import annotations

import psycopg

from sqlml.engines.failures import plain_message
from sqlml.errors import EngineError


def engine_error(error: psycopg.Error, sql: str, *, skipped: int = 0) -> EngineError:
    """The EngineError for what the server or the client library said about ``sql``, which began ``skipped`` characters later."""
    diagnosis = error.diag
    message = diagnosis.message_primary or str(error).strip().partition("\n")[0] or type(error).__name__
    place = None
    if diagnosis.statement_position is not None:
        place = int(diagnosis.statement_position) - 1 - skipped
    result = EngineError(
        plain_message(message),
        hint=diagnosis.message_hint,
        detail=diagnosis.message_detail,
        position=place if place is not None and 0 <= place <= len(sql) else None,
        text=sql or None,
    )
    result.sqlstate = diagnosis.sqlstate or error.sqlstate or _client_state(error)
    return result


def _client_state(error: psycopg.Error) -> str:
    """Of an error that the client library met by itself."""
    if isinstance(error, psycopg.OperationalError):
        return "08006"
    return "22023" if isinstance(error, psycopg.DataError | psycopg.ProgrammingError) else EngineError.sqlstate
