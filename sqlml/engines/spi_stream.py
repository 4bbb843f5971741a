"""A cursor's rows as Arrow batches inside of the server: packed column by column by SQL, unpacked by machine code.

    DECLARE cursor ──► SELECT array_send(array_agg(c0)), ... FROM sqlml._fetch(cursor, rows) AS x(c0 type, ...) ──► RecordBatch

What is taken at a time is bounded in rows and, from the second batch on, in bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from udfs.postgres.packed import PACKINGS, Packing, unpack

BATCH_BYTES = 64 << 20
FIRST_ROWS = 1_024

# Types by the numbers that they have in every server; all others travel as text.
_PACKING_OF_TYPE = {
    16: "boolean",
    17: "bytea",
    20: "int8",
    21: "int2",
    23: "int4",
    700: "float4",
    701: "float8",
    1082: "date",
    1083: "time",
    1114: "timestamp",
    1184: "timestamptz",
    1700: "float8",
}
_NUMERIC = 1700


@dataclass(frozen=True)
class CursorColumn:
    """A column of a cursor: its name, its type as users are told, as a column definition names it, and as a number."""

    name: str
    sql_type: str
    definition: str
    number: int  # of the type that a domain is of

    @property
    def packing(self) -> Packing:
        return PACKINGS[_PACKING_OF_TYPE.get(self.number, "text")]


def packing_query(cursor: str, rows: int, columns: Sequence[CursorColumn]) -> str:
    """The query that takes the next rows of a cursor: their number, then each column packed."""
    packed = ["pg_catalog.count(*)"]
    for place, column in enumerate(columns):
        packed.append(f"pg_catalog.array_send(pg_catalog.array_agg({_sendable(f'c{place}', column)}))")
    items = ", ".join(f"{item} AS p{place}" for place, item in enumerate(packed))
    definitions = ", ".join(f"c{place} {column.definition}" for place, column in enumerate(columns))
    return f"SELECT {items} FROM {_fetched(cursor, rows, definitions)}"


def json_query(cursor: str, rows: int, columns: Sequence[CursorColumn]) -> str:
    """The query that takes the next rows of a cursor as JSON objects; columns of one name are numbered."""
    taken: set[str] = set()
    definitions = []
    for column in columns:
        name, count = column.name, 1
        while name in taken:
            count += 1
            name = f"{column.name}_{count}"
        taken.add(name)
        quoted = name.replace('"', '""')
        definitions.append(f'"{quoted}" {column.definition}')
    return f"SELECT pg_catalog.to_jsonb(x)::pg_catalog.text FROM {_fetched(cursor, rows, ', '.join(definitions))}"


def _fetched(cursor: str, rows: int, definitions: str) -> str:
    return f"sqlml._fetch('{cursor}', {rows}) AS x({definitions})"


def _sendable(name: str, column: CursorColumn) -> str:
    """What is packed in place of a column: text as bytes, since it would be sent in the client's encoding."""
    if column.number == _NUMERIC:
        return f"{name}::pg_catalog.float8"
    if column.number in _PACKING_OF_TYPE:
        return name
    return f"pg_catalog.convert_to({name}::pg_catalog.text, 'UTF8')"


class BatchReader:
    """The rows of an open cursor, batch by batch."""

    def __init__(
        self, execute: Callable[[str], Any], cursor: str, columns: Sequence[CursorColumn], rows_per_batch: int
    ) -> None:
        self._execute = execute
        self._cursor = cursor
        self._columns = tuple(columns)
        self._most = rows_per_batch
        self._rows = min(FIRST_ROWS, rows_per_batch)
        self.schema = pa.schema([pa.field(column.name, column.packing.arrow) for column in columns])

    def next_batch(self) -> pa.RecordBatch | None:
        """The next rows; None after the last."""
        packed = list(self._execute(packing_query(self._cursor, self._rows, self._columns))[0].values())
        count = packed[0]
        if not count:
            return None
        size = sum(len(data) for data in packed[1:] if data is not None)
        self._rows = max(1, min(self._most, BATCH_BYTES * count // max(size, 1)))
        arrays = [unpack(data, column.packing, count) for data, column in zip(packed[1:], self._columns, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def read_all(self) -> pa.Table:
        """All rows that are left."""
        return pa.Table.from_batches(iter(self.next_batch, None), self.schema)
