"""What one session may take of time, rows, memory and disk: set for all, or for a user in the file of roles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlml.errors import OptionValueError, ResourceError

if TYPE_CHECKING:
    from sqlml.server.client import Client

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SHOWN = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
# Bytes that a statement or portal takes beside its text and values.
OVERHEAD = 1024


@dataclass(frozen=True)
class Limits:
    """0 is no limit. Times are in seconds, sizes in bytes.

    ``memory`` bounds what the server keeps for a session: see ``held``. ``disk`` bounds the rows that it puts into files.
    """

    connections: int = 250
    statement_timeout: float = 0.0
    idle_timeout: float = 0.0
    login_timeout: float = 60.0
    rows: int = 0
    memory: int = 0
    disk: int = 0
    message_bytes: int = 256 << 20

    def of_user(self, own: Mapping[str, float]) -> Limits:
        """With those of a user in the place of those for all."""
        changes: dict[str, Any] = {name: OF_USERS[name](value) for name, value in own.items()}
        return replace(self, **changes) if own else self

    @property
    def longest_message(self) -> int:
        return min(self.message_bytes, self.memory) if self.memory else self.message_bytes


# Those that a user may have of their own, with their types.
OF_USERS: dict[str, type[int | float]] = {
    "statement_timeout": float,
    "idle_timeout": float,
    "rows": int,
    "memory": int,
    "disk": int,
}


def least(*limits: float) -> float:
    """The narrowest of limits, of which 0 is none."""
    return min((limit for limit in limits if limit), default=0)


def held(client: Client) -> int:
    """Bytes that the server keeps for a session between its messages: statements, values bound to them, rows set aside, settings."""
    total = sum(len(key) + len(value) for key, value in client.settings.items())
    for prepared in client.extended.prepared.values():
        total += len(prepared.message.text) + OVERHEAD
    for portal in client.extended.portals.values():
        total += portal.size + OVERHEAD
    results = [portal.outcome.rows for portal in client.extended.portals.values() if portal.outcome is not None]
    results += [cursor.rows for cursor in client.cursors.values()]
    return total + sum(rows.held for rows in results if rows is not None)


def check_memory(client: Client, more: int = 0) -> None:
    """Refuse what a session wants to keep, ``more`` bytes beside what it has, if that would be too much."""
    limit = client.limits.memory
    if limit and (more > limit or held(client) + more > limit):
        raise too_much("memory", limit, "Close statements and cursors, or ask for smaller rows.")


def room(client: Client) -> int | None:
    """Bytes that the session may still take; None for as many as it likes."""
    return max(client.limits.memory - held(client), 0) if client.limits.memory else None


def too_much(what: str, limit: int, hint: str) -> ResourceError:
    """The error of a session that wants more than it may have."""
    error = ResourceError(f"the session would take more than {shown(limit)} of {what}", hint=hint)
    error.sqlstate = "53200" if what == "memory" else "53100"
    return error


def parse_size(text: str) -> int:
    """``256MB``, ``1.5 GiB`` or a number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise OptionValueError(f'"{text}" is no size', hint="Write it as 256MB or 2GiB.")
    step = 1024 if match[3] else 1000
    return int(float(match[1]) * step ** " kmgt".index(match[2].lower() or " "))


def shown(size: int) -> str:
    """A size for people."""
    return next((f"{size / unit:.4g} {name}" for name, unit in _SHOWN if size >= unit), f"{size} bytes")


def read_limits(entry: Any) -> dict[str, float]:
    """The limits of a user as they stand in the file of roles; raises OptionValueError."""
    if not isinstance(entry, dict):
        raise OptionValueError("the limits of a user are an object of names and numbers")
    for name, value in entry.items():
        if name not in OF_USERS or not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
            raise OptionValueError(f'unknown limit "{name}" of {value!r}', hint=f"Limits are {', '.join(OF_USERS)}.")
    return dict(entry)


def seconds(text: str) -> float:
    """A setting of Postgres such as ``500``, ``2s``, ``1min``, in seconds."""
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    for unit in sorted(units, key=len, reverse=True):
        if text.endswith(unit):
            return float(text[: -len(unit)].strip() or 0) * units[unit]
    return float(text) / 1000 if text.strip().isdecimal() else 0.0
