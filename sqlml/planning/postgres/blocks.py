"""The PL/Python scorer a block of rows at a time: for whole scans, where it is several times as fast as row by row.

    __sqlml_given      the rows of the query, numbered
    __sqlml_packed     a row for each block: the keys of its rows and each of the model's arguments, packed by ``array_send``
    __sqlml_blocks     a row for each block: what the functions in PL/Python make of it, one array a function

Rows then take what is theirs out of their block's arrays. Nothing is scored before all rows are there, so that a statement that
wants a few of them is better off with the scorer of rows: see ``takes_all_rows``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlml.planning.postgres.outside import KEY
from sqlml.planning.postgres.scoring import KIND_TYPES
from sqlml.planning.postgres.tables import SCHEMA, literal
from sqlml.planning.scoring import Scored
from udfs.model import Argument, Model

ROWS = 8_192
TEXT_ROWS = 1_024  # with texts, whose length nobody knows
_FEW = re.compile(r"\b(WHERE|LIMIT|FETCH|OFFSET|JOIN|EXISTS|IN|ANY|CURSOR)\b", re.IGNORECASE)


@dataclass(frozen=True)
class BlockScored(Scored):
    """A model in SQL whose scores are columns; ``functions`` collects which of them are asked for."""

    functions: dict[str, None] = field(default_factory=dict)

    def call(self, function: str, row: str, **settings: object) -> str:
        """The column with the results of a scoring function."""
        self.functions[function] = None
        return f'__sqlml_rows."__sqlml_{function}"'

    def row(self, columns: Mapping[str, str]) -> str:
        """The packed arguments of a block of ``__sqlml_rows``, as an array; they hold no NULLs, which would take time to skip."""
        packed = [
            part for argument in self.model.arguments for part in _packed(argument, self._typed(argument, columns))
        ]
        return f"CAST(ARRAY[{', '.join(packed)}] AS bytea[])"

    def _typed(self, argument: Argument, columns: Mapping[str, str]) -> str:
        return self.passed(argument, f"CAST({self.given(argument, columns)} AS {KIND_TYPES[argument.kind]})")

    def all_columns(self, names: Sequence[str]) -> str:
        """The columns of the rows given, without those that hold scores."""
        return ", ".join(f"__sqlml_rows.{self.quote(name)}" for name in names)

    def scored_rows(self, source: str, row: str) -> str:
        """The query for the rows of ``source`` with their scores, in their order."""
        rows = TEXT_ROWS if any(argument.kind == "text" for argument in self.model.arguments) else ROWS
        reference = literal(self.reference)
        made = "".join(
            f', {SCHEMA}._py_block_{function}({reference}, __sqlml_keys, __sqlml_row) AS "__sqlml_{function}"'
            for function in self.functions
        )
        taken = "".join(f', {self._own_part(function, rows)} AS "__sqlml_{function}"' for function in self.functions)
        return (
            f"WITH __sqlml_given AS MATERIALIZED (SELECT pg_catalog.row_number() OVER () AS {KEY}, __sqlml_source.* "
            f"FROM ({source}) AS __sqlml_source), "
            f"__sqlml_packed AS MATERIALIZED (SELECT ({KEY} - 1) / {rows} AS __sqlml_block, "
            f"pg_catalog.array_send(pg_catalog.array_agg({KEY})) AS __sqlml_keys, {row} AS __sqlml_row "
            "FROM __sqlml_given AS __sqlml_rows GROUP BY 1), "
            f"__sqlml_blocks AS MATERIALIZED (SELECT __sqlml_block{made} FROM __sqlml_packed) "
            f"SELECT __sqlml_given.*{taken} FROM __sqlml_given "
            f"JOIN __sqlml_blocks ON __sqlml_block = ({KEY} - 1) / {rows}"
        )

    def _own_part(self, function: str, rows: int) -> str:
        """What belongs to a row in its block's array."""
        place, array = f"({KEY} - 1) % {rows}", f'__sqlml_blocks."__sqlml_{function}"'
        if function == "value":
            return f"{array}[{place} + 1]"
        width = numbers_of(function, self.model)
        return f"{array}[({place}) * {width} + 1 : ({place}) * {width} + {width}]"


def _packed(argument: Argument, sql: str) -> Iterator[str]:
    if argument.kind == "text":
        content = f"pg_catalog.convert_to({sql}, 'UTF8')"
        yield _array(f"coalesce(pg_catalog.octet_length({content}), -1)")
        yield f"coalesce(pg_catalog.string_agg({content}, ''), '')"
    elif argument.kind in ("number", "boolean"):
        number = f"CAST(CAST({sql} AS integer) AS double precision)" if argument.kind == "boolean" else sql
        yield _array(f"coalesce({number}, 'NaN')")
    else:
        yield _array(f"coalesce({sql}, 'infinity')")


def _array(sql: str) -> str:
    return f"pg_catalog.array_send(pg_catalog.array_agg({sql}))"


def numbers_of(function: str, model: Model) -> int:
    """How many numbers a scoring function gives for a row."""
    return {
        "value": 1,
        "probs": len(model.label.classes),
        "raw": model.forest.outputs,
        "features": len(model.features),
        "contribs": model.forest.outputs * (len(model.features) + 1),
    }[function]


def takes_all_rows(statement: str, function: str) -> bool:
    """Whether a statement asks for the scores of all the rows given; ``statement`` is its text without the call's.

    Postgres takes conditions and limits into a call of ML.PREDICT, so that few of its rows may have to be scored; whatever looks
    like one counts. Aggregates have no use for single rows.
    """
    return function not in ("predict", "transform", "explain_predict") or _FEW.search(statement) is None
