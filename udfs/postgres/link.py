"""A minimal linker for x86-64: one object file of LLVM in, one shared object out; anything it does not know is an error.

    headers | .dynsym .dynstr .hash .rela.dyn | read-only data | code, stubs | data, table of addresses, .dynamic, zeros

Functions and variables of others are reached through a table of addresses that the loader fills when the library is loaded, so a
name that the server lacks fails then and not in a query. Exported are the names asked for, nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from udfs.errors import UnsupportedModelError

PAGE = 4096
_HEADER, _PROGRAM_HEADERS, _PROGRAM_HEADER = 64, 6, 56
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")
_PROGBITS, _SYMTAB, _RELA_TYPE, _NOBITS = 1, 2, 4, 8
_KEPT_TYPES = (_PROGBITS, _NOBITS)
_WRITE, _ALLOC, _EXEC, _TLS = 1, 2, 4, 0x400
_UNDEFINED, _ABSOLUTE, _COMMON = 0, 0xFFF1, 0xFFF2
_LOCAL, _GLOBAL, _WEAK = 0, 1, 2
# Relocations: what LLVM emits for position-independent code of the small model.
_R_64, _R_PC32, _R_PLT32, _R_GOTPCREL, _R_GOTPCRELX, _R_REX_GOTPCRELX, _R_PC64, _R_32S = 1, 2, 4, 9, 41, 42, 24, 11
_DYN_64, _DYN_GLOB, _DYN_RELATIVE = 1, 6, 8
_STUB = b"\xff\x25"  # jmp *offset(%rip)
_STUB_BYTES = 16


class LinkError(UnsupportedModelError):
    """The object holds something this linker does not know."""


@dataclass
class _Section:
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    address: int = -1

    @property
    def is_kept(self) -> bool:
        return (
            bool(self.flags & _ALLOC) and self.kind in _KEPT_TYPES and not self.name.startswith((".eh_frame", ".note"))
        )

    @property
    def group(self) -> int:
        """0 read-only, 1 code, 2 data, 3 zeros."""
        if self.kind == _NOBITS:
            return 3
        if self.flags & _EXEC:
            return 1
        return 2 if self.flags & _WRITE else 0


@dataclass
class _Symbol:
    name: str
    binding: int
    section: int
    value: int
    size: int


@dataclass
class _Object:
    data: bytes
    sections: list[_Section]
    symbols: list[_Symbol]
    relocations: list[tuple[_Section, list[tuple[int, int, int]]]]


def _read(data: bytes) -> _Object:
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", data, 16) != (1, 62):
        raise LinkError("not a relocatable object for x86-64")
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    heads = [_SECTION.unpack_from(data, table + 64 * i) for i in range(count)]
    sections = [
        _Section(_string(data, heads[names][4] + h[0]), h[1], h[2], h[4], h[5], h[6], h[7], max(h[8], 1)) for h in heads
    ]
    symtab = next((s for s in sections if s.kind == _SYMTAB), None)
    if symtab is None:
        raise LinkError("the object has no symbols")
    strings = sections[symtab.link].offset
    symbols = []
    for i in range(symtab.size // _SYMBOL.size):
        name, info, _, section, value, size = _SYMBOL.unpack_from(data, symtab.offset + _SYMBOL.size * i)
        symbols.append(_Symbol(_string(data, strings + name), info >> 4, section, value, size))
    relocations = [(sections[s.info], _entries(data, s)) for s in sections if s.kind == _RELA_TYPE]
    kept = [(target, entries) for target, entries in relocations if target.is_kept]
    return _Object(data, sections, symbols, kept)


def _string(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def _entries(data: bytes, section: _Section) -> list[tuple[int, int, int]]:
    return [_RELA.unpack_from(data, section.offset + _RELA.size * i) for i in range(section.size // _RELA.size)]


@dataclass
class _Layout:
    """Where everything is in the library."""

    imports: list[str]
    exports: list[_Symbol]
    text: bytes = b""
    places: dict[str, int] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)  # of the three segments in the file, then of the zeros in memory
    starts: list[int] = field(default_factory=list)
    relocations: list[tuple[int, int, int]] = field(default_factory=list)

    def slot(self, name: str) -> int:
        """Address of a name's entry in the table of addresses."""
        return self.places["table"] + 8 * self.imports.index(name)

    def stub(self, name: str) -> int:
        return self.places["stubs"] + _STUB_BYTES * self.imports.index(name)


def link_object(data: bytes, exports: Sequence[str], needed: Sequence[str] = ("libm.so.6", "libc.so.6")) -> bytes:
    """A shared object that exports these functions; ``needed`` are the libraries its loader brings in."""
    source = _read(data)
    _refuse_unknown(source)
    by_name = {s.name: s for s in source.symbols if s.section != _UNDEFINED and s.binding != _LOCAL}
    missing = [name for name in exports if name not in by_name]
    if missing:
        raise LinkError(f"the object has no {', '.join(missing)}")
    layout = _place(source, [by_name[name] for name in exports], needed)
    out = bytearray(layout.ends[2])
    for section in source.sections:
        if section.address >= 0 and section.kind == _PROGBITS:
            out[section.address : section.address + section.size] = data[section.offset : section.offset + section.size]
    for name in layout.imports:
        stub = layout.stub(name)
        out[stub : stub + 6] = _STUB + struct.pack("<i", layout.slot(name) - stub - 6)
    for target, entries in source.relocations:
        for entry in entries:
            _relocate(source, layout, out, target, entry)
    _write_tables(source, layout, out, needed)
    return bytes(out)


def imported_names(data: bytes) -> list[str]:
    """The names that an object leaves for the loader to find."""
    return sorted({s.name for s in _read(data).symbols if s.section == _UNDEFINED and s.name})


def _refuse_unknown(source: _Object) -> None:
    for section in source.sections:
        if section.flags & _TLS:
            raise LinkError(f"the object has thread-local data in {section.name}")
        if section.flags & _ALLOC and section.kind not in {*_KEPT_TYPES, 14, 15, 7, 0x70000001}:
            raise LinkError(f"the object has section {section.name} of type {section.kind}")
        if section.kind in {14, 15}:
            raise LinkError(f"the object has code to run when it is loaded: {section.name}")
    for symbol in source.symbols:
        if symbol.section == _COMMON:
            raise LinkError(f'the object has the common symbol "{symbol.name}"')
        if symbol.section == _UNDEFINED and symbol.binding == _WEAK:
            raise LinkError(f'the object has the weak undefined symbol "{symbol.name}"')


def _up(position: int, align: int) -> int:
    return -(-position // align) * align


def _place(source: _Object, exports: list[_Symbol], needed: Sequence[str]) -> _Layout:
    layout = _Layout(sorted({s.name for s in source.symbols if s.section == _UNDEFINED and s.name}), exports)
    layout.text = b"\0" + b"".join(
        name.encode() + b"\0" for name in [*layout.imports, *(s.name for s in exports), *needed]
    )
    symbols = 1 + len(layout.imports) + len(exports)
    absolute = sum(1 for _, entries in source.relocations for _, info, _ in entries if info & 0xFFFFFFFF == _R_64)
    places, at = layout.places, _HEADER + _PROGRAM_HEADERS * _PROGRAM_HEADER
    for name, size in (
        ("dynsym", 24 * symbols), ("dynstr", len(layout.text)), ("hash", 4 * (3 + symbols)),
        ("rela", 24 * (absolute + len(layout.imports))),
    ):  # fmt: skip
        places[name] = at
        at = _up(at + size, 8)
    layout.starts.append(0)
    for group, extra in (
        (0, ()),
        (1, (("stubs", _STUB_BYTES * len(layout.imports)),)),
        (2, _data_parts(layout, needed)),
    ):
        if group:
            at = _up(at, PAGE)
            layout.starts.append(at)
        at = _place_sections(source, group, at)
        for name, size in extra:
            at = _up(at, 16)
            places[name] = at
            at += size
        layout.ends.append(at)
    layout.ends.append(_place_sections(source, 3, at))
    return layout


def _data_parts(layout: _Layout, needed: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return ("table", 8 * len(layout.imports)), ("dynamic", 16 * (9 + len(needed)))


def _place_sections(source: _Object, group: int, at: int) -> int:
    for section in source.sections:
        if section.is_kept and section.group == group:
            at = _up(at, section.align)
            section.address = at
            at += section.size
    return at


def _address(source: _Object, symbol: _Symbol) -> int:
    if symbol.section == _ABSOLUTE or symbol.section >= len(source.sections):
        raise LinkError(f'symbol "{symbol.name}" has no section')
    section = source.sections[symbol.section]
    if section.address < 0:
        raise LinkError(f'symbol "{symbol.name}" is in {section.name}, which is not loaded')
    return section.address + symbol.value


def _relocate(source: _Object, layout: _Layout, out: bytearray, target: _Section, entry: tuple[int, int, int]) -> None:
    offset, info, addend = entry
    symbol, kind, place = source.symbols[info >> 32], info & 0xFFFFFFFF, target.address + offset
    is_import = symbol.section == _UNDEFINED
    if kind == _R_64:
        if is_import:
            layout.relocations.append((place, (1 + layout.imports.index(symbol.name)) << 32 | _DYN_64, addend))
        else:
            layout.relocations.append((place, _DYN_RELATIVE, _address(source, symbol) + addend))
        return
    if kind in {_R_GOTPCREL, _R_GOTPCRELX, _R_REX_GOTPCRELX}:
        if is_import:
            value = layout.slot(symbol.name)
        else:
            value = _relax(out, place, kind, _address(source, symbol))
    elif kind in {_R_PC32, _R_PLT32, _R_PC64}:
        if is_import and kind != _R_PLT32:
            raise LinkError(f'"{symbol.name}" of another library is reached without the table of addresses')
        value = layout.stub(symbol.name) if is_import else _address(source, symbol)
    else:
        raise LinkError(f"the object has a relocation of type {kind}")
    distance = value + addend - place
    struct.pack_into("<q" if kind == _R_PC64 else "<i", out, place, distance)


def _relax(out: bytearray, place: int, kind: int, address: int) -> int:
    """A load of an address that is known becomes a computation of it."""
    if kind == _R_GOTPCREL or out[place - 2] != 0x8B:
        raise LinkError("the object reads an address of its own from a table in a way that is not known")
    out[place - 2] = 0x8D  # mov to lea
    return address


def _write_tables(source: _Object, layout: _Layout, out: bytearray, needed: Sequence[str]) -> None:
    places = layout.places
    names = [*layout.imports, *(s.name for s in layout.exports)]
    offset = 1
    for number, name in enumerate(names, start=1):
        exported = number > len(layout.imports)
        symbol = layout.exports[number - 1 - len(layout.imports)] if exported else None
        value, size = (_address(source, symbol), symbol.size) if symbol else (0, 0)
        # Any defined section number but ABS, which a newer loader would not move.
        entry = _SYMBOL.pack(offset, _GLOBAL << 4 | (2 if symbol else 0), 0, 1 if symbol else 0, value, size)
        out[places["dynsym"] + 24 * number : places["dynsym"] + 24 * number + 24] = entry
        offset += len(name.encode()) + 1
    libraries = []
    for name in needed:
        libraries.append((1, offset))
        offset += len(name.encode()) + 1
    out[places["dynstr"] : places["dynstr"] + len(layout.text)] = layout.text
    count = 1 + len(names)
    chain = [0, *(i + 1 if i + 1 < count else 0 for i in range(1, count))]
    struct.pack_into(f"<{3 + count}I", out, places["hash"], 1, count, 1 if count > 1 else 0, *chain)
    entries = [
        *layout.relocations,
        *((layout.slot(n), i << 32 | _DYN_GLOB, 0) for i, n in enumerate(layout.imports, 1)),
    ]
    for number, values in enumerate(entries):
        _RELA.pack_into(out, places["rela"] + 24 * number, *values)
    dynamic = [
        *libraries, (4, places["hash"]), (5, places["dynstr"]), (6, places["dynsym"]), (10, len(layout.text)), (11, 24),
        (7, places["rela"]), (8, 24 * len(entries)), (9, 24), (0, 0),
    ]  # fmt: skip
    for number, pair in enumerate(dynamic):
        struct.pack_into("<qQ", out, places["dynamic"] + 16 * number, *pair)
    _write_headers(layout, out, 16 * len(dynamic))


def _write_headers(layout: _Layout, out: bytearray, dynamic_size: int) -> None:
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    out[:_HEADER] = head + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, _HEADER, 0, 0, _HEADER, _PROGRAM_HEADER, _PROGRAM_HEADERS, 0, 0, 0
    )
    starts, ends = layout.starts, layout.ends
    dynamic = layout.places["dynamic"]
    rows = [
        (1, 4, starts[0], ends[0] - starts[0], ends[0] - starts[0], PAGE),
        (1, 5, starts[1], ends[1] - starts[1], ends[1] - starts[1], PAGE),
        (1, 6, starts[2], ends[2] - starts[2], ends[3] - starts[2], PAGE),
        (2, 6, dynamic, dynamic_size, dynamic_size, 8),
        (0x6474E551, 6, 0, 0, 0, 16),  # the stack is not executable
        (0, 0, 0, 0, 0, 1),
    ]
    for number, (kind, flags, at, size, memory, align) in enumerate(rows):
        struct.pack_into(
            "<IIQQQQQQ", out, _HEADER + _PROGRAM_HEADER * number, kind, flags, at, at, at, size, memory, align
        )
