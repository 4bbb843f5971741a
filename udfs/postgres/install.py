"""What an installer needs: the library of a server, verified, and the name of its file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from udfs.model import Argument, Feature, Forest, Input, Label, Model, Tree
from udfs.postgres.emit import library_for
from udfs.postgres.image import build_server_image
from udfs.postgres.verify import check_library
from udfs.scorer import Scorer


def verified_library(server_version_num: int, cpu_flags: Iterable[str]) -> bytes:
    """The native library for a server of this ``server_version_num`` and /proc/cpuinfo; tried on reference rows in a child.

    Raises UnsupportedModelError, whose hint names the other scorers, where there is none.
    """
    library = library_for(server_version_num, cpu_flags)
    model = reference_model()
    generator = np.random.default_rng(20)
    values = generator.normal(size=(500, len(model.arguments)))
    values[generator.random(values.shape) < 0.1] = np.nan
    import pyarrow as pa  # noqa: PLC0415 - only an installer needs it

    batch = pa.record_batch([pa.array(column) for column in values.T], names=[a.name for a in model.arguments])
    expected = Scorer(model).predictions(batch).T
    cells = np.concatenate((values, np.zeros_like(values)), axis=1).view(np.int64)
    check_library(library, build_server_image(model), cells, np.ascontiguousarray(expected))
    return library


def library_name(library: bytes) -> str:
    """A file name with the hash of its content: a new library gets a new name, which open sessions load at their next call."""
    return f"sqlml_native_{hashlib.sha256(library).hexdigest()[:16]}.so"


def reference_model() -> Model:
    """A small model with everything a forest can have: default directions, zero as missing, sets of categories, one leaf."""
    generator = np.random.default_rng(4)
    names = ("a", "b", "c", "d")
    trees = tuple(_tree(generator, leaves) for leaves in (1, 2, 31, 63, 300, 8))
    forest = Forest(trees, 1, "binary sigmoid:1", average_output=False, feature_names=names)
    return Model(
        "binary",
        Label("y", "BOOLEAN", (False, True)),
        tuple(Input(name, "number", "double precision") for name in names),
        tuple(Argument(name, "number") for name in names),
        (),
        tuple(Feature(name) for name in names),
        forest,
    )


def _tree(generator: np.random.Generator, leaves: int) -> Tree:
    """A random tree: node k takes the place of a random leaf of the tree before it."""
    left, right = np.zeros(leaves - 1, np.int32), np.zeros(leaves - 1, np.int32)
    ends: list[tuple[int, int]] = []  # of the edges to leaves: node and side
    for node in range(leaves - 1):
        if node:
            parent, side = ends.pop(int(generator.integers(len(ends))))
            (right if side else left)[parent] = node
        ends += [(node, 0), (node, 1)]
    for leaf, (parent, side) in enumerate(ends):
        (right if side else left)[parent] = ~leaf
    kinds = generator.choice(np.array([0, 2, 4, 6, 8, 10, 1], np.int8), leaves - 1)
    categorical = kinds == 1
    threshold = np.where(categorical, 0.0, generator.normal(size=leaves - 1))
    count = np.ones(leaves, np.int32)
    return Tree(
        generator.integers(0, 4, leaves - 1).astype(np.int32), threshold, kinds, left, right,
        generator.normal(size=leaves), np.zeros(leaves - 1, np.float32), np.zeros(leaves - 1), np.zeros(leaves - 1),
        np.ones(leaves - 1, np.int32), np.zeros(leaves), count,
        np.array([0, 1], np.int32) if categorical.any() else np.zeros(0, np.int32),
        np.array([0b101], np.uint32) if categorical.any() else np.zeros(0, np.uint32),
    )  # fmt: skip
