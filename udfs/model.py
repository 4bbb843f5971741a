"""The content of an artifact as plain data: what comes in, the transform program, the forest, what the scores mean.

    raw columns -> arguments -> program (steps over registers) -> features -> forest -> raw scores -> objective -> output

Everything here is immutable, compares by value and knows nothing of files, kernels or databases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["number", "boolean", "text", "date", "timestamp", "timestamptz"]
Task = Literal["regression", "binary", "multiclass", "ranking"]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]

MOST_INTERACTING = 100  # features whose pairs are told apart: a row of them takes 40 kB


@dataclass(frozen=True)
class Input:
    """A raw column as the user's table has it; the ordered inputs and the label's type are the model's signature."""

    name: str
    kind: Kind
    sql_type: str  # as the training engine declared it, for people to read: "DECIMAL(10,2)"


@dataclass(frozen=True)
class Argument:
    """What a scorer receives in one slot: a raw column, or an expression that only the engine can compute.

    The registers a program starts from are named after the arguments. ``expression`` is None for a raw column of the same
    name; else it is the text of an expression over the raw columns, in the SQL of ``Model.dialect``.
    """

    name: str
    kind: Kind
    expression: str | None = None


@dataclass(frozen=True)
class Step:
    """One operator of the transform program, a key of ``udfs.transforms.OPERATORS``, from registers to registers.

    ``params`` holds JSON scalars, lists, and numpy arrays (float64, int64 or uint8), all learned at training.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Feature:
    """One column of the forest's matrix, taken from the register of the same name.

    ``source`` is the raw column(s) it comes from, for people. ``levels`` are the categories by code (None = the NULL level);
    empty for a numeric feature. ``has_missing`` says that training saw NULL or NaN: where False, LightGBM scores NULL as 0.
    """

    name: str
    categorical: bool = False
    levels: tuple[str | None, ...] = ()
    source: str = ""
    has_missing: bool = False


@dataclass(frozen=True)
class Tree:
    """One LightGBM tree in LightGBM's own arrays (see ``src/io/tree.cpp``); a child below zero is leaf ``~child``.

    Internal arrays have ``leaves - 1`` entries, leaf arrays ``leaves``. ``decision_type`` bits: 1 categorical, 2 default left,
    bits 2-3 the missing type (0 none, 1 zero, 2 NaN). A categorical split's ``threshold`` is an index into ``cat_boundaries``,
    which cuts ``cat_threshold`` (uint32 words of a bit set of categories that go left).
    """

    split_feature: IntArray
    threshold: FloatArray
    decision_type: npt.NDArray[np.int8]
    left_child: IntArray
    right_child: IntArray
    leaf_value: FloatArray
    split_gain: npt.NDArray[np.float32]
    internal_value: FloatArray
    internal_weight: FloatArray
    internal_count: IntArray
    leaf_weight: FloatArray
    leaf_count: IntArray
    cat_boundaries: IntArray
    cat_threshold: npt.NDArray[np.uint32]
    shrinkage: float = 1.0


@dataclass(frozen=True)
class Forest:
    """Trees in LightGBM's order (iteration by iteration, class by class) and how their sums become a prediction.

    ``objective`` is LightGBM's objective line word for word, e.g. ``binary sigmoid:1`` or ``multiclass num_class:3``.
    ``outputs`` is the number of trees an iteration (1, or the number of classes). ``parameters`` and ``feature_infos`` are the
    texts of LightGBM's file, kept so that an exported model is a whole one.
    """

    trees: tuple[Tree, ...]
    outputs: int
    objective: str
    average_output: bool
    feature_names: tuple[str, ...]
    feature_infos: tuple[str, ...] = ()
    monotone_constraints: tuple[int, ...] = ()
    parameters: str = ""

    @cached_property
    def tested_features(self) -> frozenset[int]:
        """The features that any tree asks for, by number."""
        return frozenset(feature for tree in self.trees for feature in set(tree.split_feature.tolist()))


@dataclass(frozen=True)
class Label:
    """What is predicted. ``classes`` (classification only) in UTF-8 / numeric order, by class index, as JSON scalars
    (bool, int, float, str) of the SQL type ``sql_type``; dates and decimals are kept as text and cast back."""

    name: str
    sql_type: str
    classes: tuple[bool | int | float | str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A whole model: all an engine needs to score, and all a person needs to know what it scores."""

    task: Task
    label: Label
    inputs: tuple[Input, ...]
    arguments: tuple[Argument, ...]
    steps: tuple[Step, ...]
    features: tuple[Feature, ...]
    forest: Forest
    dialect: str = "portable"  # the engine whose expressions the arguments need: "portable", "duckdb", "postgres"
    time_zone: str = "UTC"  # for calendar parts of timestamptz columns
    provenance: dict[str, Any] = field(default_factory=dict)  # seed, options, library versions: part of the hash
