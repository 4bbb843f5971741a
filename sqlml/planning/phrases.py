"""The SQL that ML calls become, by the engine that runs it: one contract, met by a module an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlml.planning import duckdb_phrases, postgres
from sqlml.planning.explaining import ExplainSettings
from sqlml.planning.scoring import PredictSettings, Scored, Substitute
from sqlml.planning.visible import Quote
from udfs.model import Model


class Phrases(Protocol):
    """Each function gives an expression, or a derived table that needs no alias. ``source`` is a query whose rows are called
    ``__sqlml_rows``, over which ``mapping`` gives each model input's SQL; ``row`` is what ``Scored.row`` made of a mapping."""

    def scored_model(
        self, model: Model, reference: str, quote: Quote, substitute: Substitute, *, unread: frozenset[str], scorer: str
    ) -> Scored:
        """A model as it stands in generated SQL."""

    def predict_sql(self, scored: Scored, row: str, threshold: float | None = None) -> str: ...

    def probability_sql(self, scored: Scored, row: str, label_text: str | None, *, name: str, position: int) -> str: ...

    def predict_table_sql(
        self, scored: Scored, source: str, columns: Sequence[str], mapping: Mapping[str, str], settings: PredictSettings
    ) -> str: ...

    def transform_table_sql(self, scored: Scored, source: str, mapping: Mapping[str, str]) -> str: ...

    def scored_rows_sql(
        self, scored: Scored, source: str, label: tuple[str, str], row: str, threshold: float | None
    ) -> str: ...

    def evaluate_sql(self, scored: Scored, rows: str) -> str: ...

    def confusion_matrix_sql(self, scored: Scored, rows: str) -> str: ...

    def roc_curve_sql(self, rows: str, thresholds: Sequence[float] | None) -> str: ...

    def values_sql(self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]], quote: Quote) -> str: ...

    def explain_sql(self, scored: Scored, row: str) -> str: ...

    def explain_table_sql(
        self, scored: Scored, source: str, columns: Sequence[str], mapping: Mapping[str, str], settings: ExplainSettings
    ) -> str: ...

    def global_table_sql(
        self, scored: Scored, source: str, mapping: Mapping[str, str], segments: Sequence[str]
    ) -> str: ...

    def interactions_table_sql(self, scored: Scored, source: str, mapping: Mapping[str, str]) -> str: ...

    def difference_table_sql(
        self, scored: Scored, sources: tuple[str, str], mappings: tuple[Mapping[str, str], Mapping[str, str]]
    ) -> str: ...


PHRASES: dict[str, Phrases] = {"duckdb": duckdb_phrases, "postgres": postgres}
"""By the engine's dialect."""
