"""Modules of third parties that are imported when something of them is used: a process that only scores waits for none of these."""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """Stands for a module; declare ``if TYPE_CHECKING: import name`` and in its ``else`` ``name = Later("name")``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, found)  # the next time costs what an import at the top costs
        return found
