"""Ctrl-C while the main thread is inside the database: the signal is seen at once, and the running query is stopped.

Python runs signal handlers between two instructions of the main thread, which may be minutes away; DuckDB looks for signals only
between tasks of its own. The file descriptor that Python writes to as soon as a signal arrives wakes a thread that interrupts
the query; KeyboardInterrupt follows as soon as the call returns.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stopped_by_ctrl_c(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``interrupt`` from another thread when SIGINT arrives within the block; does nothing outside the main thread."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        while numbers := receiver.recv(64):
            if before != -1:
                os.write(before, numbers)  # whoever listened before us, such as an event loop, goes on listening
            if signal.SIGINT in numbers:
                interrupt()

    watcher = threading.Thread(target=watch, name="sqlml-ctrl-c", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        sender.close()  # ends the watcher
        watcher.join()
        receiver.close()
