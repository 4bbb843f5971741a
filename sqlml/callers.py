"""The frame of whoever called sqlml, so that the engine finds their data frames by name as it does for a direct caller."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

_OURS = str(Path(__file__).parent)


def calling_frame() -> FrameType | None:
    """The nearest frame outside this package."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the interpreter's own way to a caller's frame
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame
