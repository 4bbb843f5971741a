"""A model to the bytes that a server stores in a row and scores from: ``udfs.postgres.layout`` says what is where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from udfs.errors import ArtifactError, UnsupportedModelError
from udfs.forest.objective import exponential, log1p_exp, parse_objective, sigmoid, signed_square, softmax
from udfs.postgres import layout
from udfs.postgres.lanes import lay_out_forest
from udfs.postgres.operators import NUMBERED, NUMBERS
from udfs.transforms.program import PlacedProgram, place_program

if TYPE_CHECKING:
    import numpy.typing as npt

    from udfs.jit import Routine
    from udfs.model import Model

    Ints = npt.NDArray[np.int64]
    Sections = dict[str, npt.NDArray[Any]]

# What a raw score becomes, by number: a number is an objective's for ever.
CONVERSIONS: tuple[Routine | None, ...] = (None, exponential, sigmoid, signed_square, log1p_exp, softmax)


def build_server_image(model: Model) -> bytes:
    """Lay out a checked model for the native scorer of a server; the same on every machine."""
    placed = place_program(model)
    texts = _Texts()
    cells = placed.raw_rows + len(placed.arguments) + len(placed.features) + placed.scratch_rows
    if cells > layout.MOST_CELLS:
        raise UnsupportedModelError(f"the model needs {cells} values a row, more than {layout.MOST_CELLS}")
    features = np.array(placed.features, np.int64)
    forest = lay_out_forest(model.forest, features)
    sections = forest.sections | _program_sections(placed) | _signature_sections(model, placed, texts)
    sections["texts"] = texts.joined()
    head = np.zeros(layout.HEAD_WORDS, np.int64)
    _describe_forest(model, head)
    head[layout.TASK] = layout.TASKS[model.task]
    head[layout.SLOTS], head[layout.ARGUMENTS], head[layout.CELLS] = placed.raw_rows, len(placed.arguments), cells
    head[layout.OPERANDS] = sum(len(step.operands) for step in placed.steps)
    head[layout.CODES], head[layout.LANES] = forest.codes, forest.lanes
    head[layout.LONGEST] = max((int(group[layout.GROUP_COUNT]) for group in sections["groups"]), default=0)
    head[layout.ENGINE] = any(argument.expression is not None for argument in model.arguments)
    return _written(head, sections)


def _describe_forest(model: Model, head: Ints) -> None:
    forest = model.forest
    if len(forest.trees) % forest.outputs:
        raise ArtifactError(f"the forest has {len(forest.trees)} trees, wanted a multiple of {forest.outputs}")
    convert, parameter = parse_objective(forest.objective, forest.outputs)
    head[0], head[layout.VERSION] = layout.MAGIC, layout.FORMAT
    head[layout.N_FEATURES], head[layout.OUTPUTS], head[layout.TREES] = (
        len(model.features), forest.outputs, len(forest.trees),
    )  # fmt: skip
    head[layout.DIVISOR] = len(forest.trees) // forest.outputs if forest.average_output else 0
    head[layout.CONVERT] = CONVERSIONS.index(convert)
    head[layout.PARAMETER] = np.float64(parameter).view(np.int64)


class _Texts:
    """Names and labels one after another."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, text: str) -> tuple[int, int]:
        """Where the text is, and how many bytes it has; a zero byte follows."""
        data = text.encode()
        place = self._size
        self._parts.append(data + b"\0")
        self._size += len(data) + 1
        return place, len(data)

    def joined(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(b"".join(self._parts), np.uint8)


def _program_sections(placed: PlacedProgram) -> Sections:
    """Of each instruction: operator, first word and number of words of its parameters, operands."""
    table: list[int] = []
    parameters: list[Ints] = [np.zeros(0, np.int64)]
    at = 0
    for step in placed.steps:
        if step.op not in NUMBERS:
            raise UnsupportedModelError(f'the native scorer has no operator "{step.op}"')
        table += [NUMBERS[step.op], at, len(step.parameters), len(step.operands), *step.operands]
        parameters.append(step.parameters)
        at += len(step.parameters)
    return {"instructions": np.array(table, np.int64), "parameters": np.concatenate(parameters)}


def _signature_sections(model: Model, placed: PlacedProgram, texts: _Texts) -> Sections:
    position = {item.name: index for index, item in enumerate(model.inputs)}
    arguments = np.zeros((len(model.arguments), 4), np.int64)
    inputs = np.full((len(model.inputs), 4), -1, np.int64)
    for index, item in enumerate(model.inputs):
        inputs[index, : layout.INPUT_ARGUMENT] = texts.add(item.name)
    for index, (argument, rows) in enumerate(zip(model.arguments, placed.arguments, strict=True)):
        number = position[argument.name] if argument.expression is None else -1
        arguments[index] = layout.KINDS[argument.kind], number, rows[0], placed.raw_rows + index
        if number >= 0:
            inputs[number, layout.INPUT_ARGUMENT] = index
    features = np.zeros((len(model.features), 4), np.int64)
    for index, feature in enumerate(model.features):
        features[index, :3] = placed.features[index], *texts.add(feature.name)
    labels = np.array([texts.add(label_text(label)) for label in model.label.classes], np.int64)
    return {"arguments": arguments, "inputs": inputs, "features": features, "labels": labels.reshape(-1, 2)}


def label_text(label: bool | float | str) -> str:
    """A class as text, as Postgres writes a value of its type."""
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, float):
        text = repr(label).replace("inf", "Infinity").replace("nan", "NaN")
        return text.removesuffix(".0")
    return str(label)


def _written(head: Ints, sections: Sections) -> bytes:
    parts: list[bytes] = []
    size = layout.HEAD_WORDS * 8
    for number, (name, element) in enumerate(layout.SECTION_BYTES.items()):
        data = np.ascontiguousarray(sections[name]).tobytes()
        head[layout.SECTIONS + 2 * number : layout.SECTIONS + 2 * number + 2] = size, len(data) // element
        room = -(-len(data) // layout.ALIGNMENT) * layout.ALIGNMENT
        parts.append(data.ljust(room, b"\0"))
        size += room
    head[layout.SIZE] = size + layout.PADDING
    image = np.frombuffer(head.tobytes() + b"".join(parts) + bytes(layout.PADDING), np.int64).copy()
    image[layout.CHECKSUM] = checksum(image)
    return image.tobytes()


def checksum(image: Ints) -> int:
    """Of all words but itself, each with an odd weight of its own: no change of a single word goes unseen."""
    words = image.view(np.uint64).copy()
    words[layout.CHECKSUM] = 0
    mixed = words ^ (words >> np.uint64(32))
    weights = np.arange(len(words), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return int((mixed * weights).sum(dtype=np.uint64).view(np.int64))


assert len(NUMBERS) == len(NUMBERED)  # noqa: S101 - invariant: no operator has two numbers
