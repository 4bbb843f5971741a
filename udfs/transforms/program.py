"""The transform program: from a list of steps to an image in memory, and from a raw block to features.

    arguments ──► steps (name ◄─ operator(names)) ──► features

A step binds its outputs' names; a name bound again hides what it meant before, so a feature may carry its argument's name.
The image holds, relative to its start in 64-bit words:

    head          words 0..7: magic, raw rows, null rows, features, scratch rows, instructions, copies, longest operand list
    instructions  one after another: kernel address, offset of parameters, number of operands, operands (numbers of rows)
    copies        (row, feature) of features that are raw rows or share a step's output
    parameters    what each operator's ``encode`` wrote

Rows are numbered: raw rows, null rows, features, scratch. A program is run block by block, each instruction over a whole block;
features are written in place. Only the operators a model uses are ever compiled, since a kernel is called by its address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from udfs.columns import RawBlock, slot_count
from udfs.errors import ArtifactError
from udfs.jit import address_of, kernel, part, peek, poke, view, word
from udfs.model import Argument, Feature, Step
from udfs.transforms.dispatch import call_kernel
from udfs.transforms.operator import ROWS, Operator, Shape, Words, kernel_address, require
from udfs.transforms.registry import OPERATORS

MAGIC = 0x53544550
SCRATCH_LIMIT = 16_384  # rows, 256 MiB a thread: far beyond any program written by hand
HEAD = 8
BLOCK = 2_048


class Program(Protocol):
    """What of a model its program needs; ``udfs.model.Model`` is one."""

    @property
    def arguments(self) -> tuple[Argument, ...]: ...
    @property
    def steps(self) -> tuple[Step, ...]: ...
    @property
    def features(self) -> tuple[Feature, ...]: ...


@dataclass(frozen=True)
class Pipeline:
    """The smallest Program: arguments, steps, and the registers to deliver."""

    arguments: tuple[Argument, ...]
    steps: tuple[Step, ...]
    features: tuple[Feature, ...]


@dataclass
class _Value:
    """One definition of a register: its shape, and the numbers of its rows once they are known."""

    shape: Shape
    rows: list[int] = field(default_factory=list)
    last_use: int = -1
    features: list[int] = field(default_factory=list)
    scratch: bool = False


@dataclass(frozen=True)
class _Instruction:
    step: Step
    operator: Operator
    inputs: list[_Value]
    outputs: list[_Value]


def shape_of(argument: Argument) -> Shape:
    """The shape of an argument's register."""
    if argument.kind in ("number", "boolean"):
        return "number"
    return "text" if argument.kind == "text" else "time"


def check_steps(program: Program) -> None:
    """Verify that running the program can touch no memory but its own; raises ArtifactError.

    Every register is defined before it is read and has the shape its reader expects; every array, text and index among the
    parameters is within bounds; every step has all its parameters, so an unfitted program is refused.
    """
    _, instructions, _ = _resolve(program)
    for instruction in instructions:
        _encoded(instruction)


def _resolve(program: Program) -> tuple[list[_Value], list[_Instruction], list[_Value]]:
    """Arguments' values, instructions, features' values; every parameter and register checked on the way."""
    names: dict[str, _Value] = {}
    arguments = [_Value(shape_of(argument)) for argument in program.arguments]
    for argument, value in zip(program.arguments, arguments, strict=True):
        if argument.name in names:
            raise ArtifactError(f'argument "{argument.name}" appears twice')
        names[argument.name] = value
    instructions = []
    for position, step in enumerate(program.steps):
        operator = OPERATORS.get(step.op)
        if operator is None:
            raise ArtifactError(f'transform program uses unknown operator "{step.op}"')
        require(all(name in names for name in step.inputs), step, "it reads a register that is not defined")
        require(len(set(step.outputs)) == len(step.outputs) > 0, step, "its outputs are not distinct")
        inputs = [names[name] for name in step.inputs]
        shapes = _checked_shapes(operator, step, inputs)
        require(len(shapes) == len(step.outputs), step, "it has the wrong number of outputs")
        if operator.kernel is None:
            names[step.outputs[0]] = inputs[0]
            continue
        outputs = [_Value(shape) for shape in shapes]
        names.update(zip(step.outputs, outputs, strict=True))
        for value in inputs:
            value.last_use = position
        instructions.append(_Instruction(step, operator, inputs, outputs))
    features = []
    for index, feature in enumerate(program.features):
        found = names.get(feature.name)
        if found is None or found.shape != "number":
            raise ArtifactError(f'feature "{feature.name}" is not a numeric register of the transform program')
        found.features.append(index)
        features.append(found)
    return arguments, instructions, features


def _checked_shapes(operator: Operator, step: Step, inputs: Sequence[_Value]) -> tuple[Shape, ...]:
    try:
        return operator.shapes(step, tuple(value.shape for value in inputs))
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ArtifactError(f'step "{step.op}" of the transform program is malformed: {error}') from error


def _encoded(instruction: _Instruction) -> Words:
    try:
        return instruction.operator.encode(instruction.step)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        step = instruction.step
        raise ArtifactError(f'step "{step.op}" of the transform program is malformed: {error}') from error


class _Rows:
    """Hands out row numbers; scratch rows are used again once nothing needs them."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._free: list[int] = []
        self.count = 0

    def take(self, value: _Value) -> None:
        value.scratch = True
        for _ in range(ROWS[value.shape]):
            if self._free:
                value.rows.append(self._free.pop())
            else:
                value.rows.append(self._first + self.count)
                self.count += 1

    def give_back(self, value: _Value) -> None:
        self._free.extend(value.rows)


def _place_arguments(program: Program, arguments: Sequence[_Value]) -> int:
    """Number the rows of the raw block: all raw rows first, then one null row an argument; returns how many raw rows."""
    raw_rows = sum(slot_count(argument.kind) for argument in program.arguments)
    row = 0
    for index, (argument, value) in enumerate(zip(program.arguments, arguments, strict=True)):
        count = slot_count(argument.kind)
        value.rows = list(range(row, row + count))
        if value.shape != "number":
            value.rows.append(raw_rows + index)
        row += count
    return raw_rows


def _place_outputs(instructions: Sequence[_Instruction], raw: int, features: int) -> int:
    """Give every output its rows: a feature's own where it is one, else scratch; returns the number of scratch rows."""
    scratch = _Rows(raw + features)
    position = {id(value): i for i, ins in enumerate(instructions) for value in ins.inputs}
    ends: dict[int, list[_Value]] = {}
    for i, instruction in enumerate(instructions):
        for value in instruction.outputs:
            if value.features:
                value.rows = [raw + value.features[0]]
                continue
            scratch.take(value)
            ends.setdefault(max(i, position.get(id(value), i)), []).append(value)
        for value in ends.pop(i, []):
            scratch.give_back(value)
    return scratch.count


@dataclass(frozen=True)
class PlacedStep:
    """An operator of the program with the numbers of the rows of its inputs and outputs, and its encoded parameters."""

    op: str
    operands: list[int]
    parameters: Words


@dataclass(frozen=True)
class PlacedProgram:
    """A program whose rows are numbered: raw rows, null rows, features, scratch."""

    raw_rows: int
    scratch_rows: int
    steps: list[PlacedStep]
    arguments: list[list[int]]  # rows of each argument
    features: list[int]  # row of each feature; another than its own where it needs no computation


def place_program(program: Program) -> PlacedProgram:
    """Check a program and number its rows; the plan of every image of it."""
    arguments, instructions, features = _resolve(program)
    raw_rows = _place_arguments(program, arguments)
    first = raw_rows + len(arguments)
    scratch = _place_outputs(instructions, first, len(features))
    if scratch > SCRATCH_LIMIT:
        raise ArtifactError(f"transform program needs {scratch} rows of scratch memory, more than {SCRATCH_LIMIT}")
    steps = [
        PlacedStep(ins.step.op, [row for value in (*ins.inputs, *ins.outputs) for row in value.rows], _encoded(ins))
        for ins in instructions
    ]
    return PlacedProgram(
        raw_rows, scratch, steps, [value.rows for value in arguments], [value.rows[0] for value in features]
    )


def build_program_image(program: Program) -> Words:
    """The program as one array of words for ``run_program``; compiles the kernels it needs."""
    placed = place_program(program)
    own = placed.raw_rows + len(placed.arguments)  # the first feature's own row
    copies = [(row, i) for i, row in enumerate(placed.features) if row != own + i]
    longest = max((len(step.operands) for step in placed.steps), default=0)
    body = HEAD + sum(3 + len(step.operands) for step in placed.steps) + 2 * len(copies)
    table: list[int] = []
    for step in placed.steps:
        kernel_function = OPERATORS[step.op].kernel
        address = kernel_address(kernel_function) if kernel_function is not None else 0
        table += [address, body, len(step.operands), *step.operands]
        body += len(step.parameters)
    head = [MAGIC, placed.raw_rows, len(placed.arguments), len(placed.features), placed.scratch_rows]
    head += [len(placed.steps), len(copies), longest]
    flat = np.array(head + table + [word for copy in copies for word in copy], np.int64)
    return np.concatenate([flat, *(step.parameters for step in placed.steps)])


@kernel
def run_program(image, raw, nulls, n, features):
    """Features of the first ``n`` rows; ``raw``, ``nulls`` and ``features`` are C-contiguous."""
    head = view(image, np.int64, HEAD)
    slots, arguments, outputs, scratch_rows = head[1], head[2], head[3], head[4]
    total = slots + arguments + outputs + scratch_rows
    rows = np.empty(total, np.int64)
    operands = np.empty(head[7] + 1, np.int64)
    scratch = np.empty((scratch_rows, BLOCK if scratch_rows > 0 else 0), np.int64)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        for k in range(slots):
            rows[k] = raw.ctypes.data + 8 * (k * raw.shape[1] + start)
        for k in range(arguments):
            rows[slots + k] = nulls.ctypes.data + k * nulls.shape[1] + start
        for k in range(outputs):
            rows[slots + arguments + k] = features.ctypes.data + 8 * (k * features.shape[1] + start)
        for k in range(scratch_rows):
            rows[slots + arguments + outputs + k] = scratch.ctypes.data + 8 * k * BLOCK
        run_block(image, address_of(rows), address_of(operands), size)


@part
def run_block(image, rows, operands, size):
    """All instructions, then all copies, over one block; ``rows`` and ``operands`` are addresses: of the rows' own, and of room for as many."""
    code = image + 8 * HEAD
    for _ in range(word(image, 5)):
        count = word(code, 2)
        for k in range(count):
            poke(operands, np.int64, k, word(rows, word(code + 24, k)))
        call_kernel(word(code, 0), image + 8 * word(code, 1), operands, size)
        code += 24 + 8 * count
    first = word(image, 1) + word(image, 2)
    for _ in range(word(image, 6)):
        source, target = word(rows, word(code, 0)), word(rows, first + word(code, 1))
        for i in range(size):
            poke(target, np.int64, i, peek(source, np.int64, i))
        code += 16


def plain_rows(program: Program) -> npt.NDArray[np.int64] | None:
    """For a model without any computation, the raw row of each feature; None where there is something to compute."""
    arguments, instructions, features = _resolve(program)
    if instructions:
        return None
    _place_arguments(program, arguments)
    return np.array([value.rows[0] for value in features], np.int64)


def is_plain(program: Program) -> bool:
    """Whether every feature is a raw number or boolean, so that a copy of raw rows is the whole program."""
    return plain_rows(program) is not None


def apply_program(program: Program, block: RawBlock) -> npt.NDArray[np.float64]:
    """Features of a raw block: float64[features, rows]."""
    return apply_image(build_program_image(program), block, len(program.features))


def apply_image(image: Words, block: RawBlock, features: int) -> npt.NDArray[np.float64]:
    """Features of a raw block by an image built before."""
    if image[1] != block.raw.shape[0] or image[2] != block.nulls.shape[0] or image[3] != features:
        raise ArtifactError("raw block does not fit the transform program")
    out = np.empty((features, block.rows))
    if block.rows and features:
        run_program(image.ctypes.data, block.raw, block.nulls, block.rows, out)
    return out
