"""scikit-learn's fit and predict on top of CREATE MODEL: arrays and frames in, arrays out, the model kept as an artifact."""

from __future__ import annotations

import math
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from sqlml.errors import DataError, MissingExtraError

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_array,
        check_consistent_length,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise MissingExtraError(
        "sqlml.sklearn needs scikit-learn", hint="Install it with: pip install 'sqlml[sklearn]'."
    ) from error

if TYPE_CHECKING:
    from udfs.scorer import Scorer

__all__ = ["SqlmlClassifier", "SqlmlRegressor"]

ROWS = "__sqlml_rows"  # the name under which the training rows are queried


class _SqlmlEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share. Parameters are CREATE MODEL's options of the same name; ``options`` takes all others.

    ``database`` is a DuckDB file in which the model is stored as ``model_name``, a new version with every fit, for every
    other program to use; without one the model lives in this object only. Either way the fitted estimator holds the whole
    artifact, so it can be pickled and needs no database to predict. NaN is a missing value. Frames (pandas, Polars, Arrow)
    keep their column types: text becomes categorical, timestamps become calendar parts.
    """

    _model_type = ""

    def __init__(
        self,
        *,
        max_iterations: int = 100,
        learn_rate: float = 0.1,
        num_leaves: int = 31,
        min_data_in_leaf: int = 20,
        random_state: Any = None,
        options: dict[str, Any] | None = None,
        database: str | None = None,
        model_name: str = "model",
    ) -> None:
        self.max_iterations = max_iterations
        self.learn_rate = learn_rate
        self.num_leaves = num_leaves
        self.min_data_in_leaf = min_data_in_leaf
        self.random_state = random_state
        self.options = options
        self.database = database
        self.model_name = model_name

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _fit(self, rows: pa.Table, label: pa.Array, weights: Any) -> None:
        names = [*rows.column_names]
        options: dict[str, Any] = {"input_label_cols": [_fresh("label", names)], "model_type": self._model_type}
        rows = rows.append_column(options["input_label_cols"][0], label)
        if weights is not None:
            options["instance_weight_col"] = _fresh("weight", names)
            rows = rows.append_column(options["instance_weight_col"], pa.array(weights))
        options |= {
            name: getattr(self, name) for name in ("max_iterations", "learn_rate", "num_leaves", "min_data_in_leaf")
        }
        options |= {"data_split_method": "NO_SPLIT", "seed": self._seed()} | (self.options or {})
        self.artifact_ = _train(rows, options, self.database, self.model_name)

    def _seed(self) -> int:
        """The default seed without a random_state, so that two fits give the same bits."""
        if self.random_state is None:
            return 0
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _batch(self, rows: Any) -> pa.RecordBatch:
        check_is_fitted(self, "artifact_")
        table = _features(self, rows, reset=False)
        return table.combine_chunks().to_batches()[0]


class SqlmlClassifier(ClassifierMixin, _SqlmlEstimator):  # type: ignore[misc]
    """Boosted trees for two or more classes, trained by CREATE MODEL."""

    _model_type = "BOOSTED_TREE_CLASSIFIER"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Train on rows and their classes."""
        rows = _features(self, X, reset=True)
        labels = _labels(self, y)
        check_consistent_length(rows, labels)
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs at least two classes, got 1 class: {self.classes_[0]!r}")
        self._fit(rows, pa.array(labels.tolist()), _weights(sample_weight, rows))
        return self

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """The probability of each class, in the order of ``classes_``."""
        batch = self._batch(X)
        return np.asarray(_scorer(self.artifact_).probabilities(batch).T)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """The most probable class."""
        chosen = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[chosen])


class SqlmlRegressor(RegressorMixin, _SqlmlEstimator):  # type: ignore[misc]
    """Boosted trees for a number, trained by CREATE MODEL."""

    _model_type = "BOOSTED_TREE_REGRESSOR"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Train on rows and their values."""
        rows = _features(self, X, reset=True)
        values = check_array(_labels(self, y), ensure_2d=False, dtype=np.float64)
        check_consistent_length(rows, values)
        self._fit(rows, pa.array(values), _weights(sample_weight, rows))
        return self

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """The predicted value of each row."""
        batch = self._batch(X)
        return np.asarray(_scorer(self.artifact_).predict(batch))


@lru_cache(maxsize=16)
def _scorer(artifact: bytes) -> Scorer:
    """The artifact made ready to score; the images live in this process only, never in a pickle."""
    from udfs.artifact import read_artifact  # noqa: PLC0415 - loads the compiler, which fitting elsewhere does not need
    from udfs.scorer import build_scorer  # noqa: PLC0415 - the same

    return build_scorer(read_artifact(artifact))


def _train(rows: pa.Table, options: dict[str, Any], database: str | None, model_name: str) -> bytes:
    """The artifact of a model trained on an Arrow table by a connection of its own."""
    import sqlml  # noqa: PLC0415 - this module is imported from within the package

    settings = ", ".join(f"{name} = {_literal(value)}" for name, value in options.items())
    quoted = '"' + model_name.replace('"', '""') + '"'
    with tempfile.TemporaryDirectory() as scratch, sqlml.connect(database or ":memory:") as connection:
        path = Path(scratch) / "artifact"
        connection.register(ROWS, rows)
        connection.execute(f"CREATE OR REPLACE MODEL {quoted} OPTIONS ({settings}) AS SELECT * FROM {ROWS}")
        connection.unregister(ROWS)
        connection.execute(f"EXPORT MODEL {quoted} TO {_literal(str(path))}")
        return path.read_bytes()


def _features(estimator: BaseEstimator, rows: Any, *, reset: bool) -> pa.Table:
    """The rows as an Arrow table: frames as they are, arrays as doubles named x0, x1..."""
    if hasattr(rows, "__arrow_c_stream__"):
        validate_data(estimator, rows, reset=reset, skip_check_array=True)
        table = pa.table(rows)
        if table.num_rows == 0:
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
        _refuse_infinity(table)
        return table.select([name for name in table.column_names if not name.startswith("__index_level_")])
    checks = {"dtype": np.float64, "ensure_all_finite": "allow-nan", "ensure_min_samples": 2 if reset else 1}
    matrix = validate_data(estimator, rows, reset=reset, **checks)
    return pa.table({f"x{i}": pa.array(np.ascontiguousarray(matrix[:, i])) for i in range(matrix.shape[1])})


def _refuse_infinity(table: pa.Table) -> None:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_floating(column.type) and np.isinf(column.to_numpy()).any():
            raise ValueError(f"column {name!r} contains infinity")


def _labels(estimator: BaseEstimator, labels: Any) -> np.ndarray[Any, Any]:
    if labels is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    values: np.ndarray[Any, Any] = column_or_1d(np.asarray(labels), warn=True)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("Input y contains NaN or infinity.")
    return values


def _weights(weights: Any, rows: pa.Table) -> Any:
    if weights is None:
        return None
    return _check_sample_weight(weights, np.empty((rows.num_rows, 1)), dtype=np.float64, ensure_non_negative=True)


def _fresh(name: str, taken: list[str]) -> str:
    """A column name that the features do not use."""
    folded = {other.casefold() for other in taken}
    while name in folded:
        name = f"_{name}"
    return name


def _literal(value: Any) -> str:
    """An option's value as SQL."""
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float | np.number):
        if not math.isfinite(value):
            raise DataError(f"an option cannot be {value}")
        return repr(value.item() if isinstance(value, np.number) else value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return "'" + str(value).replace("'", "''") + "'"
