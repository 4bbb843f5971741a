"""COPY TO STDOUT and COPY FROM STDIN: the statement read, rows of the three formats out and in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlml.errors import CancelledError, DataError, EngineError, NotSupportedYetError, SqlSyntaxError
from sqlml.language.reader import Reader
from sqlml.language.tokens import match_brackets, string_value, tokenize
from sqlml.server import messages as m
from sqlml.server.copy_binary import HEADER, TRAILER, BinaryReader
from sqlml.server.copy_text import CsvReader, TextReader, csv_lines, header_line, text_lines
from sqlml.server.executor import IDLE, Outcome
from sqlml.server.limits import check_memory
from sqlml.server.state import State
from sqlml.server.statements import Piece
from sqlml.server.values import encode_batch, encoder_of
from udfs.wire.rows import encode_lines

if TYPE_CHECKING:
    from sqlml.server.client import Client, Stream

BLOCK = 8 << 20  # bytes of rows that are gathered before they are inserted


@dataclass(frozen=True)
class Options:
    """How the rows look."""

    format: str = "text"
    header: bool = False
    delimiter: str = ""
    null: str | None = None
    quote: str = '"'

    @property
    def separator(self) -> str:
        return self.delimiter or ("," if self.format == "csv" else "\t")

    @property
    def null_text(self) -> str:
        return self.null if self.null is not None else ("" if self.format == "csv" else "\\N")


@dataclass(frozen=True)
class Copy:
    """A COPY statement: what is read or written, and how."""

    source: str  # a table with its columns, or a query in brackets
    columns: str
    to_client: bool
    options: Options


def run_copy(client: Client, piece: Piece) -> Outcome | None:
    """COPY that the client takes part in; one with a file is the engine's."""
    statement = parse_copy(piece.text)
    if statement is None:
        return None
    client.sessions.allow(client, piece)
    if statement.to_client:
        return Outcome("COPY", copy=CopyOut(statement))
    return Outcome("COPY", copy=CopyIn(statement))


def parse_copy(text: str) -> Copy | None:
    """The statement, if it is one with STDIN or STDOUT."""
    tokens = tokenize(text)
    words = [token.upper for token in tokens]
    if "STDIN" not in words and "STDOUT" not in words:
        return None
    pairs = match_brackets(tokens)
    if isinstance(pairs, int):
        raise SqlSyntaxError("brackets do not match", position=tokens[pairs].start, text=text)
    reader = Reader(text, tokens, 1, len(tokens), "duckdb")
    source_start = reader.peek().start
    columns = ""
    if reader.sees("("):
        reader.index = pairs[reader.index] + 1
        source = text[source_start : tokens[reader.index - 1].end]
    else:
        while not reader.at_end() and reader.peek().upper not in ("(", "FROM", "TO"):
            reader.take()
        source = text[source_start : tokens[reader.index - 1].end]
        if reader.sees("("):
            end = pairs[reader.index]
            columns = text[tokens[reader.index].end : tokens[end].start]
            reader.index = end + 1
    to_client = reader.accept("TO", "STDOUT")
    if not to_client and not reader.accept("FROM", "STDIN"):
        raise reader.error("FROM STDIN or TO STDOUT")
    return Copy(source, columns, to_client, _options(reader))


def _options(reader: Reader) -> Options:
    """``WITH (FORMAT csv, HEADER, ...)``, or the older ``WITH CSV HEADER DELIMITER ','``."""
    found: dict[str, Any] = {}
    reader.accept("WITH")
    bracketed = reader.accept("(")
    while not reader.at_end() and not (bracketed and reader.accept(")")):
        word = reader.take()
        reader.accept("AS")
        match word.upper:
            case "FORMAT":
                found["format"] = reader.take().text.strip("'\"").lower()
            case "CSV" | "BINARY":
                found["format"] = word.upper.lower()
            case "HEADER":
                found["header"] = not any(reader.accept(no) for no in ("FALSE", "OFF"))
                any(reader.accept(yes) for yes in ("TRUE", "ON", "MATCH"))
            case "DELIMITER" | "NULL" | "QUOTE":
                found[word.upper.lower()] = string_value(reader.take())
            case "ENCODING" | "ESCAPE" | "FREEZE":
                reader.take()
            case ",":
                continue
            case _:
                raise SqlSyntaxError(f'option "{word.text}" not recognized', position=word.start, text=reader.text)
    options = Options(**found)
    if options.format not in ("text", "csv", "binary"):
        raise NotSupportedYetError(f'COPY format "{options.format}" not recognized')
    return options


class CopyOut:
    """COPY TO STDOUT."""

    def __init__(self, statement: Copy) -> None:
        self.statement = statement

    def run(self, client: Client) -> str:
        """Send the rows; gives the tag."""
        source, columns = self.statement.source, self.statement.columns or "*"
        query = source[1:-1] if source.startswith("(") else f"SELECT {columns} FROM {source}"
        outcome = client.executor.run(Piece(query, 0, ("SELECT",)))
        rows = outcome.rows
        if rows is None:
            raise NotSupportedYetError("COPY needs a query that gives rows")
        options = self.statement.options
        binary = options.format == "binary"
        stream = client.stream
        stream.write(m.make_copy_response(to_client=True, binary=binary, columns=len(rows.columns)))
        encoders = [encoder_of(k, s, binary=binary) for k, (_, s) in zip(rows.kinds, rows.columns, strict=True)]
        if options.header and not binary:
            stream.write(m.make_copy_data(header_line([name for name, _ in rows.columns], options)))
        for batch in rows.batches():
            client.sessions.check(client, rows.sent)
            if binary:
                _write_tuples(stream, encode_batch(batch, encoders, b"d").data, first=rows.sent == batch.num_rows)
            else:
                lines = (csv_lines if options.format == "csv" else text_lines)(batch, encoders, options)
                stream.write(encode_lines(lines.offsets, lines.data).data)
        if binary:
            stream.write(m.make_copy_data(TRAILER if rows.sent else HEADER + TRAILER))
        stream.write(m.COPY_DONE)
        return f"COPY {rows.sent}"


def _write_tuples(stream: Stream, data: Any, *, first: bool) -> None:
    """Messages of tuples; the header of the format is in the first one, where clients look for it."""
    if first:
        length = 1 + int.from_bytes(data[1:5], "big")
        stream.write(m.make_copy_data(HEADER + bytes(data[5:length])))
        data = data[length:]
    if len(data):
        stream.write(data)


@dataclass
class CopyIn:
    """COPY FROM STDIN, all or nothing."""

    statement: Copy
    rows: int = field(default=0)

    def run(self, client: Client) -> str:
        """Take the rows; gives the tag."""
        executor = client.executor
        target = f"SELECT {self.statement.columns or '*'} FROM {self.statement.source} LIMIT 0"
        with executor.translating(target):
            executor.set_aside()
            columns = [(c.name, c.sql_type) for c in executor.engine.columns(target)]
        before = client.state
        binary = self.statement.options.format == "binary"
        client.stream.write(m.make_copy_response(to_client=False, binary=binary, columns=len(columns)))
        client.stream.flush()
        own = executor.status == IDLE
        if own:
            executor.begin()
        try:
            client.state = State.COPYING
            reader = self._reader(columns)
            block = min(BLOCK, client.limits.memory // 4 or BLOCK)
            for data in _incoming(client):
                check_memory(client, reader.size + len(data))
                reader.feed(data)
                if reader.size >= block:
                    self._insert(client, reader.take(last=False), columns)
            self._insert(client, reader.take(last=True), columns)
            client.state = before
        except BaseException:
            client.state = before
            if own:
                executor.rollback()
            raise
        if own:
            executor.commit()
        return f"COPY {self.rows}"

    def _reader(self, columns: list[tuple[str, str]]) -> Any:
        options = self.statement.options
        if options.format == "binary":
            return BinaryReader(columns)
        return (CsvReader if options.format == "csv" else TextReader)(columns, options)

    def _insert(self, client: Client, table: Any, columns: list[tuple[str, str]]) -> None:
        if table is None or not table.num_rows:
            return
        engine = client.executor.engine
        listed = ", ".join(engine.quote(name) for name, _ in columns)
        values = ", ".join(f"CAST({engine.quote(f'c{i}')} AS {sql_type})" for i, (_, sql_type) in enumerate(columns))
        failure: Exception | None = None
        try:
            with engine.lending(table) as name:
                statement = f"INSERT INTO {self.statement.source} ({listed}) SELECT {values} FROM {engine.quote(name)}"
                try:
                    engine.run(statement)
                except EngineError as error:
                    failure = error
                    raise
        except Exception as error:
            # After a failure the transaction is over for the engine, which then cannot even forget the name.
            raise client.executor.translated(failure or error, "") from error
        self.rows += table.num_rows


def _incoming(client: Client) -> Iterator[bytes]:
    """The data of COPY up to its end."""
    while True:
        message = client.next_message()
        if isinstance(message, m.CopyData):
            yield message.data
        elif isinstance(message, m.CopyDone):
            return
        elif isinstance(message, m.CopyFail):
            error = CancelledError(f"COPY from stdin failed: {message.reason}")
            raise error
        elif isinstance(message, m.Sync | m.Flush):
            continue
        else:
            raise client.left()


def wrong_columns(expected: int, got: int, line: int) -> DataError:
    """A row with too few or too many values."""
    what = "missing data" if got < expected else "extra data after last expected column"
    error = DataError(f"{what}: row {line} has {got} values, the table {expected} columns")
    error.sqlstate = "22P04"
    return error
