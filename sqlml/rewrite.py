"""One engine statement with ML calls in, the SQL that the engine runs out; every other byte stays the user's.

SELECT PREDICT(late, *) FROM flights        calls found by the parser, with their scopes
└─ Call ─────┘                       each call's SQL made on demand, inner calls first
SELECT __sqlml_label('sha256:..', {...}) ... spliced into the user's own text
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from sqlml.catalog.records import VersionRecord
from sqlml.engines.engine import Column
from sqlml.errors import EngineError, MissingColumnError, NotSupportedYetError, UnsupportedTypeError
from sqlml.language.places import named_in
from sqlml.language.splice import OffsetMap, locate, splice
from sqlml.language.statements import Call, ModelName, ScalarCall, Scope, Span, TableCall
from sqlml.language.tokens import column_name, literal_value, parameter_spans, substitute
from sqlml.planning.facts import VersionFacts
from sqlml.planning.input_types import has_own_type, require_types
from sqlml.planning.matching import Matcher, match_arguments
from sqlml.planning.phrases import PHRASES, Phrases
from sqlml.planning.postgres.blocks import BlockScored, takes_all_rows
from sqlml.planning.postgres.outside import Given, OutsideScored, source_sql
from sqlml.planning.pruning import unread_arguments
from sqlml.planning.scoring import Scored
from sqlml.planning.visible import VisibleColumns, fields_of, in_scope, types_of, visible_columns
from udfs.model import Model


@dataclass(frozen=True, eq=False)
class Found:
    """A model's version as the statement sees it, and the reference under which the scorers know it."""

    version: VersionRecord
    model: Model
    reference: str
    pinned: bool  # named with @, so that it cannot change under a stored text
    alias: str | None = None  # where it is named by one
    threshold: float | None = None  # of the model's options, for binary models
    scorer: str = "native"  # what computes scores where the statement runs


class Surroundings(Protocol):
    """What rewriting needs of the session."""

    @property
    def dialect(self) -> str: ...

    def find_model(self, name: ModelName, *, stored: bool) -> Found: ...

    def columns_of(self, sql: str) -> list[Column]: ...

    def quote(self, name: str) -> str: ...

    def facts(self, found: Found) -> VersionFacts: ...

    def tell_nulls(self, found: Found) -> None: ...

    def name_tables(self) -> tuple[str, str]:
        """Names for two temporary tables."""

    def score_outside(self, model: Model, given: Given, functions: Iterable[str]) -> None:
        """Fill the tables that stand for rows given to a model that the server cannot score."""


TableFunction = Callable[["Rewriter", TableCall], str]


@dataclass
class Rewriter:
    """Makes the SQL of one statement's calls; a call's SQL is made once, when its own or an outer call's text is asked for."""

    text: str
    span: Span  # of the statement, or of the query in CREATE MODEL
    calls: tuple[Call, ...]
    session: Surroundings
    table_functions: Mapping[str, TableFunction]
    unnamed_items: tuple[Span, ...] = ()
    stored: bool = False  # whether the text outlives the statement, so that names and not versions have to stand in it
    made: dict[Span, str] = field(default_factory=dict)
    used: dict[Span, Found] = field(default_factory=dict)
    matched: dict[Span, Mapping[str, str]] = field(default_factory=dict)  # the SQL of a call's inputs, by name
    outside: dict[Span, OutsideScored] = field(default_factory=dict)
    given: dict[Span, list[Given]] = field(default_factory=dict)
    blocks: dict[Span, BlockScored] = field(default_factory=dict)

    @property
    def phrases(self) -> Phrases:
        """The SQL that calls become on the session's engine."""
        return PHRASES[self.session.dialect]

    def rewrite(self) -> tuple[str, OffsetMap]:
        """The statement's text with its outermost calls replaced, and the map from its offsets back to the user's."""
        return self._spliced(self.span)

    def text_of(self, span: Span) -> str:
        """A span's text with the calls inside it replaced."""
        return self._spliced(span)[0]

    def _spliced(self, span: Span) -> tuple[str, OffsetMap]:
        calls = [c for c in self.calls if span.start <= c.span.start and c.span.end <= span.end]
        outermost = [c for c in calls if not any(_inside(c.span, other.span) for other in calls)]
        replacements = [(c.span, self.sql_of(c)) for c in outermost]
        replacements += [
            (place, name)
            for place, name in self._numbered_parameters()
            if span.start <= place.start
            and place.end <= span.end
            and not any(_covers(c.span, place) for c in outermost)
        ]
        replacements += [
            (place, name) for place, name in self._column_names(outermost) if span.start <= place.start <= span.end
        ]
        return splice(self.text, replacements, span)

    def _column_names(self, calls: Sequence[Call]) -> list[tuple[Span, str]]:
        """Result columns without an alias are named after what the user wrote, not after what the engine ran."""
        names = {span: span.of(self.text) for span in self.unnamed_items}
        for call in calls:
            if isinstance(call, ScalarCall) and call.unnamed_item is not None:
                names[call.unnamed_item] = call.unnamed_item.of(self.text)
                if call.function == "explain_predict":
                    names[call.unnamed_item] = "attributions" if call.select_item else names[call.unnamed_item]
                elif call.select_item:
                    suffix = "_prob" if call.function == "predict_proba" else ""
                    names[call.unnamed_item] = f"predicted_{self.find(call).model.label.name}{suffix}"
        return [(Span(span.end, span.end), f" AS {self.session.quote(name)}") for span, name in names.items()]

    def _numbered_parameters(self) -> list[tuple[Span, str]]:
        """Every ``?`` of a statement with calls becomes ``$1``, ``$2``..., since a call's SQL may repeat or reorder its arguments."""
        if not self.calls or "?" not in self.text or self.session.dialect == "postgres":  # whose ? are operators
            return []
        return [(span, f"${number}") for number, span in enumerate(parameter_spans(self.text, self.span), 1)]

    def sql_of(self, call: Call) -> str:
        if call.span not in self.made:
            self.made[call.span] = self._scalar(call) if isinstance(call, ScalarCall) else self._table(call)
        return self.made[call.span]

    # -- calls -------------------------------------------------------------------------------------------------------------

    def _scalar(self, call: ScalarCall) -> str:
        found = self.find(call)
        name = call.model.parts[-1]
        fields = partial(
            fields_of,
            scope=call.scope or Scope(None),
            text_of=self.text_of,
            columns_of=lambda probe: self._columns_of(probe, call),
            call=call.span,
        )
        matcher = Matcher(
            self.visible(call),
            self.text_of,
            self.session.quote,
            partial(column_name, dialect=self.session.dialect),
            fields,
        )
        try:
            columns = match_arguments(found.model.inputs, call.arguments, matcher, model=name, call=call.span)
        except MissingColumnError as error:
            self._tell_outer(error, found, matcher.visible, call)
            raise
        if call.function == "explain_predict":
            self.require_pinned(found, call, "EXPLAIN_PREDICT")
        self._require_types(found, columns, call)
        self.matched[call.span] = columns
        scored = self.scored(found, call)
        row = scored.row(columns)
        if call.function == "predict":
            return self.phrases.predict_sql(scored, row, found.threshold)
        if call.function == "explain_predict":
            return self.phrases.explain_sql(scored, row)
        wanted = literal_value(call.class_label.of(self.text), self.session.dialect) if call.class_label else None
        position = (call.class_label or call.span).start
        return self.phrases.probability_sql(scored, row, wanted, name=name, position=position)

    def _require_types(self, found: Found, columns: Mapping[str, str], call: ScalarCall) -> None:
        """Refuse columns of a wrong type where the SQL of a call casts them; elsewhere the scorers see their types."""
        asked = {name: sql for name, sql in columns.items() if has_own_type(sql)}
        if self.session.dialect != "postgres" or not asked:
            return
        types = types_of(
            list(asked.values()),
            call.scope or Scope(None),
            text_of=self.text_of,
            columns_of=self.session.columns_of,
            call=call.span,
        )
        self.require_types(found, dict(zip(asked, types, strict=False)), call)

    def require_types(self, found: Found, types: Mapping[str, str], call: Call) -> None:
        """Refuse columns whose types a model does not take, at the user's word for the first of them."""
        try:
            require_types(found.model, types)
        except UnsupportedTypeError as error:
            place = named_in(self.text, self.span, error.message)
            error.position = call.span.start if place is None else place
            raise

    def _tell_outer(self, error: MissingColumnError, found: Found, visible: VisibleColumns, call: ScalarCall) -> None:
        """Where an enclosing query has columns that this one lacks, say that ``*`` does not reach them."""
        outer = call.scope.outer if call.scope is not None else None
        if outer is None or not any(argument.star for argument in call.arguments):
            return
        here = {column.name.casefold() for column in visible.star}
        wanted = {item.name.casefold(): item.name for item in found.model.inputs}
        quote = self.session.quote
        around = visible_columns(
            outer,
            text_of=self.text_of,
            columns_of=lambda probe: self._columns_of(probe, call),
            quote=quote,
            call=call.span,
        )
        names = [
            ".".join((*c.qualifiers[:1], c.name))
            for c in around.star
            if c.name.casefold() in wanted and c.name.casefold() not in here
        ]
        if names:
            error.detail = f"The query around it has {', '.join(names)}, which * does not reach."
            error.hint = (
                f"{error.hint or ''} Name each of them, as in PREDICT({call.model.parts[-1]}, *, {names[0]}).".strip()
            )

    def _table(self, call: TableCall) -> str:
        function = self.table_functions.get(call.function)
        if function is None:
            raise not_supported(f"ML.{call.function.upper()}", call)
        sql = function(self, call)
        for given in self.given.get(call.span, ()):
            self.session.score_outside(self.find(call).model, given, self.outside[call.span].functions)
        return sql

    # -- for the table functions -------------------------------------------------------------------------------------------

    def find(self, call: Call) -> Found:
        if call.model is None:
            raise EngineError("a model is expected here", position=call.span.start)
        if call.span not in self.used:
            self.used[call.span] = self.session.find_model(call.model, stored=self.stored)
        return self.used[call.span]

    def scored(self, found: Found, call: Call) -> Scored:
        """The model as it stands in generated SQL, for a call that scores rows."""
        self.session.tell_nulls(found)
        if call.span in self.outside:
            return self.outside[call.span]
        if call.span in self.blocks:
            return self.blocks[call.span]
        if isinstance(call, ScalarCall) and self._is_outside(found, call):
            raise outside_only(found, call)
        return self._scored(found, call)

    def given_rows(
        self, found: Found, call: TableCall, source: str, columns: Sequence[Column], mapping: Mapping[str, str]
    ) -> str:
        """The query for the rows of a call: what was written, or the tables that hold them beside the client's scores."""
        if not self._is_outside(found, call):
            if found.scorer == "plpython" and self._takes_all_rows(call):
                made = self._scored(found, call)
                self.blocks[call.span] = BlockScored(
                    made.model, made.reference, made.quote, made.substitute, made.unread
                )
            return source
        if self.stored or (call.scope is not None and call.scope.outer is not None):
            raise outside_only(found, call)
        made = self._scored(found, call)
        scored = self.outside.setdefault(
            call.span, OutsideScored(made.model, made.reference, made.quote, made.substitute, made.unread)
        )
        rows, scores = self.session.name_tables()
        query = in_scope(f"({source})", call.scope, self.text_of, call.span)
        given = Given(query, tuple(c.name for c in columns), rows, scores, scored.arguments(mapping))
        self.given.setdefault(call.span, []).append(given)
        return source_sql(given)

    def _takes_all_rows(self, call: TableCall) -> bool:
        """Whether the statement wants the scores of all the rows given, now: stored texts are for statements to come."""
        if self.stored or (call.scope is not None and call.scope.outer is not None):
            return False
        around = self.text[self.span.start : call.span.start] + self.text[call.span.end : self.span.end]
        return takes_all_rows(around, call.function)

    def _is_outside(self, found: Found, call: Call) -> bool:
        """Whether the client has to score: the server has no means for the model, or none for what is asked."""
        if call.function == "interactions" and self.session.dialect == "postgres":
            return True
        return found.scorer == "outside" or (found.scorer == "sql" and "explain" in call.function)

    def _scored(self, found: Found, call: Call) -> Scored:
        return self.phrases.scored_model(
            found.model,
            found.reference,
            self.session.quote,
            partial(substitute, dialect=self.session.dialect),
            unread=self._unread(found, call),
            scorer=found.scorer,
        )

    def _unread(self, found: Found, call: Call) -> frozenset[str]:
        """Arguments that no tree asks for; a later version, which may take the place of this one in a stored text, may ask for them."""
        if call.function == "transform" or (self.stored and not found.pinned):
            return frozenset()
        return unread_arguments(found.model)

    def require_pinned(self, found: Found, call: Call, what: str) -> None:
        """Refuse to store a text that lists a version's features where a later version, with others, could take its place."""
        if self.stored and not found.pinned:
            name = found.version.model.name
            raise NotSupportedYetError(
                f"{what} lists the features of one version and cannot follow the default in a stored text",
                hint=f"Pin the version: {name}@{found.version.version}.",
                position=call.span.start,
            )

    def visible(self, call: Call) -> VisibleColumns:
        def columns_of(probe: str) -> list[Column]:
            return _known(self._columns_of(probe, call), call)

        scope = call.scope or Scope(None)
        quote = self.session.quote
        return visible_columns(scope, text_of=self.text_of, columns_of=columns_of, quote=quote, call=call.span)

    def source(self, call: TableCall, index: int = 0) -> tuple[str, list[Column]]:
        """An input of a table function as a query, and the columns it has."""
        span, is_table = call.inputs[index]
        query = f"SELECT * FROM {self.text_of(span)}" if is_table else self.text_of(span)
        probe = in_scope(f"({query})", call.scope, self.text_of, call.span)
        return query, _known(self._columns_of(probe, call), call)

    def _columns_of(self, probe: str, call: Call) -> list[Column]:
        """The engine's columns of a probe; its error points at the user's word that survives in it, or that it names."""
        try:
            return self.session.columns_of(probe)
        except EngineError as error:
            if error.position is not None:
                error.position = locate(self.text, probe, error.position, self.span)
            if error.position is None:
                error.position = named_in(self.text, self.span, error.message)
            error.text = self.text
            raise


def outside_only(found: Found, call: Call) -> NotSupportedYetError:
    """The error for a call that only the server could compute, and cannot."""
    name = found.version.model.name
    return NotSupportedYetError(
        f'the server cannot score model "{name}" here: SQL alone is too slow for it, or cannot tell what is asked',
        hint=f"Use ML.{call.function.upper()}(MODEL {name}, ...) in the outermost FROM, which scores in this client; or "
        "install sqlml in the server: sqlml install.",
        position=call.span.start,
    )


def _known(columns: list[Column], call: Call) -> list[Column]:
    """The columns of rows, unless only running the statement tells which they are."""
    if [column.sql_type for column in columns] == ["UNKNOWN"]:
        raise NotSupportedYetError(
            "the columns of these rows are known only when the statement runs",
            hint="Write PIVOT t ON x IN ('a', 'b') ..., and give a parameter in a select list its type with CAST.",
            position=call.span.start,
        )
    return columns


def not_supported(name: str, call: Call) -> NotSupportedYetError:
    """The error for a call that is part of the dialect and not of this release, with what there is instead."""
    hint = None
    if "VALIDATE" in name or "DRIFT" in name:
        hint = "ML.FEATURE_INFO tells what the columns were like in training."
    return NotSupportedYetError(f"{name} is not supported yet", hint=hint, position=call.span.start)


def _inside(inner: Span, outer: Span) -> bool:
    return inner != outer and outer.start <= inner.start and inner.end <= outer.end


def _covers(outer: Span, inner: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end
