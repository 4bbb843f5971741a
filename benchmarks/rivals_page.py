"""The page of the comparison: tables and pictures in ``benchmarks/README.md``, the short table in the main README."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS
from benchmarks.forests import FORESTS, TITLES
from benchmarks.pictures import bars, curves, is_ours, time_text

HERE = Path(__file__).parent
MAIN = HERE.parent / "README.md"
BEGIN, END = "<!-- rivals: begin -->", "<!-- rivals: end -->"
SIZES = (1, 100, 10_000, 1_000_000)
PICTURED = 10_000
KERNEL, QUERY, BASE = "sqlml, the kernel", "sqlml, a query in DuckDB", "LightGBM predict, numpy"
IN_DATABASE = ("orbital in DuckDB", "plain SQL in DuckDB")
FEW_CLOSE = 0.99  # a contestant with fewer scores that are LightGBM's scores another model: its times do not count

QUIET = 2.0  # a load average that leaves the clock on the wall its meaning

Results = dict[str, dict[str, Any]]


def figure(found: dict[str, Any], size: int, clock: str = "cpu") -> float | None:
    """The seconds a row, unless they are not known or not of this model."""
    said = found.get("sizes", {}).get(str(size), {})
    return said.get(clock) if compared(found).get("close", 1.0) >= FEW_CLOSE else None


def compared(found: dict[str, Any]) -> dict[str, Any]:
    """What was said of the largest batch whose scores were compared with LightGBM's; of the first one if none were."""
    said = [s for s in found.get("sizes", {}).values() if "cpu" in s]
    return next((s for s in reversed(said) if "difference" in s), said[0] if said else {})


def table(results: Results, clock: str) -> list[str]:
    """One line a contestant, the fastest of each size in bold."""
    best = {size: min((v for f in results.values() if (v := figure(f, size, clock))), default=0.0) for size in SIZES}
    lines = [
        f"| time a row, in batches of | {' | '.join(f'{size:,}' for size in SIZES)} | greatest difference | same bits | made ready in |",
        "|---|" + "---:|" * len(SIZES) + "---:|:---:|---:|",
    ]
    for name, found in results.items():
        values = [figure(found, size, clock) for size in SIZES]
        if not any(values):
            continue
        cells = [
            "" if v is None else f"**{time_text(v)}**" if v == best[s] else time_text(v)
            for s, v in zip(SIZES, values, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {' | '.join(accuracy(found))} |")
    return lines


def accuracy(found: dict[str, Any]) -> list[str]:
    """How far from LightGBM's scores, whether by no bit, and the CPU time that the model took to prepare."""
    said = compared(found)
    made = said.get("made_in")
    ready = "" if made is None else time_text(made)
    if "difference" not in said:
        return ["its own model", "", ready]
    far = f" ({(1 - said['close']) * 100:.2g} % of rows beyond 1e-5)" if said["close"] < 1 else ""
    return [
        f"{said['difference']:.1g}{far}" if said["difference"] else "0",
        "yes" if said["same_bits"] else "no",
        ready,
    ]


def verdict(results: Results) -> list[str]:
    """Who wins where; a rival's victory is said first."""
    lines = []
    for size in SIZES:
        times = {name: v for name, found in results.items() if (v := figure(found, size))}
        if not times or KERNEL not in times:
            continue
        rivals = {name: v for name, v in times.items() if not is_ours(name)}
        if not rivals:
            continue
        name = min(rivals, key=rivals.__getitem__)
        ratio = rivals[name] / times[KERNEL]
        rows = "Single rows" if size == 1 else f"Batches of {size:,}"
        if ratio < 1:
            lines.append(f"* **{rows}: {name} wins**, {1 / ratio:.2f} times as fast as sqlml's kernel.")
        else:
            lines.append(f"* {rows}: sqlml's kernel, {ratio:.1f} times as fast as the best rival, {name}.")
    return lines


def of_the_query(results: Results) -> list[str]:
    """How a whole query in DuckDB stands: where it loses to libraries that are called directly, and against trees as SQL."""
    lost, times = [], []
    for size in SIZES:
        found = {name: v for name, said in results.items() if (v := figure(said, size))}
        ours = found.get(QUERY)
        if ours is None:
            continue
        inside = [found[name] for name in IN_DATABASE if name in found]
        times += [min(inside) / ours] if inside else []
        called = {name: v for name, v in found.items() if not is_ours(name) and name not in IN_DATABASE and v < ours}
        if called:
            best = min(called, key=called.__getitem__)
            rows = "single rows" if size == 1 else f"batches of {size:,}"
            ratio = times_text(ours / called[best])
            lost.append(f"{rows} ({best} is {ratio} as fast; faster are {len(called)} of them)")
    lines = (
        [f"* **A whole query in DuckDB loses to libraries called directly** for {' and '.join(lost)}."] if lost else []
    )
    if times and min(times) < 1:
        lines.append(f"* **Inside DuckDB, trees as SQL win somewhere**: they take {min(times):.2f} times sqlml's time.")
    elif times:
        lines.append(f"* Inside DuckDB, a query with sqlml is {_range(times)} as fast as the best of the trees as SQL.")
    return lines


def times_text(ratio: float) -> str:
    """A ratio for people: two digits, and no exponent."""
    return f"{float(f'{ratio:.2g}'):,.{1 if ratio < 10 else 0}f} times"


def _range(ratios: list[float]) -> str:
    least, most = times_text(min(ratios)), times_text(max(ratios))
    return least if least == most else f"{least.removesuffix(' times')} to {most}"


def absent(results: Results) -> list[str]:
    """Whoever is not in the table or in a part of it, and why."""
    lines = []
    for name, found in results.items():
        said = compared(found)
        if said.get("close", 1.0) < FEW_CLOSE:
            lines.append(
                f"* {name}: not this model: {(1 - said['close']) * 100:.3g} % of its scores are not LightGBM's."
            )
        elif "failed" in found:
            lines.append(f"* {name}: {found['failed'].replace('|', ' ')}.")
    late = [
        f"{name} ({said['expected']:.0f} s)"
        for name, found in results.items()
        for said in found["sizes"].values()
        if "expected" in said
    ]
    if late:
        lines.append(f"* Batches of {SIZES[-1]:,} that take too long: {', '.join(late)}.")
    return ["Not measured:", "", *lines, ""] if lines else []


def section(model: str, results: Results, *, quiet: bool) -> str:
    """All about a model; draws its picture."""
    slug = model.replace(" ", "")
    values = {name: v for name, found in results.items() if (v := figure(found, PICTURED))}
    own = frozenset(name for name, found in results.items() if "difference" not in compared(found))
    title = f"{TITLES[model]}: CPU time a row, batches of {PICTURED:,}"
    (HERE / f"rivals-{slug}.svg").write_text(bars(title, values, own), encoding="utf-8")
    return "\n".join(
        [
            f"### {TITLES[model][0].upper()}{TITLES[model][1:]}",
            "",
            *verdict(results),
            *of_the_query(results),
            "",
            *table(results, "cpu"),
            "",
            *absent(results),
            f"![{title}](rivals-{slug}.svg)",
            "",
            *(by_the_wall(results) if quiet else []),
        ]
    )


def by_the_wall(results: Results) -> list[str]:
    """The same table by the clock on the wall, which means something on a quiet machine only."""
    head = "<details><summary>The same by the clock on the wall</summary>"
    return [head, "", *table(results, "wall"), "", "</details>", ""]


def busiest(kept: dict[str, Results]) -> float:
    """The greatest load average that a contestant met."""
    return max(
        (found["load"] for results in kept.values() for found in results.values() if "load" in found), default=0.0
    )


def machine(kept: dict[str, Results]) -> str:
    """What it was measured on."""
    from benchmarks.__main__ import processor

    versions: dict[str, str] = {}
    for results in kept.values():
        for name, found in results.items():
            for package, number in found.get("versions", {}).items():
                apart = (
                    ""
                    if CONTESTANTS[name].environment == "rivals" or package == CONTESTANTS[name].distributions[0]
                    else " for lleaves"
                )
                versions[package + (apart if package == "llvmlite" else "")] = number
    if compiler := shutil.which("gcc"):
        said = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=False)
        versions["gcc"] = said.stdout.strip()
    told = ", ".join(f"{package} {number}" for package, number in sorted(versions.items()))
    load = busiest(kept)
    busy = (
        ""
        if load < QUIET
        else f" beside other work (load average up to {load:.0f}, hence CPU time and no times by the clock)"
    )
    return f"Measured on {processor()}, {os.cpu_count()} cores, one thread{busy}, Python {platform.python_version()}: {told}."


def short_table(kept: dict[str, Results]) -> list[str]:
    """For the main README: each model in a line, and how single rows end."""
    lines = [
        "| model | sqlml's kernel | LightGBM predict | | the best other rival | | a single row: sqlml | the best rival |",
        "|---|---:|---:|---:|---|---:|---:|---|",
    ]
    for model, results in kept.items():
        times = {name: v for name, found in results.items() if (v := figure(found, PICTURED))}
        single = {name: v for name, found in results.items() if (v := figure(found, 1))}
        others = {name: v for name, v in times.items() if not is_ours(name) and not name.startswith("LightGBM")}
        ones = {name: v for name, v in single.items() if not is_ours(name)}
        if KERNEL not in times or BASE not in times or not others or not ones:
            continue
        ours, base = times[KERNEL], times[BASE]
        best, one = min(others, key=others.__getitem__), min(ones, key=ones.__getitem__)
        mine, theirs = time_text(single[KERNEL]), f"{one}: {time_text(ones[one])}"
        pair = f"**{mine}** | {theirs}" if single[KERNEL] <= ones[one] else f"{mine} | **{theirs}**"
        lines.append(
            f"| {TITLES[model]} | **{time_text(ours)}** | {time_text(base)} | {base / ours:.0f}x | {best}: {time_text(others[best])} "
            f"| {others[best] / ours:.1f}x | {pair} |"
        )
    return lines


def write_pages(kept: dict[str, Results]) -> None:
    """Replace what stands between the markers of both pages, and all pictures."""
    kept = {
        model: {name: kept[model][name] for name in CONTESTANTS if name in kept[model]}
        for model in FORESTS
        if model in kept
    }
    first = next(iter(kept))
    by_size = {name: {size: v for size in SIZES if (v := figure(found, size))} for name, found in kept[first].items()}
    title = f"{TITLES[first]}: CPU time a row"
    drawn = curves(title, {name: points for name, points in by_size.items() if points})
    (HERE / "rivals-by-batch.svg").write_text(drawn, encoding="utf-8")
    lines = [machine(kept), "", f"![{title} by the size of the batch](rivals-by-batch.svg)", ""]
    _replace(
        HERE / "README.md",
        "\n".join([*lines, *(section(model, results, quiet=busiest(kept) < QUIET) for model, results in kept.items())]),
    )
    _replace(MAIN, "\n".join([*short_table(kept), "", machine(kept)]))


def _replace(page: Path, text: str) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
