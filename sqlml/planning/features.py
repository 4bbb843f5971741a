"""The columns of a training query, and its TRANSFORM if any, to a plan: what to fetch, what to compute, what to learn."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlml.engines.engine import Column
from sqlml.errors import DataError, DuplicateColumnError, OptionValueError, UnsupportedTypeError
from sqlml.planning.kinds import base_type, require_kind
from udfs.model import Argument, Feature, Input, Kind, Step

Quote = Callable[..., str]

DATE_PARTS = ("year", "month", "day", "dow", "doy")
CLOCK_PARTS = ("hour", "minute", "second")


@dataclass(frozen=True)
class FeatureOptions:
    """What OPTIONS say about features. ``carried`` are columns with another part to play: weights, splits, groups."""

    categorical_features: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    time_zone: str = "UTC"


@dataclass(frozen=True)
class FeaturePlan:
    """What to fetch, compute and learn. ``steps`` with something to learn are unfitted: see ``udfs.transforms.start_fit``.

    ``expressions`` are columns that TRANSFORM computes and that are no features (the label, a weight), by name.
    """

    inputs: tuple[Input, ...]
    arguments: tuple[Argument, ...]
    steps: tuple[Step, ...]
    features: tuple[Feature, ...]
    dialect: str = "portable"
    time_zone: str = "UTC"
    expressions: tuple[tuple[str, str], ...] = ()

    def source_sql(self, query_text: str, extra_columns: Sequence[str], quote: Quote) -> str:
        """The query for training: the arguments in order, then the extra columns; read its result by position."""
        computed = dict(self.expressions)
        items = [
            quote(argument.name) if argument.expression is None else _as(argument.expression, argument.name, quote)
            for argument in self.arguments
        ]
        items += [_as(computed[name], name, quote) if name in computed else quote(name) for name in extra_columns]
        # the query may end in a line comment
        return f"SELECT {', '.join(items) or '*'} FROM (\n{query_text}\n) AS {quote('training data')}"


def _as(expression: str, name: str, quote: Quote) -> str:
    return f"(\n{expression}\n) AS {quote(name)}"


def plan_features(
    columns: Sequence[Column],
    *,
    label: str | None,
    transform: str | None = None,
    options: FeatureOptions | None = None,
    dialect: str = "duckdb",
    type_of: Callable[[str], str] | None = None,
    classes: int = 0,
) -> FeaturePlan:
    """The plan for a training query with these columns; positions in errors are offsets in ``transform``.

    ``type_of`` gives the SQL type of an expression over the query's columns; TRANSFORM asks it about what is not portable.
    ``classes`` is the number of classes where it is more than two and known: target encoding makes a feature of each.
    """
    options = options or FeatureOptions()
    _require_distinct(columns)
    if transform is not None:
        from sqlml.planning.transform import plan_transform  # noqa: PLC0415 - sqlglot is loaded for TRANSFORM only

        return plan_transform(
            columns,
            label=label,
            transform=transform,
            options=options,
            dialect=dialect,
            type_of=type_of,
            classes=classes,
        )
    taken = {name.casefold() for name in (label, *options.carried) if name is not None}
    excluded = _resolve(options.exclude, columns, "exclude")
    categorical = _resolve(options.categorical_features, columns, "categorical_features")
    chosen = [c for c in columns if c.name.casefold() not in taken and c.name not in excluded]
    if not chosen:
        raise DataError(
            "training query has no column to use as a feature",
            hint="Select at least one column besides the label.",
        )
    builder = FeatureBuilder(options.time_zone)
    for column in chosen:
        builder.add_column(column, categorical=column.name in categorical)
    return builder.plan()


def _require_distinct(columns: Sequence[Column]) -> None:
    seen: set[str] = set()
    for column in columns:
        if not column.name:
            raise DataError("training query has a column without a name", hint="Give it one with AS.")
        if column.name.casefold() in seen:
            raise DuplicateColumnError(
                f'training query has two columns called "{column.name}"',
                hint="Rename one with AS, or leave it out with SELECT * EXCLUDE.",
            )
        seen.add(column.name.casefold())


def _resolve(names: Iterable[str], columns: Sequence[Column], option: str) -> set[str]:
    """The columns an option lists, matched exactly, else without regard to case."""
    found = set()
    offered = [column.name for column in columns]
    for name in names:
        match = [c for c in offered if c == name] or [c for c in offered if c.casefold() == name.casefold()]
        if not match:
            close = difflib.get_close_matches(name, offered, 1, 0.6)
            raise OptionValueError(
                f'option "{option}" names column "{name}", which the training query does not have',
                hint=f'Did you mean "{close[0]}"?' if close else f"Columns are: {', '.join(offered)}.",
            )
        found.add(match[0])
    return found


class FeatureBuilder:
    """Collects arguments, steps and features, column by column."""

    def __init__(self, time_zone: str) -> None:
        self._time_zone = time_zone
        self._inputs: list[Input] = []
        self._arguments: list[Argument] = []
        self._steps: list[Step] = []
        self._features: list[Feature] = []

    def add_column(self, column: Column, *, categorical: bool = False) -> None:
        """A raw column as the features its kind implies."""
        kind = require_kind(column.name, column.sql_type)
        self._inputs.append(Input(column.name, kind, column.sql_type))
        self._arguments.append(Argument(column.name, kind))
        if kind == "text":
            self._steps.append(Step("dictionary", (column.name,), (column.name,)))
            self._features.append(Feature(column.name, categorical=True, source=column.name))
        elif kind in ("number", "boolean"):
            if categorical:
                self._steps.append(Step("number_dictionary", (column.name,), (column.name,)))
            self._features.append(Feature(column.name, categorical=categorical, source=column.name))
        elif categorical:
            raise UnsupportedTypeError(
                f'column "{column.name}" of type {column.sql_type} cannot be categorical',
                hint=f"Its calendar parts are features of their own: try TRANSFORM (*, month({column.name}) AS m).",
            )
        else:
            step, features = calendar_step(column, kind, column.name, column.name, self._time_zone)
            self._steps.append(step)
            self._features.extend(features)

    def plan(self) -> FeaturePlan:
        """The plan of all columns added."""
        require_distinct_features(self._features)
        return FeaturePlan(
            tuple(self._inputs),
            tuple(self._arguments),
            tuple(self._steps),
            tuple(self._features),
            time_zone=self._time_zone,
        )


def calendar_parts(kind: Kind, sql_type: str) -> tuple[str, ...]:
    """The parts a column of dates or times becomes when nobody says which are wanted."""
    if base_type(sql_type) in ("TIME", "TIME WITHOUT TIME ZONE"):
        return CLOCK_PARTS
    return DATE_PARTS if kind == "date" else DATE_PARTS + CLOCK_PARTS


def calendar_step(column: Column, kind: Kind, register: str, prefix: str, time_zone: str) -> tuple[Step, list[Feature]]:
    """The step that takes a register of dates or times apart, and its features, called ``<prefix>_<part>``."""
    parts = calendar_parts(kind, column.sql_type)
    params: dict[str, object] = {"parts": list(parts)}
    if kind == "timestamptz":
        from udfs.transforms.zones import zone_params  # noqa: PLC0415 - needed by zoned columns only

        params |= zone_params(time_zone)
    names = tuple(f"{prefix}_{part}" for part in parts)
    return Step("calendar", (register,), names, params), [Feature(name, source=column.name) for name in names]


def require_distinct_features(features: Iterable[Feature]) -> None:
    """Refuse two features of one name, as a column d_year beside a date d."""
    seen = set()
    for feature in features:
        if feature.name.casefold() in seen:
            raise DuplicateColumnError(
                f'two features would be called "{feature.name}"',
                hint=f'Rename column "{feature.source}" with AS, or leave one out with OPTIONS (exclude = [...]).',
            )
        seen.add(feature.name.casefold())
