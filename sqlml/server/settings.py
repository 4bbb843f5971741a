"""SET, RESET and SHOW: settings of Postgres that clients send, beside those of the engine."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pyarrow as pa

from sqlml.errors import EngineError, OptionValueError, SqlSyntaxError
from sqlml.language.reader import Reader
from sqlml.language.tokens import string_value, tokenize
from sqlml.server.executor import Outcome
from sqlml.server.limits import check_memory
from sqlml.server.rows import Rows

if TYPE_CHECKING:
    from sqlml.server.client import Client
    from sqlml.server.statements import Piece

SERVER_VERSION = "15.0"
# Names as Postgres spells them, and what a new session has. They are kept and told; those in ENGINE do something.
DEFAULTS: dict[str, str] = {
    "application_name": "",
    "backslash_quote": "safe_encoding",
    "bytea_output": "hex",
    "check_function_bodies": "on",
    "client_encoding": "UTF8",
    "client_min_messages": "notice",
    "DateStyle": "ISO, MDY",
    "default_tablespace": "",
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "off",
    "enable_seqscan": "on",
    "escape_string_warning": "on",
    "extra_float_digits": "1",
    "geqo": "on",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "in_hot_standby": "off",
    "integer_datetimes": "on",
    "IntervalStyle": "postgres",
    "is_superuser": "off",
    "jit": "off",
    "lc_collate": "C",
    "lc_ctype": "C",
    "lc_messages": "C",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "lock_timeout": "0",
    "max_identifier_length": "63",
    "max_index_keys": "32",
    "password_encryption": "scram-sha-256",
    "row_security": "on",
    "server_encoding": "UTF8",
    "server_version": SERVER_VERSION,
    "server_version_num": "150000",
    "session_authorization": "",
    "session_replication_role": "origin",
    "ssl_renegotiation_limit": "0",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "synchronous_commit": "on",
    "synchronize_seqscans": "on",
    "transaction_deferrable": "off",
    "transaction_isolation": "repeatable read",
    "transaction_read_only": "off",
    "xmloption": "content",
}
READ_ONLY = frozenset(
    {"in_hot_standby", "integer_datetimes", "is_superuser", "lc_collate", "lc_ctype", "max_identifier_length",
     "max_index_keys", "server_encoding", "server_version", "server_version_num"}
)  # fmt: skip
REPORTED = (
    "application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "in_hot_standby", "integer_datetimes",
    "IntervalStyle", "is_superuser", "server_encoding", "server_version", "session_authorization",
    "standard_conforming_strings", "TimeZone",
)  # fmt: skip
_BY_KEY = {name.lower(): name for name in DEFAULTS}
ENGINE = {"timezone": "TimeZone", "search_path": "search_path"}
_ENCODINGS = frozenset({"utf8", "utf-8", "unicode", "sql_ascii"})


def value_of(client: Client, key: str) -> str | None:
    """A setting's value; None for one that is not Postgres'."""
    key = key.lower()
    if key in ENGINE:
        return engine_value(client, key)
    name = _BY_KEY.get(key)
    if name is None:
        return client.settings.get(key)
    return client.settings.get(key, DEFAULTS[name])


def engine_value(client: Client, key: str) -> str:
    """TimeZone and search_path are the engine's."""
    if key == "search_path":
        return client.settings.get("search_path", '"$user", public')
    return client.executor.engine.time_zone()


def change(client: Client, key: str, value: str) -> None:
    """Set one setting and tell the client where it wants to know."""
    key = key.lower()
    if key in READ_ONLY:
        error = EngineError(f'parameter "{_BY_KEY[key]}" cannot be changed')
        error.sqlstate = "55P02"
        raise error
    if key == "client_encoding" and value.strip("'\"").lower() not in _ENCODINGS:
        raise OptionValueError(
            f'invalid value for parameter "client_encoding": "{value}"', hint="The server speaks UTF8."
        )
    if key == "client_encoding":
        value = "UTF8"
    check_memory(client, len(key) + len(value))
    if key in ENGINE:
        _change_engine(client, key, value)
    client.settings[key] = value
    name = _BY_KEY.get(key) or ENGINE.get(key, key)
    if name in REPORTED:
        client.report(name, engine_value(client, key) if key == "timezone" else value)


def _change_engine(client: Client, key: str, value: str) -> None:
    if key == "timezone":
        zone = {"utc": "UTC", "default": "UTC", "local": "UTC"}.get(value.lower(), value)
        client.run_quietly(f"SET TimeZone = {_literal(zone)}")
        return
    # Postgres' public is DuckDB's main.
    named = [part.strip().strip('"') for part in value.split(",") if part.strip()]
    schemas = ["main" if name == "public" else name for name in named if name not in ("$user", "pg_catalog")]
    path = ",".join(client.executor.engine.quote(schema) for schema in schemas or ["main"])
    client.run_quietly(f"SET search_path = {_literal(path)}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def reader_of(piece: Piece) -> Reader:
    """A reader behind the statement's first word."""
    tokens = tokenize(piece.text)
    return Reader(piece.text, tokens, 1, len(tokens), "duckdb")


def run_set(client: Client, piece: Piece) -> Outcome | None:
    """SET [SESSION | LOCAL] name { = | TO } value; what is not Postgres' goes to the engine."""
    reader = reader_of(piece)
    if reader.sees("TRANSACTION") or reader.sees("SESSION", "CHARACTERISTICS"):
        return _set_transaction(client, reader)
    if reader.sees("SESSION", "AUTHORIZATION") or reader.sees("ROLE"):
        return _set_role(client, reader)
    local = reader.sees("LOCAL")
    if not reader.accept("SESSION"):
        reader.accept("LOCAL")
    if reader.accept("TIME", "ZONE"):
        key = "timezone"
    elif reader.accept("NAMES"):
        key = "client_encoding"
    else:
        key = _setting_name(reader)
        if not (reader.accept("=") or reader.accept("TO")):
            return None
    if key not in _BY_KEY and key not in ENGINE and "." not in key:
        return None
    value = _setting_value(reader)
    before = value_of(client, key) or ""
    change(client, key, value if value is not None else _default(client, key))
    if local and client.executor.status != b"I":
        client.executor.at_end.append(lambda: change(client, key, before))
    return Outcome("SET")


def _default(client: Client, key: str) -> str:
    if key == "timezone":
        return client.started_with.get("timezone", "UTC")
    if key == "search_path":
        return '"$user", public'
    return client.started_with.get(key, DEFAULTS.get(_BY_KEY.get(key, ""), ""))


def _setting_name(reader: Reader) -> str:
    parts = []
    while not reader.at_end() and reader.peek().kind in ("word", "quoted"):
        parts.append(reader.take().text.strip('"'))
        if not reader.accept("."):
            break
    return ".".join(parts).lower()


def _setting_value(reader: Reader) -> str | None:
    """Words, strings and numbers up to the end, a list joined by commas; None for DEFAULT."""
    if reader.sees("DEFAULT"):
        return None
    parts: list[str] = []
    while not reader.at_end():
        token = reader.take()
        if token.upper == ",":
            parts.append(", ")
        elif token.kind == "string":
            parts.append(string_value(token))
        else:
            parts.append(token.text)
    if not parts:
        raise SqlSyntaxError("expected a value", position=len(reader.text), text=reader.text)
    return "".join(parts)


def _set_transaction(client: Client, reader: Reader) -> Outcome:
    words = [token.upper for token in reader.tokens]
    pairs = set(itertools.pairwise(words))
    if "SESSION" in words:
        if ("READ", "ONLY") in pairs or ("READ", "WRITE") in pairs:
            change(client, "default_transaction_read_only", "on" if ("READ", "ONLY") in pairs else "off")
        return Outcome("SET")
    if ("READ", "ONLY") in pairs and client.executor.status == b"T":
        client.executor.rollback()
        client.executor.begin(read_only=True)
    return Outcome("SET")


def _set_role(client: Client, reader: Reader) -> Outcome:
    wanted = reader.tokens[-1].text.strip("\"'")
    if wanted.upper() not in ("DEFAULT", "NONE") and wanted.lower() != client.user.lower():
        error = EngineError(f'permission denied to set role "{wanted}"')
        error.sqlstate = "42501"
        raise error
    return Outcome("SET")


def run_reset(client: Client, piece: Piece) -> Outcome | None:
    """RESET name | ALL."""
    reader = reader_of(piece)
    if reader.sees("ALL"):
        for key in list(client.settings):
            if key not in READ_ONLY:
                change(client, key, _default(client, key))
        return Outcome("RESET")
    key = "timezone" if reader.accept("TIME", "ZONE") else _setting_name(reader)
    if key in ("role", "session") or reader.sees("AUTHORIZATION"):
        return Outcome("RESET")
    if key not in _BY_KEY and key not in ENGINE and key not in client.settings:
        return None
    change(client, key, _default(client, key))
    return Outcome("RESET")


def run_show(client: Client, piece: Piece) -> Outcome | None:
    """SHOW name; whatever is no setting of Postgres' is the engine's."""
    reader = reader_of(piece)
    if reader.accept("TRANSACTION", "ISOLATION", "LEVEL"):
        key = "transaction_isolation"
    elif reader.accept("TIME", "ZONE"):
        key = "timezone"
    elif reader.sees("SESSION", "AUTHORIZATION"):
        return one_row("session_authorization", client.user)
    else:
        key = _setting_name(reader)
        if not reader.at_end():
            return None
    value = value_of(client, key)
    if value is None:
        return None
    return one_row(_BY_KEY.get(key) or ENGINE.get(key, key), value)


def one_row(name: str, value: str, tag: str = "SHOW") -> Outcome:
    """One text."""
    table = pa.table({name: pa.array([value], type=pa.string())})
    return Outcome(tag, Rows(table.to_reader(), [(name, "VARCHAR")], lambda error: error))
