"""LightGBM's model text, read and written: any version-2 to version-4 text model, whoever trained it."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.errors import ArtifactError, UnsupportedModelError
from udfs.forest.check import check_forest
from udfs.model import Forest, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

_VERSIONS = {"v2", "v3", "v4"}
_PANDAS = "pandas_categorical:"
_Lines = list[tuple[int, str]]


def parse_lightgbm(text: str) -> Forest:
    """Read a model text and check it; an error names the line at fault."""
    lines = [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), start=1)]
    first = next((i for i, (_, line) in enumerate(lines) if line.startswith("Tree=")), None)
    end = next((i for i, (_, line) in enumerate(lines) if line.startswith("end of trees")), None)
    head = _fields(lines[: end if first is None else first], "head")
    _check_version(lines, head, end)
    trees = [] if first is None else _trees(lines[first:end])
    _check_tree_count(head, trees, lines)
    names = tuple(_required(head, "feature_names")[1].split(" "))
    outputs = _integer(head, "num_tree_per_iteration", _integer(head, "num_class", 1))
    number, last = _required(head, "max_feature_idx")
    if last.strip() != str(len(names) - 1):
        raise ArtifactError(
            f'line {number}: "max_feature_idx" is {last}, wanted {len(names) - 1} as there are feature names'
        )
    forest = Forest(
        trees=tuple(trees),
        outputs=outputs,
        objective=head.get("objective", (0, ""))[1].strip(),
        average_output="average_output" in head,
        feature_names=names,
        feature_infos=tuple(head.get("feature_infos", (0, ""))[1].split()),
        monotone_constraints=tuple(_numbers(head, "monotone_constraints", np.int32).tolist()),
        parameters=_parameters(lines[end or 0 :]),
    )
    check_forest(forest, len(names))
    return forest


def parse_pandas_categorical(text: str) -> list[list[Any]] | None:
    """The categories of pandas columns, in the order of their codes, which LightGBM's Python package appends to a model."""
    for line in reversed(text.rstrip().split("\n")):
        if line.startswith(_PANDAS):
            try:
                value = json.loads(line.removeprefix(_PANDAS))
            except json.JSONDecodeError as error:
                raise ArtifactError(f'"pandas_categorical" is not JSON: {error.msg}') from error
            return value if isinstance(value, list) else None
    return None


def _fields(lines: _Lines, where: str) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for number, line in lines:
        key, _, value = line.partition("=")
        if key and key in found:
            raise ArtifactError(f'line {number}: "{key}" comes twice in the {where}')
        if key:
            found[key] = (number, value)
    return found


def _check_version(lines: _Lines, head: dict[str, tuple[int, str]], end: int | None) -> None:
    if lines[0][1].strip() != "tree":
        raise ArtifactError(
            f"line 1: not a LightGBM model text, got {lines[0][1][:40]!r}",
            hint="Save the model with Booster.save_model or model_to_string.",
        )
    number, version = _required(head, "version")
    if version.strip() not in _VERSIONS:
        raise UnsupportedModelError(f'line {number}: version "{version}" of LightGBM\'s text is not supported')
    if end is None:
        raise ArtifactError(f'line {lines[-1][0]}: "end of trees" is missing, the text is cut off')


def _check_tree_count(head: dict[str, tuple[int, str]], trees: list[Tree], lines: _Lines) -> None:
    if "tree_sizes" not in head:
        return
    number, sizes = head["tree_sizes"]
    if len(sizes.split()) != len(trees):
        raise ArtifactError(f"line {number}: the text has {len(trees)} trees, wanted {len(sizes.split())}")


def _required(fields: dict[str, tuple[int, str]], key: str, line: int = 1) -> tuple[int, str]:
    if key not in fields:
        raise ArtifactError(f'line {line}: "{key}" is missing')
    return fields[key]


def _integer(fields: dict[str, tuple[int, str]], key: str, default: int | None = None, line: int = 1) -> int:
    if default is not None and key not in fields:
        return default
    number, text = _required(fields, key, line)
    try:
        return int(text)
    except ValueError as error:
        raise ArtifactError(f'line {number}: "{key}" is {text[:40]!r}, wanted an integer') from error


def _numbers(
    fields: dict[str, tuple[int, str]],
    key: str,
    kind: Any,
    size: int | None = None,
    *,
    optional: bool = True,
    line: int = 1,
) -> npt.NDArray[Any]:
    if key not in fields and optional:
        return np.zeros(size or 0, kind)
    number, text = _required(fields, key, line)
    words = text.split()
    if size is not None and len(words) != size:
        raise ArtifactError(f'line {number}: "{key}" has {len(words)} values, wanted {size}')
    try:
        if np.issubdtype(kind, np.floating):
            return np.array(list(map(float, words)), np.float64).astype(kind)
        values = np.array(list(map(int, words)), np.int64)
    except (ValueError, OverflowError) as error:
        raise ArtifactError(f'line {number}: "{key}" has a value that is no number ({error})') from error
    limits = np.iinfo(kind)
    if len(values) and (values.min() < limits.min or values.max() > limits.max):
        raise ArtifactError(f'line {number}: "{key}" has a value outside {limits.min} to {limits.max}')
    return values.astype(kind)


def _trees(lines: _Lines) -> list[Tree]:
    starts = [i for i, (_, line) in enumerate(lines) if line.startswith("Tree=")] + [len(lines)]
    return [_tree(lines[start:stop]) for start, stop in itertools.pairwise(starts)]


def _tree(lines: _Lines) -> Tree:
    line = lines[0][0]
    fields = _fields(lines, "tree")
    if _integer(fields, "is_linear", 0):
        raise UnsupportedModelError(
            f"line {fields['is_linear'][0]}: linear trees are not supported",
            hint="Train without linear_tree.",
        )
    leaves = _integer(fields, "num_leaves", line=line)
    if leaves < 1:
        raise ArtifactError(f'line {fields["num_leaves"][0]}: "num_leaves" is {leaves}, wanted at least 1')
    sets = _integer(fields, "num_cat", line=line) if leaves > 1 else 0
    # LightGBM writes empty lists for a tree of one leaf, and some versions a value too many.
    inner = leaves - 1

    def numbers(key: str, kind: Any, size: int, *, optional: bool = True) -> npt.NDArray[Any]:
        if leaves == 1 and key != "leaf_value":
            return np.zeros(size, kind)
        return _numbers(fields, key, kind, size, optional=optional, line=line)

    bounds = numbers("cat_boundaries", np.int32, sets + 1, optional=False) if sets else np.zeros(0, np.int32)
    words = numbers("cat_threshold", np.uint32, int(bounds[-1]), optional=False) if sets else np.zeros(0, np.uint32)
    shrinkage = _numbers(fields, "shrinkage", np.float64) if "shrinkage" in fields else np.ones(1)
    return Tree(
        split_feature=numbers("split_feature", np.int32, inner, optional=False),
        threshold=numbers("threshold", np.float64, inner, optional=False),
        decision_type=numbers("decision_type", np.int8, inner),
        left_child=numbers("left_child", np.int32, inner, optional=False),
        right_child=numbers("right_child", np.int32, inner, optional=False),
        leaf_value=numbers("leaf_value", np.float64, leaves, optional=False),
        split_gain=numbers("split_gain", np.float32, inner),
        internal_value=numbers("internal_value", np.float64, inner),
        internal_weight=numbers("internal_weight", np.float64, inner),
        internal_count=numbers("internal_count", np.int32, inner),
        leaf_weight=numbers("leaf_weight", np.float64, leaves),
        leaf_count=numbers("leaf_count", np.int32, leaves),
        cat_boundaries=bounds,
        cat_threshold=words,
        shrinkage=float(shrinkage[0]) if len(shrinkage) else 1.0,
    )


def _parameters(lines: _Lines) -> str:
    texts = [line for _, line in lines]
    if "parameters:" not in texts:
        return ""
    start = texts.index("parameters:") + 1
    stop = texts.index("end of parameters") if "end of parameters" in texts else len(texts)
    return "\n".join(line for line in texts[start:stop] if line)


def format_lightgbm(forest: Forest) -> str:
    """Write a model text that ``lightgbm.Booster`` loads and that predicts the same bits."""
    trees = [f"Tree={number}\n{_format_tree(tree)}\n\n" for number, tree in enumerate(forest.trees)]
    sizes = [len(tree.encode()) for tree in trees]
    infos = forest.feature_infos or ("none",) * len(forest.feature_names)
    head = ["tree", "version=v4", f"num_class={forest.outputs}", f"num_tree_per_iteration={forest.outputs}"]
    head += ["label_index=0", f"max_feature_idx={len(forest.feature_names) - 1}"]
    head += [f"objective={forest.objective}"] if forest.objective else []
    head += ["average_output"] if forest.average_output else []
    head += [f"feature_names={' '.join(forest.feature_names)}"]
    head += [f"monotone_constraints={_joined(forest.monotone_constraints)}"] if forest.monotone_constraints else []
    head += [f"feature_infos={' '.join(infos)}", f"tree_sizes={_joined(sizes)}", "", ""]
    importances = _importances(forest)
    tail = ["end of trees", "", "feature_importances:", *importances, ""]
    if forest.parameters:
        tail += ["parameters:", forest.parameters, "", "end of parameters", ""]
    return "\n".join(head) + "".join(trees) + "\n".join([*tail, "pandas_categorical:null", ""])


def _importances(forest: Forest) -> list[str]:
    counts = np.zeros(len(forest.feature_names), np.int64)
    for tree in forest.trees:
        np.add.at(counts, tree.split_feature[tree.split_gain > 0], 1)
    order = np.argsort(-counts, kind="stable")
    return [f"{forest.feature_names[i]}={counts[i]}" for i in order if counts[i]]


def _joined(values: Iterable[Any]) -> str:
    return " ".join(_number(value) for value in values)


def _number(value: Any) -> str:
    """Enough digits to read the same bits back."""
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.17g}"
    return str(int(value))


def _format_tree(tree: Tree) -> str:
    sets = max(len(tree.cat_boundaries) - 1, 0)
    lines = [f"num_leaves={len(tree.leaf_value)}", f"num_cat={sets}"]
    names = ["split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child", "leaf_value"]
    names += ["leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count"]
    names += ["cat_boundaries", "cat_threshold"] if sets else []
    lines += [f"{name}={_joined(getattr(tree, name))}" for name in names]
    return "\n".join([*lines, "is_linear=0", f"shrinkage={_number(float(tree.shrinkage))}", ""])
