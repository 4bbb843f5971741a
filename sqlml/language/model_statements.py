"""Tokens of one model statement to its dataclass: CREATE, DROP, ALTER, REFRESH, SHOW, DESCRIBE, EXPORT, IMPORT MODEL."""

from __future__ import annotations

from collections.abc import Callable

from sqlml.language.options import read_options
from sqlml.language.reader import Reader
from sqlml.language.statements import (
    AlterModel,
    CreateModel,
    DescribeModel,
    DropModel,
    ExportModel,
    GrantModel,
    ImportModel,
    LaterStatement,
    ModelName,
    ModelStatement,
    Option,
    RefreshModel,
    ShowCreateModel,
    ShowModels,
    ShowModelVersions,
    Span,
)
from sqlml.language.words import QUERY_STARTS

_MODIFIERS = frozenset({"OR", "REPLACE", "TEMP", "TEMPORARY", "PERSISTENT"})
_GRAMMAR = "CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name [TRANSFORM (...)] [OPTIONS (...)] AS query"


def is_model_statement(reader: Reader) -> bool:
    """Whether the statement is one that only this dialect has."""
    first, second, third = (reader.peek(ahead).upper for ahead in range(3))
    if first in ("DROP", "ALTER", "REFRESH", "EXPORT"):
        return second == "MODEL"
    if first in ("CREATE", "IMPORT"):
        return _created_is_model(reader)
    if first == "SHOW":
        return _is_show(second, third, reader)
    if first in ("DESCRIBE", "DESC"):
        return second == "MODEL" and reader.peek(2).kind in ("word", "quoted", "string")
    if first in ("GRANT", "REVOKE"):
        return _grants_on_model(reader)
    return first == "COMMENT" and second == "ON" and third == "MODEL"


def _created_is_model(reader: Reader) -> bool:
    ahead = 1
    while reader.peek(ahead).upper in _MODIFIERS:
        ahead += 1
    return reader.peek(ahead).upper == "MODEL"


def _is_show(second: str, third: str, reader: Reader) -> bool:
    """``SHOW models.x`` and ``SHOW model`` describe tables."""
    if second == "MODELS":
        return third != "."
    if second == "CREATE":
        return third == "MODEL"
    return second == "MODEL" and third == "VERSIONS" and reader.peek(3).upper != "."


def _grants_on_model(reader: Reader) -> bool:
    ahead = 1
    while reader.peek(ahead).kind != "symbol" or reader.peek(ahead).upper == ",":
        if reader.peek(ahead).upper == "ON":
            name = reader.peek(ahead + 2)  # GRANT SELECT ON model TO joe is about a table
            return reader.peek(ahead + 1).upper == "MODEL" and name.kind in ("word", "quoted") and name.upper != "TO"
        ahead += 1
    return False


def read_model_statement(reader: Reader) -> ModelStatement:
    """The statement; raises SqlSyntaxError where it breaks the grammar."""
    first = reader.index
    word = reader.take().upper
    statement = _READERS[word](reader, first)
    reader.expect_end()
    return statement


def _span(reader: Reader, first: int) -> Span:
    """The whole statement, whether it was read to its end or not."""
    return Span(reader.tokens[first].start, reader.tokens[reader.end - 1].end)


def _create(reader: Reader, first: int) -> CreateModel:
    or_replace = reader.accept("OR", "REPLACE")
    if reader.peek().upper in ("TEMP", "TEMPORARY", "PERSISTENT"):
        raise reader.error("MODEL", hint="There are no temporary models.")
    reader.expect("MODEL")
    if_not_exists = _if_not_exists(reader)
    if or_replace and if_not_exists:
        raise reader.error_at("OR REPLACE and IF NOT EXISTS exclude each other", reader.tokens[first].start)
    name = reader.model_name(versioned=False)
    transform, options = _clauses(reader)
    query = _query(reader)
    return CreateModel(
        _span(reader, first),
        name,
        query,
        or_replace=or_replace,
        if_not_exists=if_not_exists,
        transform=transform,
        options=options,
    )


def _clauses(reader: Reader) -> tuple[Span | None, tuple[Option, ...]]:
    """TRANSFORM and OPTIONS, in either order, each once at most."""
    transform: Span | None = None
    options: tuple[Option, ...] | None = None
    while reader.peek().upper in ("TRANSFORM", "OPTIONS"):
        token = reader.take()
        if token.upper == "TRANSFORM":
            if transform is not None:
                raise reader.error_at("TRANSFORM stands twice", token.start)
            transform = _bracketed(reader)
        else:
            if options is not None:
                raise reader.error_at(
                    "OPTIONS stands twice", token.start, hint="Put all options into one OPTIONS (...)."
                )
            options = read_options(reader)
    return transform, options or ()


def _bracketed(reader: Reader) -> Span:
    """The text inside the brackets that come next."""
    opening = reader.peek()
    reader.expect("(", hint="Write TRANSFORM (select_list).")
    first, depth = reader.index, 1
    while depth:
        if reader.at_end():
            raise reader.error_at('"(" is never closed', opening.start)
        word = reader.take().upper
        depth += (word in ("(", "[", "{")) - (word in (")", "]", "}"))
    if reader.index - 1 == first:
        raise reader.error_at("TRANSFORM is empty", opening.start, hint="Write TRANSFORM (*) to take all columns.")
    return Span(reader.tokens[first].start, reader.tokens[reader.index - 2].end)


def _query(reader: Reader) -> Span:
    if not reader.accept("AS"):
        raise reader.error("TRANSFORM, OPTIONS or AS", hint=f"The statement is {_GRAMMAR}.")
    token = reader.peek()
    if token.upper not in QUERY_STARTS and token.upper != "(":
        raise reader.error("a query or TABLE name", hint="Write AS SELECT ..., or AS TABLE name.")
    first = reader.index
    reader.index = reader.end
    return reader.span_from(first)


def _if_exists(reader: Reader) -> bool:
    return reader.accept("IF", "EXISTS")


def _if_not_exists(reader: Reader) -> bool:
    return reader.accept("IF", "NOT", "EXISTS")


def _drop(reader: Reader, first: int) -> DropModel:
    reader.expect("MODEL")
    if_exists = _if_exists(reader)
    name = reader.model_name()
    version = _version_number(reader) if reader.accept("VERSION") else name.version
    if name.alias is not None:
        raise reader.error_at(
            "a version to drop is named by its number", name.span.start, hint="Write DROP MODEL name VERSION n."
        )
    cascade = reader.accept("CASCADE")
    if not cascade:
        reader.accept("RESTRICT")
    return DropModel(_span(reader, first), name, if_exists=if_exists, version=version, cascade=cascade)


def _version_number(reader: Reader) -> int:
    position = reader.peek().start
    number = reader.integer("a version number")
    if number < 1:
        raise reader.error_at("a version number is 1 or greater", position)
    return number


def _alter(reader: Reader, first: int) -> AlterModel:
    reader.expect("MODEL")
    if_exists = _if_exists(reader)
    name = reader.model_name()
    reading = _ACTIONS.get((reader.peek().upper, reader.peek(1).upper)) or _ACTIONS.get((reader.peek().upper, ""))
    if reading is None:
        raise reader.error("an action", hint=_ACTION_HINT)
    return reading(reader, _span(reader, first), name, if_exists)


def _set_default(reader: Reader, span: Span, name: ModelName, if_exists: bool) -> AlterModel:
    reader.index += 2
    version: int | None = name.version
    alias: str | None = name.alias
    if version is None and alias is None:
        reader.expect("VERSION", hint="Write SET DEFAULT VERSION n.")
        if reader.peek().kind == "number":
            version = _version_number(reader)
        else:
            alias = reader.name("a version number or an alias")
    rebuild = reader.accept("REBUILD")
    if rebuild:
        reader.expect("VIEWS")
    return AlterModel(span, name, "set_default", if_exists, version, alias, rebuild_views=rebuild)


def _set_alias(reader: Reader, span: Span, name: ModelName, if_exists: bool) -> AlterModel:
    reader.index += 2
    alias = reader.name("an alias")
    reader.expect("=", hint="Write SET ALIAS name = n.")
    return AlterModel(span, name, "set_alias", if_exists, _version_number(reader), alias)


def _drop_alias(reader: Reader, span: Span, name: ModelName, if_exists: bool) -> AlterModel:
    reader.index += 2
    return AlterModel(span, name, "drop_alias", if_exists, alias=reader.name("an alias"))


def _set_options(reader: Reader, span: Span, name: ModelName, if_exists: bool) -> AlterModel:
    reader.index += 2
    return AlterModel(span, name, "set_options", if_exists, options=read_options(reader))


def _rename(reader: Reader, span: Span, name: ModelName, if_exists: bool) -> AlterModel:
    reader.index += 1
    reader.expect("TO")
    return AlterModel(span, name, "rename", if_exists, new_name=reader.model_name(versioned=False))


def _keep(reader: Reader, span: Span, name: ModelName, if_exists: bool) -> AlterModel:
    reader.index += 1
    number = _version_number(reader)
    if not reader.accept("VERSION"):
        reader.expect("VERSIONS", hint="Write KEEP n VERSIONS.")
    return AlterModel(span, name, "keep", if_exists, number)


_ACTIONS: dict[tuple[str, str], Callable[[Reader, Span, ModelName, bool], AlterModel]] = {
    ("SET", "DEFAULT"): _set_default,
    ("SET", "ALIAS"): _set_alias,
    ("DROP", "ALIAS"): _drop_alias,
    ("SET", "OPTIONS"): _set_options,
    ("RENAME", ""): _rename,
    ("KEEP", ""): _keep,
}
_ACTION_HINT = "Actions are SET DEFAULT VERSION n, SET ALIAS a = n, DROP ALIAS a, SET OPTIONS (...), RENAME TO name, KEEP n VERSIONS."


def _refresh(reader: Reader, first: int) -> RefreshModel:
    reader.expect("MODEL")
    name = reader.model_name(versioned=False)
    options = read_options(reader) if reader.accept("OPTIONS") else ()
    return RefreshModel(_span(reader, first), name, options)


def _show(reader: Reader, first: int) -> ShowModels | ShowCreateModel | ShowModelVersions:
    span = _span(reader, first)
    if reader.accept("MODELS"):
        return ShowModels(span, reader.string("a pattern") if reader.accept("LIKE") else None)
    if reader.accept("CREATE", "MODEL"):
        return ShowCreateModel(span, reader.model_name())
    reader.expect("MODEL", "VERSIONS")
    return ShowModelVersions(span, reader.model_name(versioned=False))


def _describe(reader: Reader, first: int) -> DescribeModel:
    reader.expect("MODEL")
    return DescribeModel(_span(reader, first), reader.model_name())


def _export(reader: Reader, first: int) -> ExportModel:
    reader.expect("MODEL")
    name = reader.model_name()
    reader.expect("TO", hint="Write EXPORT MODEL name TO 'file'.")
    path = reader.string("a file's path")
    options = read_options(reader) if reader.accept("OPTIONS") else ()
    return ExportModel(_span(reader, first), name, path, options)


def _import(reader: Reader, first: int) -> ImportModel:
    or_replace = reader.accept("OR", "REPLACE")
    reader.expect("MODEL")
    if_not_exists = _if_not_exists(reader)
    name = reader.model_name(versioned=False)
    reader.expect("FROM", hint="Write IMPORT MODEL name FROM 'file'.")
    path = reader.string("a file's path")
    options = read_options(reader) if reader.accept("OPTIONS") else ()
    return ImportModel(_span(reader, first), name, path, or_replace, if_not_exists, options)


def _grant(reader: Reader, first: int) -> GrantModel:
    revokes = reader.tokens[first].upper == "REVOKE"
    usage = "Write GRANT USAGE ON MODEL name TO role, or REVOKE USAGE ON MODEL name FROM role."
    if not reader.accept("ALL", "PRIVILEGES") and not reader.accept("ALL"):
        reader.expect("USAGE", hint=f"A model has one privilege. {usage}")
    reader.expect("ON", "MODEL", hint=usage)
    name = reader.model_name(versioned=False)
    reader.expect("FROM" if revokes else "TO", hint=usage)
    roles = [_role(reader)]
    while reader.accept(","):
        roles.append(_role(reader))
    return GrantModel(_span(reader, first), name, tuple(roles), revokes)


def _role(reader: Reader) -> str:
    """A role as Postgres knows it: unquoted names in lower case."""
    is_quoted = reader.peek().kind == "quoted"
    name = reader.name("a role")
    return name if is_quoted else name.lower()


def _later(reader: Reader, first: int) -> LaterStatement:
    """COMMENT: the model's name is read, the rest is left to the release that runs it."""
    what = f"{reader.tokens[first].upper} ON MODEL"
    while not reader.accept("ON", "MODEL"):
        reader.take()
    name = reader.model_name()
    reader.index = reader.end
    return LaterStatement(_span(reader, first), what, name)


_READERS: dict[str, Callable[[Reader, int], ModelStatement]] = {
    "CREATE": _create,
    "DROP": _drop,
    "ALTER": _alter,
    "REFRESH": _refresh,
    "SHOW": _show,
    "DESCRIBE": _describe,
    "DESC": _describe,
    "EXPORT": _export,
    "IMPORT": _import,
    "GRANT": _grant,
    "REVOKE": _grant,
    "COMMENT": _later,
}
