"""The native library of a server: kernels to one LLVM module, to an object, to a shared object; built once, kept on disk.

Compilation runs in a child process whose numba is told another CPU than this machine's: the library runs on any machine of
its level, wherever it was built. What a level's code needs is asked of the CPU when the server loads the library (``_PG_init``).
"""

from __future__ import annotations

import gc
import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from udfs import levels
from udfs.errors import UnsupportedModelError
from udfs.machine_code import cache_directory
from udfs.postgres.library import OPERATOR_TABLE
from udfs.postgres.link import link_object

LEVELS = {level: levels.LEVELS[level] for level in ("x86-64-v2", "x86-64-v3")}
# /proc/cpuinfo has other names than LLVM for some of what a level's code may use.
_FLAGS = {"lzcnt": "abm", "sse3": "pni", "sse4.1": "sse4_1", "sse4.2": "sse4_2", "bmi": "bmi1"}
OLDEST, NEWEST = 15, 17
# Bits of CPUID's answers that a level needs: leaf 1 ecx, leaf 7 ebx, leaf 0x80000001 ecx.
_CPUID = {"x86-64-v2": (0x00982201, 0, 0x1), "x86-64-v3": (0x38D83201, 0x128, 0x21)}
# Bits of XCR0, registers that the system saves for every process: SSE's and, for AVX, the upper halves of its own.
_SAVED = {"x86-64-v2": 0, "x86-64-v3": 0x6}
_STATE_WORDS = 16
_UNSUPPORTED = sum(((ord(letter) - 48) & 0x3F) << (6 * place) for place, letter in enumerate("0A000"))  # as an errcode


def level_for(cpu_flags: Iterable[str]) -> str:
    """The best level that a machine with these flags of /proc/cpuinfo runs."""
    flags = set(cpu_flags)
    for level, wanted in reversed(LEVELS.items()):
        if all(_FLAGS.get(name, name) in flags for name in wanted):
            return level
    raise UnsupportedModelError(
        "the server's CPU is older than x86-64-v2, which the native scorer needs",
        hint="Install with --scorer plpython or --scorer sql.",
    )


def require_version(server_version_num: int) -> int:
    """The major version, one whose structures are known."""
    major = server_version_num // 10_000
    if not OLDEST <= major <= NEWEST:
        raise UnsupportedModelError(
            f"the native scorer knows PostgreSQL {OLDEST} to {NEWEST}, the server is {major}",
            hint="Install with --scorer plpython or --scorer sql.",
        )
    return major


def library_for(server_version_num: int, cpu_flags: Iterable[str]) -> bytes:
    """The native library for a server: its ``server_version_num`` and the flags of its /proc/cpuinfo."""
    return build_library(server_version_num, level_for(cpu_flags))


def build_library(server_version_num: int, level: str) -> bytes:
    """The library for a major version and a CPU level, from the disk where it was built before.

    Libraries of one level differ in the version that they name (``_magic``), which is put in here.
    """
    major = require_version(server_version_num)
    directory = cache_directory()
    path = Path(directory) / f"sqlml-{level}.so" if directory else None
    library = _kept(path) if path is not None else None
    if library is None:
        library = _build_elsewhere(level)
        if path is not None:
            _keep(path, library)
    if library.count(_magic(OLDEST)) != 1:
        raise UnsupportedModelError("the native library does not name one version")
    return library.replace(_magic(OLDEST), _magic(major))


def _magic(major: int) -> bytes:
    """What a library tells a server it was made for: Pg_magic_struct of PostgreSQL 15 to 17."""
    return struct.pack("<6i32s", 56, major * 100, 100, 32, 64, 1, b"PostgreSQL")


def _kept(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content[32:] if hashlib.sha256(content[32:]).digest() == content[:32] else None


def _keep(path: Path, library: bytes) -> None:
    """Write beside and rename: nobody reads half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(hashlib.sha256(library).digest() + library)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)


def _build_elsewhere(level: str) -> bytes:
    environment = {
        **os.environ,
        **levels.compiler_settings(level),
        "SQLML_KERNEL_CACHE": "off",
        "NUMBA_OPT": "0",  # everything is optimized once, when it is together
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "udfs.postgres.emit", level]
    done = subprocess.run(command, capture_output=True, check=False, env=environment)  # noqa: S603 - ourselves
    if done.returncode:
        raise UnsupportedModelError(
            f"the native library could not be built: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}"
        )
    return done.stdout


def emit_object(level: str) -> tuple[bytes, list[str]]:
    """The object of all kernels for a level, and the names it exports; only where numba compiles for that level."""
    from numba import types  # noqa: PLC0415 - numba, which only the child process needs

    from udfs.compiler import compile_for_elsewhere, emit_modules  # noqa: PLC0415

    compile_for_elsewhere()
    from udfs.postgres.functions import C_FUNCTIONS, SQL_FUNCTIONS  # noqa: PLC0415 - numba compiles as they are imported
    from udfs.postgres.operators import NUMBERED  # noqa: PLC0415
    from udfs.transforms.registry import OPERATORS  # noqa: PLC0415

    functions: dict[str, Any] = {**SQL_FUNCTIONS, **C_FUNCTIONS}
    kernels: list[Any] = sorted({OPERATORS[s.name].kernel for s in NUMBERED}, key=lambda kernel: kernel.__name__)
    wanted = [(function, types.int64) for function in functions.values()] + [(k, types.void) for k in kernels]
    names, modules = zip(*emit_modules(wanted), strict=True)
    glue = [_head(level), _start(level)]
    for exported, name in zip(functions, names, strict=False):
        glue.append(_wrapper(exported, name, functions[exported].__code__.co_argcount))
    places = {}
    for number, (kernel, name) in enumerate(zip(kernels, names[len(functions) :], strict=True)):
        places[kernel] = f"sqlml_operator_{number}"
        glue.append(_operator(places[kernel], name))
    table = ", ".join(f"ptr @{places[OPERATORS[s.name].kernel]}" for s in NUMBERED)
    glue.append(f"@{OPERATOR_TABLE} = hidden constant [{len(NUMBERED)} x ptr] [{table}]")
    glue += [f"@pg_finfo_{name}.record = internal constant {{i32}} {{i32 1}}" for name in SQL_FUNCTIONS]
    glue += [f"define ptr @pg_finfo_{name}() {{ ret ptr @pg_finfo_{name}.record }}" for name in SQL_FUNCTIONS]
    records = (f"pg_finfo_{name}" for name in SQL_FUNCTIONS)
    exports = ["Pg_magic_func", "_PG_init", *C_FUNCTIONS, *SQL_FUNCTIONS, *records]
    return _compiled(modules, "\n".join(glue), level, exports), exports


def _compiled(modules: Iterable[Any], glue: str, level: str, exports: list[str]) -> bytes:
    """Everything in one module, optimized once."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    features = ",".join(f"+{name}" for name in LEVELS[level])
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=level, features=features, opt=3, reloc="pic", codemodel="small"
    )
    whole = llvm.parse_assembly(glue)
    for module in modules:
        for variable in module.global_variables:
            if variable.linkage.name == "common":  # a numba environment, that only Python code would fill
                variable.linkage = "internal"
        whole.link_in(module, preserve=True)
    whole.verify()
    for function in whole.functions:
        if not function.is_declaration and function.name not in exports:
            function.linkage = "internal"
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(whole, builder)
    return bytes(machine.emit_object(whole))


def _wrapper(exported: str, name: str, arguments: int) -> str:
    """A C function that returns what a kernel returns."""
    given = ", ".join(f"i64 %a{k}" for k in range(arguments))
    return f"""
declare i32 @{name}(ptr, ptr, {", ".join(["i64"] * arguments)})
define i64 @{exported}({given}) {{
  %result = alloca i64
  %exception = alloca ptr
  store i64 0, ptr %result
  %status = call i32 @{name}(ptr %result, ptr %exception, {given})
  %value = load i64, ptr %result
  ret i64 %value
}}"""


def _operator(exported: str, name: str) -> str:
    return f"""
declare i32 @{name}(ptr, ptr, i64, i64, i64)
define internal void @{exported}(i64 %a0, i64 %a1, i64 %a2) {{
  %result = alloca ptr
  %exception = alloca ptr
  %status = call i32 @{name}(ptr %result, ptr %exception, i64 %a0, i64 %a1, i64 %a2)
  ret void
}}"""


_ERRORS = """
declare i8 @errstart(i64, i64)
declare i32 @errcode(i64)
declare i32 @errmsg(i64, ...)
declare i32 @errhint(i64, ...)
declare i64 @errfinish(i64, i64, i64)
"""


def _head(level: str) -> str:
    """What the server looks for in a library, and what it says of a CPU or system that the code is not for."""
    magic = "".join(f"\\{byte:02x}" for byte in _magic(OLDEST))
    message = f"the native scorer was built for {level}, which this server's CPU is not"
    hint = "Run sqlml install again."
    return f"""
target triple = "{llvm.get_process_triple()}"
@sqlml_state = hidden global [{_STATE_WORDS} x i64] zeroinitializer
@magic = internal constant [56 x i8] c"{magic}", align 8
@cpu.message = internal constant [{len(message) + 1} x i8] c"{message}\\00"
@cpu.hint = internal constant [{len(hint) + 1} x i8] c"{hint}\\00"
define ptr @Pg_magic_func() {{ ret ptr @magic }}
{_ERRORS}"""


def _start(level: str) -> str:
    """What runs when a server loads the library: the check of its CPU, and that its system saves the registers that are used."""
    first, seventh, extended = _CPUID[level]
    saved = _SAVED[level]
    return f"""
define internal i1 @cpu.lacks(i32 %leaf, i32 %word, i32 %wanted) {{
  %all = call {{i32, i32, i32, i32}} asm sideeffect "cpuid", "={{ax}},={{bx}},={{cx}},={{dx}},0,2,~{{dirflag}},~{{fpsr}},~{{flags}}"(i32 %leaf, i32 0)
  %ebx = extractvalue {{i32, i32, i32, i32}} %all, 1
  %ecx = extractvalue {{i32, i32, i32, i32}} %all, 2
  %is_ebx = icmp eq i32 %word, 1
  %found = select i1 %is_ebx, i32 %ebx, i32 %ecx
  %kept = and i32 %found, %wanted
  %lacks = icmp ne i32 %kept, %wanted
  ret i1 %lacks
}}
define void @_PG_init() {{
  %a = call i1 @cpu.lacks(i32 1, i32 2, i32 {first})
  %b = call i1 @cpu.lacks(i32 7, i32 1, i32 {seventh})
  %c = call i1 @cpu.lacks(i32 {0x80000001 - (1 << 32)}, i32 2, i32 {extended})
  %ab = or i1 %a, %b
  %abc = or i1 %ab, %c
  br i1 %abc, label %refuse, label %known
known:
  br i1 {"false" if saved else "true"}, label %done, label %saved
saved:
  %low_high = call {{i32, i32}} asm sideeffect "xgetbv", "={{ax}},={{dx}},{{cx}},~{{dirflag}},~{{fpsr}},~{{flags}}"(i32 0)
  %low = extractvalue {{i32, i32}} %low_high, 0
  %masked = and i32 %low, {saved}
  %are_saved = icmp eq i32 %masked, {saved}
  br i1 %are_saved, label %done, label %refuse
refuse:
  call i8 @errstart(i64 21, i64 0)
  call i32 @errcode(i64 {_UNSUPPORTED})
  call i32 (i64, ...) @errmsg(i64 ptrtoint (ptr @cpu.message to i64))
  call i32 (i64, ...) @errhint(i64 ptrtoint (ptr @cpu.hint to i64))
  call i64 @errfinish(i64 ptrtoint (ptr @cpu.message to i64), i64 0, i64 ptrtoint (ptr @cpu.message to i64))
  ret void
done:
  ret void
}}"""


def main() -> None:
    """Write the library of a level, for the oldest version, to standard output."""
    gc.disable()  # a compiler's objects live as long as this process, which is not long
    data, exports = emit_object(sys.argv[1])
    sys.stdout.buffer.write(link_object(data, exports))


if __name__ == "__main__":
    main()
