"""The SQL scorer's part of an installation, and of what a removal leaves: functions of the models there are."""

from __future__ import annotations

from sqlml.catalog.store import Store
from sqlml.engines.engine import Engine


def make_functions(engine: Engine) -> None:
    """Functions of the models that were stored for another scorer: from now on clients call these."""
    from sqlml.serving.postgres_functions import SqlFunctions  # noqa: PLC0415 - a compiler, for this scorer only

    SqlFunctions(engine, Store(engine)).make_all()
