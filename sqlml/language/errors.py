"""Errors to text as a terminal shows them: message, the line at fault with a caret, detail, hint."""

from __future__ import annotations

import unicodedata

from sqlml.errors import SqlmlError

_WINDOW = 100  # characters of a long line that are shown around the caret


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """1-based line and column of a 0-based offset; an offset beyond the end means the end."""
    position = max(0, min(position, len(text)))
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def render(error: SqlmlError) -> str:
    """The whole error in lines, as psql words it; the caret stands under the word at fault."""
    lines = [f"ERROR:  {error.message}"]
    if error.text is not None and error.position is not None:
        lines += _excerpt(error.text, error.position)
    if error.detail:
        lines.append(f"DETAIL:  {error.detail}")
    if error.hint:
        lines.append(f"HINT:  {error.hint}")
    return "\n".join(lines)


def _excerpt(text: str, position: int) -> list[str]:
    number, column = line_and_column(text, position)
    line = text.split("\n")[number - 1].rstrip("\r")
    offset = min(column - 1, len(line))
    head = f"LINE {number}: "
    if len(line) > _WINDOW:
        first = max(0, min(offset - _WINDOW // 2, len(line) - _WINDOW))
        end = first + _WINDOW
        head += "..." if first else ""
        line, offset, tail = line[first:end], offset - first, "..." if end < len(line) else ""
        line += tail
    line = "".join(" " if unicodedata.category(c) in ("Cc", "Cf") else c for c in line)
    return [head + line, " " * (len(head) + _width(line[:offset])) + "^"]


def _width(text: str) -> int:
    """Cells of a terminal: East Asian wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )
