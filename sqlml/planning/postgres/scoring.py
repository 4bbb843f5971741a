"""SQL text of scoring calls in Postgres, whichever of its scorers is installed.

    native      functions in machine code that take arguments of any type:  sqlml._value('sha256:...', a, b)
    plpython    functions in PL/Python that take arguments packed by kind:   sqlml._value('sha256:...', numbers, times, texts)
    sql         a function in PL/pgSQL for each model, named by its hash:    sqlml."m_..."(a, b)

A model's score is computed once a row, in a lateral subquery that OFFSET 0 keeps the planner from spreading over its uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sqlml.errors import InputMismatchError
from sqlml.planning.kinds import base_type
from sqlml.planning.postgres.tables import SCHEMA, array, cast, constant, derived, literal
from sqlml.planning.scoring import (
    PredictSettings,
    Scored,
    Substitute,
    class_index,
    flat_column,
    output_columns,
    refuse_collision,
)
from sqlml.planning.visible import Quote
from udfs.model import Argument, Kind, Label, Model

MOST_ARGUMENTS = 98  # of a function of Postgres, less the reference and one to spare
DEFAULT_THRESHOLD = 0.5
KIND_TYPES: dict[Kind, str] = {
    "number": "double precision",
    "boolean": "boolean",
    "text": "text",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}
TIMES = ("TIME", "TIME WITHOUT TIME ZONE")
_CASTS: frozenset[Kind] = frozenset({"text", "date", "timestamp", "timestamptz"})


@dataclass(frozen=True)
class PostgresScored(Scored):
    """A model in SQL for Postgres; a row is the list of its arguments as text."""

    scorer: str = "native"

    def call(self, function: str, row: str, **settings: object) -> str:
        """One call of an internal scoring function."""
        if self.scorer == "sql":
            return self._own_function(function, row)
        suffix = "&".join(f"{key}={value!r}" for key, value in settings.items() if value is not None)
        reference = literal(self.reference + (f"?{suffix}" if suffix else ""))
        return f"{SCHEMA}._{function}({', '.join(filter(None, (reference, row)))})"

    def _own_function(self, function: str, row: str) -> str:
        """The call of a function that was made for this model."""
        suffix = {"probs": "", "value": "_value", "raw": "_raw", "features": "_features"}.get(function)
        if suffix is None:
            raise InputMismatchError(
                f"the SQL scorer cannot compute {function}",
                hint="Install sqlml in the server (sqlml install), or ask for it through a client with sqlml.",
            )
        return f'{SCHEMA}."{function_stem(self.reference)}{suffix}"({row})'

    def row(self, columns: Mapping[str, str]) -> str:
        """The arguments in the order of the model."""
        given = [self._argument(argument, columns) for argument in self.model.arguments]
        if self.scorer == "plpython":
            return self._packed(given)
        if len(given) > MOST_ARGUMENTS and self.scorer == "native":
            return f"ROW({', '.join(given)})"
        return ", ".join(given)

    def _argument(self, argument: Argument, columns: Mapping[str, str]) -> str:
        return self.passed(argument, self._typed(argument, self.given(argument, columns)))

    def _typed(self, argument: Argument, sql: str) -> str:
        bare = sql.strip("() ")
        untyped = bare.startswith("$") or bare.upper() == "NULL"
        if argument.expression is None and self._is_time_of_day(argument.name):
            return f"(DATE '1970-01-01' + CAST({sql} AS time))"
        if untyped or self.scorer != "native" or argument.kind in _CASTS:
            return f"CAST({sql} AS {KIND_TYPES[argument.kind]})"
        return sql

    def _is_time_of_day(self, name: str) -> bool:
        """Whether a column was a time in training: models know it as a moment of the first day."""
        return any(item.name == name and base_type(item.sql_type) in TIMES for item in self.model.inputs)

    def _packed(self, given: Sequence[str]) -> str:
        """Arguments by kind, each in the order of the model: numbers, points in time, texts."""
        numbers, times, texts = [], [], []
        for argument, sql in zip(self.model.arguments, given, strict=True):
            if argument.kind == "text":
                texts.append(sql)
            elif argument.kind == "number":
                numbers.append(sql)
            elif argument.kind == "boolean":
                numbers.append(f"CAST(CAST({sql} AS integer) AS double precision)")
            else:
                times.append(f"CAST({sql} AS timestamptz)" if argument.kind == "timestamptz" else _as_utc(sql))
        return ", ".join((array(numbers, "double precision"), array(times, "timestamptz"), array(texts, "text")))


@runtime_checkable
class ScoredRows(Protocol):
    """A model that scores before its rows are selected from."""

    def scored_rows(self, source: str, row: str) -> str:
        """The query for the rows of ``source`` with their scores."""


def _as_utc(sql: str) -> str:
    return f"(CAST({sql} AS timestamp) AT TIME ZONE 'UTC')"


def scored_model(
    model: Model, reference: str, quote: Quote, substitute: Substitute, *, unread: frozenset[str], scorer: str
) -> Scored:
    """A model as it stands in generated SQL."""
    return PostgresScored(model, reference, quote, substitute, unread, scorer)


def function_stem(reference: str) -> str:
    """What the PL/pgSQL functions of a model are called: by its hash, or as a stored text calls it."""
    digits = reference.removeprefix("sha256:")
    return reference if digits == reference else f"m_{digits[:40]}"


def class_literal(label: Label, index: int) -> str:
    """A class as a literal of the label's own type."""
    value = label.classes[index]
    return cast(literal(str(value)) if not isinstance(value, bool) else str(value).upper(), label.sql_type)


def classes_sql(label: Label) -> str:
    """All classes, as an array of the label's own type."""
    return array([class_literal(label, index) for index in range(len(label.classes))], label.sql_type)


def primary(scored: Scored, row: str) -> str:
    """The one call that all outputs of a row follow from: a number, or the probabilities of more than two classes."""
    return scored.call("probs" if scored.model.task == "multiclass" else "value", row)


def class_index_sql(model: Model, score: str, threshold: float | None) -> str:
    """The predicted class, counted from 0, from what ``primary`` gives."""
    if model.task == "multiclass":
        best = f"SELECT __i - 1 FROM unnest({score}) WITH ORDINALITY AS __u(__v, __i) ORDER BY __v DESC, __i LIMIT 1"
        return f"CAST(({best}) AS integer)"
    return f"CAST({score} > {constant(float(DEFAULT_THRESHOLD if threshold is None else threshold))} AS integer)"


def label_sql(model: Model, score: str, threshold: float | None) -> str:
    """What is predicted, from what ``primary`` gives."""
    if not model.label.classes:
        return score
    if model.task == "multiclass":
        return f"({classes_sql(model.label)})[{class_index_sql(model, score, threshold)} + 1]"
    limit = constant(float(DEFAULT_THRESHOLD if threshold is None else threshold))
    return f"CASE WHEN {score} > {limit} THEN {class_literal(model.label, 1)} ELSE {class_literal(model.label, 0)} END"


def predict_sql(scored: Scored, row: str, threshold: float | None = None) -> str:
    """The prediction itself: a label in the label's own type, or a double precision."""
    model = scored.model
    if model.task == "multiclass" and isinstance(scored, PostgresScored) and scored.scorer != "sql":
        return f"({classes_sql(model.label)})[{scored.call('class', row)} + 1]"
    return label_sql(model, primary(scored, row), threshold)


def probability_sql(scored: Scored, row: str, label_text: str | None, *, name: str, position: int) -> str:
    """The probability of a class: the named one, or the greater label of a binary model."""
    model = scored.model
    index = class_index(model, label_text, name=name, position=position)
    return probability_of(model, primary(scored, row), index)


def probability_of(model: Model, score: str, index: int) -> str:
    """The probability of one class, from what ``primary`` gives."""
    if model.task == "multiclass":
        return f"({score})[{index + 1}]"
    return score if index == 1 else f"(1 - {score})"


def scored_source(scored: Scored, source: str, row: str, calls: Mapping[str, str]) -> str:
    """A FROM list with the rows of ``source`` and, once for each of them, the results of calls by name."""
    listed = ", ".join(f"{sql} AS {name}" for name, sql in calls.items())
    if isinstance(scored, ScoredRows):
        source = scored.scored_rows(source, row)
    return f"({source}) AS __sqlml_rows CROSS JOIN LATERAL (SELECT {listed} OFFSET 0) AS __sqlml_scores"


def predict_table_sql(
    scored: Scored, source: str, columns: Sequence[str], mapping: Mapping[str, str], settings: PredictSettings
) -> str:
    """The derived table of ML.PREDICT: all input columns, then the predicted ones; probabilities as jsonb."""
    model, quote = scored.model, scored.quote
    row, score = scored.row(mapping), "__sqlml_scores.__p"
    names = output_columns(model, settings)
    outputs = [f"{label_sql(model, score, settings.threshold)} AS {quote(names[0])}"]
    if model.label.classes and not settings.flat:
        outputs.append(f"{_probabilities(model, score)} AS {quote(names[1])}")
    if model.label.classes and settings.flat:
        outputs += [
            f"{probability_of(model, score, index)} AS {quote(flat_column(model, index))}"
            for index in range(len(model.label.classes))
        ]
    if settings.keep_original_columns:
        outputs.insert(0, scored.all_columns(columns))
        refuse_collision(names, columns, model)
    rows = scored_source(scored, source, row, {"__p": primary(scored, row)})
    return derived(f"SELECT {', '.join(outputs)} FROM {rows}")


def _probabilities(model: Model, score: str) -> str:
    """An array of objects with label and prob, in the order of the classes."""
    pairs = ", ".join(
        f"jsonb_build_object('label', {class_literal(model.label, index)}, 'prob', {probability_of(model, score, index)})"
        for index in range(len(model.label.classes))
    )
    return f"jsonb_build_array({pairs})"


def transform_table_sql(scored: Scored, source: str, mapping: Mapping[str, str]) -> str:
    """The derived table of ML.TRANSFORM: one column a feature, a categorical one as the text of its level."""
    quote = scored.quote
    columns = []
    for index, feature in enumerate(scored.model.features):
        value = f"__sqlml_scores.__f[{index + 1}]"
        if feature.categorical:
            levels = array(["NULL" if level is None else literal(level) for level in feature.levels], "text")
            inside = f"{value} >= 0 AND {value} < {len(feature.levels)}"
            value = f"CASE WHEN {inside} THEN ({levels})[CAST({value} AS integer) + 1] END"
        else:
            value = f"nullif({value}, CAST('NaN' AS double precision))"
        columns.append(f"{value} AS {quote(feature.name)}")
    row = scored.row(mapping)
    rows = scored_source(scored, source, row, {"__f": scored.call("features", row)})
    return derived(f"SELECT {', '.join(columns)} FROM {rows}")
