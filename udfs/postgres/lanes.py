"""A forest laid out for one row at a time: 32 trees side by side, a byte each, all nodes of all trees as steps.

A feature's value becomes bytes (``udfs.forest.coded``): its rank among the thresholds of a column, or for a set of categories 1
where the row's category goes right. The state of a tree is a byte, the number of the first leaf that can still be reached;
the nodes come parents first, and the node that a row is at is the one whose first leaf is the state:

    state += middle - first   where   state == first  and  codes[column] > threshold

A step does this for one node of each of 32 trees: a permute, two compares and an addition. All 30 nodes of a tree of 31 leaves
cost less than the few of its way, whose every step waits for the one before. Trees of more than 256 leaves are walked as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.forest.coded import CATEGORY, Coder, Shape, forest_shape, merge_categories, modes, moved_off_zero
from udfs.forest.nodes import plain_sections
from udfs.forest.ranks import BY_BITS, CUT, FIRST_COLUMN, LAST, LOW, SCALE, STARTS, STEP
from udfs.forest.ranks import COLUMNS as RANK_COLUMNS
from udfs.postgres import layout

if TYPE_CHECKING:
    import numpy.typing as npt

    from udfs.model import Forest

    Ints = npt.NDArray[np.int64]

MAX_LEAVES = 256
MAX_TABLE = 1 << 24  # bytes of a feature's sets
NO_TREE = -1


@dataclass
class Lanes:
    """The forest's sections by name, and how many codes and states a row has."""

    sections: dict[str, npt.NDArray[Any]]
    codes: int
    lanes: int


@dataclass
class _Nodes:
    """Of every node of all trees: how it treats missing values, its byte of codes and that byte's threshold."""

    kind: Ints
    column: Ints
    code: Ints


def lay_out_forest(forest: Forest, cells: Ints) -> Lanes:
    """Lay out a checked forest; ``cells`` says where each feature is."""
    plain = plain_sections(forest)
    roots, feature, _, left, right = (values.astype(np.int64) for values in plain[:5])
    shape = forest_shape(forest, roots, left, right)
    is_deep = shape.leaves > MAX_LEAVES
    coder = Coder()
    nodes = _Nodes(modes(plain[2]), np.zeros(len(feature), np.int64), np.zeros(len(feature), np.int64))
    shallow = ~is_deep[shape.tree]
    cuts = moved_off_zero(plain[7])
    for number in np.unique(feature[shallow]).tolist():
        chosen = np.flatnonzero((feature == number) & (nodes.kind != CATEGORY) & shallow)
        if len(chosen):
            nodes.column[chosen], nodes.code[chosen] = coder.add_numeric(number, cuts[chosen], nodes.kind[chosen])
    sets = _Sets(len(coder.columns), plain)
    for number in np.unique(feature[shallow & (nodes.kind == CATEGORY)]).tolist():
        chosen = np.flatnonzero((feature == number) & (nodes.kind == CATEGORY) & shallow)
        if not sets.add(int(cells[number]), chosen, nodes):
            is_deep = np.ones(len(is_deep), np.bool_)
            sets, coder, shallow = _Sets(0, plain), Coder(), np.zeros_like(shallow)
            break
    groups = _Groups(shape, nodes, is_deep)
    sections = _coded_sections(coder, cells) | sets.sections() | groups.sections(plain[8])
    sections |= _node_sections(forest, plain, cells, groups.leaf_at)
    sections["trees"][:, layout.TREE_ROOT] = sections.pop("roots")
    return Lanes(sections, sets.next_code, groups.lanes)


def _coded_sections(coder: Coder, cells: Ints) -> dict[str, npt.NDArray[Any]]:
    numeric = np.zeros((len(coder.features), layout.NUMERIC_WORDS), np.int64)
    for row, record in enumerate(coder.features):
        numeric[row, layout.NUMERIC_CELL] = cells[record[0]]
        for target, source in (
            (layout.FIRST_COLUMN, FIRST_COLUMN), (layout.COLUMN_COUNT, RANK_COLUMNS), (layout.LOW, LOW),
            (layout.SCALE, SCALE), (layout.LAST, LAST), (layout.BY_BITS, BY_BITS), (layout.STEP, STEP),
        ):  # fmt: skip
            numeric[row, target] = record[source]
        numeric[row, layout.FIRST_START], numeric[row, layout.FIRST_CUT] = record[STARTS] // 4, record[CUT] // 8
    columns = np.array(coder.columns, np.int64).reshape(-1, 4)
    columns[:, 3] = 0
    return {
        "numeric": numeric,
        "columns": columns,
        "starts": np.concatenate([np.zeros(0, np.int32), *coder.starts]),
        "cuts": np.concatenate([np.zeros(0), *coder.cuts]),
    }


class _Sets:
    """The categorical features: classes of categories that no set tells apart, and a row of bytes for each class."""

    def __init__(self, first_code: int, plain: list[npt.NDArray[Any]]) -> None:
        self.next_code = first_code
        self._start, self._length, self._words = plain[5], plain[6], plain[9]
        self._records: list[list[int]] = []
        self._classes: list[npt.NDArray[np.uint16]] = []
        self._tables: list[npt.NDArray[np.uint8]] = []

    def add(self, cell: int, chosen: Ints, nodes: _Nodes) -> bool:
        """Give the sets of a feature's nodes their codes; False where there are too many."""
        spans = np.column_stack((self._start[chosen], self._length[chosen]))
        unique, which = np.unique(spans, axis=0, return_inverse=True)
        merged = merge_categories(unique[:, 0], unique[:, 1], self._words)
        if merged is None or merged[1].size > MAX_TABLE:
            return False
        class_of, goes_right = merged
        first_class = sum(len(part) for part in self._classes)
        first_table = sum(len(part) for part in self._tables)
        count, classes = goes_right.shape
        self._records.append(
            [cell, first_class, len(class_of) - 1, first_table, count, self.next_code, classes, 0],
        )
        self._classes.append(class_of)
        self._tables.append(np.ascontiguousarray(goes_right.T, np.uint8).reshape(-1))
        nodes.column[chosen] = self.next_code + which.reshape(-1)
        nodes.code[chosen] = 0
        self.next_code += count
        return True

    def sections(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "categorical": np.array(self._records, np.int64).reshape(-1, layout.CATEGORICAL_WORDS),
            "class_of": np.concatenate([np.zeros(0, np.uint16), *self._classes]),
            "tables": np.concatenate([np.zeros(0, np.uint8), *self._tables]),
        }


class _Groups:
    """The trees of up to 256 leaves, those of like size together, and their steps."""

    def __init__(self, shape: Shape, nodes: _Nodes, is_deep: npt.NDArray[np.bool_]) -> None:
        self._shape, self._nodes = shape, nodes
        self._trees = np.flatnonzero(~is_deep)
        self._trees = self._trees[np.argsort(-shape.leaves[self._trees], kind="stable")]
        self._first_node = np.concatenate(([0], np.cumsum(shape.leaves - 1)))
        self._first_leaf = np.concatenate(([0], np.cumsum(shape.leaves)))
        owner = np.repeat(np.arange(len(shape.leaves)), shape.leaves)
        self.leaf_at = (
            self._first_leaf[owner] + shape.leaf_place
        )  # of every leaf's value: from left to right in its tree
        self.lanes = -(-len(self._trees) // layout.WIDTH) * layout.WIDTH

    def sections(self, values: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[Any]]:
        """Groups, steps, leaf values (each tree's from left to right) and where each tree finds its own."""
        records, steps = [], []
        size = 0
        for start in range(0, len(self._trees), layout.WIDTH):
            part, chunks = self._steps(self._trees[start : start + layout.WIDTH])
            each = layout.STEP_BYTES if chunks else layout.GATHERED_STEP_BYTES
            records.append([size, len(part) // each, chunks, 0])
            steps.append(part)
            size += len(part)
        trees = np.zeros((len(self._shape.leaves), layout.TREE_INTS), np.int32)
        trees[:, layout.TREE_LANE] = NO_TREE
        trees[self._trees, layout.TREE_LANE] = np.arange(len(self._trees))
        trees[:, layout.TREE_VALUE] = self._first_leaf[:-1]
        placed = np.zeros(len(values) + MAX_LEAVES)  # any byte is a leaf's number
        placed[self.leaf_at] = values
        return {
            "groups": np.array(records, np.int64).reshape(-1, layout.GROUP_WORDS),
            "steps": np.concatenate([np.zeros(0, np.uint8), *steps]),
            "values": placed,
            "trees": trees,
        }

    def _steps(self, trees: Ints) -> tuple[npt.NDArray[np.uint8], int]:
        """The steps of a group, and the number of chunks its codes are in (0: too many, they are gathered)."""
        shape, nodes = self._shape, self._nodes
        count = int(shape.leaves[trees].max()) - 1
        column = np.zeros((count, layout.WIDTH), np.uint32)
        fields = np.zeros((3, count, layout.WIDTH), np.uint8)
        fields[0] = 255
        for lane, tree in enumerate(trees.tolist()):
            own = slice(int(self._first_node[tree]), int(self._first_node[tree + 1]))
            place = shape.place[own]
            column[place, lane] = nodes.column[own]
            fields[0, place, lane] = nodes.code[own]
            fields[1, place, lane] = shape.first[own]
            fields[2, place, lane] = shape.middle[own] - shape.first[own]
        chunks = int(column.max(initial=0)) // layout.CHUNK + 1
        chunks = chunks if chunks <= layout.MOST_CHUNKS else 0
        number = column.astype(np.uint8) if chunks else column.view(np.uint8)
        return np.concatenate((number, *fields), axis=1).reshape(-1), chunks


def _node_sections(
    forest: Forest, plain: list[npt.NDArray[Any]], cells: Ints, leaf_at: Ints
) -> dict[str, npt.NDArray[Any]]:
    """All nodes in LightGBM's order: large trees are walked by them, and all trees when a prediction is explained."""
    roots, feature, decision, left, right, start, length, threshold, _, words = plain
    nodes = np.zeros((len(feature), layout.NODE_WORDS), np.int64)
    kind = decision.astype(np.int64)
    nodes[:, layout.NODE_PLACE] = cells[feature] | kind << 24 | feature.astype(np.int64) << 32
    spans = start.astype(np.int64) | length.astype(np.int64) << 32
    nodes[:, layout.NODE_THRESHOLD] = np.where(kind & 1, spans, threshold.view(np.int64))
    inner = np.concatenate([np.zeros(0, np.int64), *(tree.internal_count for tree in forest.trees)]).astype(np.int64)
    leaves = np.concatenate([np.zeros(0, np.int64), *(tree.leaf_count for tree in forest.trees)]).astype(np.int64)

    def place(child: Ints) -> Ints:
        return np.where(child >= 0, child, ~leaf_at[np.maximum(~child, 0)])

    def count(child: Ints) -> Ints:
        return np.where(child >= 0, np.append(inner, 0)[np.maximum(child, -1)], leaves[np.maximum(~child, 0)])

    children = left.astype(np.int64), right.astype(np.int64)
    nodes[:, layout.NODE_CHILDREN] = _pair(*map(place, children))
    nodes[:, layout.NODE_COUNTS] = _pair(*map(count, children))
    return {"nodes": nodes, "sets": words, "roots": place(roots.astype(np.int64))}


def _pair(low: Ints, high: Ints) -> Ints:
    return low & 0xFFFFFFFF | high << 32
