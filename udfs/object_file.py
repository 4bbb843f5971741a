"""Object files brought into the process by hand, as LLVM's library, which can do it too, takes as long to load as to open a database.

For ELF on x86-64, as far as code of the large model needs it: whatever such code calls, it calls by an address of 64 bits. Where an
object holds anything else it is not loaded here.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_PROGBITS, _SYMTAB, _RELA, _NOBITS = 1, 2, 4, 8
_RUN_AT_LOAD = (14, 15, 16)  # types of sections with functions to call
_ALLOC, _EXEC, _TLS = 2, 4, 0x400
_UNDEFINED, _RESERVED = 0, 0xFF00
_R_64, _R_PC32, _R_PLT32, _R_PC64 = 1, 2, 4, 24


class ObjectError(Exception):
    """The object holds something that is left to LLVM."""


class _Section(NamedTuple):
    name: bytes
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    target: int
    align: int

    @property
    def is_kept(self) -> bool:
        """Whether it has a place in memory; frames to unwind are not needed, as nothing is thrown through this code."""
        return bool(self.flags & _ALLOC) and self.kind in (_PROGBITS, _NOBITS) and self.name != b".eh_frame"


def load(data: bytes, names: Sequence[str], find: Callable[[str], int | None]) -> list[int]:
    """The addresses of an object's functions of these names, once it is in memory; ``find`` knows addresses of what it lacks.

    Raises ObjectError, and nothing else.
    """
    try:
        return _load(data, names, find)
    except (struct.error, IndexError, ValueError, KeyError, OSError) as error:
        raise ObjectError(str(error)) from error


def _load(data: bytes, names: Sequence[str], find: Callable[[str], int | None]) -> list[int]:
    sections = _sections(data)
    starts, code_size, size = _layout(sections)
    base = _memory(size)
    memory = memoryview((ctypes.c_ubyte * size).from_address(base)).cast("B")
    for index, start in starts.items():
        section = sections[index]
        if section.kind == _PROGBITS:
            ctypes.memmove(base + start, data[section.offset : section.offset + section.size], section.size)
    symbols = _symbols(data, sections, {index: base + start for index, start in starts.items()}, find)
    for section in sections:
        if section.kind == _RELA and section.target in starts:
            _relocate(data, section, (memory, base, starts[section.target]), [address for _, address in symbols])
    if _system().mprotect(base, code_size, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
        raise ObjectError("memory of code cannot be made executable")
    found = {name: address for name, address in symbols if address is not None}
    return [found[name.encode()] for name in names]


def _sections(data: bytes) -> list[_Section]:
    if (
        data[:6] != b"\x7fELF\x02\x01"
        or struct.unpack_from("<HH", data, 16) != (1, 62)
        or platform.machine() != "x86_64"
    ):
        raise ObjectError("not an object file for this kind of processor")
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    heads = [_SECTION.unpack_from(data, table + _SECTION.size * i) for i in range(count)]
    strings = heads[names][4]
    sections = [
        _Section(_string(data, strings + h[0]), h[1], h[2], h[4], h[5], h[6], h[7], max(h[8], 1)) for h in heads
    ]
    if any(section.kind != _NOBITS and section.offset + section.size > len(data) for section in sections):
        raise ObjectError("the object is cut short")
    if any(section.flags & _TLS or section.kind in _RUN_AT_LOAD for section in sections):
        raise ObjectError("memory of a thread, or code to run at once")
    return sections


def _string(data: bytes, at: int) -> bytes:
    return data[at : data.index(b"\0", at)]


def _layout(sections: Sequence[_Section]) -> tuple[dict[int, int], int, int]:
    """Where each section goes, code first and on pages of its own; the size of the code's pages, and of all."""
    starts: dict[int, int] = {}
    at = code_size = 0
    for executable in (True, False):
        for index, section in enumerate(sections):
            if section.is_kept and bool(section.flags & _EXEC) == executable:
                at = _up(at, section.align)
                starts[index] = at
                at += section.size
        if executable:
            at = code_size = _up(at, mmap.PAGESIZE)
    return starts, code_size, at


def _up(position: int, align: int) -> int:
    return -(-position // align) * align


def _symbols(
    data: bytes, sections: Sequence[_Section], places: dict[int, int], find: Callable[[str], int | None]
) -> list[tuple[bytes, int | None]]:
    """Names and addresses by number; no address for what is of no use in memory."""
    (table,) = (section for section in sections if section.kind == _SYMTAB)
    strings = sections[table.link].offset
    symbols: list[tuple[bytes, int | None]] = []
    for at in range(table.offset, table.offset + table.size, _SYMBOL.size):
        name_at, _, _, section, value, _ = _SYMBOL.unpack_from(data, at)
        name = _string(data, strings + name_at)
        if section == _UNDEFINED:
            symbols.append((name, find(name.decode()) if name else None))
        elif section >= _RESERVED:
            symbols.append((name, None))
        else:
            symbols.append((name, places[section] + value if section in places else None))
    return symbols


def _relocate(
    data: bytes, entries: _Section, target: tuple[memoryview, int, int], addresses: Sequence[int | None]
) -> None:
    memory, base, start = target
    for at in range(entries.offset, entries.offset + entries.size, _RELOCATION.size):
        offset, info, addend = _RELOCATION.unpack_from(data, at)
        address, kind, place = addresses[info >> 32], info & 0xFFFFFFFF, start + offset
        if address is None:
            raise ObjectError("a name without an address")
        if kind == _R_64:
            struct.pack_into("<Q", memory, place, address + addend)
        elif kind == _R_PC64:
            struct.pack_into("<q", memory, place, address + addend - base - place)
        elif kind in (_R_PC32, _R_PLT32):
            struct.pack_into("<i", memory, place, address + addend - base - place)
        else:
            raise ObjectError(f"a relocation of type {kind}")


def _memory(size: int) -> int:
    """Pages that nobody gives back: a database may call code in them when Python is gone."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    address = _system().mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise ObjectError("no memory for code")
    return int(address)


@cache
def _system() -> Any:
    system = ctypes.CDLL(None)
    system.mmap.restype = ctypes.c_void_p
    system.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_ssize_t]
    system.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return system
