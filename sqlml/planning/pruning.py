"""Removal of steps and arguments that no feature needs, as attempts at expressions leave them behind, or no tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from udfs.model import Argument, Model, Step


def prune(
    arguments: Sequence[Argument], steps: Sequence[Step], features: Iterable[str]
) -> tuple[list[Argument], list[Step]]:
    """The arguments and steps that the features' registers depend on, in their order."""
    needed = set(features)
    kept = []
    for step in reversed(steps):
        if needed & set(step.outputs):
            needed -= set(step.outputs)
            needed |= set(step.inputs)
            kept.append(step)
    return [argument for argument in arguments if argument.name in needed], kept[::-1]


def unread_arguments(model: Model) -> frozenset[str]:
    """The names of columns whose values no score depends on: no tree tests a feature that is made of them."""
    tested = [model.features[number].name for number in model.forest.tested_features]
    needed, _ = prune(model.arguments, model.steps, tested)
    plain = frozenset(argument.name for argument in model.arguments if argument.expression is None)
    return plain - {argument.name for argument in needed}
