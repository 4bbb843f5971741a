"""DECLARE, FETCH, MOVE and CLOSE: cursors that read forward over the rows of a query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.errors import EngineError, NotSupportedYetError
from sqlml.language.reader import Reader
from sqlml.language.tokens import tokenize
from sqlml.server.executor import IDLE, Outcome
from sqlml.server.rows import Rows
from sqlml.server.statements import split

if TYPE_CHECKING:
    from sqlml.server.client import Client
    from sqlml.server.statements import Piece

ALL = 0
_BACKWARD = frozenset({"PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "BACKWARD"})


@dataclass
class Cursor:
    """A declared cursor; one WITH HOLD outlives its transaction."""

    rows: Rows
    hold: bool


class Window:
    """The next rows of a cursor, as a result of their own."""

    def __init__(self, rows: Rows, limit: int, *, none: bool = False) -> None:
        self._rows, self._limit, self._none = rows, limit, none
        self.columns, self.kinds = rows.columns, rows.kinds
        self.sent = 0
        self.finished = False
        self.live = False
        self.held = 0  # the cursor's rows are counted with the cursor

    @property
    def taken(self) -> int:
        return self._rows.sent

    def fields(self, formats: tuple[int, ...]) -> Any:
        return self._rows.fields(formats)

    def messages(self, formats: tuple[int, ...], limit: int = 0) -> Iterator[Any]:
        """A limit of Execute on top of FETCH's cuts it short."""
        if self._none:
            self.finished = True
            return
        left = self._limit - self.sent if self._limit else 0
        take = min(filter(None, (left, limit)), default=0)
        before = self._rows.sent
        yield from self._rows.messages(formats, take)
        got = self._rows.sent - before
        self.sent += got
        self.finished = not limit or self._rows.finished or (bool(self._limit) and self.sent >= self._limit)

    def close(self) -> None:
        """The cursor stays where it is."""
        self.finished = True


def _reader(piece: Piece) -> Reader:
    tokens = tokenize(piece.text)
    return Reader(piece.text, tokens, 1, len(tokens), "duckdb")


def _name(reader: Reader) -> str:
    quoted = reader.peek().kind == "quoted"
    name = reader.name("the name of a cursor")
    return name if quoted else name.lower()


def run_declare(client: Client, piece: Piece) -> Outcome:
    """DECLARE name [BINARY] [ASENSITIVE | INSENSITIVE] [[NO] SCROLL] CURSOR [{WITH | WITHOUT} HOLD] FOR query."""
    reader = _reader(piece)
    name = _name(reader)
    while not reader.accept("CURSOR"):
        if not any(reader.accept(word) for word in ("BINARY", "INSENSITIVE", "ASENSITIVE", "NO", "SCROLL")):
            raise reader.error("CURSOR")
    hold = reader.accept("WITH", "HOLD")
    reader.accept("WITHOUT", "HOLD")
    reader.expect("FOR")
    if not hold and client.executor.status == IDLE:
        error = EngineError("DECLARE CURSOR can only be used in transaction blocks")
        error.sqlstate = "25P01"
        raise error
    if name in client.cursors:
        error = EngineError(f'cursor "{name}" already exists')
        error.sqlstate = "42P03"
        raise error
    (query,) = split(piece.text[reader.peek().start :])
    outcome = client.start(query, client.declared_values, None)
    if outcome.rows is None:
        raise NotSupportedYetError("a cursor needs a query")
    client.cursors[name] = Cursor(outcome.rows, hold)
    return Outcome("DECLARE CURSOR")


def run_fetch(client: Client, piece: Piece) -> Outcome:
    """FETCH [NEXT | FORWARD [n | ALL] | n | ALL] [FROM | IN] name."""
    cursor, count = _direction(client, _reader(piece))
    window: Any = Window(cursor.rows, count, none=count < 0)
    return Outcome("FETCH", window)


def run_move(client: Client, piece: Piece) -> Outcome:
    """MOVE: FETCH without the rows."""
    cursor, count = _direction(client, _reader(piece))
    moved = 0 if count < 0 else sum(batch.num_rows for batch in cursor.rows.batches(count))
    return Outcome(f"MOVE {moved}")


def _direction(client: Client, reader: Reader) -> tuple[Cursor, int]:
    """The cursor and how many rows: 0 for all, -1 for none."""
    start = reader.index
    count = 1
    word = reader.peek().upper
    if word in _BACKWARD or word == "-":
        raise _forward_only()
    if word in ("NEXT", "FORWARD"):
        reader.take()
    if reader.accept("ALL"):
        count = ALL
    elif reader.peek().kind == "number":
        count = reader.integer("a number of rows") or -1
    if reader.sees("FROM") or reader.sees("IN"):
        reader.take()
    if reader.at_end() and reader.index > start:
        reader.index = start  # a cursor called next
        count = 1
    name = _name(reader)
    if name not in client.cursors:
        error = EngineError(f'cursor "{name}" does not exist')
        error.sqlstate = "34000"
        raise error
    return client.cursors[name], count


def _forward_only() -> EngineError:
    error = EngineError("cursor can only scan forward")
    error.hint = "Cursors of this server do not scroll."
    error.sqlstate = "55000"
    return error


def run_close(client: Client, piece: Piece) -> Outcome:
    """CLOSE name | ALL."""
    reader = _reader(piece)
    if reader.accept("ALL"):
        for cursor in client.cursors.values():
            cursor.rows.close()
        client.cursors.clear()
        return Outcome("CLOSE CURSOR ALL")
    name = _name(reader)
    if name not in client.cursors:
        error = EngineError(f'cursor "{name}" does not exist')
        error.sqlstate = "34000"
        raise error
    client.cursors.pop(name).rows.close()
    return Outcome("CLOSE CURSOR")
