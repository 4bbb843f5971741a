"""Values of the catalog's JSON columns: Python values to JSON text and back, bit for bit."""

from __future__ import annotations

import json
import math
from typing import Any


def to_json(value: Any) -> str:
    """JSON text of a value; a float that JSON has no word for becomes {"$float": "nan"}."""
    return json.dumps(_encodable(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> Any:
    """The value of such a text; tuples come back as lists."""
    return json.loads(text, object_hook=_decoded)


def _encodable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return _encodable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    return value


def _decoded(item: dict[str, Any]) -> Any:
    return float(item["$float"]) if item.keys() == {"$float"} else item
