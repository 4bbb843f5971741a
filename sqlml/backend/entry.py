"""What the server's functions call: a statement's text in; rows as JSON, or one error as JSON, out.

An error is returned and not raised: a function of the server raises it, so that clients see its own words without Python's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

from sqlml.backend.door import Door, signals_held
from sqlml.backend.failures import failure
from sqlml.backend.progress import ProgressNotices
from sqlml.backend.texts import call_text, create_text, drop_text
from sqlml.engines.spi import SpiEngine
from sqlml.engines.spi_errors import engine_error
from sqlml.engines.spi_result import SpiResult, json_text
from sqlml.results import LocalResult
from sqlml.serving.postgres import PostgresServing
from sqlml.session import Session

Row = tuple[str | None, str | None]  # a result, or an error
Shape = Callable[[Session, LocalResult | None], Iterator[str]]


class Interrupts(threading.Event):
    """Asked by a training whether it was cancelled: the server is given the chance to say so, which is an error of its own."""

    def __init__(self, engine: SpiEngine) -> None:
        super().__init__()
        self._engine = engine

    def is_set(self) -> bool:
        self._engine.check_interrupts()
        return False


def open_session(door: Door) -> Session:
    """A session in the caller's transaction, with the caller's rights."""
    engine = SpiEngine(door)
    session = Session(engine, PostgresServing(engine))
    session.on_notice = door.notice
    session.on_progress = ProgressNotices(door.notice)
    session.cancelled = Interrupts(engine)
    return session


def execute(plpy: Any, statement: str) -> Iterator[Row]:
    """The rows of a statement of the dialect; a status where there are none to give."""
    return _answer(plpy, lambda: statement, _rows)


def create_model(plpy: Any, name: str, query: str, options: str | None, or_replace: bool) -> Iterator[Row]:
    """CREATE MODEL as a function."""
    return _answer(plpy, lambda: create_text(name, query, options, or_replace=or_replace), _rows)


def drop_model(plpy: Any, name: str, if_exists: bool, cascade: bool) -> Iterator[Row]:
    """DROP MODEL as a function."""
    return _answer(plpy, lambda: drop_text(name, if_exists=if_exists, cascade=cascade), _rows)


def call(plpy: Any, function: str, name: str, query: str | None, settings: str | None) -> Iterator[Row]:
    """A table function of the dialect as a function."""
    return _answer(plpy, lambda: call_text(function, name, query, settings), _rows)


def evaluate(plpy: Any, name: str, query: str | None, settings: str | None) -> Iterator[Row]:
    """ML.EVALUATE with a row for each metric."""
    return _answer(plpy, lambda: call_text("EVALUATE", name, query, settings), _pairs)


def _answer(plpy: Any, text: Callable[[], str], shape: Shape) -> Iterator[Row]:
    """Run a text and give its rows; signals are let in whenever the server takes one."""
    door = Door(plpy)
    rows = _results(door, text, shape)
    while True:
        with signals_held():
            try:
                row: Row = (next(rows), None)
            except StopIteration:
                return
            except Exception as error:  # noqa: BLE001 - the server's function raises it
                translated = engine_error(error, "") if isinstance(error, door.SPIError) else None
                row = (None, failure(error, translated))
        yield row
        if row[1] is not None:
            return


def _results(door: Door, text: Callable[[], str], shape: Shape) -> Iterator[str]:
    session = open_session(door)
    local = session.run(text())
    yield from shape(session, local)


def _rows(session: Session, local: LocalResult | None) -> Iterator[str]:
    """Each row as a JSON object."""
    if local is None:
        yield from _result(session).json_rows()
        return
    names = [column[0] for column in local.description]
    rows = local.fetchall()
    for row in rows:
        yield json_text(dict(zip(names, row, strict=True)))
    if not names:
        yield json_text({"status": local.status})


def _pairs(session: Session, local: LocalResult | None) -> Iterator[str]:
    """The columns of the only row as rows of name and value, in their order."""
    result = _result(session)
    for row in result.table().to_pylist():
        for name, value in row.items():
            yield json_text({"metric": name, "value": value})


def _result(session: Session) -> SpiResult:
    result: Any = session.engine.result
    return cast("SpiResult", result)
