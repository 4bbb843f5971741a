"""Bytes of the Postgres protocol, version 3, to records of what a client says, and what a server says to bytes; no I/O.

Names are those of the protocol's manual. ``parse_`` reads what came, ``make_`` writes what goes out. Whatever does not fit
the format raises ProtocolError, whose connection cannot go on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlml.errors import ProtocolError

PROTOCOL_3 = 196608
CANCEL_REQUEST, SSL_REQUEST, GSSENC_REQUEST = 80877102, 80877103, 80877104
LONGEST_STARTUP = 10_000
LONGEST_PASSWORD = 65_535
LONGEST_MESSAGE = 1 << 30

_INT16, _INT32 = struct.Struct("!h"), struct.Struct("!i")


@dataclass(frozen=True)
class Startup:
    minor: int
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class EncryptionRequest:
    tls: bool


@dataclass(frozen=True)
class CancelRequest:
    process: int
    secret: bytes


@dataclass(frozen=True)
class Query:
    text: str


@dataclass(frozen=True)
class Parse:
    name: str
    text: str
    parameter_types: tuple[int, ...]


@dataclass(frozen=True)
class Bind:
    portal: str
    statement: str
    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    result_formats: tuple[int, ...]


@dataclass(frozen=True)
class Describe:
    is_portal: bool
    name: str


@dataclass(frozen=True)
class Close:
    is_portal: bool
    name: str


@dataclass(frozen=True)
class Execute:
    portal: str
    limit: int


@dataclass(frozen=True)
class Sync:
    pass


@dataclass(frozen=True)
class Flush:
    pass


@dataclass(frozen=True)
class Terminate:
    pass


@dataclass(frozen=True)
class CopyData:
    data: bytes


@dataclass(frozen=True)
class CopyDone:
    pass


@dataclass(frozen=True)
class CopyFail:
    reason: str


@dataclass(frozen=True)
class FunctionCall:
    data: bytes


@dataclass(frozen=True)
class Password:
    """PasswordMessage, SASLInitialResponse or SASLResponse: which one, only the state of the login tells."""

    data: bytes


Request = (
    Query
    | Parse
    | Bind
    | Describe
    | Close
    | Execute
    | Sync
    | Flush
    | Terminate
    | CopyData
    | CopyDone
    | CopyFail
    | FunctionCall
    | Password
)


class Fields:
    """A message's body, read from front to back."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise ProtocolError("a message ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def int16(self) -> int:
        return int(_INT16.unpack(self.take(2))[0])

    def int32(self) -> int:
        return int(_INT32.unpack(self.take(4))[0])

    def count(self) -> int:
        """A number of things that follow, which the manual lets go up to 65535."""
        return self.int16() & 0xFFFF

    def string(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise ProtocolError("a string in a message has no end")
        text = self.data[self.at : end]
        self.at = end + 1
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError('invalid byte sequence for encoding "UTF8"', sqlstate="22021") from error

    def finish(self) -> None:
        if self.at != len(self.data):
            raise ProtocolError("a message is longer than it should be")


def parse_startup(data: bytes) -> Startup | EncryptionRequest | CancelRequest:
    """The first packet of a connection, without its length."""
    fields = Fields(data)
    code = fields.int32()
    if code == CANCEL_REQUEST:
        return CancelRequest(fields.int32(), fields.take(len(data) - fields.at))
    if code in (SSL_REQUEST, GSSENC_REQUEST):
        fields.finish()
        return EncryptionRequest(tls=code == SSL_REQUEST)
    if code >> 16 != 3:
        raise ProtocolError(
            f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0", sqlstate="0A000"
        )
    parameters: dict[str, str] = {}
    while name := fields.string():
        parameters[name] = fields.string()
    return Startup(code & 0xFFFF, parameters)


def parse_message(tag: bytes, body: bytes) -> Request:
    """A message of a connection that has started."""
    reader = _READERS.get(tag)
    if reader is None:
        raise ProtocolError(f"invalid frontend message type {tag[0]}")
    fields = Fields(body)
    message = reader(fields)
    fields.finish()
    return message


def _parse_parse(fields: Fields) -> Parse:
    name, text = fields.string(), fields.string()
    return Parse(name, text, tuple(fields.int32() & 0xFFFFFFFF for _ in range(fields.count())))


def _parse_bind(fields: Fields) -> Bind:
    portal, statement = fields.string(), fields.string()
    formats = tuple(fields.int16() for _ in range(fields.count()))
    values: list[bytes | None] = []
    for _ in range(fields.count()):
        length = fields.int32()
        values.append(None if length == -1 else fields.take(length))
    results = tuple(fields.int16() for _ in range(fields.count()))
    return Bind(portal, statement, formats, tuple(values), results)


def _parse_target(fields: Fields) -> tuple[bool, str]:
    kind = fields.take(1)
    if kind not in (b"P", b"S"):
        raise ProtocolError(f"invalid subtype {kind[0]} of a message")
    return kind == b"P", fields.string()


def _rest(fields: Fields) -> bytes:
    return fields.take(len(fields.data) - fields.at)


_READERS: dict[bytes, Callable[[Fields], Request]] = {
    b"Q": lambda fields: Query(fields.string()),
    b"P": _parse_parse,
    b"B": _parse_bind,
    b"D": lambda fields: Describe(*_parse_target(fields)),
    b"C": lambda fields: Close(*_parse_target(fields)),
    b"E": lambda fields: Execute(fields.string(), fields.int32()),
    b"S": lambda _: Sync(),
    b"H": lambda _: Flush(),
    b"X": lambda _: Terminate(),
    b"d": lambda fields: CopyData(_rest(fields)),
    b"c": lambda _: CopyDone(),
    b"f": lambda fields: CopyFail(fields.string()),
    b"F": lambda fields: FunctionCall(_rest(fields)),
    b"p": lambda fields: Password(_rest(fields)),
}


def make(tag: bytes, body: bytes = b"") -> bytes:
    """A message with its tag and length."""
    return tag + _INT32.pack(len(body) + 4) + body


PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE = make(b"1"), make(b"2"), make(b"3")
NO_DATA, EMPTY_QUERY, PORTAL_SUSPENDED, COPY_DONE = make(b"n"), make(b"I"), make(b"s"), make(b"c")
AUTHENTICATION_OK = make(b"R", _INT32.pack(0))
READY = {status: make(b"Z", status) for status in (b"I", b"T", b"E")}


def make_parse(name: str, text: str, parameter_types: Sequence[int]) -> bytes:
    """Parse, as a client sends it."""
    types = struct.pack(f"!H{len(parameter_types)}I", len(parameter_types), *parameter_types)
    return make(b"P", name.encode() + b"\0" + text.encode() + b"\0" + types)


def _text(value: str) -> bytes:
    return value.encode("utf-8", "replace").replace(b"\0", b"") + b"\0"


def make_sasl(mechanisms: Sequence[str]) -> bytes:
    """AuthenticationSASL."""
    return make(b"R", _INT32.pack(10) + b"".join(map(_text, mechanisms)) + b"\0")


def make_sasl_continue(data: bytes) -> bytes:
    """AuthenticationSASLContinue."""
    return make(b"R", _INT32.pack(11) + data)


def make_sasl_final(data: bytes) -> bytes:
    """AuthenticationSASLFinal."""
    return make(b"R", _INT32.pack(12) + data)


def make_parameter_status(name: str, value: str) -> bytes:
    """ParameterStatus."""
    return make(b"S", _text(name) + _text(value))


def make_backend_key(process: int, secret: bytes) -> bytes:
    """BackendKeyData: what a CancelRequest has to bring."""
    return make(b"K", _INT32.pack(process) + secret)


def make_negotiation(options: Sequence[str]) -> bytes:
    """NegotiateProtocolVersion: 3.0 it is, and these options of the protocol are not known."""
    return make(b"v", struct.pack("!ii", PROTOCOL_3, len(options)) + b"".join(map(_text, options)))


def make_command_complete(tag: str) -> bytes:
    """CommandComplete."""
    return make(b"C", _text(tag))


@dataclass(frozen=True)
class ColumnField:
    """A column as RowDescription tells it."""

    name: str
    oid: int
    size: int
    modifier: int = -1
    format: int = 0


def make_row_description(columns: Sequence[ColumnField]) -> bytes:
    """RowDescription."""
    body = _INT16.pack(len(columns))
    for column in columns:
        body += _text(column.name) + struct.pack(
            "!ihihih", 0, 0, *_signed(column.oid), column.size, column.modifier, column.format
        )
    return make(b"T", body)


def _signed(oid: int) -> tuple[int]:
    return (oid - (1 << 32) if oid >= 1 << 31 else oid,)


def make_parameter_description(types: Sequence[int]) -> bytes:
    """ParameterDescription."""
    return make(b"t", struct.pack(f"!H{len(types)}I", len(types), *types))


def make_data_row(values: Sequence[bytes | None]) -> bytes:
    """DataRow of values that are encoded already."""
    body = _INT16.pack(len(values))
    for value in values:
        body += _INT32.pack(-1) if value is None else _INT32.pack(len(value)) + value
    return make(b"D", body)


def make_copy_response(*, to_client: bool, binary: bool, columns: int) -> bytes:
    """CopyOutResponse or CopyInResponse."""
    kind = int(binary)
    return make(b"H" if to_client else b"G", struct.pack(f"!bH{columns}h", kind, columns, *[kind] * columns))


def make_copy_data(data: bytes) -> bytes:
    """CopyData."""
    return make(b"d", data)


def make_notification(process: int, channel: str, payload: str) -> bytes:
    """NotificationResponse."""
    return make(b"A", _INT32.pack(process) + _text(channel) + _text(payload))


def make_error(fields: Mapping[str, str]) -> bytes:
    """ErrorResponse; keys are the one-letter codes of the manual."""
    return make(b"E", b"".join(code.encode() + _text(text) for code, text in fields.items()) + b"\0")


def make_notice(fields: Mapping[str, str]) -> bytes:
    """NoticeResponse; keys are the one-letter codes of the manual."""
    return make(b"N", b"".join(code.encode() + _text(text) for code, text in fields.items()) + b"\0")
