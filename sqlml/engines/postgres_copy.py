"""Queries of Postgres as streams of Arrow batches, over COPY in binary on the user's own connection.

Types that have no binary form here are cast in the query: numeric to double precision, everything else to text, and arrays
likewise by the type of their elements.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.generators import copy_from, execute
from psycopg.pq import ConnStatus, ExecStatus, PGresult, TransactionStatus

from sqlml.engines.engine import Column
from sqlml.engines.postgres_errors import engine_error
from sqlml.errors import EngineError
from udfs.postgres import copy_binary as binary
from udfs.postgres.copy_binary import FORMS, TEXT, Form, list_of

HEADER_BYTES = 19  # without an extension, which no server sends
Quote = Callable[..., str]
_BUILDS = {"binary": "psycopg_binary.pq", "c": "psycopg_c.pq", "python": "psycopg.pq._pq_ctypes"}


def base_name(sql_type: str) -> str:
    """A type without its modifier: ``numeric(10,2)`` is numeric, ``timestamp(3) without time zone`` goes without the 3."""
    head, _, rest = sql_type.partition("(")
    return " ".join((head + rest.partition(")")[2]).split())


def form_of(sql_type: str) -> tuple[Form, str | None]:
    """How a column travels, and what it is cast to for that."""
    name = base_name(sql_type)
    if name.endswith("[]"):
        items, target = form_of(name[:-2])
        return list_of(items), None if target is None else f"{target}[]"
    if name in FORMS:
        return FORMS[name], None
    return (FORMS["double precision"], "double precision") if name == "numeric" else (TEXT, "text")


def copy_statement(sql: str, columns: Sequence[Column], quote: Quote) -> tuple[str, int]:
    """The COPY of a query, and how many characters stand before the query's own."""
    names = [quote(f"c{place}") for place in range(len(columns))]
    items = []
    for name, column in zip(names, columns, strict=True):
        target = form_of(column.sql_type)[1]
        items.append(name if target is None else f"CAST({name} AS pg_catalog.{_catalog_name(target)})")
    head = f"COPY (SELECT {', '.join(items)} FROM (\n"
    named = f"({', '.join(names)})" if names else ""
    return f"{head}{sql}\n) AS {quote('copied')}{named}) TO STDOUT (FORMAT BINARY)", len(head)


def _catalog_name(target: str) -> str:
    return target.replace("double precision", "float8")


@cache
def libpq_functions() -> tuple[int, int] | None:
    """Addresses of ``PQgetCopyData`` and ``PQfreemem`` in the libpq that psycopg uses; None where they cannot be found."""
    try:
        # A compiled build of psycopg is linked with libpq: names are looked up there, too.
        module = importlib.import_module(_BUILDS[psycopg.pq.__impl__])
        library = getattr(module, "pq", None) or ctypes.CDLL(str(module.__file__))
        return _address(library.PQgetCopyData), _address(library.PQfreemem)
    except (KeyError, ImportError, OSError, AttributeError):
        return None


def _address(function: Any) -> int:
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0)


class CopyStream:
    """One COPY under way: an iterator of batches that may be closed before its end."""

    def __init__(self, connection: Any, sql: str, columns: Sequence[Column], quote: Quote) -> None:
        self._connection = connection
        self._sql = sql
        self._forms = [form_of(column.sql_type)[0] for column in columns]
        self.schema = pa.schema([pa.field(c.name, f.type) for c, f in zip(columns, self._forms, strict=True)])
        self._statement, self._skipped = copy_statement(sql, columns, quote)
        self._is_open = False

    def batches(self, rows_per_batch: int) -> Iterator[pa.RecordBatch]:
        """All rows of the query."""
        self._start()
        functions = libpq_functions()
        pieces = self._pieces(rows_per_batch) if functions is None else self._pulled(functions, rows_per_batch)
        skipped = HEADER_BYTES
        for buffer, end, rows in pieces:
            arrays = binary.decode(buffer, skipped, end, rows, self._forms)
            if arrays is None:
                raise EngineError("the server sent rows in a form that was not expected")
            if arrays and len(arrays[0]):
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)
            skipped = 0

    def close(self) -> None:
        """Stop the copy where it has not ended; that is an error to the transaction it runs in."""
        if not self._is_open:
            return
        self._is_open = False
        pgconn = self._connection.pgconn
        if pgconn.status != ConnStatus.OK or pgconn.transaction_status != TransactionStatus.ACTIVE:
            return
        self._connection.cancel_safe()
        with suppress(psycopg.Error):  # that it was cancelled
            while not isinstance(self._connection.wait(copy_from(pgconn)), PGresult):
                pass
        with suppress(psycopg.Error):
            self._connection.wait(execute(pgconn))

    def _start(self) -> None:
        self._is_open = True  # before it is: KeyboardInterrupt comes as soon as the call returns
        result = self._connection.pgconn.exec_(self._statement.encode())
        if result.status != ExecStatus.COPY_OUT:
            self._is_open = False
            self._fail(result)

    def _finish(self) -> None:
        """The copy ended by itself: with all rows, or with an error in their midst."""
        self._is_open = False
        failed = None
        for result in self._connection.wait(execute(self._connection.pgconn)):
            if result.status == ExecStatus.FATAL_ERROR:
                failed = result
        if failed is not None:
            self._fail(failed)

    def _fail(self, result: Any) -> None:
        error = psycopg.errors.error_from_result(result, encoding=self._connection.info.encoding)
        raise engine_error(error, self._sql, skipped=self._skipped) from error

    def _pulled(self, functions: tuple[int, int], rows: int) -> Iterator[tuple[Any, int, int]]:
        """Blocks of whole messages, fetched by machine code."""
        messages = binary.Messages(functions, self._connection.pgconn.pgconn_ptr)
        status = binary.MORE
        while status == binary.MORE:
            status = messages.fetch(rows)
            if status != binary.MORE:
                self._finish()
            yield messages.buffer, messages.used, messages.rows

    def _pieces(self, rows: int) -> Iterator[tuple[Any, int, int]]:
        """The same, message by message, where the functions of libpq are out of reach."""
        fetch = self._connection.pgconn.get_copy_data
        while True:
            messages: list[bytes] = []
            size = 1
            while len(messages) < rows:
                size, data = fetch(0)
                if size < 0:
                    break
                messages.append(bytes(data))
            if size < 0:
                self._finish()
            joined = b"".join(messages)
            yield binary.as_bytes(joined), len(joined), len(messages)
            if size < 0:
                return
