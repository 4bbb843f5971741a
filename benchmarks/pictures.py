"""Pictures of figures as SVG text, for light and dark pages: bars and lines on logarithmic scales, the shortest and lowest is the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape

ROW, LEFT, WIDTH = 24, 210, 430
RIGHT, HEIGHT = 215, 400
LABEL, LEAD = 14, 24  # the height of a label, and how far it is from the point it names
STYLE = """<style>
  svg { font-family: -apple-system, "Segoe UI", Helvetica, Arial, sans-serif } text { font-size: 13px }
  .page { fill: #ffffff; stroke: #d0d7de } .text { fill: #1f2328 } .title { fill: #1f2328; font-weight: 600 }
  .grid { stroke: #d8dee4 } .faint { fill: #59636e; font-size: 11px }
  .ours { fill: #1a7f5a } .theirs { fill: #a8b3bf } .own { fill: none; stroke: #a8b3bf; stroke-dasharray: 3 2 }
  .halo { stroke: #ffffff; stroke-width: 4; stroke-linejoin: round; paint-order: stroke } .lead { stroke: #a8b3bf; stroke-width: 0.75 }
  .line { fill: none; stroke: #a8b3bf; stroke-width: 1.5 } .line.our { stroke: #1a7f5a; stroke-width: 3 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d } .text, .title { fill: #f0f6fc } .grid { stroke: #2a313c } .faint { fill: #9198a1 }
    .halo { stroke: #0d1117 } .lead { stroke: #59636e }
    .ours { fill: #3fb98a } .theirs { fill: #59636e } .own { stroke: #59636e } .line { stroke: #59636e } .line.our { stroke: #3fb98a }
  }
</style>"""


def time_text(value: float) -> str:
    """A time a row, for people."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def is_ours(name: str) -> bool:
    return name.startswith("sqlml")


def _frame(width: int, height: int, title: str) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        STYLE,
        f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>',
        f'<text class="title" x="14" y="24">{escape(title)}</text>',
    ]


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def bars(title: str, values: Mapping[str, float], other: frozenset[str] = frozenset()) -> str:
    """One bar a name, of seconds a row; names in ``other`` are drawn as outlines."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    low = math.floor(math.log10(ordered[0][1])) - 0.3
    scale = WIDTH / (math.log10(ordered[-1][1]) - low)
    bottom = 44 + ROW * len(ordered)
    lines = _frame(LEFT + WIDTH + 100, bottom + 44, title)
    for power in range(math.ceil(low), math.floor(math.log10(ordered[-1][1])) + 1):
        x = LEFT + scale * (power - low)
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="38" y2="{bottom}"/>')
        lines.append(_text("faint", x, bottom + 14, time_text(10**power), "middle"))
    for number, (name, value) in enumerate(ordered):
        y, length = 42 + ROW * number, scale * (math.log10(value) - low)
        kind = "ours" if is_ours(name) else "own" if name in other else "theirs"
        lines += [
            _text("text", LEFT - 8, y + 14, name, "end"),
            f'<rect class="{kind}" x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 7}" rx="2"/>',
            _text("text halo", LEFT + length + 6, y + 14, time_text(value)),
        ]
    notes = "logarithmic scale, shorter is better" + "; dashed: a model of its own, of the same size" * bool(other)
    lines.append(_text("faint", LEFT, bottom + 32, notes))
    return "\n".join([*lines, "</svg>\n"])


def curves(title: str, values: Mapping[str, Mapping[int, float]]) -> str:
    """One line a name: seconds a row by the size of the batch and its name."""
    sizes = sorted({size for points in values.values() for size in points})
    every = [value for points in values.values() for value in points.values()]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    left, top, bottom = 70, 44, HEIGHT - 44
    right = LEFT + WIDTH

    def x(size: int) -> float:
        return left + (right - left) * math.log10(size / sizes[0]) / math.log10(sizes[-1] / sizes[0])

    def y(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(value) - low) / (high - low)

    lines = _frame(right + RIGHT, HEIGHT, title)
    for power in range(low, high + 1):
        at = y(10.0**power)
        lines.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        lines.append(_text("faint", left - 8, at + 4, time_text(10.0**power), "end"))
    for size in sizes:
        lines.append(_text("faint", x(size), bottom + 18, f"{size:,}", "middle"))
    lines.append(
        _text(
            "faint",
            (left + right) / 2,
            bottom + 34,
            "rows in a batch; both scales are logarithmic, lower is better",
            "middle",
        )
    )
    for name, points in sorted(values.items(), key=lambda item: is_ours(item[0])):
        path = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in sorted(points.items()))
        kind = "line our" if is_ours(name) else "line"
        lines.append(f'<polyline class="{kind}" points="{path}"/>')
        for size, value in points.items():
            lines.append(
                f'<circle class="{"ours" if is_ours(name) else "theirs"}" cx="{x(size):.1f}" cy="{y(value):.1f}" r="3"/>'
            )
    return "\n".join([*lines, *_labels(values, x, y), "</svg>\n"])


def _labels(
    values: Mapping[str, Mapping[int, float]], x: Callable[[int], float], y: Callable[[float], float]
) -> list[str]:
    """Names right of the last points of their lines."""
    ends: dict[float, list[tuple[float, str]]] = {}
    for name, points in values.items():
        ends.setdefault(x(max(points)), []).append((y(points[max(points)]), name))
    lines = []
    for start, names in ends.items():
        names.sort()
        places = moved_apart([at for at, _ in names])
        for place, (at, name) in zip(places, names, strict=True):
            if abs(place - at) > LABEL / 2:
                lines.append(f'<path class="lead" d="M{start + 4:.1f},{at:.1f} L{start + LEAD - 3:.1f},{place:.1f}"/>')
            lines.append(_text("text halo" if is_ours(name) else "faint halo", start + LEAD, place + 4, name))
    return lines


def moved_apart(places: list[float]) -> list[float]:
    """Sorted places, each pair at least a line's height apart, as near to where they were as that allows."""
    for _ in range(200):
        for k in range(len(places) - 1):
            short = LABEL - (places[k + 1] - places[k])
            if short > 0:
                places[k] -= short / 2
                places[k + 1] += short / 2
    return places
