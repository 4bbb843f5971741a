"""A model as a Python object: thin sentences of SQL with Arrow tables out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlml.connection import Connection


class ModelHandle:
    """A model, or one version of it, by its name in the dialect (``late``, ``late@2``, ``late@champion``).

    Every method is one statement on the handle's connection and returns an Arrow table; ``rows`` is a table's name, a query,
    or any Arrow-speaking object (pandas and Polars frames included).
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name
        connection._session.find(name)  # noqa: SLF001 - raises now if there is no such model

    def __repr__(self) -> str:
        return f"<model {self.name}>"

    def predict(self, rows: Any, **settings: Any) -> pa.Table:
        """All columns of ``rows`` and the predicted ones; settings: threshold, keep_original_columns, flat."""
        return self._call("PREDICT", rows, settings)

    def evaluate(self, rows: Any = None, **settings: Any) -> pa.Table:
        """Metrics on ``rows``, or those of the held-out split of training."""
        return self._call("EVALUATE", rows, settings)

    def confusion_matrix(self, rows: Any = None, **settings: Any) -> pa.Table:
        return self._call("CONFUSION_MATRIX", rows, settings)

    def roc_curve(self, rows: Any = None) -> pa.Table:
        return self._call("ROC_CURVE", rows, {})

    def transform(self, rows: Any) -> pa.Table:
        """The features as the forest sees them."""
        return self._call("TRANSFORM", rows, {})

    def explain(self) -> pa.Table:
        """Feature importances: how often and with which gain the trees split on each feature."""
        return self._call("FEATURE_IMPORTANCE", None, {})

    def training_info(self) -> pa.Table:
        return self._call("TRAINING_INFO", None, {})

    def feature_info(self) -> pa.Table:
        return self._call("FEATURE_INFO", None, {})

    @property
    def versions(self) -> pa.Table:
        """All versions, the newest first."""
        session = self._connection._session  # noqa: SLF001
        model = session.find(self.name).model
        name = session.quote(model.database, model.schema, model.name)
        return self._connection.execute(f"SHOW MODEL VERSIONS {name}").arrow()

    def _call(self, function: str, rows: Any, settings: dict[str, Any]) -> pa.Table:
        parts = [f"MODEL {self.name}"]
        if rows is not None and not isinstance(rows, str):
            return self._with_registered(function, rows, settings)
        if rows is not None:
            is_query = len(rows.split()) > 1 and not rows.strip().startswith('"')
            query = rows.rstrip("; \t\r\n")
            parts.append(f"({query}\n)" if is_query else f"TABLE {rows}")  # on a line of its own: a comment may end it
        if settings:
            parts.append("STRUCT(" + ", ".join(f"{_literal(value)} AS {key}" for key, value in settings.items()) + ")")
        return self._connection.execute(f"SELECT * FROM ML.{function}({', '.join(parts)})").arrow()

    def _with_registered(self, function: str, rows: Any, settings: dict[str, Any]) -> pa.Table:
        with self._connection._session.engine.lending(rows) as name:  # noqa: SLF001
            return self._call(function, name, settings)


def _literal(value: object) -> str:
    return str(value).upper() if isinstance(value, bool) else repr(value)
