"""The shape of the code, checked: who imports whom, where third parties are let in, how long a room may be."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("sqlml", "udfs")

# Who may import whom inside sqlml, names that only annotations need left aside. A room not listed in a row may not be imported from it; every room may import itself,
# `sqlml.errors` and `udfs`. The rows stand in the order of the layers: each sees only rows above it.
ROOMS = {
    "errors": set(),
    "sqltext": set(),
    "callers": set(),
    "handles": set(),
    "results": set(),
    "language": set(),
    "engines": {"language"},
    "catalog": {"engines", "language", "sqltext"},
    "planning": {"language", "engines", "catalog"},
    "training": {"language", "engines", "catalog", "planning"},
    "rewrite": {"language", "engines", "catalog", "planning"},
    "table_functions": {"language", "engines", "planning", "rewrite"},
    "serving": {"engines", "catalog", "planning"},
    "statements": {"language", "engines", "catalog", "planning", "training", "results", "rewrite", "table_functions"},
    "session": {
        "language",
        "engines",
        "catalog",
        "planning",
        "training",
        "statements",
        "serving",
        "results",
        "callers",
        "rewrite",
    },
    "connection": {"handles", "results", "session"},
    "opening": {"connection", "engines", "serving", "session"},
    "__init__": {"connection", "opening"},
    "sklearn": {"__init__"},
    "backend": {"engines", "language", "results", "serving", "session", "training"},
    "install": {"__init__", "engines", "catalog", "serving", "sqltext"},
    "server": {"__init__", "connection", "session", "results", "language", "sqltext"},
    "cli": {"__init__", "connection", "engines", "install", "server", "results", "language", "sqltext"},
}

# Where a third party is let in: a package means the module itself or anything below it.
THIRD_PARTIES = {
    "duckdb": {"sqlml.engines.duckdb", "udfs.duckdb"},
    "_duckdb": {"udfs.duckdb"},
    "lightgbm": {"sqlml.training.lightgbm"},
    "numba": {"udfs"},
    "llvmlite": {"udfs"},
    "numpy": {
        "udfs",
        "sqlml.server",
        "sqlml.training",
        "sqlml.planning",
        "sqlml.catalog",
        "sqlml.statements",
        "sqlml.sklearn",
    },
    "pyarrow": {"udfs", "sqlml"},
    "sqlglot": {"sqlml.planning"},
    "prompt_toolkit": {"sqlml.cli"},
    "pygments": {"sqlml.cli"},
    "sklearn": {"sqlml.sklearn"},
    "psycopg": {
        "sqlml.engines.postgres",
        "sqlml.engines.postgres_copy",
        "sqlml.engines.postgres_errors",
        "sqlml.engines.postgres_results",
    },
    "polars": {"sqlml.connection"},
}

FILE_LINES = 400
FUNCTION_LINES = 40
NESTING = 3
POSITIONAL = 5
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "core"}

# Longer than the budget, and why that is right.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the two packages, parsed, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def path_of(module: str) -> Path:
    return (ROOT / Path(*module.split("."))).with_suffix(".py")


def imports_of(module: str, *, at_top: bool = False) -> Iterator[str]:
    """The dotted names a module imports, relative ones made absolute; with ``at_top``, only what importing it runs."""
    for node in running_nodes(modules()[module], skip_functions=at_top):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level]
                base = ".".join([*parent, base] if base else parent)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def running_nodes(tree: ast.Module, *, skip_functions: bool) -> Iterator[ast.AST]:
    """The nodes that can run: nothing under ``if TYPE_CHECKING``."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if skip_functions and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
            continue
        yield node
        pending.extend(ast.iter_child_nodes(node))


def module_behind(name: str) -> str | None:
    """The module of ours that an imported dotted name lives in, if any."""
    for candidate in (name, name.rpartition(".")[0]):
        for module in (candidate, f"{candidate}.__init__"):
            if module in modules():
                return module
    return None


def room_of(module: str) -> str:
    return module.split(".")[1]


def is_under(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("sqlml.")])
def test_imports_point_one_way(module):
    room = room_of(module)
    assert room in ROOMS, f"{module}: say in ROOMS what the new room {room!r} may import"
    allowed = ROOMS[room] | {room, "errors"}
    for name in imports_of(module):
        target = module_behind(name)
        if target and target.startswith("sqlml."):
            assert room_of(target) in allowed, f"{module} may not import {target}"


def test_rooms_stand_in_layers():
    seen: set[str] = set()
    for room, allowed in ROOMS.items():
        assert allowed <= seen, f"{room} imports from a room below it: {allowed - seen}"
        seen.add(room)


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("udfs.")])
def test_udfs_never_see_sqlml(module):
    assert not [name for name in imports_of(module) if name.partition(".")[0] == "sqlml"]


def test_no_cycles():
    graph = {
        module: {target for name in imports_of(module, at_top=True) if (target := module_behind(name))} - {module}
        for module in modules()
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("module", list(modules()))
def test_third_parties_only_where_stated(module):
    for name in imports_of(module):
        top = name.partition(".")[0]
        if top in {*PACKAGES, "__future__"} or top in sys.stdlib_module_names:
            continue
        assert top in THIRD_PARTIES, f"{module} imports {top}, which is not stated"
        assert is_under(module, THIRD_PARTIES[top]), f"{module} may not import {top}"


def test_only_one_file_knows_the_compiler_options():
    for module in modules():
        if module != "udfs.jit":
            names = {name.rpartition(".")[2] for name in imports_of(module) if name.startswith("numba")}
            assert not names & {"njit", "jit", "cfunc", "vectorize", "guvectorize", "prange"}, module


def test_file_names_say_something():
    for module in modules():
        assert not set(module.split(".")) & FORBIDDEN_NAMES, module


@pytest.mark.parametrize("module", list(modules()))
def test_module_opens_with_one_sentence(module):
    docstring = ast.get_docstring(modules()[module])
    assert docstring, f"{module} has no docstring"
    assert docstring.split("\n\n")[0].rstrip().endswith((".", ":")), f"{module}: the first sentence does not end"


def test_files_are_short():
    long = {
        str(path_of(module).relative_to(ROOT)): lines
        for module in modules()
        if (lines := len(path_of(module).read_text(encoding="utf-8").splitlines())) > FILE_LINES
    }
    assert long.keys() == LONG_FILES.keys(), f"over {FILE_LINES} lines, or a needless exemption: {long}"


def test_functions_are_short_and_flat():
    long, deep, wide = {}, {}, {}
    for module, tree in modules().items():
        for function in functions_of(tree):
            name = f"{module}.{function.name}"
            if (lines := code_lines(function)) > FUNCTION_LINES and not is_kernel(function):
                long[name] = lines
            if (depth := depth_of(function)) > NESTING and not is_kernel(function):
                deep[name] = depth
            if (count := positional_of(function)) > POSITIONAL and not module.startswith("udfs."):
                wide[name] = count
    assert long.keys() == LONG_FUNCTIONS.keys(), f"over {FUNCTION_LINES} lines, or a needless exemption: {long}"
    assert not deep, f"nested deeper than {NESTING}"
    assert not wide, f"more than {POSITIONAL} positional parameters"


def functions_of(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Compiled code: one loop, however many cases it holds."""
    decorators = {ast.unparse(decorator).partition("(")[0] for decorator in function.decorator_list}
    return bool(decorators & {"kernel", "part", "routine", "callback", "jit.kernel", "jit.callback", "intrinsic"})


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def depth_of(function: ast.AST, depth: int = 0) -> int:
    """How many blocks stand inside each other; ``elif`` and nested functions do not count."""
    deepest = depth
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        is_elif = isinstance(function, ast.If) and isinstance(child, ast.If) and function.orelse == [child]
        opens = isinstance(child, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match) and not is_elif
        deepest = max(deepest, depth_of(child, depth + opens))
    return deepest


def positional_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (bool(names) and names[0] in {"self", "cls"}) - len(function.args.defaults)


@pytest.mark.parametrize("module", ["udfs.errors", "sqlml.errors"])
def test_every_error_has_an_sqlstate(module):
    errors = importlib.import_module("udfs.errors")
    classes = [
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert classes
    for error in classes:
        assert issubclass(error, errors.SqlmlError)
        assert len(error.sqlstate) == 5, error
        assert error.sqlstate.isalnum(), error
        assert error.sqlstate == error.sqlstate.upper(), error


def test_errors_are_raised_from_the_tree():
    """No ``raise Exception`` and no errors of our own outside the two files."""
    for module, tree in modules().items():
        if module in {"udfs.errors", "sqlml.errors"}:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                names = {ast.unparse(parent).rpartition(".")[2] for parent in node.bases}
                assert not names & {"SqlmlError"}, f"{module}.{node.name} belongs into an errors module"


def test_packages_are_all_in_the_wheel():
    declared = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    here = {module.removesuffix(".__init__") for module in modules() if module.endswith(".__init__")}
    sql = {"sqlml." + ".".join(path.relative_to(ROOT).parts) for path in [ROOT / "sql", *(ROOT / "sql").rglob("*/")]}
    assert declared == here | sql
    folders = {".".join(path_of(module).parent.relative_to(ROOT).parts) for module in modules()}
    assert folders == here, "a folder of modules without an __init__.py"


PROBE = """
import json, sys, time
begin = time.process_time()
import sqlml
spent = time.process_time() - begin
heavy = {"numba", "llvmlite", "lightgbm", "polars", "pandas", "scipy", "sklearn", "prompt_toolkit", "pygments", "sqlglot.optimizer"}
print(json.dumps({"seconds": spent, "heavy": sorted(heavy & set(sys.modules))}))
"""


def test_import_is_light():
    """Processor time, not the clock: other work on the machine does not count; the best of three, as caches warm up."""
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    assert runs[0]["heavy"] == []
    assert min(run["seconds"] for run in runs) < 0.5
