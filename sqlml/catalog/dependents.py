"""Views and macros that use models: recording them, forgetting those that are gone, and what they forbid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlml.catalog.names import key
from sqlml.catalog.records import RecordedView
from sqlml.catalog.rows import VIEW_COLUMNS, recorded_view
from sqlml.errors import DependencyError, SignatureError

if TYPE_CHECKING:
    from sqlml.catalog.layout import Layout
    from sqlml.catalog.records import ModelRecord, NewVersion, VersionRecord


PINNING = ("column", "index", "constraint")  # what scores by one version and belongs to a table


def signature_of(version: NewVersion | VersionRecord) -> tuple[object, ...]:
    """What a view's text relies on: the inputs, the output's type, and the classes, whose labels stand in the text."""
    return version.signature, version.label_type, tuple(version.evaluation.get("classes") or ())


class Dependents:
    """The recorded views of one connection's catalogs."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._engine = layout.engine

    def of(self, model: ModelRecord) -> list[RecordedView]:
        """The views and macros that use the model and still exist; others were dropped or replaced by other means."""
        table = self._layout.table(model.database, "_views")
        query = f"SELECT {VIEW_COLUMNS} FROM {table} WHERE model_id = ? ORDER BY schema_name, view_name, {self._engine.row_place}"
        views = (recorded_view(model.database, row) for row in self._engine.rows(query, [model.model_id]))
        return [*(view for view in views if self._still_uses(view, model)), *self._pinned(model)]

    def _pinned(self, model: ModelRecord) -> list[RecordedView]:
        """Generated columns, indexes and constraints of a server that score by one version; the statement drops them."""
        if not self._layout.is_installed(model.database):
            return []
        query = "SELECT kind, schema_name, object_name, version, removal FROM sqlml._pinned_by(?)"
        return [
            RecordedView(
                kind=kind, database=model.database, schema=schema, name=name, version=version, statement=removal
            )
            for kind, schema, name, version, removal in self._engine.rows(query, [model.model_id])
        ]

    def record(self, model: ModelRecord, view: RecordedView) -> None:
        """Remember a view, in place of what was recorded of it before."""
        table = self._layout.table(model.database, "_views")
        self._layout.write(
            f"DELETE FROM {table} WHERE model_id = ? AND lower(schema_name) = lower(?) AND lower(view_name) = lower(?) "
            "AND version IS NOT DISTINCT FROM ? AND alias IS NOT DISTINCT FROM ?",
            [model.model_id, view.schema, view.name, view.version, view.alias],
        )
        self._layout.write(
            f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)",
            [model.model_id, view.kind, view.schema, view.name, view.version, view.alias, view.statement],
        )

    def forget(self, database: str, schema: str, name: str) -> None:
        """A view was dropped or is about to be replaced."""
        table = self._layout.table(database, "_views")
        self._layout.write(
            f"DELETE FROM {table} WHERE lower(schema_name) = lower(?) AND lower(view_name) = lower(?)", [schema, name]
        )

    def drop(self, views: Iterable[RecordedView]) -> None:
        """Drop the views themselves, for CASCADE."""
        for schema, name in dict.fromkeys((view.schema, view.name) for view in views):
            view = next(view for view in views if (view.schema, view.name) == (schema, name))
            if view.kind in PINNING:
                self._layout.write(view.statement)
                continue
            kind, _ = self._definition(view) or ("VIEW", "")
            self._layout.write(f"DROP {kind} IF EXISTS {self._engine.quote(view.database, schema, name)}")
            self.forget(view.database, schema, name)

    def refuse(self, views: Iterable[RecordedView], what: str, hint: str) -> None:
        """Raise DependencyError if there are any."""
        names = listed(views)
        if names:
            raise DependencyError(
                f"cannot {what} because other objects depend on it", detail=f"In use by: {names}.", hint=hint
            )

    def blocking(
        self,
        model: ModelRecord,
        version: NewVersion | VersionRecord,
        current: VersionRecord | None,
        alias: str | None = None,
    ) -> str:
        """The views on the bare name, or on the alias, that a version of another signature would break; empty if none."""
        if current is None or signature_of(current) == signature_of(version):
            return ""
        views = [view for view in self.of(model) if view.version is None]
        return listed(view for view in views if key(view.alias or "") == key(alias or ""))

    def refuse_signature(
        self, model: ModelRecord, version: VersionRecord, current: VersionRecord | None, alias: str | None = None
    ) -> None:
        """Raise SignatureError if ``version`` cannot become the default, or the alias's, because of recorded views."""
        names = self.blocking(model, version, current, alias)
        if names and current is not None:
            raise SignatureError(
                f'version {version.version} of model "{model.name}" has another signature than version {current.version}',
                detail=f"{difference(current, version)} In use by: {names}.",
                hint="Drop these views and create them anew."
                if alias
                else f"ALTER MODEL {model.name} SET DEFAULT VERSION {version.version} REBUILD VIEWS makes these views anew.",
            )

    def _still_uses(self, view: RecordedView, model: ModelRecord) -> bool:
        found = self._definition(view)
        names = key(_unquoted(model.name)), model.model_id.replace("-", "")
        return found is not None and any(name in key(_unquoted(found[1])) for name in names)

    def _definition(self, view: RecordedView) -> tuple[str, str] | None:
        """What DROP calls it, and its text as the engine keeps it; None where there is none of that name."""
        return self._engine.stored_text(view.kind, (view.database, view.schema, view.name))


def listed(views: Iterable[RecordedView]) -> str:
    """Views for a message: view main.scores, macro main.score."""
    return ", ".join(dict.fromkeys(f"{view.kind} {view.schema}.{view.name}" for view in views))


def difference(old: VersionRecord, new: VersionRecord) -> str:
    """How two signatures differ, as sentences."""
    before, after = dict(old.signature), dict(new.signature)
    parts = []
    if gone := [name for name in before if name not in after]:
        parts.append(f"No longer an input: {', '.join(gone)}.")
    if added := [name for name in after if name not in before]:
        parts.append(f"New input: {', '.join(added)}.")
    for name, kind in before.items():
        if after.get(name, kind) != kind:
            parts.append(f"Input {name} was {kind} and is {after[name]}.")
    if old.label_type != new.label_type:
        parts.append(f"The output was {old.label_type} and is {new.label_type}.")
    classes, others = (version.evaluation.get("classes") or [] for version in (old, new))
    if classes != others:
        parts.append(f"The classes were {', '.join(map(str, classes))} and are {', '.join(map(str, others))}.")
    return " ".join(parts) or "The inputs come in another order."


def _unquoted(text: str) -> str:
    """A text without quotes: a name reads the same in an identifier, in a literal, and in both."""
    return text.replace('"', "").replace("'", "")
