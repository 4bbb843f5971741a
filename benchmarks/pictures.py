"""Pictures of figures as SVG text: horizontal bars on a logarithmic scale, the shortest is the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

ROW, LEFT, WIDTH = 26, 250, 420
OURS, THEIRS = "#1f6f54", "#9aa5b1"


def bars(title: str, values: Mapping[str, float]) -> str:
    """One bar a name, of seconds; names that begin with sqlml are ours."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    low = 10 ** math.floor(math.log10(ordered[0][1]))
    span = math.log10(ordered[-1][1] / low)
    height = 40 + ROW * len(ordered)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="white"/><text x="10" y="20" font-weight="bold">{escape(title)} (log scale)</text>',
    ]
    for number, (name, value) in enumerate(ordered):
        y = 34 + ROW * number
        length = WIDTH * math.log10(value / low) / span
        text = f"{value * 1e6:.3g} µs" if value >= 1e-6 else f"{value * 1e9:.0f} ns"
        colour = OURS if name.startswith("sqlml") else THEIRS
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 8}" fill="{colour}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 15}">{text}</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])
