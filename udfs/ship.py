"""Makes the machine code that a wheel brings along, so that a machine's first score waits for no compiler.

python -m udfs.ship FOLDER            every routine for every level of x86-64, the stamp last: half a code is none
python -m udfs.ship FOLDER LEVEL      for one level, in a process whose numba is told to compile for it

``python -m udfs.ship udfs/shipped`` gives a checkout the same, until a source of it changes.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from udfs import levels, machine_code
from udfs.jit import Routine

if TYPE_CHECKING:
    from udfs.duckdb.trampolines import Callbacks

    Compiled = Routine | type[Callbacks]


def ship(folder: Path) -> None:
    """Fill the folder; raises CalledProcessError where a level cannot be compiled."""
    folder.mkdir(parents=True, exist_ok=True)
    running = [_start(folder, level) for level in levels.LEVELS]
    for process in running:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, process.args)
    (folder / machine_code.STAMP).write_text(machine_code.stamp(), encoding="ascii")


def _start(folder: Path, level: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **levels.compiler_settings(level), "SQLML_KERNEL_CACHE": "off"}
    package = str(Path(__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen([sys.executable, "-m", "udfs.ship", str(folder), level], env=environment)  # noqa: S603 - ourselves


def ship_level(folder: Path, level: str, declared_routines: Iterable[Compiled]) -> None:
    """Compile routines, here and now, for the CPU that numba was told of."""
    place = folder / level
    place.mkdir(parents=True, exist_ok=True)
    for declared in declared_routines:
        code, is_portable = declared.compile()
        if is_portable:
            (place / f"{declared.name}.o").write_bytes(code)


def routines() -> dict[str, Compiled]:
    """Everything that is called by its address, by name."""
    declared = (function if hasattr(function, "compile") else Routine(function) for function in _functions())
    return {routine.name: routine for routine in declared}


def _functions() -> Iterator[Any]:
    from udfs.duckdb import emit, fill, native, trampolines  # noqa: PLC0415 - DuckDB's library, whose functions they call
    from udfs.forest import objective, shap, shap_interactions, walk  # noqa: PLC0415
    from udfs.scorer import score_block  # noqa: PLC0415
    from udfs.transforms.registry import OPERATORS  # noqa: PLC0415

    native.link()
    yield trampolines.Callbacks
    yield from (native.run, score_block, walk.coded_walk, walk.plain_walk, shap.shap_walk)
    yield shap_interactions.interaction_walk
    yield from (objective.exponential, objective.sigmoid, objective.signed_square)
    yield from (objective.log1p_exp, objective.softmax)
    yield from fill.FILLERS.values()
    yield from emit.EMITTERS.values()
    yield from (operator.kernel for operator in OPERATORS.values() if operator.kernel is not None)


def main() -> None:
    """What the command line asks for."""
    folder = Path(sys.argv[1])
    if len(sys.argv) == 2:
        ship(folder)
        return
    gc.disable()  # a compiler's objects live as long as this process, which is not long
    ship_level(folder, sys.argv[2], routines().values())


if __name__ == "__main__":
    main()
