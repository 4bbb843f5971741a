"""Removal of steps and arguments that no feature needs, as attempts at expressions leave them behind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from udfs.model import Argument, Step


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
