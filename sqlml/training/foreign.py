"""Models that were trained elsewhere: the bytes of a file in, a version ready to be stored out.

Our artifact is taken as it is, after its structure is verified. LightGBM's model text is recognised by its content. Its features
become inputs of the same names; what its categorical features hold follows from ``pandas_categorical`` where the text has it
(the categories by code, as pandas counted them), else they take the integer codes LightGBM trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sqlml.catalog.records import NewVersion
from sqlml.engines.engine import Engine
from sqlml.errors import ArtifactError, DataError, OptionError, OptionValueError
from sqlml.language.statements import Option
from udfs.artifact import MAGIC, artifact_hash, read_artifact, write_artifact
from udfs.forest.check import check_forest
from udfs.forest.text import parse_lightgbm, parse_pandas_categorical
from udfs.model import Argument, Feature, Forest, Input, Label, Model, Step, Task
from udfs.transforms.dictionary import texts

CATEGORICAL, MISSING_TYPE = 1, 12  # bits of LightGBM's decision_type


@dataclass(frozen=True)
class ImportOptions:
    """OPTIONS of IMPORT MODEL: they say what LightGBM's text cannot."""

    label: str = "label"
    class_labels: tuple[Any, ...] | None = None
    position: int = 0


def read_foreign_model(
    body: bytes, *, statement: str, options: Sequence[Option], engine: Engine, source: str
) -> NewVersion:
    """Recognise, verify and describe a model file.

    Raises ArtifactError (damaged or hostile), UnsupportedModelError (linear trees), DataError (neither format), OptionError.
    """
    if body.startswith(MAGIC):
        if options:
            raise OptionError(
                f'option "{options[0].key}" does not apply to an artifact file, which says everything itself',
                hint="Leave out OPTIONS.",
                position=options[0].span.start,
            )
        return _described(read_artifact(body), body, statement, engine)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text.lstrip("\ufeff\r\n ").startswith("tree"):
        raise DataError(
            f'file "{source}" is neither an artifact of sqlml nor LightGBM\'s model text',
            hint="Write one with EXPORT MODEL, or with Booster.save_model.",
        )
    model = model_of_text(text, _import_options(options))
    return _described(model, write_artifact(model), statement, engine)


def _import_options(options: Sequence[Option]) -> ImportOptions:
    parsed = ImportOptions()
    for option in options:
        value = option.value
        if option.key in ("label", "input_label_cols"):
            if isinstance(value, tuple) and len(value) == 1:
                value = value[0]
            if not isinstance(value, str) or not value:
                raise OptionValueError(f'option "{option.key}" must be a column name', position=option.span.start)
            parsed = replace(parsed, label=value)
        elif option.key == "class_labels":
            if not isinstance(value, tuple) or len(value) < 2 or len(set(value)) < len(value):
                raise OptionValueError(
                    'option "class_labels" must be a list of different values', position=option.span.start
                )
            parsed = replace(parsed, class_labels=value, position=option.span.start)
        else:
            raise OptionError(
                f'unknown option "{option.key}" of IMPORT MODEL',
                hint="The options are: input_label_cols, class_labels.",
                position=option.span.start,
            )
    return parsed


def model_of_text(text: str, options: ImportOptions) -> Model:
    """LightGBM's text as a model over inputs named after its features."""
    forest = parse_lightgbm(text)
    check_forest(forest, len(forest.feature_names))
    categories = _categories(forest, parse_pandas_categorical(text))
    task = task_of(forest)
    steps, inputs, arguments, features = [], [], [], []
    missing = _sees_missing(forest)
    for index, name in enumerate(forest.feature_names):
        levels = categories.get(index)
        text_levels = levels is not None and any(isinstance(level, str) for level in levels)
        kind = "text" if text_levels else "number"
        inputs.append(Input(name, kind, "VARCHAR" if text_levels else "DOUBLE"))  # type: ignore[arg-type]
        arguments.append(Argument(name, kind))  # type: ignore[arg-type]
        if levels is not None:
            steps.append(_dictionary(name, levels, text_levels=text_levels))
        features.append(
            Feature(
                name,
                categorical=index in categories or index in _categorical_features(forest),
                levels=tuple(str(level) for level in levels or ()),
                source=name,
                has_missing=bool(missing[index]),
            )
        )
    return Model(
        task=task,
        label=_label(task, forest, options),
        inputs=tuple(inputs),
        arguments=tuple(arguments),
        steps=tuple(steps),
        features=tuple(features),
        forest=forest,
        provenance={"imported": "lightgbm"},
    )


def task_of(forest: Forest) -> Task:
    """What a forest predicts, by its objective."""
    objective = forest.objective.split()[0] if forest.objective else ""
    if objective == "binary":
        return "binary"
    if objective in ("multiclass", "multiclassova"):
        return "multiclass"
    if objective in ("lambdarank", "rank_xendcg"):
        return "ranking"
    return "regression"


def _label(task: Task, forest: Forest, options: ImportOptions) -> Label:
    count = {"binary": 2, "multiclass": forest.outputs}.get(task, 0)
    given = options.class_labels
    if given is not None and len(given) != count:
        raise OptionValueError(
            f'option "class_labels" must list {count} classes, got {len(given)}'
            if count
            else "the model has no classes",
            position=options.position,
        )
    if not count:
        return Label(options.label, "DOUBLE")
    classes = tuple(range(count)) if given is None else given
    kinds = {type(value) for value in classes}
    if kinds == {bool}:
        return Label(options.label, "BOOLEAN", classes)
    if kinds == {int}:
        return Label(options.label, "BIGINT", classes)
    if kinds <= {int, float}:
        return Label(options.label, "DOUBLE", tuple(float(value) for value in classes))
    if kinds == {str}:
        return Label(options.label, "VARCHAR", classes)
    raise OptionValueError('the values of "class_labels" must be of one type', position=options.position)


def _categorical_features(forest: Forest) -> set[int]:
    """Features that LightGBM trained as categories: it lists their values, ``3:1:2``, where numbers have ``[min:max]``."""
    found = {
        index
        for index, info in enumerate(forest.feature_infos)
        if info not in ("none", "") and not info.startswith("[")
    }
    for tree in forest.trees:
        found.update(tree.split_feature[(tree.decision_type & CATEGORICAL) != 0].tolist())
    return found


def _categories(forest: Forest, given: list[Any] | None) -> dict[int, list[Any]]:
    """The categories of each feature that pandas counted."""
    if not given:
        return {}
    features = sorted(_categorical_features(forest))
    if len(features) != len(given):
        unused = [index for index, info in enumerate(forest.feature_infos) if info == "none"]
        features = sorted({*features, *unused})
    if len(features) != len(given):
        raise DataError(
            f"pandas_categorical lists {len(given)} columns, but {len(features)} features are categorical",
            hint="Save the model again with Booster.save_model, without constant categorical columns.",
        )
    return dict(zip(features, given, strict=True))


def _dictionary(name: str, levels: list[Any], *, text_levels: bool) -> Step:
    if text_levels:
        return Step("dictionary", (name,), (name,), {**texts("levels", [str(v) for v in levels]), "null_code": -1})
    values = np.array([float(value) for value in levels])
    order = np.argsort(values)
    params = {"values": values[order], "codes": order.astype(np.int64), "null_code": -1}
    return Step("number_dictionary", (name,), (name,), params)


def _sees_missing(forest: Forest) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Per feature, whether any numeric split of it has a missing type: elsewhere LightGBM scores NULL as 0."""
    sees = np.zeros(len(forest.feature_names), bool)
    for tree in forest.trees:
        numeric = (tree.decision_type & CATEGORICAL) == 0
        missing = numeric & ((tree.decision_type & MISSING_TYPE) != 0)
        sees[tree.split_feature[missing]] = True
    return sees


def _described(model: Model, body: bytes, statement: str, engine: Engine) -> NewVersion:
    provenance = model.provenance
    return NewVersion(
        artifact=body,
        artifact_hash=artifact_hash(body),
        task=model.task,
        statement=statement,
        options=dict(provenance.get("options", {})),
        label=model.label.name,
        label_type=model.label.sql_type,
        signature=tuple((item.name, item.kind) for item in model.inputs),
        engine=engine.dialect,
        engine_version=engine.version(),
        library_versions=dict(provenance.get("libraries", {})),
        fingerprint=None,
        seed=provenance.get("seed"),
        reproducible=False,
        evaluation={"classes": list(model.label.classes)} if model.label.classes else {},
        notices=_engine_bound(model, engine),
    )


def _engine_bound(model: Model, engine: Engine) -> tuple[str, ...]:
    """A model whose expressions another engine computes cannot be scored here."""
    if model.dialect in ("portable", engine.dialect):
        return ()
    bound = [argument.expression for argument in model.arguments if argument.expression is not None]
    raise ArtifactError(
        f"the model needs {model.dialect} to compute {bound[0]}",
        hint=f"Train it here, or write that expression with portable functions. Bound are: {json.dumps(bound)}.",
    )
