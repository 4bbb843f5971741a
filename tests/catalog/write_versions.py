"""A process that stores versions until it is killed: path, and after how many writes it kills itself (0: never)."""

import itertools
import os
import pickle
import signal
import sys
from pathlib import Path

import duckdb

from sqlml.catalog.layout import Layout
from sqlml.catalog.store import Store
from sqlml.engines.duckdb import DuckDBEngine

path, versions_path, deadly_write = sys.argv[1], sys.argv[2], int(sys.argv[3])
versions = pickle.loads(Path(versions_path).read_bytes())
write = Layout.write
writes = itertools.count(1)


def counted_write(self, sql, parameters=None):
    write(self, sql, parameters)
    if next(writes) == deadly_write:
        os.kill(os.getpid(), signal.SIGKILL)


store = Store(DuckDBEngine(duckdb.connect(path)))
Layout.write = counted_write
print("ready", flush=True)
for version in versions:
    store.add_version(("m",), version)
    print("stored", flush=True)
