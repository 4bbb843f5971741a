"""SQL text of scoring calls: a model, a reference to it and its inputs' SQL in; an expression or derived table out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlml.engines.type_names import duckdb_type
from sqlml.errors import DuplicateColumnError, InputMismatchError, OptionError, OptionValueError
from sqlml.language.statements import Option
from sqlml.planning.visible import Quote
from udfs.model import Argument, Kind, Label, Model

Substitute = Callable[[str, Mapping[str, str]], str]
"""Replaces column names in an expression's text by other SQL (language.tokens knows how)."""

KIND_TYPES: dict[Kind, str] = {
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "text": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
}


@dataclass(frozen=True)
class Scored:
    """A model as it stands in generated SQL: ``reference`` is a content hash, or a name where the text is stored."""

    model: Model
    reference: str
    quote: Quote
    substitute: Substitute
    unread: frozenset[str]  # names of arguments that the call does not depend on

    def call(self, function: str, row: str, **settings: object) -> str:
        """One call of an internal scoring function; settings ride on the constant reference."""
        suffix = "&".join(f"{key}={_setting(value)}" for key, value in settings.items() if value is not None)
        reference = literal(self.reference + (f"?{suffix}" if suffix else ""))
        return f"__sqlml_{function}({reference}, {row})"

    def all_columns(self, names: Sequence[str]) -> str:
        """The columns of the rows that a table function was given."""
        return "__sqlml_rows.*"

    def row(self, columns: Mapping[str, str]) -> str:
        """The row literal that carries the arguments by name; ``columns`` is the SQL of each raw input."""
        values = []
        for argument in self.model.arguments:
            sql = self.passed(argument, _typed_parameter(self.given(argument, columns), argument.kind))
            values.append(f"{literal(argument.name)}: {sql}")
        return "{" + ", ".join(values) + "}"

    def given(self, argument: Argument, columns: Mapping[str, str]) -> str:
        """The SQL of an argument, without a type of its own where the user gave none."""
        return columns[argument.name] if argument.expression is None else self.substitute(argument.expression, columns)

    def passed(self, argument: Argument, sql: str) -> str:
        """What is passed for an argument whose SQL has its type: where nothing depends on it, what no engine reads but every one binds."""
        return f"CASE WHEN FALSE THEN {sql} END" if argument.name in self.unread else sql


def scored_model(
    model: Model, reference: str, quote: Quote, substitute: Substitute, *, unread: frozenset[str], scorer: str
) -> Scored:
    """A model as it stands in generated SQL; all of DuckDB's scorers are called alike."""
    return Scored(model, reference, quote, substitute, unread)


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def constant(value: object, double: str = "DOUBLE") -> str:
    """A Python value as an SQL constant; doubles, by the engine's name of the type, keep every bit."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"CAST('{value!r}' AS {double})"
    if isinstance(value, int):
        return str(value)
    return literal(str(value))


def _typed_parameter(sql: str, kind: Kind) -> str:
    """A bare parameter or NULL has no type of its own, and a function that takes anything cannot lend it one."""
    bare = sql.strip("() ")
    if bare.startswith(("$", "?")) or bare.upper() == "NULL":
        return f"CAST({sql} AS {KIND_TYPES[kind]})"
    return sql


def _setting(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def class_literal(label: Label, index: int) -> str:
    """A class as a literal of the label's own type."""
    value = label.classes[index]
    text = literal(str(value)) if not isinstance(value, bool) else str(value).upper()
    return f"CAST({text} AS {duckdb_type(label.sql_type)})"


def predict_sql(scored: Scored, row: str, threshold: float | None = None) -> str:
    """The prediction itself: a label in the label's own type, or a DOUBLE."""
    if not scored.model.label.classes:
        return scored.call("value", row)
    # The cast does nothing where the function knows the label's type, and gives it where it cannot (Arrow UDFs).
    return f"CAST({scored.call('label', row, threshold=threshold)} AS {duckdb_type(scored.model.label.sql_type)})"


def probability_sql(scored: Scored, row: str, label_text: str | None, *, name: str, position: int) -> str:
    """The probability of a class: the named one, or the greater label of a binary model."""
    model = scored.model
    if label_text is None and model.task == "binary":
        return scored.call("value", row)
    index = class_index(model, label_text, name=name, position=position)
    return f"{scored.call('probs', row)}[{index + 1}]"


def class_index(model: Model, text: str | None, *, name: str, position: int) -> int:
    """Which class a user means by a text: compared as the label's JSON scalar or as its text; without one, the greater of two."""
    if not model.label.classes:
        raise InputMismatchError(
            f'model "{name}" predicts a number, not a class',
            hint=f"Use PREDICT({name}, ...).",
            position=position,
        )
    if text is None and model.task == "binary":
        return 1
    if text is None:
        raise InputMismatchError(
            f'model "{name}" has {len(model.label.classes)} classes: name one',
            hint=f"Write PREDICT_PROBA({name}, {literal(str(model.label.classes[0]))}, ...).",
            position=position,
        )
    for index, value in enumerate(model.label.classes):
        if text == value or text.casefold() == json.dumps(value).casefold() or text == str(value):
            return index
        if isinstance(value, float) and value.is_integer() and text == str(int(value)):
            return index
    raise InputMismatchError(
        f'model "{name}" has no class "{text}"',
        hint="Its classes are: " + ", ".join(str(value) for value in model.label.classes) + ".",
        position=position,
    )


@dataclass(frozen=True)
class PredictSettings:
    """STRUCT settings of ML.PREDICT: see the README's reference."""

    threshold: float | None = None
    keep_original_columns: bool = True
    flat: bool = False


def parse_predict_settings(
    settings: Sequence[Option], model: Model, *, default_threshold: float | None = None
) -> PredictSettings:
    """Read and check ML.PREDICT's STRUCT; raises OptionError or OptionValueError with the position."""
    known = {"threshold": float, "keep_original_columns": bool, "flat": bool}
    values: dict[str, object] = {}
    for option in settings:
        if option.key not in known:
            near = difflib.get_close_matches(option.key, known, 1, 0.6)
            raise OptionError(
                f'unknown setting "{option.key}" of ML.PREDICT',
                hint=f"Did you mean {near[0]}?" if near else f"The settings are: {', '.join(known)}.",
                position=option.span.start,
            )
        if option.key in values:
            raise OptionError(f'setting "{option.key}" stands twice', hint="Give it once.", position=option.span.start)
        values[option.key] = checked_setting(option, known[option.key])
    threshold = values.get("threshold")
    if threshold is not None and model.task != "binary":
        raise OptionValueError(
            "a threshold is for binary classifiers only", hint="Leave it out.", position=settings[0].span.start
        )
    if threshold is None:
        values["threshold"] = default_threshold
    return PredictSettings(**values)  # type: ignore[arg-type]


def checked_setting(option: Option, kind: type) -> float | bool:
    """A BOOLEAN, or a number between 0 and 1."""
    value = option.value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    wanted = "TRUE or FALSE" if kind is bool else "a number between 0 and 1"
    shown = "TRUE" if kind is bool else "0.5"
    raise OptionValueError(
        f'setting "{option.key}" must be {wanted}',
        hint=f"Write it as in STRUCT({shown} AS {option.key}).",
        position=option.span.start,
    )


def predict_table_sql(
    scored: Scored, source: str, columns: Sequence[str], mapping: Mapping[str, str], settings: PredictSettings
) -> str:
    """The derived table of ML.PREDICT: all input columns, then the predicted ones.

    ``source`` is a query; ``mapping`` gives each model input's SQL over its alias ``__sqlml_rows``.
    """
    model, quote = scored.model, scored.quote
    row = scored.row(mapping)
    target = f"predicted_{model.label.name}"
    outputs = [f"{predict_sql(scored, row, settings.threshold)} AS {quote(target)}"]
    if model.label.classes and not settings.flat:
        outputs.append(f"{_probabilities(scored, row)} AS {quote(target + '_probs')}")
    if model.label.classes and settings.flat:
        outputs += [
            f"{scored.call('probs', row)}[{index + 1}] AS {quote(flat_column(model, index))}"
            for index in range(len(model.label.classes))
        ]
    if settings.keep_original_columns:
        outputs.insert(0, "__sqlml_rows.*")
        refuse_collision(output_columns(model, settings), columns, model)
    return f"(SELECT {', '.join(outputs)} FROM ({source}) AS __sqlml_rows)"


def transform_table_sql(scored: Scored, source: str, mapping: Mapping[str, str]) -> str:
    """The derived table of ML.TRANSFORM: one column a feature, a categorical one as the text of its level; a missing value is NULL."""
    quote = scored.quote
    columns = []
    for index, feature in enumerate(scored.model.features):
        value = f"__f[{index + 1}]"
        if feature.categorical:
            levels = ", ".join("NULL" if level is None else literal(level) for level in feature.levels)
            value = f"([{levels}]::VARCHAR[])[TRY_CAST({value} AS BIGINT) + 1]"
        else:
            value = f"nullif({value}, CAST('nan' AS DOUBLE))"
        columns.append(f"{value} AS {quote(feature.name)}")
    features = scored.call("features", scored.row(mapping))
    return f"(SELECT {', '.join(columns)} FROM (SELECT {features} AS __f FROM ({source}) AS __sqlml_rows) AS __sqlml_features)"


def flat_column(model: Model, index: int) -> str:
    """The column of a class's probability under the setting flat."""
    value = model.label.classes[index]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"predicted_{model.label.name}_prob_{text}"


def output_columns(model: Model, settings: PredictSettings) -> list[str]:
    """The names ML.PREDICT adds."""
    target = f"predicted_{model.label.name}"
    if not model.label.classes:
        return [target]
    if settings.flat:
        return [target, *(flat_column(model, index) for index in range(len(model.label.classes)))]
    return [target, target + "_probs"]


def refuse_collision(added: Sequence[str], columns: Sequence[str], model: Model) -> None:
    """An input called like an output would be hidden; refuse it."""
    taken = {column.casefold() for column in columns}
    for name in added:
        if name.casefold() in taken:
            raise DuplicateColumnError(
                f'the input already has a column "{name}"',
                hint="Rename it or leave it out of the query, or set STRUCT(FALSE AS keep_original_columns).",
            )


def _probabilities(scored: Scored, row: str) -> str:
    """BigQuery's array of (label, prob), in the order of the classes."""
    label = scored.model.label
    pairs = ", ".join(
        f"{{'label': {class_literal(label, index)}, 'prob': __p[{index + 1}]}}" for index in range(len(label.classes))
    )
    probs = scored.call("probs", row)
    return f"list_transform([{probs}], lambda __p: [{pairs}])[1]"
