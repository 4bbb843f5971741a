"""What a failed write means for the user: an engine's error to the error class that says whether to retry or to free space."""

from __future__ import annotations

import re

from sqlml.errors import ConflictError, EngineError, ReadOnlyError, ResourceError, SqlmlError

# Serialisation and deadlock, and a constraint: it can only break where another session has committed the same name or hash since
# our snapshot. A schema or table that two sessions create at once breaks a constraint of the system's, or is simply there.
_OTHERS_AT_WORK = frozenset({"40001", "40P01", "23000", "23505", "55P03", "42P06", "42P07"})

# What PL/Python puts before the text of an error: its class, and where that is from.
_PYTHON = re.compile(r"^(?:sqlml|(?:plpy|spiexceptions|udfs\.errors|sqlml\.errors)\.\w+): ")


def plain_message(message: str) -> str:
    """A server's message as we word ours: without the class of an error in Python, and without a full stop."""
    return _PYTHON.sub("", message.removeprefix("ERROR:").strip()).removesuffix(".")


def write_failure(error: EngineError) -> SqlmlError:
    """The error to raise instead of ``error``, which a write to the catalog met; ``error`` itself where it says it best."""
    if error.sqlstate in _OTHERS_AT_WORK:
        return ConflictError(
            "another session changed the same models at the same time",
            detail=_sentence(error.message),
            hint="Run the statement again.",
        )
    if error.sqlstate == "25006":
        return ReadOnlyError(
            "cannot store models: the database or the transaction is read-only", detail=_sentence(error.message)
        )
    if error.sqlstate in ("53100", "58030"):
        return ResourceError(
            "could not write to the database; nothing was stored",
            detail=_sentence(error.message),
            hint="Free disk space and run the statement again.",
        )
    return error


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
