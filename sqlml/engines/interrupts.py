"""Ctrl-C while the main thread is inside the database: the signal is seen at once, and the running query is stopped.

Python runs signal handlers between two instructions of the main thread, which may be minutes away; DuckDB looks for signals only
between tasks of its own. The file descriptor that Python writes to as soon as a signal arrives wakes a thread that interrupts
the query; KeyboardInterrupt follows as soon as the call returns. The thread stays for the next statement: to start one for each
cost more than all else that a statement without ML pays for passing through.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

LOG = logging.getLogger(__name__)
_WAKE_BYTES = 64


class _Watcher:
    """The thread of one process, and what is to be interrupted: the innermost block last."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._receiver, self._sender = socket.socketpair()
        for end in (self._receiver, self._sender):
            end.setblocking(False)
        self._interrupts: list[Callable[[], None]] = []
        self._heard_before = -1  # whoever listened before us, such as an event loop, goes on listening
        # Held while signals are taken and answered, so that a block that has ended is not interrupted, nor the one after it.
        self._turn = threading.RLock()  # a handler of the user's may run a statement of its own in the middle of ours
        self._came = selectors.DefaultSelector()
        self._came.register(self._receiver, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._watch, name="sqlml-ctrl-c", daemon=True)
        self._thread.start()

    def is_of(self, process: int) -> bool:
        """Whether the thread runs in this process: it does not survive a fork."""
        return self._process == process and self._thread.is_alive()

    def enter(self, interrupt: Callable[[], None]) -> tuple[int, int]:
        """Begin a block; gives what ``leave`` wants to know: who listened before, and how many blocks are around it."""
        with self._turn:
            before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
            if before != self._sender.fileno():
                self._heard_before = before
            self._interrupts.append(interrupt)
            return before, len(self._interrupts) - 1

    def leave(self, before: int, around: int) -> None:
        """End the innermost block; a signal that came within it is answered by now."""
        with self._turn:
            signal.set_wakeup_fd(before)
            self._answer()
            del self._interrupts[around:]

    def _watch(self) -> None:
        while True:
            self._came.select()
            with self._turn:
                self._answer()

    def _answer(self) -> None:
        try:
            numbers = self._receiver.recv(_WAKE_BYTES)
        except BlockingIOError:
            return
        if self._heard_before != -1:
            with suppress(OSError):  # gone by now, or full
                os.write(self._heard_before, numbers)
        if signal.SIGINT in numbers:
            for interrupt in self._interrupts:
                _try(interrupt)


def _try(interrupt: Callable[[], None]) -> None:
    """The thread has to outlive a connection that cannot be interrupted, such as a closed one."""
    try:
        interrupt()
    except Exception:
        LOG.exception("a statement could not be interrupted")


_watchers: list[_Watcher] = []


def _watcher() -> _Watcher:
    """This process's."""
    if not _watchers or not _watchers[-1].is_of(os.getpid()):
        _watchers[:] = [_Watcher()]
    return _watchers[-1]


@contextmanager
def stopped_by_ctrl_c(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``interrupt`` from another thread when SIGINT arrives within the block; does nothing outside the main thread."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        yield
        return
    watcher = _watcher()
    before, around = watcher.enter(interrupt)
    try:
        yield
    finally:
        try:
            watcher.leave(before, around)
        except KeyboardInterrupt:
            watcher.leave(before, around)  # raised before it was done: the signal's own handler runs when it likes
            raise
