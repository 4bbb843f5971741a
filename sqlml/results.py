"""Results that sqlml computes itself, fetched like those of the engine: an Arrow table in, rows or frames out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from udfs.later import Later

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Later("pyarrow")


class LocalResult:
    """The rows of a statement such as SHOW MODELS, which no engine ran."""

    def __init__(self, table: pa.Table, status: str = "") -> None:
        self.table = table
        self.status = status  # what a shell prints when there is no row to show, such as DROP MODEL
        self._position = 0

    @classmethod
    def of(
        cls, columns: Sequence[tuple[str, pa.DataType]], rows: Sequence[Sequence[Any]], status: str = ""
    ) -> LocalResult:
        schema = pa.schema([pa.field(name, kind) for name, kind in columns])
        arrays = [pa.array([row[i] for row in rows], type=kind) for i, (_, kind) in enumerate(columns)]
        return cls(pa.Table.from_arrays(arrays, schema=schema), status)

    @property
    def description(self) -> list[tuple[Any, ...]]:
        """DB-API column descriptions: name and Arrow type first."""
        return [(field.name, str(field.type), None, None, None, None, None) for field in self.table.schema]

    @property
    def rowcount(self) -> int:
        return int(self.table.num_rows)

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        part = self.table.slice(self._position, size)
        self._position += part.num_rows
        columns = [column.to_pylist() for column in part.columns]
        return list(zip(*columns, strict=True))

    def fetchone(self) -> tuple[Any, ...] | None:
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.fetchmany(self.table.num_rows - self._position)

    def rest(self) -> pa.Table:
        """The rows not fetched yet, as an Arrow table; they are fetched by this."""
        part = self.table.slice(self._position)
        self._position = self.table.num_rows
        return part
