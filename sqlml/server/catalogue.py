"""Statements about the catalogue: told apart by what they touch, answered by a real Postgres that holds empty copies of the tables."""

from __future__ import annotations

from typing import Any, Protocol

from sqlml.server import messages as m
from sqlml.server.statements import Piece


class Catalogue(Protocol):
    """What answers for one session."""

    def takes(self, piece: Piece) -> bool:
        """Whether a statement touches nothing but the catalogue."""

    def simple(self, text: str, stream: Any) -> None:
        """Run one statement and write all that it gives but ReadyForQuery."""

    def describe(self, parse: m.Parse, bind: m.Bind | None, stream: Any) -> None:
        """What Describe gives, of a statement or, with ``bind``, of a portal."""

    def execute(self, parse: m.Parse, bind: m.Bind, limit: int, stream: Any) -> None:
        """What Execute gives."""

    def close(self) -> None: ...
