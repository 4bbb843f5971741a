"""The extended protocol of one client: prepared statements, portals, and what Parse, Bind, Describe, Execute and Close do to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.errors import EngineError, ProtocolError, SqlmlError
from sqlml.server import messages as m
from sqlml.server.commands import GIVE_ROWS, find_command
from sqlml.server.executor import Description, Outcome, decode_parameters
from sqlml.server.limits import check_memory
from sqlml.server.rows import column_fields
from sqlml.server.statements import Piece, split

if TYPE_CHECKING:
    from sqlml.server.client import Client
    from sqlml.server.types import WireType


@dataclass
class Prepared:
    """A statement of Parse; ``piece`` is None for one that holds nothing."""

    message: m.Parse
    piece: Piece | None
    description: Description | None = None
    for_catalogue: bool = False

    @property
    def taken(self) -> tuple[int, ...]:
        return self.description.parameters if self.description is not None else self.message.parameter_types


@dataclass
class Portal:
    """A statement with its values; ``outcome`` once it has begun to run."""

    prepared: Prepared
    message: m.Bind
    parameters: list[Any]
    outcome: Outcome | None = None

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return sum(len(value) for value in self.message.values if value)

    @property
    def formats(self) -> tuple[int, ...]:
        return self.message.result_formats


class Extended:
    """Names to statements and portals, and the handlers of the messages about them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.prepared: dict[str, Prepared] = {}
        self.portals: dict[str, Portal] = {}

    def parse(self, message: m.Parse) -> None:
        if message.name and message.name in self.prepared:
            raise _error("42P05", f'prepared statement "{message.name}" already exists')
        check_memory(self.client, len(message.text))
        pieces = split(message.text)
        if len(pieces) > 1:
            raise _error("42601", "cannot insert multiple commands into a prepared statement")
        prepared = Prepared(message, pieces[0] if pieces else None)
        if prepared.piece is not None:
            self._understand(prepared, prepared.piece)
        self.prepared[message.name] = prepared
        self.client.stream.write(m.PARSE_COMPLETE)

    def _understand(self, prepared: Prepared, piece: Piece) -> None:
        self.client.refuse_if_failed(piece)
        prepared.for_catalogue = self.client.is_for_catalogue(piece)
        if prepared.for_catalogue or find_command(piece) is not None:
            return
        with self.client.running(piece):
            self.client.sessions.allow(self.client, piece)
            prepared.description = self.client.executor.describe(piece, prepared.message.parameter_types)

    def bind(self, message: m.Bind) -> None:
        prepared = self._statement(message.statement)
        if message.portal and message.portal in self.portals:
            raise _error("42P03", f'cursor "{message.portal}" already exists')
        if len(message.formats) > 1 and len(message.formats) != len(message.values):
            raise ProtocolError("bind message has another number of parameter formats than of parameters")
        if prepared.description is not None and len(message.values) != len(prepared.taken):
            raise _error(
                "08P01",
                f"bind message supplies {len(message.values)} parameters, but prepared statement "
                f'"{message.statement}" requires {len(prepared.taken)}',
            )
        check_memory(self.client, sum(len(value) for value in message.values if value))
        parameters = []
        if not prepared.for_catalogue:
            parameters = decode_parameters(message.values, message.formats, prepared.taken)
        self.portals[message.portal] = Portal(prepared, message, parameters)
        self.client.stream.write(m.BIND_COMPLETE)

    def describe(self, message: m.Describe) -> None:
        cursor = self.client.cursors.get(message.name) if message.is_portal else None
        if cursor is not None and message.name not in self.portals:
            self.client.stream.write(m.make_row_description(cursor.rows.fields(())))
            return
        portal = self._portal(message.name) if message.is_portal else None
        prepared = portal.prepared if portal else self._statement(message.name)
        if prepared.for_catalogue:
            self.client.the_catalogue.describe(prepared.message, portal.message if portal else None, self.client.stream)
            return
        stream = self.client.stream
        if portal is None:
            stream.write(m.make_parameter_description(prepared.taken))
        columns = self._columns(prepared, portal)
        if columns is None:
            stream.write(m.NO_DATA)
            return
        names, kinds = [name for name, _ in columns], [kind for _, kind in columns]
        formats = portal.formats if portal else ()
        if len(formats) > 1 and len(formats) != len(names):
            raise ProtocolError("bind message has another number of result formats than there are columns")
        stream.write(m.make_row_description(column_fields(names, kinds, formats)))

    def _columns(self, prepared: Prepared, portal: Portal | None) -> list[tuple[str, WireType]] | None:
        """Names and types of the rows. Those of a statement of the server's own only a run can tell, and it only looks."""
        piece = prepared.piece
        if piece is None:
            return None
        if prepared.description is not None:
            return list(prepared.description.columns) if prepared.description.columns is not None else None
        if piece.words[0] not in GIVE_ROWS:
            return None
        outcome = self.client.start(piece, portal.parameters if portal else [], None)
        if portal is not None:
            portal.outcome = outcome
        elif outcome.rows is not None:
            outcome.rows.close()
        if outcome.rows is None:
            return None
        return list(zip([name for name, _ in outcome.rows.columns], outcome.rows.kinds, strict=True))

    def execute(self, message: m.Execute) -> None:
        portal = self._portal(message.portal)
        piece = portal.prepared.piece
        if piece is None:
            self.client.stream.write(m.EMPTY_QUERY)
        elif portal.prepared.for_catalogue:
            self.client.the_catalogue.execute(
                portal.prepared.message, portal.message, message.limit, self.client.stream
            )
        else:
            with self.client.running(piece):
                self._run(portal, piece, max(message.limit, 0))

    def _run(self, portal: Portal, piece: Piece, limit: int) -> None:
        client = self.client
        if portal.outcome is None:
            portal.outcome = client.start(piece, portal.parameters, portal.prepared.description)
            client.tell(portal.outcome)
        outcome = portal.outcome
        if outcome.copy is not None:
            client.stream.write(m.make_command_complete(outcome.copy.run(client)))
            return
        description = portal.prepared.description
        if outcome.rows is None or (description is not None and description.columns is None):
            client.stream.write(m.make_command_complete(outcome.tag))
            return
        sent = client.send(outcome.rows, portal.formats, limit)
        if limit and not outcome.rows.finished:
            client.stream.write(m.PORTAL_SUSPENDED)
        else:
            client.stream.write(m.make_command_complete(outcome.finished_tag(sent)))

    def close(self, message: m.Close) -> None:
        if message.is_portal:
            portal = self.portals.pop(message.name, None)
            if portal is not None and portal.outcome is not None and portal.outcome.rows is not None:
                portal.outcome.rows.close()
        else:
            self.prepared.pop(message.name, None)
        self.client.stream.write(m.CLOSE_COMPLETE)

    def drop_portals(self) -> None:
        """Portals end with their transaction."""
        for portal in self.portals.values():
            if portal.outcome is not None and portal.outcome.rows is not None and not portal.outcome.rows.finished:
                portal.outcome.rows.close()
        self.portals.clear()

    def _statement(self, name: str) -> Prepared:
        if name not in self.prepared:
            what = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise _error("26000", f"{what} does not exist")
        return self.prepared[name]

    def _portal(self, name: str) -> Portal:
        if name not in self.portals:
            raise _error("34000", f'portal "{name}" does not exist')
        return self.portals[name]


def _error(sqlstate: str, text: str) -> SqlmlError:
    error = EngineError(text)
    error.sqlstate = sqlstate
    return error
