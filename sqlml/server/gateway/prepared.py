"""The extended protocol: statements of ours among those of the server, under the names that the client gave them.

A statement that becomes SQL is prepared in the server, which answers everything about it; when it is bound again later, what its
models are by then is looked up, and it is prepared anew if that changed. What only runs here is described, bound and run here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlml.errors import EngineError, ProtocolError
from sqlml.language.tokens import first_word
from sqlml.server import messages as m
from sqlml.server.client import DisconnectedError
from sqlml.server.executor import SHOWS
from sqlml.server.gateway.floor import Floor
from sqlml.server.gateway.ledger import Asked
from sqlml.server.rows import column_fields

if TYPE_CHECKING:
    from sqlml.server.rows import Rows
    from sqlml.server.types import WireType
    from sqlml.statements.engine import Generated

Method = Callable[[bytes, Any], None]
KEPT = 10_000  # statements and portals that are remembered; a client that has more of them forgets to close them


@dataclass
class Prepared:
    """A statement of ours; ``generated`` is None where it runs here."""

    parse: m.Parse
    generated: Generated | None
    batch: int  # in which it was generated
    columns: list[tuple[str, WireType]] | None = None


@dataclass
class Portal:
    """A statement with its values; ``rows`` once it has begun to run here."""

    prepared: Prepared
    formats: tuple[int, ...] = ()
    rows: Rows | None = None
    tag: str = ""


class Extended:
    """Handles Parse, Bind, Describe, Execute, Close and Sync."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.relay = floor.relay
        self.prepared: dict[str, Prepared] = {}
        self.portals: dict[str, Portal] = {}
        self._texts: dict[str, str] = {}  # of statements and portals, for the log

    def handlers(self) -> dict[int, Callable[[bytes], None]]:
        """By the tag of the message."""
        methods: dict[bytes, Method] = {
            b"P": self._parse,
            b"B": self._bind,
            b"D": self._describe,
            b"E": self._execute,
            b"C": self._close,
        }
        return {tag[0]: partial(self._handle, method) for tag, method in methods.items()} | {ord("S"): self._sync}

    def _handle(self, method: Method, part: bytes) -> None:
        try:
            message = m.parse_message(part[:1], part[5:])
        except ProtocolError:
            self.relay.forward(part)  # for the server to complain of
            return
        try:
            method(part, message)
        except (DisconnectedError, ProtocolError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - told to the client, and to the log what is not ours
            self.floor.fail(error)

    # -- statements ---------------------------------------------------------------------------------------------------------

    def _parse(self, part: bytes, message: m.Parse) -> None:
        self.prepared.pop(message.name, None)
        self._note(message.name, message.text)
        if not self.floor.read(message.text) or not self.floor.enter():
            self.floor.prepare(part, None)
            return
        generated = self.floor.generate(message.text)
        prepared = Prepared(message, generated, self.floor.batch)
        if generated is None:
            self.relay.say(m.PARSE_COMPLETE)
        else:
            self._prepare(prepared, generated, silent=False)
        _keep(self.prepared, message.name, prepared)

    def _prepare(self, prepared: Prepared, generated: Generated, *, silent: bool) -> None:
        message = m.make_parse(prepared.parse.name, generated.sql, prepared.parse.parameter_types)
        tell = self.floor.asked(b"P", generated, "").tell
        self.floor.prepare(message, tell, silent=silent)

    def _renew(self, name: str, prepared: Prepared) -> None:
        """Generate a statement's SQL anew if it may have changed since, and prepare it again if it has."""
        if prepared.batch != self.floor.batch and self.floor.enter():
            generated = self.floor.generate(prepared.parse.text)
            if generated is not None and prepared.generated is not None:
                if generated.sql != prepared.generated.sql:
                    self.floor.close_silently(name)
                    self._prepare(prepared, generated, silent=True)
                prepared.generated = generated
            prepared.batch = self.floor.batch
        if name == "":
            self.floor.restore_unnamed()

    # -- portals ------------------------------------------------------------------------------------------------------------

    def _bind(self, part: bytes, message: m.Bind) -> None:
        self.portals.pop(message.portal, None)
        prepared = self.prepared.get(message.statement)
        if prepared is None:
            if message.statement == "":
                self.floor.restore_unnamed()
            self._pass_on(b"B", part)
        elif prepared.generated is not None:
            self._renew(message.statement, prepared)
            self._pass_on(b"B", part, prepared.generated)
        elif self.floor.enter():
            if message.values:
                raise _too_many(message)
            self.relay.say(m.BIND_COMPLETE)
        else:
            self.relay.forward(part)
        self._note(message.portal, self._texts.get("S" + message.statement, ""), "P")
        if prepared is not None:
            _keep(self.portals, message.portal, Portal(prepared, message.result_formats))

    def _pass_on(self, tag: bytes, part: bytes, generated: Generated | None = None, text: str = "") -> None:
        self.floor.dirty = True
        self.relay.forward(part, Asked(tag, text) if generated is None else self.floor.asked(tag, generated, text))

    def _describe(self, part: bytes, message: m.Describe) -> None:
        portal = self.portals.get(message.name) if message.is_portal else None
        prepared = portal.prepared if portal is not None else None
        if not message.is_portal:
            prepared = self.prepared.get(message.name)
        if prepared is None or prepared.generated is not None:
            if prepared is not None and not message.is_portal:
                self._renew(message.name, prepared)
            elif not message.is_portal and message.name == "":
                self.floor.restore_unnamed()
            tell = None if prepared is None or prepared.generated is None else prepared.generated
            self.relay.forward(part, Asked(b"D") if tell is None else self.floor.asked(b"D", tell, ""))
        elif self.floor.enter():
            if not message.is_portal:
                self.relay.say(m.make_parameter_description(()))
            self.relay.say(self._description(prepared, portal))
        else:
            self.relay.forward(part)

    def _description(self, prepared: Prepared, portal: Portal | None) -> bytes:
        """RowDescription, or NoData."""
        if prepared.columns is None and first_word(prepared.parse.text).upper() in SHOWS:
            _, rows = self.floor.run(prepared.parse.text)
            if rows is not None:
                prepared.columns = list(zip([name for name, _ in rows.columns], rows.kinds, strict=True))
        if prepared.columns is None:
            return m.NO_DATA
        names, kinds = [name for name, _ in prepared.columns], [kind for _, kind in prepared.columns]
        return m.make_row_description(column_fields(names, kinds, portal.formats if portal is not None else ()))

    def _execute(self, part: bytes, message: m.Execute) -> None:
        portal = self.portals.get(message.portal)
        text = self._texts.get("P" + message.portal, "")
        if portal is None or portal.prepared.generated is not None:
            self._pass_on(b"E", part, portal.prepared.generated if portal is not None else None, text)
        elif self.floor.enter():
            self._run(portal, message.limit)
        else:
            self.relay.forward(part)

    def _run(self, portal: Portal, limit: int) -> None:
        if not portal.tag:
            portal.tag, portal.rows = self.floor.run(portal.prepared.parse.text)
        rows = portal.rows
        if rows is not None and first_word(portal.prepared.parse.text).upper() in SHOWS:
            for data in rows.messages(portal.formats, limit):
                self.relay.say(data)
            if limit and not rows.finished:
                self.relay.say(m.PORTAL_SUSPENDED)
                return
        self.relay.say(m.make_command_complete(portal.tag))

    def _close(self, part: bytes, message: m.Close) -> None:
        known: dict[str, Any] = self.portals if message.is_portal else self.prepared
        found = known.pop(message.name, None)
        prepared = found.prepared if isinstance(found, Portal) else found
        if prepared is not None and prepared.generated is None and self.floor.enter():
            self.relay.say(m.CLOSE_COMPLETE)
        else:
            self.relay.forward(part)

    # -- Sync ---------------------------------------------------------------------------------------------------------------

    def _sync(self, part: bytes) -> None:
        self.floor.batch += 1
        self.floor.dirty = False
        held = self.floor.held
        self.relay.forward(part, Asked(b"S", held=held))
        if held:
            self.floor.ready()

    def _note(self, name: str, text: str, kind: str = "S") -> None:
        if self.relay.sessions.logs:
            _keep(self._texts, kind + name, text)


def _too_many(message: m.Bind) -> EngineError:
    count, name = len(message.values), message.statement
    error = EngineError(f'bind message supplies {count} parameters, but prepared statement "{name}" requires 0')
    error.sqlstate = ProtocolError.sqlstate
    return error


def _keep(known: dict[str, Any], name: str, value: Any) -> None:
    if len(known) >= KEPT:
        known.clear()
    known[name] = value
