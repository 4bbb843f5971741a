"""A model made ready to score: its images in memory, and the one kernel that takes raw rows to predictions, block by block.

    workspace   raw rows | null rows | features | outputs | addresses of the program's rows | operands | scratch rows
                | attributions or interactions, where they are asked for

An engine's machine code fills the first two parts of a workspace and calls the kernel; Python callers pass Arrow batches to the
methods of ``Scorer``. Both run the same kernels over the same images, so they give the same bits.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from udfs.columns import BLOCK_ROWS, raw_block, slot_count
from udfs.errors import InputMismatchError
from udfs.forest.image import WALK
from udfs.forest.nodes import build_forest_image
from udfs.forest.objective import apply_objective, convert_scores
from udfs.forest.walk import raw_scores
from udfs.jit import invoke, kernel, part, poke, routine, word
from udfs.model import MOST_INTERACTING, Model
from udfs.transforms.program import apply_image, build_program_image, plain_rows, run_block

if TYPE_CHECKING:
    import pyarrow as pa

FloatArray = npt.NDArray[np.float64]

# Words of a scorer's head; places are byte offsets into a workspace.
PROGRAM, FOREST, SLOTS, ARGUMENTS, FEATURES, OUTPUTS, ALIAS = range(7)
NULLS_AT, FEATURES_AT, OUTPUTS_AT, ROWS_AT, OPERANDS_AT, SCRATCH_AT, SCRATCH_ROWS, WORKSPACE = range(8, 16)
ATTRIBUTE, INTERACT, ATTRIBUTION_IMAGE = range(16, 19)
HEAD_WORDS = 19

# How far a block is taken.
STAGE_FEATURES, STAGE_RAW, STAGE_PREDICTION, STAGE_ATTRIBUTIONS, STAGE_INTERACTIONS = range(5)
STAGE_BITS = 3
ROW_BYTES = 8 * BLOCK_ROWS
IN_PLACE = 1 << 40  # of a request: raw rows are where a table says


@part
def place_rows(scorer, workspace):
    """Write the addresses of the program's rows, in the order it numbers them: raw, nulls, features, scratch."""
    at = workspace + word(scorer, ROWS_AT)
    for k in range(word(scorer, SLOTS)):
        poke(at, np.int64, k, workspace + ROW_BYTES * k)
    at += 8 * word(scorer, SLOTS)
    for k in range(word(scorer, ARGUMENTS)):
        poke(at, np.int64, k, workspace + word(scorer, NULLS_AT) + BLOCK_ROWS * k)
    at += 8 * word(scorer, ARGUMENTS)
    for k in range(word(scorer, FEATURES)):
        poke(at, np.int64, k, workspace + word(scorer, FEATURES_AT) + ROW_BYTES * k)
    at += 8 * word(scorer, FEATURES)
    for k in range(word(scorer, SCRATCH_ROWS)):
        poke(at, np.int64, k, workspace + word(scorer, SCRATCH_AT) + ROW_BYTES * k)


@kernel
def request(n, stage):
    """How many rows and how far, as one integer: the machine code below takes three."""
    return n << STAGE_BITS | stage


def score_block(scorer, workspace, asked):
    """Score the rows (at most a block) that a workspace holds as far as a ``request`` asks; the result is in its feature or output rows.

    Where the features are the raw rows, ``IN_PLACE`` may be added to the request: then the rows need not be in the workspace,
    and their addresses are where those of the program's rows would be.
    """
    n, stage = (asked >> STAGE_BITS) & 0xFFFFFF, asked & ((1 << STAGE_BITS) - 1)
    features, stride = workspace, np.int64(ROW_BYTES)
    if asked & IN_PLACE:
        features, stride = workspace + word(scorer, ROWS_AT), np.int64(0)
    elif word(scorer, ALIAS) == 0:
        features = workspace + word(scorer, FEATURES_AT)
        place_rows(scorer, workspace)
        rows, operands = workspace + word(scorer, ROWS_AT), workspace + word(scorer, OPERANDS_AT)
        run_block(word(scorer, PROGRAM), rows, operands, n)
    if stage == STAGE_FEATURES:
        return
    forest, out = word(scorer, FOREST), workspace + word(scorer, OUTPUTS_AT)
    if stage >= STAGE_ATTRIBUTIONS:
        out, forest = workspace + word(scorer, WORKSPACE), word(scorer, ATTRIBUTION_IMAGE)
        walk = word(scorer, ATTRIBUTE if stage == STAGE_ATTRIBUTIONS else INTERACT)
        invoke(walk, (forest, features, stride, n, out, np.int64(ROW_BYTES)))
        return
    invoke(word(forest, WALK), (forest, features, stride, n, out, np.int64(ROW_BYTES)))
    if stage == STAGE_PREDICTION:
        convert_scores(forest, out, ROW_BYTES, n)


@cache
def score_address() -> int:
    """The machine code of ``score_block`` for engines, as a C function of a scorer, a workspace and a ``request``."""
    return routine(score_block).address


class Scorer:
    """A model's images and what Python needs to score Arrow batches; the columns of a batch are the model's arguments."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.outputs = model.forest.outputs
        self._program = build_program_image(model)
        self._forest = build_forest_image(model.forest, len(model.features))
        self._head = np.zeros(HEAD_WORDS, np.int64)
        self._attributions: npt.NDArray[np.int64] | None = None
        self._lock = threading.Lock()
        self._lay_out()

    def _lay_out(self) -> None:
        head, model = self._head, self.model
        direct = plain_rows(model)
        head[PROGRAM] = self._program.ctypes.data
        head[FOREST] = self._forest.ctypes.data
        head[SLOTS] = sum(slot_count(argument.kind) for argument in model.arguments)
        head[ARGUMENTS] = len(model.arguments)
        head[FEATURES] = len(model.features)
        head[OUTPUTS] = self.outputs
        # Where the features are the raw rows, in order, they are read in place.
        head[ALIAS] = direct is not None and np.array_equal(direct, np.arange(len(direct)))
        head[SCRATCH_ROWS] = self._program[4]
        rows = int(head[SLOTS] + head[ARGUMENTS] + head[FEATURES] + head[SCRATCH_ROWS])
        sizes = [
            ROW_BYTES * int(head[SLOTS]),
            BLOCK_ROWS * int(head[ARGUMENTS]),
            0 if head[ALIAS] else ROW_BYTES * int(head[FEATURES]),
            ROW_BYTES * self.outputs,
            8 * rows,
            8 * (int(self._program[7]) + 1),
            ROW_BYTES * int(head[SCRATCH_ROWS]),
        ]
        places = np.cumsum([0, *(-(-size // 64) * 64 for size in sizes)])
        head[NULLS_AT : SCRATCH_AT + 1] = places[1:7]
        head[WORKSPACE] = places[7]

    @property
    def address(self) -> int:
        """Of the scorer's head, valid as long as this object lives."""
        return int(self._head.ctypes.data)

    def workspace_bytes(self, stage: int = STAGE_PREDICTION) -> int:
        """How much memory one thread needs to take a block to a stage."""
        more = self.matrix(stage)[1] if stage >= STAGE_ATTRIBUTIONS else 0
        return int(self._head[WORKSPACE]) + ROW_BYTES * more

    @property
    def nulls_at(self) -> int:
        """Byte offset of the null rows in a workspace; the raw rows are at its start."""
        return int(self._head[NULLS_AT])

    @property
    def reads_rows_in_place(self) -> bool:
        """Whether the features are the raw rows, so that a table of addresses can stand for them."""
        return bool(self._head[ALIAS])

    @property
    def rows_at(self) -> int:
        """Byte offset of that table in a workspace."""
        return int(self._head[ROWS_AT])

    def matrix(self, stage: int) -> tuple[int, int]:
        """Byte offset in a workspace, and number of rows, of what a stage delivers."""
        if stage == STAGE_FEATURES:
            return (0 if self._head[ALIAS] else int(self._head[FEATURES_AT])), len(self.model.features)
        if stage == STAGE_ATTRIBUTIONS:
            return int(self._head[WORKSPACE]), self.attribution_cells
        if stage == STAGE_INTERACTIONS:
            return int(self._head[WORKSPACE]), self.interaction_cells
        return int(self._head[OUTPUTS_AT]), self.outputs

    @property
    def bytes(self) -> int:
        """How much memory the images take."""
        attributions = 0 if self._attributions is None else self._attributions.nbytes
        return int(self._program.nbytes + self._forest.nbytes + self._head.nbytes + attributions)

    @property
    def attribution_cells(self) -> int:
        """Numbers that explain a row: for each output one a feature and the bias."""
        return self.outputs * (len(self.model.features) + 1)

    @property
    def interaction_cells(self) -> int:
        """Numbers that say what pairs of features give together: for each output one a pair and one a feature."""
        from udfs.forest.shap_interactions import interaction_cells  # noqa: PLC0415 - scoring needs none of it

        return self.outputs * interaction_cells(len(self.model.features))

    def prepare_attributions(self) -> npt.NDArray[np.int64]:
        """The image for attributions, laid out at their first use: most models are never asked for any."""
        from udfs.forest.shap import shap_walk  # noqa: PLC0415 - scoring needs none of it
        from udfs.forest.shap_image import build_shap_image  # noqa: PLC0415

        with self._lock:
            if self._attributions is None:
                image = build_shap_image(self.model.forest, len(self.model.features))
                self._head[ATTRIBUTE], self._head[ATTRIBUTION_IMAGE] = shap_walk.address, image.ctypes.data
                self._attributions = image
            return self._attributions

    def prepare_interactions(self) -> npt.NDArray[np.int64]:
        """The same image for interactions; raises InputMismatchError where a row of them is too long."""
        from udfs.forest.shap_interactions import interaction_walk  # noqa: PLC0415 - scoring needs none of it

        if len(self.model.features) > MOST_INTERACTING:
            raise InputMismatchError(
                f"interactions are for at most {MOST_INTERACTING} features, the model has {len(self.model.features)}",
                hint="Train a model of the features in question.",
            )
        self._head[INTERACT] = interaction_walk.address
        return self.prepare_attributions()

    def interactions(self, batch: pa.RecordBatch) -> FloatArray:
        """What pairs of features give together: float64[outputs * features * (features + 1) / 2, rows]."""
        from udfs.forest.shap_interactions import interactions  # noqa: PLC0415 - scoring needs none of it

        return interactions(self.prepare_interactions(), self.features(batch))

    def attributions(self, batch: pa.RecordBatch) -> FloatArray:
        """What LightGBM's ``predict(pred_contrib=True)`` gives: float64[outputs * (features + 1), rows]."""
        from udfs.forest.shap import contributions  # noqa: PLC0415 - scoring needs none of it

        return contributions(self.prepare_attributions(), self.features(batch))

    def features(self, batch: pa.RecordBatch) -> FloatArray:
        """What the forest sees: float64[features, rows]."""
        block = raw_block(batch, self.model.arguments)
        return apply_image(self._program, block, len(self.model.features))

    def raw_scores(self, batch: pa.RecordBatch) -> FloatArray:
        """The sums of the trees: float64[outputs, rows]."""
        features = self.features(batch)
        out = np.zeros((self.outputs, features.shape[1]))
        raw_scores(self._forest.ctypes.data, features, features.shape[1], out)
        return out

    def predictions(self, batch: pa.RecordBatch) -> FloatArray:
        """What LightGBM's ``Booster.predict`` gives: float64[outputs, rows]."""
        out = self.raw_scores(batch)
        apply_objective(self._forest.ctypes.data, out, out.shape[1])
        return out

    def predict(self, batch: pa.RecordBatch) -> FloatArray:
        """The value of a regression or ranking model, the positive class's probability of a binary one."""
        self.require_single()
        out = self.predictions(batch)
        return np.asarray(out[-1])

    def probabilities(self, batch: pa.RecordBatch) -> FloatArray:
        """One row a class, in the order of ``Label.classes``."""
        self.require_classes()
        out = self.predictions(batch)
        return np.stack((1.0 - out[0], out[0])) if self.outputs == 1 else out

    def class_index(self, batch: pa.RecordBatch, threshold: float = 0.5) -> npt.NDArray[np.int32]:
        """The predicted class; the threshold is of the positive class and means something for binary models only."""
        out = self.probabilities(batch)
        if len(out) == 2:
            return np.asarray(out[1] > threshold, np.int32)
        return np.asarray(out.argmax(axis=0), np.int32)

    def require_single(self) -> None:
        """Refuse a model that has no single number to predict."""
        if self.model.task == "multiclass":
            raise InputMismatchError(
                "a multiclass model has one probability for each class",
                hint="Name the class whose probability you want.",
            )

    def require_classes(self) -> None:
        """Refuse a model without classes."""
        if self.model.task not in ("binary", "multiclass"):
            raise InputMismatchError(
                f"a {self.model.task} model has no classes", hint="Ask for its value instead of a class or probability."
            )


def build_scorer(model: Model) -> Scorer:
    """Lay out a checked model for scoring."""
    return Scorer(model)
