"""Attributes the models of a directory and says of each whether it got the wanted bits: run by test_shap for other CPUs."""

import sys
from pathlib import Path

import numpy as np

from udfs.forest.shap import contributions
from udfs.forest.shap_image import build_shap_image
from udfs.forest.text import parse_lightgbm

directory = Path(sys.argv[1])
arrays = np.load(directory / "arrays.npz")
for number in range(3):
    forest = parse_lightgbm((directory / f"{number}.txt").read_text(encoding="utf-8"))
    features = np.ascontiguousarray(arrays[f"rows{number}"].T)
    found = contributions(build_shap_image(forest, len(features)), features).T
    print((np.ascontiguousarray(found).view(np.int64) == arrays[f"wanted{number}"].view(np.int64)).all())
