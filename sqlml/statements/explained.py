"""What EXPLAIN says of the models in a statement: version, scorer, columns that are read, trees, and what a WHERE leaves of them."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sqlml.language.filters import Condition, fixed_columns
from sqlml.language.statements import ScalarCall, TableCall
from sqlml.language.tokens import column_name, substitute, tokenize
from sqlml.planning.pruning import unread_arguments
from sqlml.planning.scoring import literal
from udfs.columns import arrow_type
from udfs.forest.fold import folded, node_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlml.language.statements import Call
    from sqlml.rewrite import Found, Rewriter
    from udfs.model import Argument, Model

MOST_COMBINED = 256  # combinations of values for which features are computed
Fixed = dict[str, tuple[Any, ...]]
"""The values that arguments of a model may have, by name."""


def explain_lines(rewriter: Rewriter) -> list[str]:
    """A line for each version and each set of values that its rows are known to have."""
    lines: dict[str, None] = {}
    for call in rewriter.calls:
        if call.span in rewriter.used:
            found = rewriter.used[call.span]
            lines[_line(found, fixed_arguments(rewriter, call, found.model))] = None
    return list(lines)


def _line(found: Found, fixed: Fixed) -> str:
    model, version = found.model, found.version
    nodes = node_count(model.forest)
    count = len(model.forest.trees)
    trees = f"{count} tree{'s' * (count != 1)} of {nodes:,} nodes"
    if fixed:
        left, standing = reached(model, fixed)
        where = " and ".join(f"{name} {_shown(values)}" for name, values in fixed.items())
        trees += f" ({standing} of {left:,} where {where})"
    read = list(_read(found))
    inputs = f"{len(read)} of {len(model.inputs)}" if len(read) < len(model.inputs) else f"{len(read)}"
    return (
        f"model {version.model.schema}.{version.model.name}@{version.version} ({version.artifact_hash[:12]}): "
        f"{found.scorer} scorer, {trees}, reads {inputs} columns: {', '.join(read)}\n"
    )


def _shown(values: tuple[Any, ...]) -> str:
    """As SQL says it: the values that a column is left, the first few of them."""
    if values == (None,):
        return "IS NULL"
    texts = [literal(value) if isinstance(value, str) else f"{value}".upper() for value in values[:3]]
    if len(values) == 1:
        return f"= {texts[0]}"
    return f"IN ({', '.join([*texts, *(['...'] if len(values) > 3 else [])])})"


def _read(found: Found) -> Iterator[str]:
    """The columns that scores depend on."""
    unread = unread_arguments(found.model)
    needed = [argument for argument in found.model.arguments if argument.name not in unread]
    for item in found.model.inputs:
        if any(_mentions(argument, item.name, found.model.dialect) for argument in needed):
            yield item.name


def _mentions(argument: Argument, name: str, dialect: str) -> bool:
    if argument.expression is None:
        return argument.name == name
    dialect = dialect if dialect == "postgres" else "duckdb"
    return substitute(argument.expression, {name: "?"}, dialect) != argument.expression


def fixed_arguments(rewriter: Rewriter, call: Call, model: Model) -> Fixed:
    """The arguments of a call whose values the WHERE beside it, or the query given to it, spells out."""
    columns = rewriter.matched.get(call.span, {})
    conditions = _conditions(rewriter, call)
    fixed: Fixed = {}
    for argument in model.arguments:
        name = column_name(columns.get(argument.name, ""), rewriter.session.dialect)
        if argument.expression is not None or name is None:
            continue
        for parts, literals in conditions:
            values = _values(argument, literals)
            size = math.prod(len(others) for others in fixed.values())
            if values and _same_column(parts, name) and size * len(values) <= MOST_COMBINED:
                fixed[argument.name] = values
    return fixed


def _conditions(rewriter: Rewriter, call: Call) -> list[Condition]:
    dialect = rewriter.session.dialect
    if isinstance(call, ScalarCall):
        source = call.scope.source
        return fixed_columns(rewriter.text[source.end : rewriter.span.end], dialect) if source else []
    if isinstance(call, TableCall) and len(call.inputs) == 1 and not call.inputs[0][1]:
        query = call.inputs[0][0].of(rewriter.text)
        if [token.upper for token in tokenize(query, dialect)[:3]] == ["SELECT", "*", "FROM"]:
            return fixed_columns(query, dialect)
    return []


def _same_column(written: tuple[str, ...], meant: tuple[str, ...]) -> bool:
    """Whether two names are of one column, as one SELECT sees it: equal as far as both say."""
    pairs = zip(reversed(written), reversed(meant), strict=False)
    return all(a.casefold() == b.casefold() for a, b in pairs)


def _values(argument: Argument, literals: tuple[str | None, ...]) -> tuple[Any, ...]:
    """The literals as values of the argument; nothing where one of them is no such value."""
    read = _READERS.get(argument.kind)
    if read is None:
        return (None,) if literals == (None,) else ()
    try:
        return tuple(None if literal is None else read(literal) for literal in literals)
    except (ValueError, KeyError):
        return ()


_TRUTHS = {spelling: value for value in (True, False) for spelling in (str(value).lower(), str(value).upper())}
_READERS: dict[str, Callable[[str], Any]] = {"number": float, "text": str, "boolean": _TRUTHS.__getitem__}


def reached(model: Model, fixed: Fixed) -> tuple[int, int]:
    """How many nodes rows with these values can reach, and how many trees have any."""
    from udfs.scorer import build_scorer  # noqa: PLC0415 - loads the machine code of transforms

    rows = list(itertools.product(*fixed.values()))
    given = dict(zip(fixed, zip(*rows, strict=True), strict=True))
    arrays = [
        pa.array(given.get(argument.name, (None,) * len(rows)), arrow_type(argument.kind))
        for argument in model.arguments
    ]
    batch = pa.record_batch(arrays, names=[argument.name for argument in model.arguments])
    features = build_scorer(model).features(batch)
    numbers = {feature.name: number for number, feature in enumerate(model.features)}
    known = {
        numbers[name]: sorted(set(features[numbers[name]].tolist())) for name in _known(model, fixed) & set(numbers)
    }
    left = folded(model.forest, known)
    return node_count(left), sum(len(tree.left_child) > 0 for tree in left.trees)


def _known(model: Model, fixed: Mapping[str, object]) -> set[str]:
    """The registers that follow from these arguments alone."""
    known = set(fixed)
    for step in model.steps:
        if known.issuperset(step.inputs):
            known.update(step.outputs)
    return known
