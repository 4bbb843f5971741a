"""Completes what is typed in the shell: keywords, ML functions, backslash commands, models, tables and columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from sqlml.cli.backslash import COMMANDS
from sqlml.cli.render import FORMATS
from sqlml.cli.syntax import STATEMENTS

if TYPE_CHECKING:
    from sqlml.connection import Connection

_WORD = re.compile(r"[\w.@]*$")
_MODEL_EXPECTED = re.compile(
    r"(\bmodel(\s+if\s+(not\s+)?exists)?\s+|\bversions\s+|\bpredict(_proba)?\s*\(\s*|\\dm\s+)[\w.@]*$", re.IGNORECASE
)

KEYWORDS = (
    "ALTER MODEL", "AND", "AS", "ASC", "BEGIN", "BETWEEN", "BY", "CASE", "COMMIT", "COPY", "CREATE MODEL", "CREATE OR REPLACE MODEL",
    "CREATE TABLE", "CREATE VIEW", "CROSS JOIN", "DELETE FROM", "DESC", "DESCRIBE MODEL", "DISTINCT", "DROP MODEL", "DROP TABLE",
    "ELSE", "END", "EXCEPT", "EXCLUDE", "EXISTS", "EXPLAIN", "EXPORT MODEL", "FROM", "GROUP BY", "HAVING", "IMPORT MODEL", "IN",
    "INNER JOIN", "INSERT INTO", "INTERSECT", "IS NOT NULL", "IS NULL", "JOIN", "LEFT JOIN", "LIKE", "LIMIT", "MODEL", "NOT", "NULL",
    "OFFSET", "ON", "OPTIONS (", "OR", "ORDER BY", "OVER ()", "PARTITION BY", "QUALIFY", "ROLLBACK", "SELECT", "SET DEFAULT VERSION",
    "SHOW CREATE MODEL", "SHOW MODEL VERSIONS", "SHOW MODELS", "STRUCT(", "TABLE", "THEN", "TRANSFORM (", "UNION ALL", "UPDATE",
    "USING", "VALUES", "WHEN", "WHERE", "WITH",
)  # fmt: skip


class Names:
    """Models, tables and columns of the database, read again after each statement and not while someone types."""

    def __init__(self) -> None:
        self.models: list[str] = []
        self.relations: list[str] = []
        self.columns: list[str] = []

    def read(self, connection: Connection) -> None:
        """Read them; a connection that cannot answer, such as one in a failed transaction, leaves what was known."""
        self.models = list(connection.models)
        rows = connection.execute(_NAMES).fetchall()
        self.relations = [name for kind, name in rows if kind == "relation"]
        self.columns = [name for kind, name in rows if kind == "column"]


_OURS = "('sqlml', 'pg_catalog', 'information_schema')"
_NAMES = (
    f"SELECT 'relation', table_name FROM information_schema.tables WHERE table_schema NOT IN {_OURS} "
    f"UNION SELECT 'column', column_name FROM information_schema.columns WHERE table_schema NOT IN {_OURS} "
    "ORDER BY 1, 2 LIMIT 5000"
)


class SqlCompleter(Completer):
    """Offers models where a model is expected, else everything that begins as the word does."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """The candidates for the word before the cursor."""
        before = document.text_before_cursor
        if before.lstrip().startswith("\\"):
            yield from self._commands(before.lstrip())
            return
        found = _WORD.search(before)
        word = found[0] if found else ""
        if _MODEL_EXPECTED.search(before):
            yield from _starting(word, self._names.models, "model")
            return
        if not word:
            return
        yield from _starting(word, self._names.relations, "table")
        yield from _starting(word, self._names.columns, "column")
        yield from _starting(word, self._names.models, "model")
        yield from _starting(
            word, (name + "(" for name in STATEMENTS if name.startswith(("ML.", "PREDICT"))), "function"
        )
        yield from _starting(word, KEYWORDS, "keyword")

    def _commands(self, text: str) -> Iterator[Completion]:
        name, space, argument = text.partition(" ")
        if not space:
            yield from _starting(name, COMMANDS, "command")
        elif name in {"\\d", "\\dm"}:
            yield from _starting(argument, self._names.relations if name == "\\d" else self._names.models)
        elif name == "\\h":
            yield from _starting(argument, STATEMENTS)
        elif name == "\\format":
            yield from _starting(argument, FORMATS)


def _starting(word: str, candidates: Iterable[str], kind: str = "") -> Iterator[Completion]:
    folded = word.casefold()
    for candidate in candidates:
        if candidate.casefold().startswith(folded) and candidate != word:
            # Keywords and functions follow the hand that types: small letters stay small.
            text = candidate.lower() if kind in _FOLLOWING and word and word.islower() else candidate
            yield Completion(text, start_position=-len(word), display_meta=kind)


_FOLLOWING = {"keyword", "function"}
