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
    out = np.empty(wanted.shape)
    raw_scores(image.ctypes.data, features, features.shape[1], out)
    print((out.view(np.int64) == wanted.view(np.int64)).all())
