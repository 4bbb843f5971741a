"""What folding the branches that a WHERE clause rules out could save: too little for what it costs, so no statement does it.

python -m benchmarks.pruning

``WHERE carrier = 'UA' AND origin = 'EWR'`` fixes two features, and a tree without the branches that such rows cannot reach gives
the same leaf, so that the sums stay equal bit for bit; ``EXPLAIN`` tells how many nodes are left. The table shows what is left of a
forest, the time of the kernel on rows that are ready in memory, what folding and laying the smaller forest out costs, and how many
rows pay for that. Measured on two busy cores with AVX2, one thread, two runs: 1.1 to 1.6 times (medians 1.2) where the nodes are
halved or the dearest sets of categories go, since a node takes a block of 512 rows no more than 6 cycles; most of the time goes to
coding the features and to adding the leaves. What the kernel does do is to code a feature only once for a block in which all its
values are the same, and columns that no tree asks for are not read.

Tried and left:

* Folding for the literals of a statement when it is planned: every new literal costs 16 to 120 ms once, which half a million rows
  that pass the filter win back at best and 1.8 million and more as a rule; how many will pass, the plan does not know to a factor of ten. And literals would
  have to be compared exactly as the engine does (types, NaN above infinity, collations, outer joins) in a part of the program where an
  error gives wrong numbers in silence.
* Folding in the kernel by what the rows have in common, whatever the reason: the least and greatest code of every column and the
  classes that occur of a category, looked at once in 2,048 rows, decide nodes; machine code makes the smaller trees in 18 to 23 us (3,000
  nodes), by bytes or by bits, and a block that does not agree takes the whole ones. Exact for every kind of model, and no literal has
  to be understood; 1.5 to 1.9 times for the flights while a node cost 20 cycles and a set 600 (walk by bytes, sets row by row). With
  the walk by bits 0.7 to 1.1 times: making trees costs what they save. Keeping them from call to call would save the making, at
  most a tenth for these models, for memory of every thread that has to be told from what was there before.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.explaining import cpu_seconds, synthetic
from benchmarks.scoring import Flights
from udfs.forest.fold import folded, node_count
from udfs.forest.nodes import build_forest_image
from udfs.forest.text import parse_lightgbm
from udfs.forest.walk import raw_scores
from udfs.model import Forest
from udfs.scorer import build_scorer

ROWS, ROUNDS = 50_000, 15
Values = Mapping[int, list[float]]


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


def main() -> None:
    print("| model and what is fixed | nodes | of them left | ns a row | folded | | cost | rows that pay for it |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, forest, rows, values in cases():
        began = time.thread_time()
        smaller = folded(forest, values)
        images = [build_forest_image(smaller, len(rows))]
        cost = time.thread_time() - began
        images.append(build_forest_image(forest, len(rows)))
        scores = [np.zeros((1, rows.shape[1])) for _ in images]
        after, before = (
            cpu_seconds(partial(raw_scores, image.ctypes.data, rows, rows.shape[1], out), ROUNDS) / rows.shape[1]
            for image, out in zip(images, scores, strict=True)
        )
        np.testing.assert_array_equal(scores[0], scores[1])
        print(
            f"| {name} | {node_count(forest):,} | {node_count(smaller):,} | {before * 1e9:.0f} | {after * 1e9:.0f} | {before / after:.2f}x "
            f"| {cost * 1e3:.0f} ms | {cost / (before - after):,.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
