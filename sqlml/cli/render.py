"""A result as Arrow batches to a table, CSV, JSON or Parquet, written to a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal, TextIO

import pyarrow as pa
from prompt_toolkit.utils import get_cwidth

from sqlml.cli.values import column_json, column_texts, is_numeric

Format = Literal["table", "csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json", "parquet")

PLAN = ["explain_key", "explain_value"]  # the columns of DuckDB's EXPLAIN, whose values are pictures of many lines
WIDEST_CELL = 60
NARROWEST_CELL = 12


@dataclass(frozen=True)
class TableLimits:
    """How much of a table is shown: None shows all of it, as a file or a pipe wants."""

    rows: int | None = None
    width: int | None = None


@dataclass(frozen=True)
class Borders:
    """The characters of a frame: horizontal, vertical, then left, middle and right of the three lines."""

    across: str = "─"
    down: str = "│"
    lines: tuple[str, str, str] = ("┌┬┐", "├┼┤", "└┴┘")
    more: str = "…"


ASCII = Borders("-", "|", ("+++", "+++", "+++"), "~")


def write_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema, out: TextIO, limits: TableLimits) -> int:
    """Write a framed table, or a plan as it is, and return the number of rows of the whole result."""
    if schema.names == PLAN:
        return _write_plan(batches, out)
    kept, total = _first_rows(batches, schema, limits.rows)
    borders = Borders() if (getattr(out, "encoding", None) or "utf-8").lower().startswith("utf") else ASCII
    cells = [
        ["NULL" if text is None else _printable(text) for text in column_texts(column, rounded=True)]
        for column in kept.columns
    ]
    names = [_printable(name) for name in schema.names]
    right = [is_numeric(field.type) for field in schema]
    widths = _widths(names, cells, limits)
    shown = _columns_that_fit(widths, limits)
    left_out = len(names) - len(shown)

    def line(texts: Sequence[str]) -> str:
        padded = (_padded(texts[i], widths[i], right=right[i], more=borders.more) for i in shown)
        return f"{borders.down} {f' {borders.down} '.join(padded)} {borders.down}"

    def rule(corners: str) -> str:
        return corners[0] + corners[1].join(borders.across * (widths[i] + 2) for i in shown) + corners[2]

    print(rule(borders.lines[0]), line(names), rule(borders.lines[1]), sep="\n", file=out)
    for row in zip(*cells, strict=True):
        print(line(row), file=out)
    print(rule(borders.lines[2]), file=out)
    for note in _left_out(total - kept.num_rows, total, left_out, len(names)):
        print(note, file=out)
    return total


def _write_plan(batches: Iterable[pa.RecordBatch], out: TextIO) -> int:
    total = 0
    for batch in batches:
        for text in column_texts(batch.column(1)):
            lines = (text or "").splitlines()
            print(*(_printable(line) for line in lines), sep="\n", file=out)
        total += batch.num_rows
    return total


def write_csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema, out: TextIO) -> int:
    """Write CSV as Postgres does: NULL is nothing at all, the empty string is ``""``."""
    out.write(",".join(_csv_field(name) for name in schema.names) + "\n")
    total = 0
    for batch in batches:
        columns = [column_texts(column) for column in batch.columns]
        out.writelines(",".join(map(_csv_field, row)) + "\n" for row in zip(*columns, strict=True))
        total += batch.num_rows
    return total


def write_json(batches: Iterable[pa.RecordBatch], schema: pa.Schema, out: TextIO) -> int:
    """Write an array of objects, one a line."""
    names = [json.dumps(name, ensure_ascii=False) for name in schema.names]
    total = 0
    out.write("[")
    for batch in batches:
        columns = [column_json(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            fields = (
                f"{name}:{json.dumps(value, ensure_ascii=False, default=str)}"
                for name, value in zip(names, row, strict=True)
            )
            out.write((",\n" if total else "") + "{" + ",".join(fields) + "}")
            total += 1
    out.write("]\n")
    return total


def write_parquet(batches: Iterable[pa.RecordBatch], schema: pa.Schema, out: BinaryIO) -> int:
    """Write one Parquet file, a row group at least every 122,880 rows, as DuckDB's own are."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - 40 ms that only this format needs

    total = 0
    with pq.ParquetWriter(out, schema) as writer:
        for table in _groups(batches, schema, 122_880):
            writer.write_table(table)
            total += table.num_rows
    return total


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if count >= rows:
            yield pa.Table.from_batches(waiting, schema)
            waiting, count = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def _first_rows(batches: Iterable[pa.RecordBatch], schema: pa.Schema, limit: int | None) -> tuple[pa.Table, int]:
    kept: list[pa.RecordBatch] = []
    total = 0
    for batch in batches:
        room = batch.num_rows if limit is None else limit - total
        if room > 0:
            kept.append(batch.slice(0, room))
        total += batch.num_rows
    return pa.Table.from_batches(kept, schema), total


def _widths(names: list[str], cells: list[list[str]], limits: TableLimits) -> list[int]:
    """The width of each column: its widest cell, at most ``WIDEST_CELL``, less where the whole does not fit."""
    widths = [max(map(get_cwidth, (name, *column))) for name, column in zip(names, cells, strict=True)]
    if limits.width is None:
        return widths
    widths = [min(width, WIDEST_CELL) for width in widths]
    while sum(widths) + 3 * len(widths) + 1 > limits.width and max(widths, default=0) > NARROWEST_CELL:
        widest = widths.index(max(widths))
        widths[widest] -= 1
    return widths


def _columns_that_fit(widths: list[int], limits: TableLimits) -> list[int]:
    """The columns shown: all, or the first ones and the last, which holds what was asked for."""
    shown = list(range(len(widths)))
    if limits.width is None:
        return shown
    while len(shown) > 2 and sum(widths[i] + 3 for i in shown) + 1 > limits.width:
        del shown[-2]
    return shown


def _left_out(rows: int, total: int, columns: int, all_columns: int) -> Iterator[str]:
    if rows > 0:
        yield f"({total - rows:,} of {total:,} rows shown)"
    if columns > 0:
        yield f"({all_columns - columns} of {all_columns} columns shown)"


def _printable(text: str) -> str:
    """Without control characters: a value may not move the cursor or end the line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _padded(text: str, width: int, *, right: bool, more: str) -> str:
    space = width - get_cwidth(text)
    if space < 0:
        while get_cwidth(text) > width - 1:
            text = text[:-1]
        text += more
        space = width - get_cwidth(text)
    return " " * space + text if right else text + " " * space


def _csv_field(text: str | None) -> str:
    if text is None:
        return ""
    if text == "" or any(char in text for char in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
