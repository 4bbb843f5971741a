"""What folding the branches that a WHERE clause rules out could save: too little for what it costs, so no statement does it.

python -m benchmarks.pruning

``WHERE carrier = 'UA' AND origin = 'EWR'`` fixes two features, and a tree without the branches that such rows cannot reach gives
the same leaf, so that the sums stay equal bit for bit. The table shows what is left of a forest, the time of the kernel on rows that
are ready in memory, what folding and laying the smaller forest out costs, and how many rows pay for that. Measured on two busy cores
with AVX-512, one thread: 1.25x where the two strongest of 10 or of 20 features are fixed (which halves the nodes), 1.1x with two
others, 1.4x to 2.2x for the flights model, whose sets of categories are its dearest nodes. Reading the columns and looking up the
texts takes the other half of ``SELECT sum(PREDICT_PROBA(late, *))``, so that a whole statement gains 1.25x there. Every new literal
costs 20 to 250 ms once, which 50,000 rows that pass the filter win back at best and 4 million at worst; how many will pass, the plan
does not know to a factor of ten. Against that stands that literals would have to be compared exactly as the engine does (types, NaN
above infinity, collations, outer joins) in a part of the program where an error gives wrong numbers in silence.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.explaining import cpu_seconds, synthetic
from benchmarks.scoring import Flights
from udfs.forest.nodes import build_forest_image
from udfs.forest.reference import goes_left
from udfs.forest.text import parse_lightgbm
from udfs.forest.walk import raw_scores
from udfs.model import Forest, Tree
from udfs.scorer import build_scorer

ROWS, ROUNDS = 50_000, 15
Values = Mapping[int, list[float]]


class Folded:
    """A tree without the branches that rows with the given values of some features cannot reach."""

    def __init__(self, tree: Tree, values: Values, features: int) -> None:
        self._tree, self._values = tree, values
        self._row = np.zeros(features)
        self._nodes: list[int] = []
        self._leaves: list[int] = []
        self._children: list[list[int]] = []
        self._walk(0 if len(tree.left_child) else -1)

    def tree(self) -> Tree:
        """As LightGBM would have it; of its statistics nothing is kept that scoring does not read."""
        nodes, tree = np.array(self._nodes, np.int64), self._tree
        children = np.array(self._children, np.int32).reshape(-1, 2)
        return replace(
            tree,
            split_feature=tree.split_feature[nodes],
            threshold=tree.threshold[nodes],
            decision_type=tree.decision_type[nodes],
            left_child=children[:, 0],
            right_child=children[:, 1],
            leaf_value=tree.leaf_value[self._leaves],
        )

    def _walk(self, node: int) -> int:
        """The new number of the subtree at a node: a node's, or ``~`` a leaf's."""
        ways = self._ways(node)
        while len(ways) == 1:
            node = int((self._tree.left_child if ways.pop() else self._tree.right_child)[node])
            ways = self._ways(node)
        if node < 0:
            self._leaves.append(~node)
            return -len(self._leaves)
        number = len(self._nodes)
        self._nodes.append(node)
        self._children.append([0, 0])
        for side, child in enumerate((self._tree.left_child[node], self._tree.right_child[node])):
            self._children[number][side] = self._walk(int(child))
        return number

    def _ways(self, node: int) -> set[bool]:
        """Whether rows go left, right or both ways; nothing for a leaf."""
        if node < 0:
            return set()
        feature = int(self._tree.split_feature[node])
        if feature not in self._values:
            return {True, False}
        found = set()
        for value in self._values[feature]:
            self._row[feature] = value
            found.add(goes_left(self._tree, node, self._row))
        return found


Case = tuple[str, Forest, np.ndarray[Any, Any], Values]


def cases() -> Iterator[Case]:
    """A name, a forest, rows that the filter lets through, and the values of the features that it fixes."""
    for trees, leaves, features in ((100, 31, 10), (500, 63, 20)):
        forest = parse_lightgbm(synthetic(trees, leaves, features)[0].model_to_string())
        for pair in ((0, 1), (5, 6)):
            rows = np.random.default_rng(3).standard_normal((features, ROWS))
            rows[pair, :] = [[0.3], [-0.2]]
            which = "strongest" if pair[0] == 0 else "other"
            yield f"{trees} x {leaves} x {features}, two {which}", forest, rows, {pair[0]: [0.3], pair[1]: [-0.2]}
    with tempfile.TemporaryDirectory() as folder:
        flights = Flights(Path(folder))
        for where in ("carrier = 'UA' AND origin = 'EWR'", "origin = 'JFK' AND dest IN ('LAX', 'SFO')"):
            query = f"SELECT {flights.columns} FROM rows WHERE {where} LIMIT {ROWS}"
            batch = flights.connection.engine_connection.sql(query).to_arrow_table().combine_chunks().to_batches()[0]
            rows = np.ascontiguousarray(build_scorer(flights.model).features(batch))
            named = [k for k, feature in enumerate(flights.model.features) if feature.name in where]
            yield f"flights, {where}", flights.model.forest, rows, {k: np.unique(rows[k]).tolist() for k in named}
        flights.connection.close()


def nodes(forest: Forest) -> int:
    return sum(len(tree.left_child) for tree in forest.trees)


def main() -> None:
    print("| model and what is fixed | nodes | of them left | ns a row | folded | | cost | rows that pay for it |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, forest, rows, values in cases():
        began = time.thread_time()
        folded = replace(forest, trees=tuple(Folded(tree, values, len(rows)).tree() for tree in forest.trees))
        images = [build_forest_image(folded, len(rows))]
        cost = time.thread_time() - began
        images.append(build_forest_image(forest, len(rows)))
        scores = [np.zeros((1, rows.shape[1])) for _ in images]
        after, before = (
            cpu_seconds(partial(raw_scores, image.ctypes.data, rows, rows.shape[1], out), ROUNDS) / rows.shape[1]
            for image, out in zip(images, scores, strict=True)
        )
        np.testing.assert_array_equal(scores[0], scores[1])
        print(
            f"| {name} | {nodes(forest):,} | {nodes(folded):,} | {before * 1e9:.0f} | {after * 1e9:.0f} | {before / after:.2f}x "
            f"| {cost * 1e3:.0f} ms | {cost / (before - after):,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
