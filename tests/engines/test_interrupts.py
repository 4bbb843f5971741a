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


BLOCKS = """
import os, signal, socket, threading, time
from sqlml.engines.interrupts import stopped_by_ctrl_c

signal.signal(signal.SIGINT, signal.default_int_handler)
heard, listener = socket.socketpair()
listener.setblocking(False)
signal.set_wakeup_fd(listener.fileno())
stopped = []


def block(name, inner=None):
    try:
        with stopped_by_ctrl_c(lambda: stopped.append(name)):
            if inner is not None:
                inner()
            else:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)
    except KeyboardInterrupt:
        stopped.append("-")


def quiet():
    with stopped_by_ctrl_c(lambda: stopped.append("wrong")):
        time.sleep(0.05)


block("a")
quiet()
block("b")
block("outer", lambda: block("inner"))
quiet()
if os.fork() == 0:
    stopped.clear()
    block("child")
    print(stopped, flush=True)
    os._exit(0)
os.wait()
threads = threading.active_count()
for _ in range(100):
    quiet() if _ < 3 else block("many", lambda: None)
print(stopped, len(heard.recv(100)), signal.set_wakeup_fd(-1) == listener.fileno(), threading.active_count() == threads)
"""


def test_blocks_one_after_the_other_within_each_other_and_after_a_fork():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    child, parent = done.stdout.splitlines()
    assert child == "['child', '-']"
    assert parent == "['a', '-', 'b', '-', 'outer', 'inner', '-'] 4 True True", done.stderr
