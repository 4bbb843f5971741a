"""Reads the committed models of a database while it is being opened, on a connection that is gone before the open returns."""

from __future__ import annotations

import ctypes
import logging
from typing import TYPE_CHECKING, Any

from udfs.duckdb import capi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from udfs.duckdb.capi import Library
    from udfs.duckdb.registry import Instance

LOG = logging.getLogger("sqlml")
DATABASES = (
    "SELECT database_name FROM duckdb_views() WHERE schema_name = 'sqlml' AND view_name = 'serving' AND NOT internal"
)
SERVING = (
    "SELECT schema_name, model_name, CAST(version AS VARCHAR), alias, CAST(is_default AS VARCHAR), artifact_hash"
    " FROM {database}.sqlml.serving WHERE artifact_hash IS NOT NULL"
)


def artifacts_query(database: str, serving: Sequence[tuple[Any, ...]]) -> str:
    """The artifacts that rows of ``SERVING`` name; asking its view again would cost more than all else of opening a database."""
    hashes = sorted({row[-1] for row in serving})
    listed = ", ".join("'" + artifact_hash.replace("'", "''") + "'" for artifact_hash in hashes) or "NULL"
    return f"SELECT artifact_hash, body FROM {database}.sqlml.artifacts WHERE body IS NOT NULL AND artifact_hash IN ({listed})"


def load_committed(lib: Library, database: int, opened: Instance) -> None:
    """Publish what the opened database has; a database without models, or with tables of another shape, has none."""
    connection = capi.P()
    if lib.duckdb_connect(capi.P.from_address(database), ctypes.byref(connection)) != 0:  # type: ignore[attr-defined]
        return
    try:
        for (name,) in _rows(lib, connection, DATABASES):
            _load(lib, connection, name.decode(), opened)
    finally:
        # A connection that is kept would keep the database open for ever.
        lib.duckdb_disconnect(ctypes.byref(connection))  # type: ignore[attr-defined]


def _load(lib: Library, connection: Any, database: str, opened: Instance) -> None:
    quoted = '"' + database.replace('"', '""') + '"'
    serving = [
        tuple(None if value is None else value.decode() for value in row)
        for row in _rows(lib, connection, SERVING.format(database=quoted))
    ]
    bodies = _rows(lib, connection, artifacts_query(quoted, serving))
    publish_rows(opened, database, serving, [(name.decode(), body) for name, body in bodies])


def publish_rows(
    opened: Instance, database: str, serving: Sequence[tuple[Any, ...]], bodies: Sequence[tuple[str, bytes]]
) -> None:
    """Publish names and put artifacts, as the rows of the two queries above have them."""
    names: dict[tuple[str, str], dict[int | str | None, str]] = {}
    for schema, model, version, alias, is_default, artifact_hash in serving:
        versions = names.setdefault((schema, model), {})
        if version is not None:
            versions[int(version)] = artifact_hash
        if alias is not None:
            versions[alias] = artifact_hash
        if is_default == "true":
            versions[None] = artifact_hash
    opened.publish(database, names)
    for artifact_hash, body in bodies:
        opened.put(artifact_hash, body)


def _rows(lib: Any, connection: Any, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a query of VARCHAR and BLOB columns, as bytes; none where the query fails."""
    result = capi.Result()
    try:
        if lib.duckdb_query(connection, sql.encode(), ctypes.byref(result)) != 0:
            LOG.warning("the models of a database could not be read: its catalog tables are not those of this release")
            return []
        rows: list[tuple[Any, ...]] = []
        columns = lib.duckdb_column_count(ctypes.byref(result))
        while chunk := lib.duckdb_fetch_chunk(result):
            rows += _chunk_rows(lib, chunk, columns)
        return rows
    finally:
        lib.duckdb_destroy_result(ctypes.byref(result))


def _chunk_rows(lib: Any, chunk: int, columns: int) -> list[tuple[Any, ...]]:
    handle = capi.P(chunk)
    try:
        size = lib.duckdb_data_chunk_get_size(handle)
        vectors = [lib.duckdb_data_chunk_get_vector(handle, index) for index in range(columns)]
        return list(zip(*(_strings(lib, vector, size) for vector in vectors), strict=True))
    finally:
        lib.duckdb_destroy_data_chunk(ctypes.byref(handle))


def _strings(lib: Any, vector: int, size: int) -> list[bytes | None]:
    data, validity = lib.duckdb_vector_get_data(vector), lib.duckdb_vector_get_validity(vector)
    values: list[bytes | None] = []
    for row in range(size):
        if validity and not ctypes.c_uint64.from_address(validity + row // 64 * 8).value >> row % 64 & 1:
            values.append(None)
            continue
        at = data + 16 * row
        length = ctypes.c_uint32.from_address(at).value
        source = at + 4 if length <= 12 else ctypes.c_uint64.from_address(at + 8).value
        values.append(ctypes.string_at(source, length))
    return values
