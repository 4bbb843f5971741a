"""Results that psycopg holds as Python values to Arrow and pandas, and Arrow tables into Postgres."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from sqlml.engines.engine import Column
from sqlml.engines.postgres_copy import base_name
from sqlml.errors import InputMismatchError

_TYPES: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "oid": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "date": pa.date32(),
    "time without time zone": pa.time64("us"),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "bytea": pa.binary(),
}
# What a temporary table calls the types of Arrow, the most particular first.
_SQL_TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "smallint"),
    (pa.types.is_int16, "smallint"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_uint64, "numeric"),
    (pa.types.is_integer, "bigint"),
    (pa.types.is_float32, "real"),
    (pa.types.is_floating, "double precision"),
    (pa.types.is_decimal, "numeric"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
    (lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None, "timestamptz"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_null, "text"),
)


def as_table(cursor: Any, columns: Sequence[Column]) -> pa.Table:
    """The rows that the cursor has not given yet; numeric is decimal where the column says how many digits, else double."""
    rows = cursor.fetchall() if cursor.description is not None else []
    arrays = [_array([row[i] for row in rows], column.sql_type) for i, column in enumerate(columns)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])


def _array(values: list[Any], sql_type: str) -> pa.Array:
    name = base_name(sql_type)
    if name == "numeric":
        return _numeric(values, sql_type)
    if name in _TYPES:
        return pa.array(values, _TYPES[name])
    if name.endswith("[]") and name[:-2] in _TYPES:
        return pa.array(values, pa.list_(_TYPES[name[:-2]]))
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _numeric(values: list[Any], sql_type: str) -> pa.Array:
    given = sql_type.partition("(")[2].rstrip(")")
    finite = all(value is None or Decimal(value).is_finite() for value in values)
    if given and finite:
        precision, scale = (int(number) for number in (given + ",0").split(",")[:2])
        if precision <= 76 and scale >= 0:
            make = pa.decimal128 if precision <= 38 else pa.decimal256
            return pa.array(values, make(precision, scale))
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def as_frame(table: pa.Table) -> Any:
    """A pandas frame."""
    return table.to_pandas()


def copy_in(cursor: Any, name: str, rows: Any, quote: Callable[..., str]) -> None:
    """Create the temporary table ``name`` with the rows of an Arrow table, reader or anything with Arrow's C stream."""
    reader = _reader(rows)
    columns = ", ".join(f"{quote(field.name)} {_sql_type(field)}" for field in reader.schema)
    cursor.execute(f"CREATE TEMPORARY TABLE {name.removeprefix('pg_temp.')} ({columns})")
    with cursor.copy(f"COPY {name} FROM STDIN") as copy:
        for batch in reader:
            for row in _rows(batch):
                copy.write_row(row)


def _rows(batch: pa.RecordBatch) -> Iterable[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _reader(rows: Any) -> pa.RecordBatchReader:
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(rows)
    if hasattr(rows, "__dataframe__") or hasattr(rows, "iloc"):
        return pa.Table.from_pandas(rows, preserve_index=False).to_reader()
    raise InputMismatchError(
        f"cannot read rows from a {type(rows).__name__}", hint="Give an Arrow table, or a pandas or Polars frame."
    )


def _sql_type(field: pa.Field) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    found = next((sql for matches, sql in _SQL_TYPES if matches(kind)), None)
    if found is None and (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return "text"
    if found is None:
        raise InputMismatchError(
            f'column "{field.name}" of type {kind} cannot be sent to Postgres',
            hint="Cast it to a number, text, date or timestamp.",
        )
    return found
