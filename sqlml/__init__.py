"""Machine learning inside the database: ``connect()`` and speak SQL with CREATE MODEL, PREDICT and EVALUATE."""

from __future__ import annotations

from sqlml.connection import Connection
from sqlml.errors import SqlmlError
from sqlml.opening import attach, connect

__all__ = ["Connection", "SqlmlError", "__version__", "attach", "connect"]
__version__ = "0.1.0"
