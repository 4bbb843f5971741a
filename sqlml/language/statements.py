"""What the parser returns: one frozen dataclass a statement or call, each with its span in the user's text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

OptionValue = None | bool | int | float | str | tuple["OptionValue", ...] | dict[str, "OptionValue"]


@dataclass(frozen=True)
class Span:
    """Half-open character offsets into the text given to the parser."""

    start: int
    end: int

    def of(self, text: str) -> str:
        return text[self.start : self.end]


@dataclass(frozen=True)
class Option:
    """``key = value`` of OPTIONS, or ``value AS key`` of STRUCT; keys are folded to lower case."""

    key: str
    value: OptionValue
    span: Span


@dataclass(frozen=True)
class ModelName:
    """``[[database.]schema.]name[@version | @alias]``; parts are unescaped, unquoted ones not folded (matching folds)."""

    parts: tuple[str, ...]
    span: Span
    quoted: tuple[bool, ...] = ()
    version: int | None = None
    alias: str | None = None


@dataclass(frozen=True)
class CreateModel:
    """``CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name [TRANSFORM (...)] [OPTIONS (...)] AS { query | TABLE t }``.

    ``query`` is the span of the query's text (``TABLE t`` included as written); ``transform`` the span inside its parentheses.
    """

    span: Span
    name: ModelName
    query: Span
    or_replace: bool = False
    if_not_exists: bool = False
    transform: Span | None = None
    options: tuple[Option, ...] = ()
    calls: tuple[Call, ...] = ()  # in the query
    unnamed_items: tuple[Span, ...] = ()


@dataclass(frozen=True)
class DropModel:
    span: Span
    name: ModelName
    if_exists: bool = False
    version: int | None = None
    cascade: bool = False


@dataclass(frozen=True)
class AlterModel:
    """``action``: set_default (version, alias or ModelName's @), set_alias, drop_alias, set_options, rename, keep."""

    span: Span
    name: ModelName
    action: Literal["set_default", "set_alias", "drop_alias", "set_options", "rename", "keep"]
    if_exists: bool = False
    version: int | None = None
    alias: str | None = None
    options: tuple[Option, ...] = ()
    new_name: ModelName | None = None
    rebuild_views: bool = False


@dataclass(frozen=True)
class RefreshModel:
    span: Span
    name: ModelName
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class ShowModels:
    span: Span
    like: str | None = None


@dataclass(frozen=True)
class DescribeModel:
    span: Span
    name: ModelName


@dataclass(frozen=True)
class ShowCreateModel:
    span: Span
    name: ModelName


@dataclass(frozen=True)
class ShowModelVersions:
    span: Span
    name: ModelName


@dataclass(frozen=True)
class ExportModel:
    span: Span
    name: ModelName
    path: str
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class ImportModel:
    span: Span
    name: ModelName
    path: str
    or_replace: bool = False
    if_not_exists: bool = False
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class FromItem:
    """One relation in a FROM clause: its text and the alias under which its columns are visible (None: cannot be named)."""

    span: Span
    alias: str | None


@dataclass(frozen=True)
class Scope:
    """The SELECT (or UPDATE / DELETE) a call stands in, so that the engine can be asked which columns are visible.

    ``source`` is the text between FROM and the next clause (None: no FROM). ``ctes`` are the spans of all WITH definitions in
    sight (``name AS (...)``), outermost first, with ``recursive`` if any of their WITHs says so. ``outer`` is the enclosing scope.

    Where no text of its own shows the relations (UPDATE ... FROM, DELETE ... USING, MERGE, a join's ON), ``source`` is None and
    ``items`` are the relations in sight, to be joined by commas. ``anchors`` are recursive definitions the call stands inside of,
    each up to the end of its first term: ``r(n) AS (SELECT 1``; a closing bracket completes it.
    """

    source: Span | None
    items: tuple[FromItem, ...] = ()
    ctes: tuple[Span, ...] = ()
    recursive: bool = False
    outer: Scope | None = None
    anchors: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Argument:
    """One argument of a scalar PREDICT: ``*``, ``t.*``, ``* EXCEPT (a, b)``, ``expr``, ``expr AS feature``."""

    span: Span  # of the expression, without the alias
    star: bool = False
    qualifier: str | None = None
    excluded: tuple[str, ...] = ()
    alias: str | None = None


@dataclass(frozen=True)
class ScalarCall:
    """``PREDICT(name, ...)``, ``PREDICT_PROBA(name [, 'class'], ...)`` or the USING spelling, in an expression."""

    span: Span
    function: Literal["predict", "predict_proba", "explain_predict"]
    model: ModelName
    arguments: tuple[Argument, ...]
    scope: Scope
    class_label: Span | None = None  # a literal
    select_item: bool = False  # the whole of a select-list item without an alias: name the output column
    unnamed_item: Span | None = None  # the select-list item without an alias that holds the call; None if it has one
    by_text: bool = False  # ml_predict('name', ...)


@dataclass(frozen=True)
class TableCall:
    """``ML.<function>(MODEL name [, {TABLE t | (query)}] [, STRUCT(...)])`` where a table may stand.

    ``function`` is lower case without the prefix: predict, evaluate, roc_curve... ``inputs`` are spans of ``TABLE t`` (the name
    only, with ``is_table``) or of the query inside the parentheses; most functions take one, drift and skew two.
    """

    span: Span
    function: str
    model: ModelName | None
    inputs: tuple[tuple[Span, bool], ...] = ()
    settings: tuple[Option, ...] = ()
    scope: Scope | None = None


Call = ScalarCall | TableCall


@dataclass(frozen=True)
class EngineStatement:
    """A statement for the engine: verbatim where ``calls`` is empty, else with the spans of the calls replaced.

    ``keyword`` is its first word in upper case. ``stores`` says that the text outlives the statement (view, macro, PREPARE), so
    that calls bind to the model's name and not to today's version; ``stored_name`` is the view's or macro's name.
    ``explains`` is set for EXPLAIN [ANALYZE]. ``calls`` are in the order of the text; those inside another's input follow it.
    ``drops`` are the views and macros a DROP names. ``rejected`` are names in calls that would be ours if such models
    existed: if the engine knows no function PREDICT or schema ML either, the model is what the user got wrong.
    ``unnamed_items`` are the select-list items that have no alias and hold a call somewhere, without being one: the engine
    would name their columns after the generated SQL.
    """

    span: Span
    keyword: str
    calls: tuple[Call, ...] = ()
    stores: Literal["view", "macro", "prepare", "table", "index", "trigger"] | None = None
    stored_name: tuple[str, ...] = ()
    temporary: bool = False
    explains: bool = False
    drops: tuple[tuple[str, ...], ...] = field(default=())
    rejected: tuple[ModelName, ...] = ()
    unnamed_items: tuple[Span, ...] = ()


@dataclass(frozen=True)
class GrantModel:
    """``GRANT USAGE ON MODEL name TO role, ...`` or, with ``revokes``, ``REVOKE ... FROM``; PUBLIC is a role called public."""

    span: Span
    name: ModelName
    roles: tuple[str, ...]
    revokes: bool


@dataclass(frozen=True)
class LaterStatement:
    """A statement of the dialect that is read but not run yet: ``what`` names it for the message."""

    span: Span
    what: str
    name: ModelName | None = None


ModelStatement = (
    CreateModel
    | DropModel
    | AlterModel
    | RefreshModel
    | ShowModels
    | DescribeModel
    | ShowCreateModel
    | ShowModelVersions
    | ExportModel
    | ImportModel
    | GrantModel
    | LaterStatement
)
Statement = ModelStatement | EngineStatement
