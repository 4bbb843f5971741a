"""What a server tells its operator: paths in, status and text out, the numbers as Prometheus reads them; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlml.server.sessions import Sessions


def answer(path: str, sessions: Sessions) -> tuple[int, str]:
    """``/metrics``, ``/health`` (the process lives) and ``/ready`` (it takes connections)."""
    if path == "/metrics":
        return 200, render(sessions)
    if path == "/health":
        return 200, "ok\n"
    if path == "/ready":
        full = sessions.limits.connections and sessions.count() >= sessions.limits.connections
        reason = "shutting down" if sessions.closing.is_set() else "too many clients" if full else ""
        return (503, f"{reason}\n") if reason else (200, "ok\n")
    return 404, "there are /metrics, /health and /ready\n"


def render(sessions: Sessions) -> str:
    """The text format of Prometheus."""
    counters = sessions.counters
    lines = [
        _metric("sqlml_sessions", "gauge", "Sessions that are open.", sessions.count()),
        _metric("sqlml_connections_total", "counter", "Sessions since the start.", counters.connections),
        _metric("sqlml_connections_refused_total", "counter", "Refused because there were too many.", counters.refused),
        _metric("sqlml_statements_total", "counter", "Statements that ran.", counters.statements),
        _metric("sqlml_statement_seconds_total", "counter", "Time they took.", round(counters.seconds, 6)),
        _metric("sqlml_rows_sent_total", "counter", "Rows of their results.", counters.rows),
        "# HELP sqlml_errors_total Errors told to clients.\n# TYPE sqlml_errors_total counter\n",
        *[f'sqlml_errors_total{{sqlstate="{state}"}} {count}\n' for state, count in sorted(counters.errors.items())],
    ]
    return "".join(lines)


def _metric(name: str, kind: str, help_text: str, value: float) -> str:
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n{name} {value}\n"
