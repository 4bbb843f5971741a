"""The simple protocol: queries of one or more statements in, each run by whom it is for, as one transaction where Postgres has it so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlml.errors import ProtocolError
from sqlml.language.tokens import first_word
from sqlml.server import messages as m
from sqlml.server.client import ALONE, ENDS, DisconnectedError
from sqlml.server.failures import aborted
from sqlml.server.gateway.floor import FAILED, IDLE, Floor, is_ours
from sqlml.server.gateway.ledger import Asked

if TYPE_CHECKING:
    from sqlml.language.statements import Statement


@dataclass(frozen=True)
class Part:
    """One statement of a query; blanks stand before it, so that places in it are those in the query."""

    text: str
    ours: bool
    word: str


class Simple:
    """Handles Query."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.relay = floor.relay

    def query(self, part: bytes) -> None:
        """One message."""
        text = part[5:-1].decode("utf-8", "replace")
        self.floor.batch += 1
        try:
            statements: Sequence[Statement] | None = self.floor.read(text)
            error: Exception | None = None
        except Exception as caught:  # noqa: BLE001 - told to the client
            statements, error = None, caught
        if not statements and error is None and not self.floor.held:
            self._pass(part, text)
            return
        self.floor.flush()
        if self.relay.ledger.skipping:  # the server does not hear it
            self.relay.forward(part)
            return
        self._begin()
        if not statements and error is None:
            self._pass(part, text)
        else:
            self._take(parts_of(text, statements or ()), error)

    def _pass(self, part: bytes, text: str) -> None:
        """A query that is none of ours, as it is."""
        self.floor.dirty = False
        self.floor.unnamed = None
        held = self.floor.held
        self.relay.forward(part, Asked(b"Q", text, held=held))
        if held:
            self.floor.ready()

    def _take(self, parts: Sequence[Part], error: Exception | None) -> None:
        """A query with statements of ours, or what is wrong with it."""
        try:
            if error is None and self._run(parts):
                return
        except (DisconnectedError, ProtocolError, OSError):
            raise
        except Exception as caught:  # noqa: BLE001 - told to the client, and to the log what is not ours
            error = caught
        if error is not None:
            self.floor.fail_query(error)
        self.floor.ready()

    def _begin(self) -> None:
        """A query commits what a pipeline has done before."""
        floor = self.floor
        if floor.joined:
            floor.sync()
        floor.dirty, floor.unnamed = False, None

    def _run(self, parts: Sequence[Part]) -> bool:
        """Run all parts; whether the server itself tells the client that it is ready."""
        if len(parts) == 1:
            return self._run_ours(parts[0], last=True)
        together = self.relay.status == IDLE and not any(part.word in ALONE for part in parts)
        if together:
            self._control("BEGIN")
        done = False
        try:
            done = all(self._run_ours(part) if part.ours else self._run_theirs(part) for part in parts)
        finally:
            if together and not self.relay.ledger.ended:
                self._control("COMMIT" if done else "ROLLBACK")
        return False

    def _control(self, word: str) -> None:
        with self.floor.session() as connection:
            connection.session.engine.run(word)

    def _run_theirs(self, part: Part) -> bool:
        """Statements of the server's; whether they went well."""
        return self._ask(Asked(b"Q", part.text.strip(), held=True), part.text)

    def _ask(self, asked: Asked, text: str) -> bool:
        self.relay.forward(m.make(b"Q", text.encode() + b"\0"), asked)
        self.relay.wait()
        return not asked.sqlstate

    def _run_ours(self, part: Part, *, last: bool = False) -> bool:
        """Whether it went well, or, if it is the ``last`` one, whether the server itself tells that it is ready."""
        if self.relay.status == FAILED and part.word not in ENDS:
            raise aborted()
        generated = self.floor.generate(part.text)
        if generated is None:
            self._answer(part)
            return not last
        held = not last or self.floor.held
        asked = self.floor.asked(b"Q", generated, part.text.strip(), held=held)
        if held:
            return self._ask(asked, generated.sql) and not last
        self.relay.forward(m.make(b"Q", generated.sql.encode() + b"\0"), asked)
        return True

    def _answer(self, part: Part) -> None:
        tag, rows = self.floor.run(part.text)
        if rows is not None:
            self.relay.say(m.make_row_description(rows.fields(())))
            for data in rows.messages(()):
                self.relay.say(data)
        self.relay.say(m.make_command_complete(tag))


def parts_of(text: str, statements: Sequence[Statement]) -> list[Part]:
    """The statements of a text."""
    parts: list[Part] = []
    for statement in statements:
        own = statement.span.of(text)
        parts.append(Part(" " * statement.span.start + own, is_ours(statement), first_word(own).upper()))
    return parts
