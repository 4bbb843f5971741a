"""Models that the server cannot score: their calls become columns of temporary tables, which the client fills.

"__sqlml_rows_1"     the rows given, with a key; they never leave the server
"__sqlml_scores_1"   the key and what was asked for, a column a scoring function, computed by the client's kernels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlml.planning.postgres.scoring import KIND_TYPES
from sqlml.planning.scoring import Scored

KEY = '"__sqlml_key"'


@dataclass(frozen=True)
class Given:
    """One set of rows of a call: the query, the SQL of its arguments over ``__sqlml_rows``, and the tables that stand for it."""

    query: str
    columns: tuple[str, ...]
    rows: str
    scores: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutsideScored(Scored):
    """A model in SQL whose scores are columns; ``functions`` collects which of them are asked for."""

    functions: dict[str, None] = field(default_factory=dict)

    def call(self, function: str, row: str, **settings: object) -> str:
        """The column with the results of a scoring function."""
        self.functions[function] = None
        return f'__sqlml_rows."__sqlml_{function}"'

    def row(self, columns: Mapping[str, str]) -> str:
        """Arguments are not passed in SQL."""
        return ""

    def arguments(self, columns: Mapping[str, str]) -> tuple[str, ...]:
        """The SQL of each argument, in the type of its kind."""
        return tuple(
            self.passed(argument, f"CAST({self.given(argument, columns)} AS {KIND_TYPES[argument.kind]})")
            for argument in self.model.arguments
        )

    def all_columns(self, names: Sequence[str]) -> str:
        """The columns of the rows given, without those that hold scores."""
        return ", ".join(f"__sqlml_rows.{self.quote(name)}" for name in names)


def source_sql(given: Given) -> str:
    """The query that stands for the rows given once they are scored."""
    return f"SELECT * FROM {given.rows} JOIN {given.scores} USING ({KEY})"


def rows_statement(given: Given) -> str:
    """The statement that keeps the rows given under a key."""
    return (
        f"CREATE TEMPORARY TABLE {given.rows} AS SELECT pg_catalog.row_number() OVER () AS {KEY}, __sqlml_given.* "
        f"FROM ({given.query}) AS __sqlml_given"
    )


def arguments_query(given: Given) -> str:
    """The query for the keys and arguments of all rows."""
    return f"SELECT {', '.join((KEY, *given.arguments))} FROM {given.rows} AS __sqlml_rows"
