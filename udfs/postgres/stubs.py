"""A stand-in for a server: a library with every name that a native library asks its server for, each of which aborts."""

from __future__ import annotations

import struct

import llvmlite.binding as llvm

from udfs.postgres.link import link_object

# Names that the C library has, which must not be hidden.
_OF_C = {
    "abort", "malloc", "free", "calloc", "memcpy", "memset", "memmove", "memcmp", "strlen", "strcmp", "exp", "log", "log1p",
    "log2", "log10", "pow", "fmod", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "expm1",
    "floor", "ceil", "trunc", "round", "rint", "nearbyint", "sqrt", "cbrt", "fabs",
}  # fmt: skip


def imports_of(library: bytes) -> list[str]:
    """The names that a library of ``udfs.postgres.link`` leaves to its loader."""
    count, offset = struct.unpack_from("<H", library, 56)[0], struct.unpack_from("<Q", library, 32)[0]
    heads = [struct.unpack_from("<IIQQQQQQ", library, offset + 56 * i) for i in range(count)]
    dynamic = next(head for head in heads if head[0] == 2)
    pairs = dict(struct.iter_unpack("<qQ", library[dynamic[2] : dynamic[2] + dynamic[5]]))
    symbols, strings, tables = pairs[6], pairs[5], pairs[4]
    total = struct.unpack_from("<II", library, tables)[1]
    names = []
    for i in range(1, total):
        name, _, _, section, _, _ = struct.unpack_from("<IBBHQQ", library, symbols + 24 * i)
        if section == 0:
            start = strings + name
            names.append(library[start : library.index(b"\0", start)].decode())
    return names


def stand_in(library: bytes) -> bytes:
    """The stand-in for what this library needs."""
    names = [name for name in imports_of(library) if name not in _OF_C]
    lines = [f'target triple = "{llvm.get_process_triple()}"', "declare void @abort()"]
    lines += [f"define void @{name}() {{ call void @abort() ret void }}" for name in names]
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu="x86-64-v2", reloc="pic", codemodel="small")
    return link_object(machine.emit_object(llvm.parse_assembly("\n".join(lines))), names)
