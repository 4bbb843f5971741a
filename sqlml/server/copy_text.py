"""The text and CSV formats of COPY: Arrow batches to lines, and bytes that arrive in any portions to tables of texts."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from sqlml.errors import DataError
from sqlml.server.parameters import read_bytea
from sqlml.server.values import Encoded, Encoder, texts
from udfs.wire.rows import Fixed, Texts

if TYPE_CHECKING:
    from sqlml.server.copying import Options

_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\b", "\\b"), ("\f", "\\f"), ("\v", "\\v"))
_READ_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_MEANINGS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NEEDS_PYTHON = re.compile(rb"\\[^N]|[^\t\n]\\N|\\N[^\t\n\r]|\\$")


def _strings(encoded: Encoded) -> Any:
    """Encoded texts back as an Arrow array."""
    if isinstance(encoded, Fixed):
        raise TypeError  # invariant: the text encoders give texts
    count = encoded.offsets.shape[0] - 1
    validity = None
    if encoded.valid.shape[0]:
        validity = pa.py_buffer(np.packbits(encoded.valid.astype(bool), bitorder="little"))
    kind = pa.large_string() if encoded.offsets.dtype == np.int64 else pa.string()
    buffers = [validity, pa.py_buffer(np.ascontiguousarray(encoded.offsets)), pa.py_buffer(encoded.data)]
    return pc.cast(pa.Array.from_buffers(kind, count, buffers), pa.large_string())


def text_lines(batch: pa.RecordBatch, encoders: Sequence[Encoder], options: Options) -> Texts:
    """Lines of the text format."""
    columns = []
    for column, encoder in zip(batch.columns, encoders, strict=True):
        strings = _strings(encoder(column))
        if pc.any(pc.match_substring_regex(strings, "[\\\\\n\r\t\b\f\v]")).as_py():
            for raw, escaped in _ESCAPES:
                strings = pc.replace_substring(strings, raw, escaped)
        if options.separator != "\t":
            strings = pc.replace_substring(strings, options.separator, "\\" + options.separator)
        columns.append(strings)
    return _joined(columns, options)


def csv_lines(batch: pa.RecordBatch, encoders: Sequence[Encoder], options: Options) -> Texts:
    """Lines of CSV; what holds a separator, a quote, a line's end or is the text of NULL is quoted."""
    quote = options.quote
    odd = "[" + re.escape(options.separator) + re.escape(quote) + "\n\r]"
    columns = []
    for column, encoder in zip(batch.columns, encoders, strict=True):
        strings = _strings(encoder(column))
        needs = pc.or_(pc.match_substring_regex(strings, odd), pc.equal(strings, options.null_text))
        if pc.any(needs).as_py():
            mark = pa.scalar(quote, pa.large_string())
            doubled = pc.replace_substring(strings, quote, quote * 2)
            quoted = pc.binary_join_element_wise(mark, doubled, mark, pa.scalar("", pa.large_string()))
            strings = pc.if_else(needs, quoted, strings)
        columns.append(strings)
    return _joined(columns, options)


def _joined(columns: list[Any], options: Options) -> Texts:
    separator = pa.scalar(options.separator, pa.large_string())
    lines = pc.binary_join_element_wise(
        *columns, separator, null_handling="replace", null_replacement=options.null_text
    )
    end, nothing = pa.scalar("\n", pa.large_string()), pa.scalar("", pa.large_string())
    return texts(pc.binary_join_element_wise(lines, end, nothing))


def header_line(names: Sequence[str], options: Options) -> bytes:
    """The names of the columns."""
    if options.format == "csv":
        special = (options.separator, options.quote, "\n", "\r")
        doubled = [name.replace(options.quote, options.quote * 2) for name in names]
        names = [
            f"{options.quote}{double}{options.quote}" if any(mark in name for mark in special) else name
            for name, double in zip(names, doubled, strict=True)
        ]
    return (options.separator.join(names) + "\n").encode()


class TextReader:
    """Portions of the text format to tables of texts; ``size`` is what waits."""

    def __init__(self, columns: list[tuple[str, str]], options: Options) -> None:
        self.columns = columns
        self.options = options
        self.size = 0
        self.line = 1
        self._parts: list[bytes] = []
        self._header = options.header
        self._ended = False

    def feed(self, data: bytes) -> None:
        self._parts.append(data)
        self.size += len(data)

    def take(self, *, last: bool) -> Any:
        """The whole lines that have arrived."""
        data = b"".join(self._parts)
        cut = len(data) if last else self._cut(data)
        self._parts = [data[cut:]] if cut < len(data) else []
        self.size = len(data) - cut
        block = data[:cut]
        if self._header and block:
            self._header = False
            block = block[block.find(b"\n") + 1 :] if b"\n" in block else b""
        block = self._until_mark(block)
        if not block:
            return None
        return self._convert(self._parse(block))

    def _cut(self, data: bytes) -> int:
        return data.rfind(b"\n") + 1

    def _until_mark(self, block: bytes) -> bytes:
        r"""``\.`` on a line of its own ends the rows, as psql's own scripts have it."""
        if self._ended:
            return b""
        for mark in (b"\\.\n", b"\\.\r\n", b"\\."):
            if block.endswith(mark) and (len(block) == len(mark) or block[-len(mark) - 1 : -len(mark)] == b"\n"):
                self._ended = True
                return block[: -len(mark)]
        return block

    def _parse(self, block: bytes) -> Any:
        simple = self.options.null is None and not _NEEDS_PYTHON.search(block)
        if simple:
            return self._by_arrow(block, quote=False)
        return self._by_python(block)

    def _by_arrow(self, block: bytes, *, quote: str | bool) -> Any:
        names = [f"c{i}" for i in range(len(self.columns))]
        try:
            return pacsv.read_csv(
                io.BytesIO(block),
                read_options=pacsv.ReadOptions(
                    column_names=names, use_threads=False, block_size=max(len(block) + 1, 1024)
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=self.options.separator,
                    quote_char=quote,
                    double_quote=bool(quote),
                    newlines_in_values=bool(quote),
                    ignore_empty_lines=False,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types={name: pa.string() for name in names},
                    null_values=[self.options.null_text],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            wrong = DataError("the rows do not fit the table", detail=str(error).split("\n")[0])
            wrong.sqlstate = "22P04"
            raise wrong from error

    def _by_python(self, block: bytes) -> Any:
        width = len(self.columns)
        columns: list[list[str | None]] = [[] for _ in range(width)]
        text = block.decode()
        for line in text.removesuffix("\n").split("\n"):
            values = _split(line.removesuffix("\r"), self.options.separator)
            if len(values) != width:
                wrong = DataError(f"row {self.line} has {len(values)} values, the table {width} columns")
                wrong.sqlstate = "22P04"
                raise wrong
            for column, value in zip(columns, values, strict=True):
                column.append(None if value == self.options.null_text else _READ_ESCAPE.sub(_meaning, value))
            self.line += 1
        return pa.table({f"c{i}": pa.array(column, type=pa.string()) for i, column in enumerate(columns)})

    def _convert(self, table: Any) -> Any:
        """What DuckDB would read otherwise than Postgres."""
        for index, (_, sql_type) in enumerate(self.columns):
            if sql_type == "BLOB":
                table = table.set_column(index, f"c{index}", _bytea(table.column(index)))
        return table


class CsvReader(TextReader):
    """The same for CSV, whose values may hold line ends."""

    def _cut(self, data: bytes) -> int:
        quote = self.options.quote.encode()
        end = data.rfind(b"\n") + 1
        while end > 0 and data.count(quote, 0, end) % 2:
            end = data.rfind(b"\n", 0, end - 1) + 1
        return end

    def _parse(self, block: bytes) -> Any:
        return self._by_arrow(block, quote=self.options.quote)


def _split(line: str, separator: str) -> list[str]:
    """Cut at separators that no backslash precedes."""
    if "\\" + separator not in line:
        return line.split(separator)
    return list(re.split(rf"((?:\\.|[^\\{re.escape(separator)}])*){re.escape(separator)}", line + separator)[1::2])


def _meaning(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] in "01234567":
        return chr(int(code, 8))
    return _MEANINGS.get(code, code)


def _bytea(column: Any) -> Any:
    values = [None if value is None else read_bytea(value) for value in column.to_pylist()]
    return pa.array(values, type=pa.binary())
