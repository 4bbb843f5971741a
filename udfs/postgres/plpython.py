"""The PL/Python scorer: what the functions in a server call. References to models and packed rows in, scores out.

Models are kept by hash in the process; whether a role may use one is asked of the server once a statement, and again wherever a
statement changed the catalog itself (see ``forget``). The caller's settings, temporary objects and search path decide nothing but
where a bare name is looked up.
"""

# ruff: noqa: PLR0917 - functions of the server pass their arguments by position

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from udfs.errors import InputMismatchError, SqlmlError
from udfs.postgres.row_scorer import RowScorer
from udfs.postgres.rows_by_name import packed_row, read_row

KEPT_BYTES = 256 << 20  # of images, in each backend
MANY_REFERENCES = 1_000

_scorers: OrderedDict[str, RowScorer] = OrderedDict()
_resolved: dict[tuple[str, str], tuple[bytes, str]] = {}


def forget() -> None:
    """The catalog was changed within a statement: what its references stand for is asked again."""
    _resolved.clear()


def scorer_of(plpy: Any, reference: str, role: str, stamp: bytes) -> RowScorer:
    """The scorer that a reference stands for, for a role, in the statement that began at a time."""
    known = _resolved.get((reference, role))
    if known is None or known[0] != stamp:
        if len(_resolved) > MANY_REFERENCES:
            _resolved.clear()
        artifact_hash = plpy.execute(f"SELECT sqlml._resolve({plpy.quote_literal(reference)}) AS h")[0]["h"]
        known = _resolved[reference, role] = (stamp, artifact_hash)
    found = _scorers.get(known[1])
    return found if found is not None else _load(plpy, known[1])


def _load(plpy: Any, artifact_hash: str) -> RowScorer:
    from udfs.artifact import read_artifact  # noqa: PLC0415 - the first model of a backend pays for it

    rows = plpy.execute(
        "SELECT body FROM sqlml.artifacts "
        f"WHERE artifact_hash OPERATOR(pg_catalog.=) {plpy.quote_literal(artifact_hash)}::pg_catalog.text"
    )
    if not rows:
        raise InputMismatchError(f"the artifact {artifact_hash[:12]}... is gone")
    made = RowScorer(read_artifact(rows[0]["body"]))
    _scorers[artifact_hash] = made
    while len(_scorers) > 1 and sum(scorer.scorer.bytes for scorer in _scorers.values()) > KEPT_BYTES:
        _scorers.popitem(last=False)
    return made


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Errors of ours with all that the server can show of them."""

    def wrapper(plpy: Any, *arguments: Any) -> Any:
        try:
            return function(plpy, *arguments)
        except SqlmlError as error:
            more = {name: text for name, text in (("detail", error.detail), ("hint", error.hint)) if text}
            return plpy.error(error.message, sqlstate=error.sqlstate, **more)

    return wrapper


def threshold_of(reference: str) -> float | None:
    """The setting behind a reference's question mark."""
    for part in reference.rpartition("?")[2].split("&") if "?" in reference else ():
        key, _, value = part.partition("=")
        if key == "threshold":
            return float(value)
    return None


_OUTPUTS: dict[str, Callable[[RowScorer, str], Any]] = {
    "value": lambda scorer, reference: scorer.value(),
    "probs": lambda scorer, reference: scorer.probabilities(),
    "class": lambda scorer, reference: scorer.class_index(threshold_of(reference)),
    "raw": lambda scorer, reference: scorer.raw(),
    "features": lambda scorer, reference: scorer.features(),
    "contribs": lambda scorer, reference: scorer.contributions(),
}


@_told
def score(plpy: Any, output: str, reference: str, role: str, stamp: bytes, numbers: Any, times: Any, texts: Any) -> Any:
    """One output of a packed row."""
    scorer = scorer_of(plpy, reference, role, stamp)
    if output == "contribs":
        scorer.prepare_explanations()
    scorer.fill(numbers, times, texts)
    return _OUTPUTS[output](scorer, reference)


def _filled(
    plpy: Any, reference: str, role: str, stamp: bytes, row: Sequence[Any], *, explains: bool = False
) -> RowScorer:
    scorer = scorer_of(plpy, reference, role, stamp)
    if explains:
        scorer.prepare_explanations()
    scorer.fill(*packed_row(scorer.model, read_row(*row)))
    return scorer


@_told
def row_value(plpy: Any, reference: str, role: str, stamp: bytes, *row: Any) -> float:
    """The value, or the probability of the greater class, of a row as ``read_row`` takes it."""
    return _filled(plpy, reference, role, stamp, row).value()


@_told
def row_label(plpy: Any, reference: str, role: str, stamp: bytes, *row: Any) -> str:
    """What is predicted, as text."""
    scorer = _filled(plpy, reference, role, stamp, row)
    classes = scorer.model.label.classes
    if not classes:
        return repr(scorer.value())
    label = classes[scorer.class_index(threshold_of(reference))]
    return str(label).lower() if isinstance(label, bool) else str(label)


@_told
def row_probability(plpy: Any, reference: str, role: str, stamp: bytes, class_label: str, *row: Any) -> float:
    """The probability of one class."""
    scorer = _filled(plpy, reference, role, stamp, row)
    classes = scorer.model.label.classes
    shown = [str(label).lower() if isinstance(label, bool) else str(label) for label in classes]
    if class_label not in shown:
        raise InputMismatchError(f'the model has no class "{class_label}"', hint=f"Classes are: {', '.join(shown)}.")
    return scorer.probabilities()[shown.index(class_label)]


@_told
def row_explanation(plpy: Any, reference: str, role: str, stamp: bytes, *row: Any) -> str:
    """The attribution of each feature to the raw score of what is predicted, as a JSON object."""
    scorer = _filled(plpy, reference, role, stamp, row, explains=True)
    model = scorer.model
    step = len(model.features) + 1
    output = scorer.class_index(None) if model.forest.outputs > 1 else 0
    scale = len(model.forest.trees) // model.forest.outputs if model.forest.average_output else 1
    part = scorer.contributions()[output * step : (output + 1) * step]
    return json.dumps({feature.name: value / scale for feature, value in zip(model.features, part, strict=False)})
