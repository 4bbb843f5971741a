"""`sqlml serve`: arguments to a running server."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlml.cli.users import add_limits, add_users_file, limits_of, read_roles, size
from sqlml.errors import OptionValueError, SqlmlError

if TYPE_CHECKING:
    from sqlml.connection import Connection
    from sqlml.server.catalogue import Catalogue
    from sqlml.server.client import Client
    from sqlml.server.login import Door
    from sqlml.server.server import Behind, Server

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
    from sqlml.server.limits import Limits  # noqa: PLC0415 - whoever asks for help needs no engine
    from sqlml.server.listen import tls_context  # noqa: PLC0415
    from sqlml.server.login import Door  # noqa: PLC0415
    from sqlml.server.server import Address, Server  # noqa: PLC0415

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
    given = {name: value for name, value in limits_of(arguments).items() if value is not None}
    limits = Limits(connections=arguments.max_connections).of_user(given)
    log = sys.stderr if arguments.log else None
    server = Server(behind, Address(host, port, tls), limits, log, arguments.metrics_port)
    try:
        return stack.enter_context(server)
    except OSError as error:
        raise OptionValueError(
            f"cannot listen on {arguments.listen}: {error.strerror}", hint="Name another port with --listen."
        ) from error


def _warehouse(arguments: argparse.Namespace, door: Door, stack: ExitStack) -> Behind:
    """A DuckDB database behind the server, which has users of its own."""
    from sqlml.cli.main import connect  # noqa: PLC0415
    from sqlml.server.warehouse import Warehouse  # noqa: PLC0415

    roles = read_roles(arguments)
    if not arguments.trust and not roles.users():
        raise OptionValueError(
            f"nobody could log in: there are no users in {roles.path}",
            hint="Add one with: sqlml user add NAME --role admin, or say --trust for connections of this machine.",
        )
    connection = connect(arguments.database, read_only=arguments.read_only)
    stack.callback(connection.close)
    _bound_engine(connection, arguments)
    shadow = None if arguments.no_shadow else _shadow(connection, stack)
    return Warehouse(connection, replace(door, roles=roles), shadow)


def _bound_engine(connection: Connection, arguments: argparse.Namespace) -> None:
    """What all sessions together may take; later on the configuration is locked."""
    for setting, value in (
        ("memory_limit", arguments.engine_memory),
        ("max_temp_directory_size", arguments.engine_disk),
    ):
        if value:
            connection.execute(f"SET GLOBAL {setting} = '{value}B'")


# Options to what they are called among the arguments.
_OF_WAREHOUSES = {
    "users": "users", "read-only": "read_only", "no-shadow": "no_shadow", "statement-timeout": "statement_timeout",
    "idle-timeout": "idle_timeout", "max-rows": "rows", "session-memory": "memory", "session-disk": "disk",
    "engine-memory": "engine_memory", "engine-disk": "engine_disk",
}  # fmt: skip


def _gateway(arguments: argparse.Namespace, door: Door, stack: ExitStack) -> Behind:
    """A Postgres server behind it, with the users and limits that are there."""
    from sqlml.server.gateway.address import parse_address  # noqa: PLC0415
    from sqlml.server.gateway.gateway import Gateway  # noqa: PLC0415

    for option, attribute in _OF_WAREHOUSES.items():
        if getattr(arguments, attribute):
            raise OptionValueError(
                f"--{option} is for DuckDB databases",
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
    add_users_file(parser)
    parser.add_argument("--trust", action="store_true", help="let anybody on this machine in, without a password")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate, to offer encryption")
    parser.add_argument("--tls-key", metavar="FILE", help="its key")
    parser.add_argument("--no-tls", action="store_true", help="other machines may connect unencrypted")
    parser.add_argument("--read-only", action="store_true", help="open the database for reading only")
    parser.add_argument("--max-connections", type=int, default=250, metavar="N")
    add_limits(parser)
    parser.add_argument(
        "--engine-memory", type=size, metavar="SIZE", help="memory of the engine for all sessions together"
    )
    parser.add_argument(
        "--engine-disk", type=size, metavar="SIZE", help="disk that queries of all sessions may spill to"
    )
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="/metrics, /health and /ready on 127.0.0.1")
    parser.add_argument("--log", action="store_true", help="a line of JSON for each statement on standard error")
    parser.add_argument("--no-shadow", action="store_true", help="do not start a private Postgres for the catalogue")
    return parser
