"""The tour's second half: its database served to clients of Postgres, one of which asks it, and how to connect others."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sqlml.cli.runner import StatementError
from sqlml.cli.tour import bold
from sqlml.server.roles import Roles

USER = "demo"
HOST, PORT = "127.0.0.1", 5433  # of `sqlml serve`, too
PATIENCE = 30.0  # seconds to stop

QUERIES = (
    "SELECT flight, departs, dest, round(risk, 3) AS risk FROM risky_flights ORDER BY risk DESC, flight LIMIT 3",
    "SELECT origin, count(*) AS flights, round(avg(PREDICT_PROBA(late, *)), 3) AS risk FROM unseen GROUP BY origin ORDER BY origin",
)
# For a machine without psql. The password comes as psql's does, in PGPASSWORD.
PSYCOPG = """\
import sys
import psycopg

with psycopg.connect(sys.argv[1]) as connection:
    for row in connection.execute(sys.argv[2]):
        print(*row, sep=" | ")
"""

INTRODUCTION = """\
psql, drivers of every language and BI tools speak to it as to a Postgres, and have the whole dialect. It listens on this machine only,
to a user with a password that was made up a moment ago; sqlml has no default password.
"""
CONNECT = """\
  serve it:  {program} serve {path}
  psql:      psql {url}
  Superset:  SQLAlchemy URI {url}
  other BI:  a PostgreSQL database: host {host}, port {port}, database {database}, user {user}, password {password}
             A prediction view such as risky_flights is an ordinary table to it.
  others:    {program} user add ann --role reader --database {path}
             and, in SQL: GRANT USAGE ON MODEL late TO ann; users are in {users}"""
STAYS = "\nIt is being served. Press Ctrl-C to end that; only then can {path} be opened by another program."


@dataclass(frozen=True)
class Served:
    """Where the database is, and who may use it."""

    path: Path
    host: str
    port: int
    password: str

    @property
    def database(self) -> str:
        return self.path.stem

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/{self.database}"


@contextmanager
def serve_demo(path: Path) -> Iterator[Served]:
    """The database served by `sqlml serve`, in a process of its own."""
    password = secrets.token_urlsafe(12)
    Roles(users_of(path)).add(USER, password, "admin")
    listen = f"{HOST}:{PORT if _is_free(PORT) else 0}"
    words = ["serve", str(path), "--users", str(users_of(path)), "--listen", listen]
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "sqlml.cli.main", *words], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None  # noqa: S101 - invariant: it is a pipe
            found = re.fullmatch(r"listening on (.+):(\d+)\n", process.stdout.readline())
            if found is None:
                raise StatementError("ERROR:  the database could not be served")  # the server has said why
            yield Served(path, found[1], int(found[2]), password)
        finally:
            _stop(process)


def show_wire(served: Served, program: str, out: TextIO) -> None:
    """Let a client ask, then tell how others connect."""
    print("\n" + bold("The same database for every client of Postgres", out) + f"\n\n{INTRODUCTION}", file=out)
    print(f"  {program} serve {served.path}\n  listening on {served.host}:{served.port}", file=out)
    plain = f"postgresql://{USER}@{served.host}:{served.port}/{served.database}"
    for query in QUERIES:
        name, answer = _ask(plain, served.password, query)
        print(f'\n  {name} {plain} -c "{query}"\n\n{answer.rstrip()}', file=out, flush=True)
    told = CONNECT.format(
        url=served.url, host=served.host, port=served.port, database=served.database, user=USER,
        password=served.password, path=served.path, users=users_of(served.path), program=program,
    )  # fmt: skip
    print("\n" + bold("Connect yourself", out) + f"\n\n{told}", file=out, flush=True)


def stay(served: Served, out: TextIO) -> None:
    """On a terminal: go on serving until Ctrl-C."""
    if not (sys.stdin.isatty() and out.isatty()):
        return
    print(STAYS.format(path=served.path), file=out, flush=True)
    with suppress(KeyboardInterrupt):
        signal.pause()
    print(file=out)


def users_of(path: Path) -> Path:
    """The file of users that `sqlml serve` looks for beside a database."""
    return path.with_name(f"{path.name}.users.json")


def _ask(url: str, password: str, query: str) -> tuple[str, str]:
    """A client's name and what it shows: psql, or psycopg where there is none."""
    psql = shutil.which("psql")
    command = [psql, "-X", "-w", url, "-c", query] if psql else [sys.executable, "-c", PSYCOPG, url, query]
    environment = {**os.environ, "PGPASSWORD": password}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - as above
    if done.returncode:
        raise StatementError(f"ERROR:  the served database could not be asked\nDETAIL:  {done.stderr.strip()}")
    return "psql" if psql else "python ask.py", done.stdout


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _stop(process: subprocess.Popen[str]) -> None:
    """In order; a Ctrl-C at the terminal has told it already."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
