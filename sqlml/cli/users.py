"""`sqlml user`: arguments to the file of those who may use a server, and to what each of their sessions may take."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlml.errors import OptionValueError

if TYPE_CHECKING:
    from sqlml.server.roles import Roles, User

DEFAULT_USERS = "{database}.users.json"
NONE = "default"
OK = 0


def run_user(words: Sequence[str]) -> int:
    """Add, limit, remove and list the users of a server."""
    arguments = _parser().parse_args(words)
    roles = read_roles(arguments)
    if arguments.command == "add":
        roles.add(arguments.name, _password(arguments.password_file), arguments.role)
    if arguments.command in ("add", "limit"):
        roles.limit(arguments.name, limits_of(arguments))
    elif arguments.command == "remove" and not roles.remove(arguments.name):
        raise OptionValueError(f'there is no user "{arguments.name}"')
    elif arguments.command == "list":
        for user in roles.users():
            print(_line(user))
    return OK


def _line(user: User) -> str:
    return "\t".join([user.name, user.role, *(f"{name}={value:.15g}" for name, value in sorted(user.limits.items()))])


def read_roles(arguments: argparse.Namespace) -> Roles:
    """The users that the arguments name: those of a file, or those beside the database."""
    from sqlml.server.roles import Roles  # noqa: PLC0415 - whoever asks for help needs no server

    database = "sqlml" if arguments.database == ":memory:" else arguments.database
    return Roles(Path(arguments.users or os.environ.get("SQLML_USERS") or DEFAULT_USERS.format(database=database)))


def limits_of(arguments: argparse.Namespace) -> dict[str, float | None]:
    """The limits that were given; None for one that is to be as the server has it."""
    from sqlml.server.limits import OF_USERS  # noqa: PLC0415

    given = {name: getattr(arguments, name) for name in OF_USERS}
    return {name: None if value == NONE else value for name, value in given.items() if value is not None}


def add_limits(parser: argparse.ArgumentParser) -> None:
    """What a session may take."""
    group = parser.add_argument_group("limits of a session", "0 is no limit.")
    group.add_argument("--statement-timeout", type=_number, metavar="SECONDS", help="how long a statement may run")
    group.add_argument("--idle-timeout", type=_number, metavar="SECONDS", help="how long a client may say nothing")
    group.add_argument("--max-rows", dest="rows", type=_number, metavar="N", help="rows that one result may have")
    group.add_argument(
        "--session-memory", dest="memory", type=size, metavar="SIZE", help="what the server may keep for a session"
    )
    group.add_argument(
        "--session-disk", dest="disk", type=size, metavar="SIZE", help="rows of a session that may wait in files"
    )


def add_users_file(parser: argparse.ArgumentParser) -> None:
    """Where the users are."""
    parser.add_argument("--users", metavar="FILE", help="the file of users (default: beside the database)")


def size(text: str) -> int | str:
    """A size among the arguments."""
    from sqlml.server.limits import parse_size  # noqa: PLC0415

    return text if text == NONE else parse_size(text)


def _number(text: str) -> float | str:
    return text if text == NONE else float(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sqlml user", description="Who may use the server of a database.")
    commands = parser.add_subparsers(dest="command", required=True)
    told = {
        "add": "add a user, or give one another password and role",
        "limit": f'what sessions of a user may take, in the place of what the server says; "{NONE}" takes a limit away',
        "remove": "remove a user",
        "list": "list the users, their roles and limits",
    }
    for name, text in told.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name != "list":
            command.add_argument("name")
        if name == "add":
            command.add_argument("--role", choices=("admin", "writer", "reader"), default="reader")
            command.add_argument(
                "--password-file", metavar="FILE", help="take the password from a file; - is standard input"
            )
        if name in ("add", "limit"):
            add_limits(command)
        command.add_argument("--database", default=":memory:", metavar="DATABASE")
        add_users_file(command)
    return parser


def _password(source: str | None) -> str:
    if source == "-":
        return sys.stdin.readline().rstrip("\n")
    if source is not None:
        return Path(source).read_text(encoding="utf-8").rstrip("\n")
    first, second = getpass.getpass("Password: "), getpass.getpass("Again: ")
    if first != second:
        raise OptionValueError("the two passwords differ")
    return first
