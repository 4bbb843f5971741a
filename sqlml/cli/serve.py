"""`sqlml serve` and `sqlml user`: arguments to a running server, and to the file of those who may use it."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlml.errors import OptionValueError, SqlmlError

if TYPE_CHECKING:
    from sqlml.connection import Connection
    from sqlml.server.catalogue import Catalogue
    from sqlml.server.client import Client
    from sqlml.server.login import Door
    from sqlml.server.roles import Roles
    from sqlml.server.server import Behind, Server

DEFAULT_USERS = "{database}.users.json"
OK, FAILED = 0, 1


def run_serve(words: Sequence[str]) -> int:
    """Serve until a signal comes."""
    arguments = _serve_parser().parse_args(words)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        server = _start(arguments, stack)
        print(f"listening on {server.host}:{server.port}", flush=True)
        stop.wait()
    return OK


def _start(arguments: argparse.Namespace, stack: ExitStack) -> Server:
    from sqlml.server.listen import tls_context  # noqa: PLC0415 - whoever asks for help needs no engine
    from sqlml.server.login import Door  # noqa: PLC0415
    from sqlml.server.server import Address, Server  # noqa: PLC0415
    from sqlml.server.sessions import Limits  # noqa: PLC0415

    host, port = _address(arguments.listen)
    loopback = host in ("127.0.0.1", "::1", "localhost")
    if not loopback and not arguments.tls_cert and not arguments.no_tls:
        raise OptionValueError(
            f'"{host}" can be reached from other machines, and passwords and rows would go unencrypted',
            hint="Give --tls-cert and --tls-key, or say --no-tls.",
        )
    tls = tls_context(arguments.tls_cert, arguments.tls_key) if arguments.tls_cert else None
    door = Door(trust=arguments.trust, require_tls=bool(tls) and not loopback)
    behind = (_gateway if "://" in arguments.database else _warehouse)(arguments, door, stack)
    limits = Limits(
        connections=arguments.max_connections,
        statement_timeout=arguments.statement_timeout,
        idle_timeout=arguments.idle_timeout,
        rows=arguments.max_rows,
    )
    log = sys.stderr if arguments.log else None
    return stack.enter_context(Server(behind, Address(host, port, tls), limits, log, arguments.metrics_port))


def _warehouse(arguments: argparse.Namespace, door: Door, stack: ExitStack) -> Behind:
    """A DuckDB database behind the server, which has users of its own."""
    from sqlml.cli.main import connect  # noqa: PLC0415
    from sqlml.server.warehouse import Warehouse  # noqa: PLC0415

    roles = _roles(arguments)
    if not arguments.trust and not roles.users():
        raise OptionValueError(
            f"nobody could log in: there are no users in {roles.path}",
            hint="Add one with: sqlml user add NAME --role admin, or say --trust for connections of this machine.",
        )
    connection = connect(arguments.database, read_only=arguments.read_only)
    stack.callback(connection.close)
    shadow = None if arguments.no_shadow else _shadow(connection, stack)
    return Warehouse(connection, replace(door, roles=roles), shadow)


def _gateway(arguments: argparse.Namespace, door: Door, stack: ExitStack) -> Behind:
    """A Postgres server behind it, with the users and limits that are there."""
    from sqlml.server.gateway.address import parse_address  # noqa: PLC0415
    from sqlml.server.gateway.gateway import Gateway  # noqa: PLC0415

    for option in ("users", "read_only", "statement_timeout", "idle_timeout", "max_rows", "no_shadow"):
        if getattr(arguments, option):
            raise OptionValueError(
                f"--{option.replace('_', '-')} is for DuckDB databases",
                hint="Postgres has users, rights and timeouts of its own: ALTER ROLE ... SET statement_timeout.",
            )
    return Gateway(parse_address(arguments.database), door)


def _shadow(connection: Connection, stack: ExitStack) -> Callable[[Client], Catalogue] | None:
    """What answers questions about the catalogue, where this machine has the programs of Postgres."""
    from sqlml.cli.private_cluster import PrivateCluster  # noqa: PLC0415
    from sqlml.server.listen import open_upstream  # noqa: PLC0415
    from sqlml.server.shadow import Shadow  # noqa: PLC0415

    try:
        cluster = stack.enter_context(PrivateCluster(settings={"max_connections": "300", "shared_buffers": "16MB"}))
    except SqlmlError as error:
        print(f"WARNING:  no shadow, so that \\d and BI tools see little: {error.message}", file=sys.stderr)
        return None
    port = cluster.port
    assert port is not None  # noqa: S101 - invariant: it runs
    shadow = Shadow(lambda: open_upstream("127.0.0.1", port), connection.cursor().session.engine)
    stack.callback(shadow.close)
    return lambda client: shadow.session(client.user)


def run_user(words: Sequence[str]) -> int:
    """Add, remove and list the users of a server."""
    parser = argparse.ArgumentParser("sqlml user", description="Who may use the server of a database.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("add", "remove", "list"):
        command = commands.add_parser(name)
        if name != "list":
            command.add_argument("name")
        if name == "add":
            command.add_argument("--role", choices=("admin", "writer", "reader"), default="reader")
            command.add_argument(
                "--password-file", metavar="FILE", help="take the password from a file; - is standard input"
            )
        command.add_argument("--database", default=":memory:", metavar="DATABASE")
        command.add_argument("--users", metavar="FILE", help="the file of users (default: beside the database)")
    arguments = parser.parse_args(words)
    roles = _roles(arguments)
    if arguments.command == "add":
        roles.add(arguments.name, _password(arguments.password_file), arguments.role)
    elif arguments.command == "remove" and not roles.remove(arguments.name):
        raise OptionValueError(f'there is no user "{arguments.name}"')
    elif arguments.command == "list":
        for user in roles.users():
            print(f"{user.name}\t{user.role}")
    return OK


def _password(source: str | None) -> str:
    if source == "-":
        return sys.stdin.readline().rstrip("\n")
    if source is not None:
        return Path(source).read_text(encoding="utf-8").rstrip("\n")
    first, second = getpass.getpass("Password: "), getpass.getpass("Again: ")
    if first != second:
        raise OptionValueError("the two passwords differ")
    return first


def _roles(arguments: argparse.Namespace) -> Roles:
    from sqlml.server.roles import Roles  # noqa: PLC0415

    database = "sqlml" if arguments.database == ":memory:" else arguments.database
    return Roles(Path(arguments.users or os.environ.get("SQLML_USERS") or DEFAULT_USERS.format(database=database)))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise OptionValueError(f'"{text}" is no address', hint="Write it as 127.0.0.1:5433.")
    return host.strip("[]") or "127.0.0.1", int(port)


def _serve_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sqlml serve", description="Let every client of Postgres use a database.")
    parser.add_argument(
        "database",
        nargs="?",
        default=":memory:",
        metavar="DATABASE",
        help="a DuckDB file, or postgresql://HOST:PORT/NAME",
    )
    parser.add_argument("--listen", default="127.0.0.1:5433", metavar="HOST:PORT", help="where (default: %(default)s)")
    parser.add_argument("--users", metavar="FILE", help="the file of users (default: beside the database)")
    parser.add_argument("--trust", action="store_true", help="let anybody on this machine in, without a password")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate, to offer encryption")
    parser.add_argument("--tls-key", metavar="FILE", help="its key")
    parser.add_argument("--no-tls", action="store_true", help="other machines may connect unencrypted")
    parser.add_argument("--read-only", action="store_true", help="open the database for reading only")
    parser.add_argument("--max-connections", type=int, default=250, metavar="N")
    parser.add_argument("--statement-timeout", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--idle-timeout", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--max-rows", type=int, default=0, metavar="N", help="rows that one result may have")
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="/metrics, /health and /ready on 127.0.0.1")
    parser.add_argument("--log", action="store_true", help="a line of JSON for each statement on standard error")
    parser.add_argument("--no-shadow", action="store_true", help="do not start a private Postgres for the catalogue")
    return parser
