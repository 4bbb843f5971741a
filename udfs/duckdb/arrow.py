"""The same functions as Arrow UDFs, for a DuckDB that does not export its C API and for connections older than the registration.

One thing differs: a Python function has one result type for all calls, so labels (``__sqlml_label``, ``ml_predict``) are VARCHAR.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.columns import arrow_type
from udfs.duckdb import capi, registered_instance
from udfs.duckdb.bind import FUNCTIONS, INSTANCE_FUNCTION, Call, match_columns, understand
from udfs.duckdb.capi import DuckType
from udfs.duckdb.committed import DATABASES, SERVING, artifacts_query, publish_rows
from udfs.duckdb.registry import Instance, new_instance
from udfs.errors import SqlmlError
from udfs.scorer import Scorer

Matrix = npt.NDArray[np.float64]
_LOCK = threading.Lock()
# DuckDB crashes the process when the connection that registered a Python function is closed: these never are.
_ROOTS: list[Any] = []

_TYPES: dict[pa.DataType, int] = {
    pa.null(): capi.SQLNULL, pa.bool_(): capi.BOOLEAN, pa.int8(): capi.TINYINT, pa.int16(): capi.SMALLINT,
    pa.int32(): capi.INTEGER, pa.int64(): capi.BIGINT, pa.uint8(): capi.UTINYINT, pa.uint16(): capi.USMALLINT,
    pa.uint32(): capi.UINTEGER, pa.uint64(): capi.UBIGINT, pa.float32(): capi.FLOAT, pa.float64(): capi.DOUBLE,
    pa.string(): capi.VARCHAR, pa.large_string(): capi.VARCHAR, pa.string_view(): capi.VARCHAR,
    pa.date32(): capi.DATE, pa.time64("us"): capi.TIME, pa.time64("ns"): capi.TIME_NS,
    pa.timestamp("s"): capi.TIMESTAMP_S, pa.timestamp("ms"): capi.TIMESTAMP_MS, pa.timestamp("us"): capi.TIMESTAMP,
    pa.timestamp("ns"): capi.TIMESTAMP_NS,
}  # fmt: skip


def register_arrow(connection: Any) -> Instance:
    """Give the database of a connection the functions, if it has none; returns its registry."""
    with _LOCK:
        found = registered_instance(connection)
        if found is not None:
            return found
        root = connection.cursor()
        _ROOTS.append(root)
        opened = new_instance()
        opened.scorer = "arrow"
        _create(root, INSTANCE_FUNCTION, lambda: pa.chunked_array([pa.array([opened.id])]), "BIGINT", [])
        for name, result in FUNCTIONS.items():
            _create(root, name, _function(name, opened), result or "VARCHAR", None)
        _load(root, opened)
    return opened


def _create(root: Any, name: str, function: Callable[..., Any], result: str, parameters: list[str] | None) -> None:
    root.create_function(name, function, parameters, result, type="arrow", null_handling="special", side_effects=False)


def _load(root: Any, opened: Instance) -> None:
    for (database,) in root.execute(DATABASES).fetchall():
        quoted = '"' + database.replace('"', '""') + '"'
        serving = root.execute(SERVING.format(database=quoted)).fetchall()
        publish_rows(opened, database, serving, root.execute(artifacts_query(quoted, serving)).fetchall())


def _function(name: str, opened: Instance) -> Callable[..., Any]:
    def score(*columns: pa.ChunkedArray) -> pa.ChunkedArray:
        arrays = [column.combine_chunks() for column in columns]
        try:
            return pa.chunked_array([_score(name, opened, arrays)])
        except SqlmlError as error:
            hint = f"; hint: {error.hint}" if error.hint else ""
            raise ValueError(f"{error.message}{hint}") from error

    return score


def _score(name: str, opened: Instance, arrays: Sequence[pa.Array]) -> pa.Array:
    types = [duck_type(array.type) for array in arrays]
    call = understand(name, opened, types, lambda index: _constant(arrays[index]))
    is_row, columns = match_columns(call, types)
    given = arrays[call.first :] if not is_row else _fields(arrays[call.first])
    rows = len(arrays[0])
    picked = [
        given[c.position] if c.position >= 0 else pa.nulls(rows, arrow_type(a.kind))
        for c, a in zip(columns, call.model.arguments, strict=True)
    ]
    names = [argument.name for argument in call.model.arguments]
    return _answer(call, opened, pa.RecordBatch.from_arrays(picked, names))


def _fields(row: pa.StructArray) -> list[pa.Array]:
    """The fields of rows; those of a NULL row are NULL."""
    return list(row.flatten())


def _constant(array: pa.Array) -> str | None:
    """The text of an argument that must be the same in all rows."""
    first = array[0].as_py()
    if any(array[i].as_py() != first for i in (len(array) // 2, len(array) - 1)) or len(array.unique()) > 1:
        raise SqlmlError("the name of a model must be a constant")
    if isinstance(first, bool):
        return "true" if first else "false"
    return None if first is None else str(first)


def duck_type(kind: pa.DataType) -> DuckType:
    """The type DuckDB exported as this Arrow type (HUGEINT comes as a decimal, UUID as text)."""
    if pa.types.is_decimal(kind):
        return DuckType(capi.DECIMAL, width=kind.precision, scale=kind.scale)
    if pa.types.is_struct(kind):
        return DuckType(capi.STRUCT, fields=tuple((kind[i].name, duck_type(kind[i].type)) for i in range(len(kind))))
    if pa.types.is_dictionary(kind):
        return DuckType(capi.ENUM)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return DuckType(capi.TIMESTAMP_TZ)
    return DuckType(_TYPES.get(kind, 0))


def _answer(call: Call, opened: Instance, batch: pa.RecordBatch) -> pa.Array:
    scorer, name = opened.scorer_of(call.model_hash), call.function
    if name in _LISTS:
        return _lists(_LISTS[name](scorer, batch))
    if name in ("__sqlml_prob", "ml_predict_proba"):
        return pa.array(scorer.probabilities(batch)[call.class_index])
    if name == "__sqlml_class":
        return pa.array(scorer.class_index(batch, call.threshold), pa.int32())
    if call.wants_label:
        labels = [_spelled(label) for label in call.model.label.classes]
        return pa.array(labels, pa.string()).take(pa.array(scorer.class_index(batch, call.threshold)))
    values = scorer.predict(batch)
    return pa.array(values) if name == "__sqlml_value" else pa.array([repr(v) for v in values.tolist()], pa.string())


_LISTS: dict[str, Callable[[Scorer, pa.RecordBatch], Matrix]] = {
    "__sqlml_raw": lambda scorer, batch: scorer.raw_scores(batch),
    "__sqlml_features": lambda scorer, batch: scorer.features(batch),
    "__sqlml_contribs": lambda scorer, batch: scorer.attributions(batch),
    "__sqlml_interactions": lambda scorer, batch: scorer.interactions(batch),
    "__sqlml_probs": lambda scorer, batch: scorer.probabilities(batch),
}


def _spelled(label: bool | float | str) -> str:
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label)


def _lists(matrix: Matrix) -> pa.Array:
    """One list a column of the matrix."""
    values = pa.array(np.ascontiguousarray(matrix.T).reshape(-1))
    offsets = np.arange(matrix.shape[1] + 1, dtype=np.int32) * matrix.shape[0]
    return pa.ListArray.from_arrays(pa.array(offsets), values)
