"""TRANSFORM (select_list) to a feature plan: portable expressions and preprocessors as steps, all else left to the engine."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlml.engines.engine import Column
from sqlml.errors import EngineError, MissingColumnError, SqlmlError, TransformError
from sqlml.language.tokens import column_name
from sqlml.planning.column_types import column_type
from sqlml.planning.compilers import COMPILERS
from sqlml.planning.features import FeatureOptions, FeaturePlan, calendar_step, require_distinct_features
from sqlml.planning.kinds import is_text_list, kind_of, require_kind
from sqlml.planning.preprocessors import PREPROCESSORS, Call, Made
from sqlml.planning.pruning import prune
from sqlml.planning.select_list import Item, MlCall, Range, SelectList
from sqlml.planning.values import DOUBLE, Emitter, NotPortableError, SqlType, Value
from udfs.model import Argument, Feature, Input, Kind, Step

TypeOf = Callable[[str], str]
"""The SQL type of an expression over the training query's columns, asked of the engine; its errors count positions from the
expression's start."""


def plan_transform(
    columns: Sequence[Column],
    *,
    label: str | None,
    transform: str,
    options: FeatureOptions,
    dialect: str,
    type_of: TypeOf | None,
    classes: int,
) -> FeaturePlan:
    """The plan of a TRANSFORM; errors that know a position in it carry ``transform`` as their text."""
    try:
        planner = _Planner(
            columns,
            SelectList(transform, dialect),
            label=label,
            options=options,
            dialect=dialect,
            type_of=type_of,
            classes=classes,
        )
        for item in planner.items.items():
            planner.add(item)
        return planner.plan()
    except SqlmlError as error:
        if error.position is not None:
            error.text = transform
        raise


@dataclass(frozen=True)
class _Output:
    """A feature under way: its name, the register it comes from, and the raw columns behind it."""

    name: str
    register: str
    categorical: bool
    source: str


class _Planner:
    """Takes the items one by one."""

    def __init__(
        self,
        columns: Sequence[Column],
        items: SelectList,
        *,
        label: str | None,
        options: FeatureOptions,
        dialect: str,
        type_of: TypeOf | None,
        classes: int,
    ) -> None:
        self.items = items
        self.classes = classes
        self._columns = {column.name: column for column in columns}
        self._label = label
        self._options = options
        self._dialect = dialect
        self._type_of = type_of
        self.emitter = Emitter(self._columns)
        self._arguments: dict[str, Argument] = {}
        self._types: dict[str, str] = {}  # of engine-bound arguments
        self._outputs: list[_Output] = []
        self._expressions: dict[str, str] = {}
        self._made: dict[str, Made] = {}
        self._used: set[str] = set()

    # items

    def add(self, item: Item) -> None:
        """One item of the select list."""
        if item.star:
            self._add_star(item)
            return
        source = self.items.source(item.body)
        plain = column_name(source, self._dialect) if not self.items.calls(item.body) else None
        name = item.alias or (plain[-1] if plain else None)
        if name is None:
            raise self._error("an expression of TRANSFORM has no name", item.body, "Write expression AS name.")
        if self._is_carried(name):
            if plain is None or plain != (name,):
                self._expressions[name] = source
            return
        self._used = set()
        calls = self.items.calls(item.body)
        if len(calls) == 1 and calls[0].whole == item.body:
            self._add_made(name, self._call(calls[0]))
        elif plain is not None and len(plain) == 1:
            column = self._column(plain[0], item.body)
            self._add_raw(name, column, item.body)
        else:
            self._add_value(name, self._mixed(item.body, calls) if calls else self.value(item.body))
        self._refuse_label(name, item.body)

    def _add_star(self, item: Item) -> None:
        excluded = {self._column(name, item.body).name for name in item.excluded}
        replaced = {self._column(str(entry.alias), entry.body).name: entry for entry in item.replaced}
        for column in self._columns.values():
            if column.name in replaced:
                self.add(replace(replaced[column.name], alias=column.name))
            elif column.name not in excluded and not self._is_carried(column.name):
                self._used = set()
                self._add_raw(column.name, column, item.body)

    def _is_carried(self, name: str) -> bool:
        taken = (self._label, *self._options.carried)
        return any(other is not None and other.casefold() == name.casefold() for other in taken)

    def _refuse_label(self, name: str, body: Range) -> None:
        if self._label is not None and self._label in self._used:
            raise self._error(
                f'feature "{name}" is computed from the label "{self._label}"',
                body,
                "The label is not known when the model predicts.",
            )

    # features

    def _add_raw(self, name: str, column: Column, body: Range) -> None:
        kind = require_kind(column.name, column.sql_type, self.items.position(body))
        self._add_kind(name, self._argument(column.name, kind), kind, column.sql_type)

    def _add_value(self, name: str, value: Value) -> None:
        base = value.type.base
        if base in ("text", "enum"):
            self._add_kind(name, value.register, "text", "VARCHAR")
        elif base in ("date", "timestamp", "timestamptz", "time"):
            kind: Kind = "date" if base == "date" else "timestamptz" if base == "timestamptz" else "timestamp"
            self._add_kind(name, value.register, kind, base.upper())
        else:
            self._add_kind(name, self.emitter.double(value), "number", "DOUBLE")

    def _add_kind(self, name: str, register: str, kind: Kind, sql_type: str) -> None:
        """A register as the features its kind implies."""
        if kind == "text":
            self._output(name, self.emitter.emit("dictionary", (register,)), categorical=True)
        elif kind in ("number", "boolean"):
            self._output(name, register)
        else:
            column = Column(name, sql_type)
            step, features = calendar_step(column, kind, register, name, self._options.time_zone)
            registers = self.emitter.emit_many("calendar", step.inputs, len(features), **step.params)
            for feature, made in zip(features, registers, strict=True):
                self._output(feature.name, made)

    def _add_made(self, name: str, made: list[Made]) -> None:
        for entry in made:
            full = name if entry.suffix is None else f"{name}_{entry.suffix}"
            self._output(full, entry.register, categorical=entry.categorical)

    def _output(self, name: str, register: str, *, categorical: bool = False) -> None:
        listed = {excluded.casefold() for excluded in self._options.exclude}
        if name.casefold() in listed:
            return
        wanted = {chosen.casefold() for chosen in self._options.categorical_features}
        if not categorical and name.casefold() in wanted:
            register = self.emitter.emit("number_dictionary", (register,))
            categorical = True
        source = ", ".join(column for column in self._columns if column in self._used)
        self._outputs.append(_Output(name, register, categorical, source))

    # values

    def value(self, body: Range) -> Value:
        """A portable expression as steps, any other as an argument that the engine computes."""
        nested = self.items.calls(body)
        if nested:
            raise self._error(
                f"ML.{nested[0].name} cannot stand inside another preprocessor",
                nested[0].whole,
                "Give it a name of its own in TRANSFORM; preprocessors take columns and plain expressions.",
            )
        source = self.items.source(body)
        try:
            return self._compile(source, body)
        except NotPortableError:
            return self._engine_value(body)

    def _compile(self, source: str, body: Range) -> Value:
        try:
            make = COMPILERS[self._dialect]
            compiler = make(self.emitter, lambda column: self._column_value(column, body), self._options.time_zone)
            return compiler.compile(compiler.parse(source))
        except (SqlglotError, RecursionError) as error:
            raise NotPortableError(source) from error

    def _column_value(self, node: exp.Column, body: Range) -> Value:
        if node.args.get("table"):
            raise NotPortableError("a field or a qualified name")
        made = self._made.get(node.name)
        if made is not None:
            return Value(made.register, DOUBLE)
        column = self._column(node.name, body)
        kind = kind_of(column.sql_type)
        if kind is None:
            raise NotPortableError(column.sql_type)
        return Value(self._argument(column.name, kind), column_type(column.sql_type))

    def _column(self, name: str, body: Range) -> Column:
        """A column by name: exactly, else in another case."""
        found = [self._columns[name]] if name in self._columns else []
        found = found or [c for c in self._columns.values() if c.name.casefold() == name.casefold()]
        if not found:
            close = difflib.get_close_matches(name, self._columns, 1, 0.6)
            position = next(
                (t.start for t in self.items.tokens[body.first : body.end] if t.text.strip('"`') == name),
                self.items.position(body),
            )
            raise MissingColumnError(
                f'column "{name}" does not exist in the training query',
                hint=f'Did you mean "{close[0]}"?' if close else f"Columns are: {', '.join(self._columns)}.",
                position=position,
                text=self.items.text,
            )
        self._used.add(found[0].name)
        return found[0]

    def _argument(self, name: str, kind: Kind) -> str:
        self._arguments.setdefault(name, Argument(name, kind))
        self._used.add(name)
        return name

    def _engine_value(self, body: Range) -> Value:
        source = self.items.source(body)
        sql_type = self._engine_type(source, body)
        register = self._engine_argument(source, require_kind(source, sql_type, self.items.position(body)), body)
        try:
            kind = column_type(sql_type)
        except NotPortableError:
            kind = SqlType("text") if kind_of(sql_type) == "text" else DOUBLE
        return Value(register, kind)

    def _engine_type(self, source: str, body: Range) -> str:
        if self._type_of is None:
            raise self._error(f"only the engine can compute {source}", body)
        if source not in self._types:
            try:
                self._types[source] = self._type_of(source)
            except (EngineError, TransformError) as error:
                error.position = self.items.position(body) + (error.position or 0)
                raise
        return self._types[source]

    def _engine_argument(self, expression: str, kind: Kind, body: Range) -> str:
        for argument in self._arguments.values():
            if argument.expression == expression:
                name = argument.name
                break
        else:
            name = self.emitter.fresh()
            self._arguments[name] = Argument(name, kind, expression)
        self._used.update(self.items.columns_in(body, self._columns))
        return name

    def joined_list(self, body: Range) -> str | None:
        """See ``preprocessors.Scope``."""
        source = self.items.source(body)
        plain = column_name(source, self._dialect)
        if plain is not None and len(plain) == 1:
            sql_type = self._column(plain[0], body).sql_type
        else:
            try:
                self._compile(source, body)
            except NotPortableError:
                sql_type = self._engine_type(source, body)
            else:
                return None
        if not is_text_list(sql_type):
            return None
        return self._engine_argument(f"array_to_string({source}, chr(31))", "text", body)

    # preprocessors

    def _call(self, call: MlCall) -> list[Made]:
        known = PREPROCESSORS.get(call.name)
        if known is None:
            close = difflib.get_close_matches(call.name, PREPROCESSORS, 1, 0.6)
            hint = f"Did you mean ML.{close[0]}?" if close else f"There are: {', '.join(PREPROCESSORS)}."
            raise self._error(f"preprocessor ML.{call.name} does not exist", call.whole, hint)
        low, high = known.arguments
        if not low <= len(call.arguments) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            raise self._error(
                f"ML.{call.name} expects {wanted} argument{'s' * (high > 1)}, got {len(call.arguments)}",
                call.whole,
                f"Write ML.{call.name}({known.usage}).",
            )
        return known.make(Call(self, call))

    def _mixed(self, body: Range, calls: list[MlCall]) -> Value:
        """An expression over the results of preprocessors, which stand in it as columns of a made-up name."""
        text, start = self.items.text, self.items.position(body)
        pieces = []
        for call in calls:
            made = self._call(call)
            if len(made) != 1 or not made[0].numeric:
                raise self._error(f"the result of ML.{call.name} is not one number to compute with", call.whole)
            name = f"ml_result_{len(self._made)}"
            while name in self._columns:
                name += "_"
            self._made[name] = made[0]
            pieces += [text[start : self.items.position(call.whole)], name]
            start = self.items.tokens[call.whole.end - 1].end
        source = "".join([*pieces, text[start : self.items.tokens[body.end - 1].end]])
        try:
            return self._compile(source, body)
        except NotPortableError as error:
            raise self._error(
                f"the engine cannot compute with the result of ML.{calls[0].name}",
                calls[0].whole,
                "Around a preprocessor stand arithmetic, comparisons, CASE and the functions listed as portable.",
            ) from error

    def _error(self, message: str, body: Range, hint: str | None = None) -> SqlmlError:
        return TransformError(message, hint=hint, position=self.items.position(body), text=self.items.text)

    # the plan

    def plan(self) -> FeaturePlan:
        """All items put together; features get their names by copies at the end, which cost nothing."""
        if not self._outputs:
            raise TransformError("TRANSFORM has no feature", hint="Select at least one column besides the label.")
        features = [Feature(o.name, o.categorical, source=o.source) for o in self._outputs]
        require_distinct_features(features)
        steps, copies = list(self.emitter.steps), []
        for output in self._outputs:
            register = output.register
            if register == output.name:
                continue
            if register in self._arguments:  # another feature may take its name first
                register = self.emitter.fresh()
                steps.append(Step("copy", (output.register,), (register,)))
            copies.append(Step("copy", (register,), (output.name,)))
        arguments, kept = prune(list(self._arguments.values()), [*steps, *copies], [f.name for f in features])
        bound = any(argument.expression is not None for argument in arguments)
        return FeaturePlan(
            self._inputs(arguments),
            tuple(arguments),
            tuple(kept),
            tuple(features),
            dialect=self._dialect if bound else "portable",
            time_zone=self._options.time_zone,
            expressions=tuple(self._expressions.items()),
        )

    def _inputs(self, arguments: Sequence[Argument]) -> tuple[Input, ...]:
        used = {argument.name for argument in arguments if argument.expression is None}
        for argument in arguments:
            if argument.expression is not None:
                tokens = SelectList(argument.expression, self._dialect)
                used.update(tokens.columns_in(Range(0, len(tokens.tokens)), self._columns))
        return tuple(
            Input(column.name, kind_of(column.sql_type) or "text", column.sql_type)
            for column in self._columns.values()
            if column.name in used
        )
