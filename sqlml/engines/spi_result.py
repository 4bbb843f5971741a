"""Results of statements inside of the server: an open cursor, or rows that are here at once; JSON, tuples or Arrow out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sqlml.engines.spi_stream import CursorColumn, json_query

if TYPE_CHECKING:
    from sqlml.engines.spi import SpiEngine

JSON_ROWS = 1_024


class SpiResult:
    """Rows of a statement: those of an open cursor, or all of them at once."""

    def __init__(
        self, engine: SpiEngine, result: Any, cursor: str | None = None, columns: Sequence[CursorColumn] = ()
    ) -> None:
        self._engine = engine
        self._cursor = cursor
        self._columns = list(columns)
        self._rows: list[dict[str, Any]] = [] if result is None else list(result)
        names = [column.name for column in columns] if result is None else list(self._rows[0] if self._rows else ())
        self.description: Any = [(name, *[None] * 6) for name in names] or None
        self.rowcount: int = -1 if result is None else result.nrows()

    def json_rows(self) -> Iterator[str]:
        """Each row as the text of a JSON object, made by the server where a cursor is open; else at least the number of rows."""
        if self._cursor is not None:
            query = json_query(self._cursor, JSON_ROWS, self._columns)
            while taken := self._engine.rows(query):
                yield from (text for (text,) in taken)
        elif self._rows:
            yield from map(json_text, self._rows)
        else:
            yield json_text({"rows": self.rowcount})

    def table(self) -> pa.Table:
        """The rest as Arrow."""
        if self._cursor is not None:
            return self._engine.reader(self._cursor, self._columns).read_all()
        return pa.Table.from_pylist(self._rows)

    def fetchmany(self, size: int = 1) -> list[Any]:
        """The next rows; those of a cursor become Python's with the first call."""
        if self._cursor is not None:
            self._rows = self.table().to_pylist()
            self.close()
        taken, self._rows = self._rows[:size], self._rows[size:]
        return [tuple(row.values()) for row in taken]

    def fetchone(self) -> Any:
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchall(self) -> list[Any]:
        return [*self.fetchmany(1), *self.fetchmany(len(self._rows))]

    def close(self) -> None:
        """Give up what was not read."""
        if self._cursor is not None:
            self._engine.close_cursor(self._cursor)
            self._cursor = None


def json_text(row: dict[str, Any]) -> str:
    """A row as JSON; what JSON has no word for is text."""
    return json.dumps({name: _finite(value) for name, value in row.items()}, default=_shown, ensure_ascii=False)


def _finite(value: Any) -> Any:
    is_odd = isinstance(value, float) and (value != value or value in (float("inf"), float("-inf")))  # noqa: PLR0124
    return str(value) if is_odd else value


def _shown(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
