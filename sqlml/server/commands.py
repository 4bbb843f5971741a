"""Statements that the server itself answers, because they are about the session and not about data: a registry of first words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlml.errors import EngineError, SqlSyntaxError
from sqlml.language.reader import Reader
from sqlml.language.tokens import identifier, tokenize
from sqlml.server.copying import run_copy
from sqlml.server.cursors import run_close, run_declare, run_fetch, run_move
from sqlml.server.executor import FAILED, IDLE, Outcome
from sqlml.server.settings import run_reset, run_set, run_show

if TYPE_CHECKING:
    from sqlml.server.client import Client
    from sqlml.server.statements import Piece

Command = Callable[["Client", "Piece"], "Outcome | None"]


def read(piece: Piece) -> Reader:
    """A reader behind the statement's first word."""
    tokens = tokenize(piece.text)
    return Reader(piece.text, tokens, 1, len(tokens), "duckdb")


def begin(client: Client, piece: Piece) -> Outcome:
    """BEGIN with any of Postgres' modes: of them only READ ONLY changes what DuckDB does, whose transactions are snapshots."""
    tag = "BEGIN" if piece.words[0] == "BEGIN" else "START TRANSACTION"
    if client.executor.status != IDLE:
        return Outcome(tag, notices=[("WARNING", "25001", "there is already a transaction in progress")])
    wanted = " ".join(piece.words)
    read_only = "READ ONLY" in wanted or (
        client.settings.get("default_transaction_read_only", "off") in ("on", "true") and "READ WRITE" not in wanted
    )
    client.executor.begin(read_only=read_only or client.read_only)
    return Outcome(tag)


def commit(client: Client, piece: Piece) -> Outcome:
    """COMMIT; where an error ended the transaction it is undone, and the tag says so."""
    if client.executor.status == IDLE:
        return Outcome("COMMIT", notices=[("WARNING", "25P01", "there is no transaction in progress")])
    client.end_transaction()
    done = client.executor.commit()
    return Outcome("COMMIT" if done else "ROLLBACK")


def rollback(client: Client, piece: Piece) -> Outcome:
    """ROLLBACK of the transaction; there are no savepoints to go back to."""
    if "TO" in piece.words[:4]:
        client.executor.back_to(_last_name(piece))
        return Outcome("ROLLBACK")
    if client.executor.status == IDLE:
        return Outcome("ROLLBACK", notices=[("WARNING", "25P01", "there is no transaction in progress")])
    client.end_transaction()
    client.executor.rollback()
    return Outcome("ROLLBACK")


def savepoint(client: Client, piece: Piece) -> Outcome:
    """SAVEPOINT name, RELEASE [SAVEPOINT] name."""
    if client.executor.status == IDLE:
        error = EngineError(f"{piece.words[0]} can only be used in transaction blocks")
        error.sqlstate = "25P01"
        raise error
    if piece.words[0] == "SAVEPOINT":
        client.executor.savepoint(_last_name(piece))
    else:
        client.executor.release(_last_name(piece))
    return Outcome(piece.words[0])


def _last_name(piece: Piece) -> str:
    """Of a statement that ends with a name."""
    last = tokenize(piece.text)[-1]
    return identifier(last) if last.kind == "quoted" else last.text.lower()


def deallocate(client: Client, piece: Piece) -> Outcome:
    """DEALLOCATE [PREPARE] name | ALL."""
    reader = read(piece)
    reader.accept("PREPARE")
    if reader.accept("ALL"):
        client.prepared.clear()
        return Outcome("DEALLOCATE ALL")
    name = reader.name("the name of a prepared statement")
    if client.prepared.pop(name, None) is None and client.prepared.pop(name.lower(), None) is None:
        return None  # type: ignore[return-value]  # one that PREPARE made is the engine's
    return Outcome("DEALLOCATE")


def discard(client: Client, piece: Piece) -> Outcome:
    """DISCARD ALL and its parts."""
    what = piece.words[1] if len(piece.words) > 1 else ""
    if what not in ("ALL", "PLANS", "SEQUENCES", "TEMP", "TEMPORARY"):
        raise SqlSyntaxError("expected ALL, PLANS, SEQUENCES or TEMP", position=0, text=piece.text)
    if what == "ALL":
        if client.executor.status != IDLE:
            error = EngineError("DISCARD ALL cannot run inside a transaction block")
            error.sqlstate = "25001"
            raise error
        client.discard_all()
    return Outcome(f"DISCARD {what}")


def listen(client: Client, piece: Piece) -> Outcome:
    """LISTEN channel."""
    client.sessions.listen(client, _channel(piece))
    return Outcome("LISTEN")


def unlisten(client: Client, piece: Piece) -> Outcome:
    """UNLISTEN channel | *."""
    everything = len(piece.words) > 1 and piece.words[1] == "*"
    client.sessions.unlisten(client, None if everything else _channel(piece))
    return Outcome("UNLISTEN")


def notify(client: Client, piece: Piece) -> Outcome:
    """NOTIFY channel [, 'payload']: sent when the transaction commits."""
    reader = read(piece)
    channel = reader.name("a channel")
    payload = reader.string("a payload") if reader.accept(",") else ""
    client.send_at_commit(channel.lower(), payload)
    return Outcome("NOTIFY")


def _channel(piece: Piece) -> str:
    reader = read(piece)
    quoted = reader.peek().kind == "quoted"
    name = reader.name("a channel")
    return name if quoted else name.lower()


def grant(client: Client, piece: Piece) -> Outcome | None:
    """GRANT USAGE ON MODEL ... and REVOKE."""
    tag = client.sessions.policy.grant(client, piece) if client.sessions.policy is not None else None
    return Outcome(tag) if tag is not None else None


COMMANDS: dict[str, Command] = {
    "BEGIN": begin,
    "START": begin,
    "COMMIT": commit,
    "END": commit,
    "ROLLBACK": rollback,
    "ABORT": rollback,
    "SAVEPOINT": savepoint,
    "RELEASE": savepoint,
    "SET": run_set,
    "RESET": run_reset,
    "SHOW": run_show,
    "DEALLOCATE": deallocate,
    "DISCARD": discard,
    "LISTEN": listen,
    "UNLISTEN": unlisten,
    "NOTIFY": notify,
    "DECLARE": run_declare,
    "FETCH": run_fetch,
    "MOVE": run_move,
    "CLOSE": run_close,
    "COPY": run_copy,
    "GRANT": grant,
    "REVOKE": grant,
}
GIVE_ROWS = frozenset({"SHOW", "FETCH"})


def find_command(piece: Piece) -> Command | None:
    """What answers a statement in the engine's place; it may still leave it to the engine by giving None."""
    return COMMANDS.get(piece.words[0]) if piece.words else None


__all__ = ["COMMANDS", "FAILED", "GIVE_ROWS", "find_command"]
