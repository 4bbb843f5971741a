"""The way from Python to the server and back: signals reach the process only while the server itself is at work.

The server tells a backend by signals that it is cancelled, out of time, or to end. Threads inherit the signal mask of the one that
starts them, and LightGBM, Arrow and BLAS start threads when they like; a signal that lands on such a thread runs the server's
handler where the server does not expect it. So all signals wait while Python runs, and are let in for every call to the server.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Those that the server sends its processes. SIGQUIT is for the emergency in which nothing is to be waited for; SIGURG, by which
# processes wake each other, is blocked in every backend and read from a descriptor: unblocked for a moment, it would be lost.
HELD = frozenset(
    {signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE}
)


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals that arrive within the block are handled after it, or at the next call to the server."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _signals_let_in() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Door:
    """What sqlml uses of ``plpy``."""

    def __init__(self, plpy: Any) -> None:
        self._plpy = plpy
        self.SPIError = plpy.SPIError

    def execute(self, sql: str) -> Any:
        """Run a statement in the caller's transaction."""
        with _signals_let_in():
            return self._plpy.execute(sql)

    def notice(self, text: str) -> None:
        """Tell the client something beside the result."""
        with _signals_let_in():
            self._plpy.notice(text)
