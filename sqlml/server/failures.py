"""Errors to the fields of ErrorResponse; notices to those of NoticeResponse."""

from __future__ import annotations

from collections.abc import Mapping

from sqlml.errors import EngineError, ProtocolError, SqlmlError

TOO_MANY = "53300"
ABORTED = "25P02"
CANCELLED = "57014"
SHUTDOWN = "57P01"


def error_fields(error: BaseException, *, offset: int = 0, fatal: bool = False) -> dict[str, str]:
    """What to tell a client; ``offset`` is where the statement begins in the text that was sent."""
    severity = "FATAL" if fatal else "ERROR"
    if not isinstance(error, SqlmlError):
        # Nothing of our inside: the log has it.
        message = "out of memory" if isinstance(error, MemoryError) else "internal error of the server"
        return {"S": severity, "V": severity, "C": "53200" if isinstance(error, MemoryError) else "XX000", "M": message}
    fields = {"S": severity, "V": severity, "C": error.sqlstate, "M": error.message}
    if error.detail:
        fields["D"] = error.detail
    if error.hint:
        fields["H"] = error.hint
    if error.position is not None:
        fields["P"] = str(error.position + offset + 1)
    return fields


def aborted() -> EngineError:
    """What a statement meets in a transaction that an error ended."""
    error = EngineError("current transaction is aborted, commands ignored until end of transaction block")
    error.sqlstate = ABORTED
    return error


def terminating() -> EngineError:
    """What a session is told when the server goes."""
    error = EngineError("terminating connection due to administrator command")
    error.sqlstate = SHUTDOWN
    return error


def notice_fields(
    text: str, *, severity: str = "NOTICE", sqlstate: str = "00000", hint: str | None = None
) -> Mapping[str, str]:
    """A notice or warning."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": text}
    return {**fields, "H": hint} if hint else fields


def idle_error(*, in_transaction: bool) -> ProtocolError:
    """Why a session ends whose client was silent for too long."""
    what, sqlstate = ("idle-in-transaction", "25P03") if in_transaction else ("idle-session", "57P05")
    return ProtocolError(f"terminating connection due to {what} timeout", sqlstate=sqlstate)
