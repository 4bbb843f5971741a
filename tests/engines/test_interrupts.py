"""Ctrl-C inside a query of the main thread, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, threading, time
import duckdb
from sqlml.engines.duckdb import DuckDBEngine
from sqlml.engines.interrupts import stopped_by_ctrl_c

signal.signal(signal.SIGINT, signal.default_int_handler)
engine = DuckDBEngine(duckdb.connect())
sql = "SELECT sum(sin(range)) FROM range(20_000_000_000)"
actions = {"rows": lambda: engine.rows(sql), "run": lambda: engine.run(sql), "stream": lambda: list(engine.stream(sql))}
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
started = time.monotonic()
try:
    with stopped_by_ctrl_c(engine.interrupt):
        actions[sys.argv[1]]()
except KeyboardInterrupt:
    print("stopped", time.monotonic() - started < 10, engine.rows("SELECT 1"), signal.set_wakeup_fd(-1))
"""


@pytest.mark.parametrize("action", ["rows", "run", "stream"])
def test_a_query_is_stopped_at_once_and_the_connection_goes_on(action):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PROGRAM, action]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("stopped True [(1,)] -1\n", "")
