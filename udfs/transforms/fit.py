"""Learning a program's parameters in one pass over the training rows, and its features for training.

    plan (unfitted steps) ──► start_fit ──► update(block, label, fold) ... ──► finish() ──► (steps, features)
                                                                         └──► apply_training(block, fold) ──► features

An unfitted step is one whose operator has a fitter; its params are settings. No fitting step reads another's output, so one
pass is enough. What is learned does not depend on how the rows are cut into blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from udfs.columns import RawBlock
from udfs.errors import ArtifactError, InputMismatchError
from udfs.later import Later
from udfs.model import Feature, Step
from udfs.transforms.operator import Batch, Fitter, Learned, Output, Params
from udfs.transforms.program import Pipeline, Program, apply_image, build_program_image, shape_of
from udfs.transforms.registry import OPERATORS
from udfs.transforms.text import gather_text

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = Later("pyarrow")

FloatArray = npt.NDArray[np.float64]
FoldArray = npt.NDArray[np.int8]


@runtime_checkable
class OutOfFold(Protocol):
    """A fitter that scores training rows by parameters learned without the row's own fold."""

    def fold_params(self) -> dict[int, Params]: ...


@dataclass
class _FittingStep:
    """A step in the course of being fitted; ``sources`` are rows of the probe, or arguments, that hold its inputs."""

    step: Step
    fitter: Fitter
    sources: list[tuple[str, int]]


def start_fit(plan: Program) -> Fit:
    """A fit of all steps of a plan that learn from data."""
    return Fit(plan)


def describe_step(step: Step) -> tuple[Output, ...]:
    """What is known of a fitted step's outputs: numeric, or categorical with these levels."""
    describe = OPERATORS[step.op].describe
    return describe(step) if describe is not None else (Output(),) * len(step.outputs)


class Fit:
    """One pass over the training data; see the module."""

    def __init__(self, plan: Program) -> None:
        self._plan = plan
        self._fitting: dict[int, _FittingStep] = {}
        self._probe = self._build_probe()
        self._image = build_program_image(self._probe)
        self._places: dict[int, int] = {}
        self._folded: dict[str, int] = {}
        self._result: tuple[tuple[Step, ...], tuple[Feature, ...]] | None = None
        self._training: _Training | None = None

    def _build_probe(self) -> Pipeline:
        """The program of the steps that learn nothing, delivering the inputs of those that do."""
        kept: list[Step] = []
        features: list[Feature] = []
        shapes = {argument.name: shape_of(argument) for argument in self._plan.arguments}
        arguments = {argument.name: i for i, argument in enumerate(self._plan.arguments)}
        learned: set[str] = set()
        for index, step in enumerate(self._plan.steps):
            operator = OPERATORS[step.op]
            if operator.fitter is not None:
                if learned & set(step.inputs):
                    raise ArtifactError(f'step "{step.op}" would learn from what another step has learned')
                sources = [self._probe_input(name, shapes, arguments, kept, features) for name in step.inputs]
                self._fitting[index] = _FittingStep(step, operator.fitter(step), sources)
                learned.update(step.outputs)
            elif learned & set(step.inputs):
                learned.update(step.outputs)
            else:
                kept.append(step)
                outputs = operator.shapes(step, tuple(shapes[name] for name in step.inputs))
                shapes.update(zip(step.outputs, outputs, strict=True))
                learned.difference_update(step.outputs)
            for name in step.outputs:
                arguments.pop(name, None)
        return Pipeline(self._plan.arguments, tuple(kept), tuple(features))

    @staticmethod
    def _probe_input(
        name: str, shapes: dict[str, Any], arguments: dict[str, int], kept: list[Step], features: list[Feature]
    ) -> tuple[str, int]:
        row = len(features)
        outputs = (f"\0{row}",) if shapes[name] == "number" else (f"\0{row}", f"\0{row + 1}")
        if shapes[name] == "text" and name in arguments:
            return "argument", arguments[name]
        kept.append(Step("copy" if shapes[name] == "number" else "text_slots", (name,), outputs))
        features.extend(Feature(output) for output in outputs)
        return shapes[name], row

    def update(self, block: RawBlock, label: FloatArray | None = None, fold: FoldArray | None = None) -> None:
        """Learn from a block of training rows; ``label`` and ``fold`` are needed by target encoding only."""
        values = apply_image(self._image, block, len(self._probe.features))
        for item in self._fitting.values():
            inputs = tuple(_probe_values(source, block, values) for source in item.sources)
            item.fitter.update(Batch(inputs, label, fold))

    def finish(self) -> tuple[tuple[Step, ...], tuple[Feature, ...]]:
        """The fitted steps and the model's features; ``has_missing`` is left to whoever sees the features' values."""
        if self._result is None:
            steps: list[Step] = []
            known: dict[str, list[Feature]] = {}
            self._places = {}
            for index, planned in enumerate(self._plan.steps):
                step = planned
                _refuse_expanded(planned, known)
                if index in self._fitting:
                    self._places[index] = len(steps)
                    step = self._learned(index, planned)
                elif planned.op == "copy":
                    steps.extend(_copies(planned, known))
                    continue
                steps.append(step)
                _note_outputs(step, planned, known)
            features = [
                replace(feature, source=planned.source)
                for planned in self._plan.features
                for feature in known.get(planned.name, [planned])
            ]
            _require_distinct(features)
            self._result = tuple(steps), tuple(features)
        return self._result

    def _learned(self, index: int, planned: Step) -> Step:
        learned = self._fitting[index].fitter.finish()
        if learned.dropped:
            self._folded[planned.outputs[0]] = learned.dropped
        return _learned_step(planned, learned)

    def folded_levels(self) -> dict[str, int]:
        """By feature, how many levels beyond the limit of a dictionary were left out; for a notice."""
        _, features = self.finish()
        final = {step.inputs[0]: step.outputs[0] for step in self._plan.steps if step.op == "copy"}
        names = {feature.name for feature in features}
        found = {final.get(name, name): count for name, count in self._folded.items()}
        return {name: count for name, count in found.items() if name in names}

    def apply_training(self, block: RawBlock, fold: FoldArray | None = None) -> FloatArray:
        """Features of training rows; where ``fold`` is not negative, target encodings leave the row's own fold out."""
        if self._training is None:
            steps, features = self.finish()
            self._training = _Training(Pipeline(self._plan.arguments, steps, features), self._fold_params())
        return self._training.apply(block, fold)

    def _fold_params(self) -> dict[int, dict[int, Params]]:
        found: dict[int, dict[int, Params]] = {}
        for index, item in self._fitting.items():
            if isinstance(item.fitter, OutOfFold):
                for fold, params in item.fitter.fold_params().items():
                    found.setdefault(fold, {})[self._places[index]] = params
        return found


class _Training:
    """Images for rows without a fold, and for each fold; only features that depend on the fold are computed again."""

    def __init__(self, program: Pipeline, fold_params: dict[int, dict[int, Params]]) -> None:
        self._program = program
        self._image = build_program_image(program)
        self._folds = {}
        for fold, changes in fold_params.items():
            steps = [
                replace(step, params=changes[index]) if index in changes else step
                for index, step in enumerate(program.steps)
            ]
            self._folds[fold] = build_program_image(replace(program, steps=tuple(steps)))

    def apply(self, block: RawBlock, fold: FoldArray | None) -> FloatArray:
        count = len(self._program.features)
        result = apply_image(self._image, block, count)
        if fold is None:
            return result
        for number, image in self._folds.items():
            chosen = np.flatnonzero(fold == number)
            if len(chosen):
                part = RawBlock(
                    np.ascontiguousarray(block.raw[:, chosen]),
                    np.ascontiguousarray(block.nulls[:, chosen]),
                    len(chosen),
                    block.arrays,
                )
                result[:, chosen] = apply_image(image, part, count)
        return result


def _probe_values(source: tuple[str, int], block: RawBlock, values: FloatArray) -> Any:
    kind, index = source
    if kind == "argument":
        return block.arrays[index]
    if kind == "number":
        return values[index]
    return text_array(values[index].view(np.int64), values[index + 1].view(np.int64))


def text_array(addresses: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> pa.Array:
    """A copy, as an Arrow array, of text given by address and length (-1 = NULL)."""
    nulls = (lengths < 0).astype(np.uint8)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(np.maximum(lengths, 0), out=offsets[1:])
    blob = np.empty(int(offsets[-1]), np.uint8)
    gather_text(addresses, lengths, nulls, offsets, blob)
    valid = pa.array(nulls == 0).buffers()[1]
    return pa.LargeStringArray.from_buffers(
        len(lengths), pa.py_buffer(offsets), pa.py_buffer(blob), valid, int(nulls.sum())
    )


def _learned_step(planned: Step, learned: Learned) -> Step:
    if learned.suffixes is None:
        return replace(planned, params=learned.params)
    outputs = tuple(f"{planned.outputs[0]}_{suffix}" for suffix in learned.suffixes)
    return replace(planned, params=learned.params, outputs=outputs)


def _refuse_expanded(planned: Step, known: dict[str, list[Feature]]) -> None:
    """Only a copy can follow a register that has become several, or none."""
    if planned.op != "copy" and any(len(known.get(name, [name])) != 1 for name in planned.inputs):
        raise InputMismatchError(
            "an expression of TRANSFORM uses a preprocessor that makes one feature a class or category",
            hint="Take the preprocessor out of the expression and give it a name of its own.",
        )


def _note_outputs(step: Step, planned: Step, known: dict[str, list[Feature]]) -> None:
    """Remember what a planned output has become: one feature, or several."""
    outputs = [
        Feature(name, output.categorical, output.levels)
        for name, output in zip(step.outputs, describe_step(step), strict=True)
    ]
    if step.outputs == planned.outputs:
        known.update((feature.name, [feature]) for feature in outputs)
    else:
        known[planned.outputs[0]] = outputs


def _copies(planned: Step, known: dict[str, list[Feature]]) -> list[Step]:
    """A planned copy as one copy of each feature that its input has become."""
    source, target = planned.inputs[0], planned.outputs[0]
    found = known.get(source, [Feature(source)])
    named = [replace(feature, name=target + feature.name.removeprefix(source)) for feature in found]
    known[target] = named
    return [Step("copy", (old.name,), (new.name,)) for old, new in zip(found, named, strict=True)]


def _require_distinct(features: Sequence[Feature]) -> None:
    seen: set[str] = set()
    for feature in features:
        if feature.name in seen:
            raise InputMismatchError(
                f'two features are called "{feature.name}"',
                hint="One of them comes from a level of an encoder: give the encoder another name with AS.",
            )
        seen.add(feature.name)
