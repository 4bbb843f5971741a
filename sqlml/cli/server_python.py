"""How PL/Python in a private server finds sqlml and what it needs: the entries of the server's PYTHONPATH.

The server's Python is the system's, started inside the server, as another user when we are root. It is led to the two
folders our own modules come from: the checkout (or installation) and ``site-packages``. The editable installation's
finder does not work from PYTHONPATH, hence the checkout itself. Where the server's user cannot get to them, below
/root for example, the packages that are needed are linked, or on another file system copied, into a folder he can read.
"""

from __future__ import annotations

import re
import shutil
import stat
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import sqlml
from sqlml.cli.os_user import OsUser, can_read

# What runs inside the server; their own requirements come along. sqlglotc is there only if it is installed.
NEEDED = ("duckdb", "lightgbm", "numba", "numpy", "pyarrow", "sqlglot", "sqlglotc")
OURS = ("sqlml", "udfs", "sql")


def python_path(user: OsUser | None, copies: Path, packages: Path | None = None) -> list[Path]:
    """The folders to put on the server's PYTHONPATH; ``copies`` is made where they cannot be read as they stand.

    ``packages`` has what is needed, readable, where the server's Python is another one than ours.
    """
    checkout = Path(sqlml.__file__).parent.parent
    distributions = [] if packages else needed_distributions()
    theirs = [packages] if packages else [Path(str(found.locate_file(""))) for found in distributions]
    if can_read(user, *(folder / "sqlml" / "__init__.py" for folder in [checkout]), *_samples(distributions)):
        return list(dict.fromkeys([checkout, *theirs]))
    if not copies.exists():
        copies.mkdir(mode=0o755, parents=True)
        _copy_ours(checkout, copies)
        for found in distributions:
            _copy_distribution(found, copies)
    return [copies, packages] if packages else [copies]


def needed_distributions() -> list[Distribution]:
    """The distributions in NEEDED and what they require, extras left aside."""
    found: dict[str, Distribution] = {}
    pending = list(NEEDED)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        required = [text for text in found[name].requires or [] if "extra ==" not in text]
        pending += [re.split(r"[^\w.-]", text, maxsplit=1)[0].lower() for text in required]
    return list(found.values())


def _samples(distributions: list[Distribution]) -> list[Path]:
    """One module of each distribution."""
    files = [next((file for file in found.files or [] if file.suffix == ".py"), None) for found in distributions]
    return [Path(str(file.locate())) for file in files if file]


def _copy_ours(checkout: Path, copies: Path) -> None:
    for name in OURS:
        if (checkout / name).is_dir():
            shutil.copytree(checkout / name, copies / name, copy_function=_link_or_copy)


def _copy_distribution(found: Distribution, copies: Path) -> None:
    for file in found.files or []:
        source = Path(str(file.locate()))
        if ".." in file.parts or not source.is_file():
            continue
        target = copies / file
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _link_or_copy(str(source), str(target))


def _link_or_copy(source: str, target: str) -> None:
    """A link costs nothing, but has its file's permissions and stays on its file system."""
    if Path(source).stat().st_mode & stat.S_IROTH:
        try:
            Path(target).hardlink_to(source)
        except OSError:
            pass  # another file system
        else:
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o644)
