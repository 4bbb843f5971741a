"""Trees as bit strings in PL/pgSQL: registers of features in, statements that add one leaf a tree to the raw scores out.

Every leaf of the forest is a bit. For every interval between the thresholds of a feature (or class of its categories, or its
missing value) there is a mask of the leaves that the feature's nodes leave open; the AND of the masks of a row's features leaves
exactly one bit a tree.

    b := substring(masks of x0 from row of x0 for width) & substring(masks of x1 from row of x1 for width) & ...
    s := s + (leaves of tree 0)[position(B'1' in substring(b from start of tree 0 for its leaves))] + ...

A tree costs four operators instead of two a node. PL/pgSQL prepares its expressions anew in every transaction, so that one row of
100 trees costs an eighth of what CASE expressions cost. Leaves stand in the order of how many rows reach them, because
``position`` looks at one bit after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from udfs.model import Forest, Tree
from udfs.postgres.plsql_features import NAN, ZERO, FeatureVariables, members
from udfs.postgres.plsql_literals import double, doubles
from udfs.postgres.plsql_scope import Scope

CHUNK = 50  # trees in one sum
BITS = 8  # substrings at whole bytes are copied, others shifted

Bits = npt.NDArray[np.bool_]


@dataclass
class _Source:
    """The nodes of one feature and missing type (None: its categorical nodes): which leaves each closes, if left or right."""

    thresholds: list[float] = field(default_factory=list)
    default_left: list[bool] = field(default_factory=list)
    sets: list[list[int]] = field(default_factory=list)
    left: list[npt.NDArray[np.int64]] = field(default_factory=list)  # bits of the leaves below the left child
    right: list[npt.NDArray[np.int64]] = field(default_factory=list)


@dataclass(frozen=True)
class _Layout:
    """Where the bits of every tree are, and its leaves in their order."""

    starts: list[int]
    widths: list[int]
    orders: list[npt.NDArray[np.int64]]
    width: int


def _layout(forest: Forest) -> _Layout:
    widths = [-(-len(tree.leaf_value) // BITS) * BITS if len(tree.leaf_value) > 1 else 0 for tree in forest.trees]
    starts = np.concatenate(([0], np.cumsum(widths))).astype(int).tolist()
    orders = [np.argsort(-tree.leaf_count.astype(np.int64), kind="stable") for tree in forest.trees]
    return _Layout(starts[:-1], widths, orders, starts[-1])


def _sources(forest: Forest, layout: _Layout) -> dict[tuple[int, int | None], _Source]:
    sources: dict[tuple[int, int | None], _Source] = {}
    for tree, start, order in zip(forest.trees, layout.starts, layout.orders, strict=True):
        place = np.empty(len(order), np.int64)
        place[order] = start + np.arange(len(order))
        for node, left, right in _sides(tree, place):
            kind = int(tree.decision_type[node])
            key = (int(tree.split_feature[node]), None if kind & 1 else kind >> 2 & 3)
            source = sources.setdefault(key, _Source())
            source.left.append(left)
            source.right.append(right)
            if kind & 1:
                source.sets.append(members(tree, node))
            else:
                source.thresholds.append(float(tree.threshold[node]))
                source.default_left.append(bool(kind & 2))
    return sources


def _sides(
    tree: Tree, place: npt.NDArray[np.int64]
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Every node with the bits of the leaves on its left and on its right, children before parents."""
    below: list[npt.NDArray[np.int64]] = [place[:0]] * len(tree.left_child)
    children = list(zip(tree.left_child.tolist(), tree.right_child.tolist(), strict=True))
    for node in range(len(children) - 1, -1, -1):
        left, right = (below[child] if child >= 0 else place[~child : ~child + 1] for child in children[node])
        below[node] = np.concatenate((left, right))
        yield node, left, right


def _number_masks(source: _Source, width: int) -> tuple[Bits, npt.NDArray[np.float64]]:
    """A row for every interval, one for missing values at the end; and the first value of every interval but the first.

    x goes left if x <= t: an interval begins at the double after t.
    """
    thresholds = np.array(source.thresholds)
    firsts = np.unique(np.nextafter(thresholds[thresholds < np.inf], np.inf))
    masks = np.ones((len(firsts) + 2, width), np.bool_)
    ends = np.searchsorted(firsts, np.nextafter(thresholds, np.inf))
    ends[thresholds == np.inf] = len(firsts)
    for end, default, left, right in zip(ends.tolist(), source.default_left, source.left, source.right, strict=True):
        masks[: end + 1, right] = False
        masks[end + 1 : -1, left] = False
        masks[-1, right if default else left] = False
    return masks, firsts


def _category_masks(source: _Source, largest: int, width: int) -> tuple[Bits, npt.NDArray[np.int64]]:
    """A row for every class of categories that no node tells apart, and the class of every category and of all others."""
    goes_left = np.zeros((largest + 2, len(source.sets)), np.bool_)
    for node, categories in enumerate(source.sets):
        goes_left[categories, node] = True
    classes, of_category = np.unique(goes_left, axis=0, return_inverse=True)
    masks = np.ones((len(classes), width), np.bool_)
    for node, (left, right) in enumerate(zip(source.left, source.right, strict=True)):
        masks[np.ix_(classes[:, node], right)] = False
        masks[np.ix_(~classes[:, node], left)] = False
    return masks, of_category.reshape(-1)


def mask_bytes(forest: Forest) -> int:
    """How long the masks of a forest would be."""
    width = sum(-(-len(tree.leaf_value) // BITS) for tree in forest.trees if len(tree.leaf_value) > 1)
    values: dict[tuple[int, int], set[float]] = {}
    categories: dict[int, int] = {}
    for tree in forest.trees:
        for node, (feature, kind) in enumerate(
            zip(tree.split_feature.tolist(), tree.decision_type.tolist(), strict=True)
        ):
            if kind & 1:
                categories[feature] = max(categories.get(feature, 0), *members(tree, node), 0)
            else:
                values.setdefault((feature, kind >> 2 & 3), set()).add(float(tree.threshold[node]))
    return width * (sum(len(found) + 2 for found in values.values()) + sum(k + 2 for k in categories.values()))


def write_sums(forest: Forest, registers: Sequence[str], sums: Sequence[str], scope: Scope) -> None:
    """Add the trees of every output to its variable."""
    layout = _layout(forest)
    features = FeatureVariables(registers, scope, forest)
    terms = [
        _open_leaves(source, key, features, layout.width)
        for key, source in sorted(
            _sources(forest, layout).items(), key=lambda item: (item[0][0], item[0][1] is None, item[0][1] or 0)
        )
    ]
    leaves = scope.let("bit varying", " & ".join(terms)) if terms else ""
    for start in range(0, len(forest.trees), CHUNK * forest.outputs):
        for output, total in enumerate(sums):
            chosen = range(start + output, min(start + CHUNK * forest.outputs, len(forest.trees)), forest.outputs)
            values = [_leaf(forest.trees[tree], tree, layout, leaves) for tree in chosen]
            if values:
                scope.emit(f"{total} := {total} + " + "\n + ".join(values) + ";")


def _open_leaves(source: _Source, key: tuple[int, int | None], features: FeatureVariables, width: int) -> str:
    feature, missing = key
    if missing is None:
        largest = features.categories[feature]
        masks, of_category = _category_masks(source, largest, width)
        table = "'{" + ",".join(map(str, of_category.tolist())) + "}'::int4[]"
        row = f"({table})[coalesce({features.category(feature)}, {largest + 1}) + 1]"
    else:
        masks, firsts = _number_masks(source, width)
        x = features.number(feature, missing)
        row = (
            f"width_bucket({x}, {doubles(firsts.tolist())})" if len(firsts) else f"CASE WHEN {x} IS NOT NULL THEN 0 END"
        )
        if missing in (ZERO, NAN):
            row = f"coalesce({row}, {len(firsts) + 1})"
    text = np.packbits(masks, axis=1).tobytes().hex()
    return f"substring(X'{text}' from {row} * {width} + 1 for {width})"


def _leaf(tree: Tree, number: int, layout: _Layout, leaves: str) -> str:
    values = tree.leaf_value[layout.orders[number]].tolist()
    if len(values) == 1:
        return double(values[0])
    start, count = layout.starts[number] + 1, layout.widths[number]
    return f"({doubles(values)})[position(B'1' in substring({leaves} from {start} for {count}))]"
