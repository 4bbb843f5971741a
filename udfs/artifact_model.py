"""``udfs.model.Model`` to a tree of dicts, lists, scalars and arrays, and back with every field's type verified."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from udfs.errors import ArtifactError
from udfs.model import Argument, Feature, Forest, Input, Kind, Label, Model, Step, Task, Tree

AnyArray = npt.NDArray[Any]

_KINDS: tuple[str, ...] = get_args(Kind)
_TASKS: tuple[str, ...] = get_args(Task)
_DIALECTS = ("portable", "duckdb", "postgres")
_PARAMETER_TYPES = ("float64", "int64", "uint8")
# The label's type stands in SQL that whoever predicts runs: it is a type's name, and nothing that could end it.
_TYPE_NAME = r"""(?:[^\W\d][\w$]*|"[^"\0]+")"""
_TYPE_DETAIL = r"""(?:\d+|'(?:[^'\\\0]|'')*')"""
_SQL_TYPE = re.compile(
    rf"{_TYPE_NAME}(?:\.{_TYPE_NAME})*(?: [A-Za-z]+)*"
    rf"(?:\({_TYPE_DETAIL}(?:, ?{_TYPE_DETAIL})*\)(?: [A-Za-z]+)*)?(?:\[\d*\])*"
)
# Of every tree's arrays: their type, and how many entries they have for a tree of so many leaves.
_INTERNAL_ARRAYS = {
    "split_feature": "int32",
    "threshold": "float64",
    "decision_type": "int8",
    "left_child": "int32",
    "right_child": "int32",
    "split_gain": "float32",
    "internal_value": "float64",
    "internal_weight": "float64",
    "internal_count": "int32",
}
_LEAF_ARRAYS = {"leaf_value": "float64", "leaf_weight": "float64", "leaf_count": "int32"}
_CATEGORY_ARRAYS = {"cat_boundaries": "int32", "cat_threshold": "uint32"}
_TREE_ARRAYS = _INTERNAL_ARRAYS | _LEAF_ARRAYS | _CATEGORY_ARRAYS


def model_to_json(model: Model) -> dict[str, Any]:
    """The model as plain values and arrays."""
    forest = model.forest
    return {
        "task": model.task,
        "label": _plain(model.label),
        "inputs": [_plain(item) for item in model.inputs],
        "arguments": [_plain(item) for item in model.arguments],
        "steps": [_plain(item) for item in model.steps],
        "features": [_plain(item) for item in model.features],
        "forest": {**_plain(forest), "trees": _trees_to_json(forest.trees)},
        "dialect": model.dialect,
        "time_zone": model.time_zone,
        "provenance": model.provenance,
    }


def _plain(item: Any) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in fields(item) if field.name != "trees"}


def _trees_to_json(trees: tuple[Tree, ...]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for name, kind in _TREE_ARRAYS.items():
        parts = [np.asarray(getattr(tree, name), kind) for tree in trees]
        joined[name] = np.concatenate(parts) if parts else np.empty(0, kind)
    for name in ("leaf_value", *_CATEGORY_ARRAYS):
        joined[f"{name}_lengths"] = np.array([len(getattr(tree, name)) for tree in trees], np.int64)
    joined["shrinkage"] = np.array([tree.shrinkage for tree in trees], np.float64)
    return joined


def model_from_json(content: Any) -> Model:
    """The model of such a tree; raises ArtifactError where a field is missing, unknown or of another type."""
    reader = _Reader(content, "the model")
    names = {
        "task",
        "label",
        "inputs",
        "arguments",
        "steps",
        "features",
        "forest",
        "dialect",
        "time_zone",
        "provenance",
    }
    reader.require_names(names)
    model = Model(
        task=reader.choice("task", _TASKS),  # type: ignore[arg-type]  # one of the literal's values
        label=_label(reader.part("label")),
        inputs=tuple(_input(item) for item in reader.parts("inputs")),
        arguments=tuple(_argument(item) for item in reader.parts("arguments")),
        steps=tuple(_step(item) for item in reader.parts("steps")),
        features=tuple(_feature(item) for item in reader.parts("features")),
        forest=_forest(reader.part("forest")),
        dialect=reader.choice("dialect", _DIALECTS),
        time_zone=reader.text("time_zone"),
        provenance=reader.json_object("provenance"),
    )
    _check_consistency(model)
    return model


def _check_consistency(model: Model) -> None:
    """What the parts say of each other; the forest and the steps are verified where they are at home."""
    for what, names in (
        ("input", [item.name for item in model.inputs]),
        ("argument", [item.name for item in model.arguments]),
        ("feature", [item.name for item in model.features]),
    ):
        if len(set(names)) != len(names):
            raise ArtifactError(f"the artifact has two {what}s of one name")
    if len(set(model.label.classes)) != len(model.label.classes):
        raise ArtifactError("the artifact's label has a class twice")
    kinds = {item.name: item.kind for item in model.inputs}
    for argument in model.arguments:
        if argument.expression is None and kinds.get(argument.name) != argument.kind:
            raise ArtifactError(f'argument "{argument.name}" of the artifact is no input of its kind')
    bound = any(argument.expression is not None for argument in model.arguments)
    if bound and model.dialect == "portable":
        raise ArtifactError("the artifact says portable, but needs an engine's expressions")
    classes, outputs = len(model.label.classes), model.forest.outputs
    fits = {
        "regression": classes == 0 and outputs == 1,
        "ranking": classes == 0 and outputs == 1,
        "binary": classes == 2 and outputs == 1,
        "multiclass": classes == outputs >= 2,
    }
    if not fits[model.task]:
        raise ArtifactError(f"the artifact's {model.task} model has {classes} classes and {outputs} outputs")


def _label(item: _Reader) -> Label:
    item.require_names({"name", "sql_type", "classes"})
    classes = item.items("classes")
    if not all(isinstance(value, bool | int | float | str) for value in classes):
        raise ArtifactError("the artifact's classes are not scalars")
    sql_type = item.text("sql_type")
    if classes and _SQL_TYPE.fullmatch(sql_type) is None:
        raise ArtifactError(f'the artifact\'s label is of type "{sql_type}", which is no name of a type')
    return Label(name=item.text("name"), sql_type=sql_type, classes=tuple(classes))


def _input(item: _Reader) -> Input:
    item.require_names({"name", "kind", "sql_type"})
    kind = item.choice("kind", _KINDS)
    return Input(name=item.text("name"), kind=kind, sql_type=item.text("sql_type"))  # type: ignore[arg-type]


def _argument(item: _Reader) -> Argument:
    item.require_names({"name", "kind", "expression"})
    kind = item.choice("kind", _KINDS)
    return Argument(name=item.text("name"), kind=kind, expression=item.optional_text("expression"))  # type: ignore[arg-type]


def _step(item: _Reader) -> Step:
    item.require_names({"op", "inputs", "outputs", "params"})
    params = item.value("params")
    if not isinstance(params, dict):
        raise ArtifactError(f"{item.what}: params is not an object")
    for name, value in params.items():
        _check_parameter(f"{item.what}: {name}", value)
    return Step(op=item.text("op"), inputs=item.texts("inputs"), outputs=item.texts("outputs"), params=params)


def _check_parameter(what: str, value: Any) -> None:
    if isinstance(value, np.ndarray):
        if value.dtype.name not in _PARAMETER_TYPES:
            raise ArtifactError(f"{what} is an array of {value.dtype}, wanted one of {', '.join(_PARAMETER_TYPES)}")
    elif isinstance(value, list):
        for item in value:
            _check_parameter(what, item)
    elif isinstance(value, dict):
        raise ArtifactError(f"{what} is an object, wanted a scalar, list or array")


def _feature(item: _Reader) -> Feature:
    item.require_names({"name", "categorical", "levels", "source", "has_missing"})
    levels = item.items("levels")
    if not all(value is None or isinstance(value, str) for value in levels):
        raise ArtifactError(f"{item.what}: levels are not texts")
    return Feature(
        name=item.text("name"),
        categorical=item.flag("categorical"),
        levels=tuple(levels),
        source=item.text("source"),
        has_missing=item.flag("has_missing"),
    )


def _forest(item: _Reader) -> Forest:
    item.require_names({field.name for field in fields(Forest)})
    constraints = item.items("monotone_constraints")
    if not all(type(value) is int and -1 <= value <= 1 for value in constraints):
        raise ArtifactError(f"{item.what}: monotone_constraints are not -1, 0 or 1")
    return Forest(
        trees=_trees(item.part("trees")),
        outputs=item.count("outputs"),
        objective=item.text("objective"),
        average_output=item.flag("average_output"),
        feature_names=item.texts("feature_names"),
        feature_infos=item.texts("feature_infos"),
        monotone_constraints=tuple(constraints),
        parameters=item.text("parameters"),
    )


def _trees(item: _Reader) -> tuple[Tree, ...]:
    lengths_names = [f"{name}_lengths" for name in ("leaf_value", *_CATEGORY_ARRAYS)]
    item.require_names({*_TREE_ARRAYS, *lengths_names, "shrinkage"})
    leaves, boundaries, words = (item.array(name, "int64") for name in lengths_names)
    shrinkage = item.array("shrinkage", "float64")
    if not len(leaves) == len(boundaries) == len(words) == len(shrinkage):
        raise ArtifactError("the artifact's trees are not counted alike")
    if (leaves < 1).any():
        raise ArtifactError("the artifact has a tree without leaves")
    lengths = dict.fromkeys(_INTERNAL_ARRAYS, leaves - 1) | dict.fromkeys(_LEAF_ARRAYS, leaves)
    lengths |= {"cat_boundaries": boundaries, "cat_threshold": words}
    parts = {name: item.split(name, kind, lengths[name]) for name, kind in _TREE_ARRAYS.items()}
    return tuple(
        Tree(**{name: parts[name][number] for name in _TREE_ARRAYS}, shrinkage=float(shrinkage[number]))
        for number in range(len(leaves))
    )


class _Reader:
    """One object of the tree, read field by field; ``what`` names it in errors."""

    def __init__(self, content: Any, what: str) -> None:
        if not isinstance(content, dict):
            raise ArtifactError(f"{what} of the artifact is not an object")
        self._content = content
        self.what = what

    def require_names(self, names: set[str]) -> None:
        if self._content.keys() != names:
            wrong = ", ".join(sorted(self._content.keys() ^ names))
            raise ArtifactError(f"{self.what} of the artifact has missing or unknown fields: {wrong}")

    def value(self, name: str) -> Any:
        return self._content[name]

    def part(self, name: str) -> _Reader:
        return _Reader(self._content[name], name)

    def parts(self, name: str) -> list[_Reader]:
        return [_Reader(item, f"{name}[{number}]") for number, item in enumerate(self.items(name))]

    def items(self, name: str) -> list[Any]:
        return self._typed(name, list, "a list")  # type: ignore[no-any-return]

    def text(self, name: str) -> str:
        return self._typed(name, str, "a text")  # type: ignore[no-any-return]

    def optional_text(self, name: str) -> str | None:
        return None if self._content[name] is None else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.items(name)
        if not all(isinstance(value, str) for value in values):
            raise ArtifactError(f"{self.what}: {name} are not texts")
        return tuple(values)

    def flag(self, name: str) -> bool:
        return self._typed(name, bool, "true or false")  # type: ignore[no-any-return]

    def count(self, name: str) -> int:
        value = self._content[name]
        if type(value) is not int or not 0 <= value < 1 << 31:
            raise ArtifactError(f"{self.what}: {name} is not a count")
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in allowed:
            raise ArtifactError(f"{self.what}: {name} is none of {', '.join(allowed)}")
        return value

    def json_object(self, name: str) -> dict[str, Any]:
        value: dict[str, Any] = self._typed(name, dict, "an object")
        return value

    def array(self, name: str, kind: str) -> AnyArray:
        value = self._content[name]
        if not isinstance(value, np.ndarray) or value.dtype.name != kind or value.ndim != 1:
            raise ArtifactError(f"{self.what}: {name} is not an array of {kind}")
        return value

    def split(self, name: str, kind: str, lengths: npt.NDArray[np.int64]) -> list[AnyArray]:
        """The array cut into pieces of these lengths, which must add up."""
        joined = self.array(name, kind)
        if (lengths < 0).any() or (lengths > len(joined)).any() or int(lengths.sum()) != len(joined):
            raise ArtifactError(f"{self.what}: {name} has {len(joined)} values, which its lengths do not add up to")
        return np.split(joined, np.cumsum(lengths)[:-1]) if len(lengths) else []

    def _typed(self, name: str, wanted: type, words: str) -> Any:
        value = self._content[name]
        if type(value) is not wanted:
            raise ArtifactError(f"{self.what}: {name} is not {words}")
        return value
