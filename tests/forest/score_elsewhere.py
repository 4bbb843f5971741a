"""Scores the models of a directory and says of each whether it got the wanted bits: run by test_walk for other CPUs."""

import sys
from pathlib import Path

import numpy as np

from udfs.forest.nodes import build_forest_image
from udfs.forest.text import parse_lightgbm
from udfs.forest.walk import raw_scores

directory = Path(sys.argv[1])
arrays = np.load(directory / "arrays.npz")
for number in range(4):
    forest = parse_lightgbm((directory / f"{number}.txt").read_text(encoding="utf-8"))
    features = np.ascontiguousarray(arrays[f"rows{number}"].T)
    wanted = arrays[f"wanted{number}"]
    image = build_forest_image(forest, len(features))
    for step in (
        features.shape[1],
        200,
    ):  # blocks as they come, by bits if the forest can be; blocks that are too few rows for that
        out = np.empty(wanted.shape)
        for start in range(0, features.shape[1], step):
            rows = np.ascontiguousarray(features[:, start : start + step])
            scores = np.empty((len(wanted), rows.shape[1]))
            raw_scores(image.ctypes.data, rows, rows.shape[1], scores)
            out[:, start : start + step] = scores
        print((out.view(np.int64) == wanted.view(np.int64)).all())
