"""What stopping early could save where only a comparison with a threshold is asked for: nothing, so no kernel does it.

python -m benchmarks.stopping

``WHERE PREDICT_PROBA(m, *) > 0.9`` and ``ORDER BY PREDICT(m, *) LIMIT k`` need not finish a sum whose remaining trees cannot move it
across the bound any more: their least and greatest leaves tell. The table shows after which share of the trees that happens, at its
best (bounds by exact sums, not widened for rounding). A single row is decided late, since the least and greatest leaves of all
remaining trees never meet in one row; 32 rows, and the 512 that ``udfs.forest.walk`` sends down a tree together, hold one that is
decided at the very end. Rows would have to be sorted out and gathered anew, which costs more than the tenth of the trees it saves:
a node costs a row less than a hundredth of a nanosecond, and a good half of a block's time goes to coding its features, which comes
first in any case.
"""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np

from benchmarks.explaining import synthetic

ROWS = 8192
GROUPS = (1, 32, 512)
PROBABILITIES = (0.5, 0.9, 0.99)


def leaves_of(booster: lightgbm.Booster, rows: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
    """The value of every row's leaf in every tree; the least and the greatest leaf of every tree."""
    places = booster.predict(rows, pred_leaf=True, num_threads=1)
    table = booster.trees_to_dataframe()
    leaves = table[table["left_child"].isna()]
    numbers = leaves["node_index"].str.extract(r"L(\d+)$")[0].astype(int)
    values = [
        leaves["value"][leaves["tree_index"] == tree].to_numpy()[np.argsort(numbers[leaves["tree_index"] == tree])]
        for tree in range(places.shape[1])
    ]
    found = np.stack([values[tree][places[:, tree]] for tree in range(len(values))], axis=1)
    return found, np.array([v.min() for v in values]), np.array([v.max() for v in values])


def decided_after(
    values: np.ndarray[Any, Any], low: np.ndarray[Any, Any], high: np.ndarray[Any, Any], bound: float
) -> np.ndarray[Any, Any]:
    """For each row the share of the trees after which the remaining ones cannot change its side of the bound."""
    sums = np.cumsum(values, axis=1)
    least, greatest = (np.append(np.cumsum(ends[:0:-1])[::-1], 0.0) for ends in (low, high))
    decided = (sums + least > bound) | (sums + greatest <= bound)
    return (np.argmax(decided, axis=1) + 1) / values.shape[1]


def main() -> None:
    print(f"| model | score > | {' | '.join(f'{n} rows together' if n > 1 else 'a row' for n in GROUPS)} |")
    print("|---|---:|" + "---:|" * len(GROUPS))
    for trees, leaves, features in ((100, 31, 10), (500, 63, 20)):
        booster, _ = synthetic(trees, leaves, features)
        rows = np.random.default_rng(2).standard_normal((ROWS, features))
        values, low, high = leaves_of(booster, rows)
        for probability in PROBABILITIES:
            shares = decided_after(values, low, high, float(np.log(probability / (1 - probability))))
            cells = [f"{shares.reshape(-1, n).max(axis=1).mean():.2f}" for n in GROUPS]
            print(f"| {trees} x {leaves} x {features} | {probability} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
