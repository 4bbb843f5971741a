"""The few instructions DuckDB calls at first: they look up a plan and jump to its machine code, and need no numba to be built.

A plan is a block of 64-bit words from ``malloc``; its first words are the trampolines' (``PLAN_*``). DuckDB may free a plan, or
a function, on any thread and after Python is gone, so freeing only sets a mark; Python sweeps marked blocks at its next bind.
"""

from __future__ import annotations

import ctypes
import threading
from array import array
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from udfs import machine_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from udfs.duckdb.capi import Library

# Words of a plan that trampolines read: what to run, memory a thread needs, the mark, and the number of words.
PLAN_CODE, PLAN_STATE, PLAN_DEAD, PLAN_WORDS = range(4)
PLAN_HEAD = 4

_IR = """
declare i32 @duckdb_v2_scalar_function_exec_get_bind_data(ptr, ptr, ptr)
declare i32 @duckdb_v2_scalar_function_exec_get_init_data(ptr, ptr, ptr)
declare i32 @duckdb_v2_scalar_function_exec_get_row_count(ptr, ptr, ptr)
declare i32 @duckdb_v2_scalar_function_exec_get_result(ptr, ptr, ptr)
declare i32 @duckdb_v2_vector_get_data_mutable(ptr, ptr, ptr)
declare i32 @duckdb_v2_scalar_function_init_get_bind_data(ptr, ptr, ptr)
declare i32 @duckdb_v2_scalar_function_init_set_init_data(ptr, ptr, ptr)
declare ptr @aligned_alloc(i64, i64)
declare void @free(ptr)
declare i32 @memcmp(ptr, ptr, i64)
define void @execute(ptr %info, ptr %context, ptr %error) {
  %plan.slot = alloca i64
  %state.slot = alloca i64
  store i64 0, ptr %plan.slot
  store i64 0, ptr %state.slot
  %r1 = call i32 @duckdb_v2_scalar_function_exec_get_bind_data(ptr %info, ptr %plan.slot, ptr null)
  %r2 = call i32 @duckdb_v2_scalar_function_exec_get_init_data(ptr %info, ptr %state.slot, ptr null)
  %plan = load i64, ptr %plan.slot
  %state = load i64, ptr %state.slot
  %head = inttoptr i64 %plan to ptr
  %code.word = load i64, ptr %head
  %code = inttoptr i64 %code.word to ptr
  %info.word = ptrtoint ptr %info to i64
  %error.word = ptrtoint ptr %error to i64
  call void %code(i64 %info.word, i64 %plan, i64 %state, i64 %error.word)
  ret void
}

; A plan whose fifth word is the result of every row: the number of the instance.
define void @constant(i64 %info.word, i64 %plan, i64 %state, i64 %error) {
  %info = inttoptr i64 %info.word to ptr
  %count.slot = alloca i64
  %vector.slot = alloca ptr
  %data.slot = alloca ptr
  store i64 0, ptr %count.slot
  %r1 = call i32 @duckdb_v2_scalar_function_exec_get_row_count(ptr %info, ptr %count.slot, ptr null)
  %r2 = call i32 @duckdb_v2_scalar_function_exec_get_result(ptr %info, ptr %vector.slot, ptr null)
  %vector = load ptr, ptr %vector.slot
  %r3 = call i32 @duckdb_v2_vector_get_data_mutable(ptr %vector, ptr %data.slot, ptr null)
  %data = load ptr, ptr %data.slot
  %count = load i64, ptr %count.slot
  %plan.at = inttoptr i64 %plan to ptr
  %value.at = getelementptr i64, ptr %plan.at, i64 4
  %value = load i64, ptr %value.at
  br label %next
next:
  %row = phi i64 [ 0, %0 ], [ %after, %write ]
  %more = icmp ult i64 %row, %count
  br i1 %more, label %write, label %done
write:
  %at = getelementptr i64, ptr %data, i64 %row
  store i64 %value, ptr %at
  %after = add i64 %row, 1
  br label %next
done:
  ret void
}

define void @init(ptr %info, ptr %context, ptr %error) {
  %plan.slot = alloca ptr
  %opaque = alloca [3 x ptr]
  %r1 = call i32 @duckdb_v2_scalar_function_init_get_bind_data(ptr %info, ptr %plan.slot, ptr null)
  %plan = load ptr, ptr %plan.slot
  %size.at = getelementptr i64, ptr %plan, i64 1
  %size = load i64, ptr %size.at
  %memory = call ptr @aligned_alloc(i64 64, i64 %size)
  %failed = icmp eq ptr %memory, null
  br i1 %failed, label %done, label %give
give:
  %free.at = getelementptr ptr, ptr %opaque, i64 1
  %equals.at = getelementptr ptr, ptr %opaque, i64 2
  store ptr %memory, ptr %opaque
  store ptr @free, ptr %free.at
  store ptr null, ptr %equals.at
  %r2 = call i32 @duckdb_v2_scalar_function_init_set_init_data(ptr %info, ptr %opaque, ptr null)
  br label %done
done:
  ret void
}

define void @release(ptr %block) {
  %mark = getelementptr i64, ptr %block, i64 2
  store atomic i64 1, ptr %mark release, align 8
  ret void
}

define i1 @equals(ptr %a, ptr %b) {
  %a.at = getelementptr i64, ptr %a, i64 3
  %b.at = getelementptr i64, ptr %b, i64 3
  %a.words = load i64, ptr %a.at
  %b.words = load i64, ptr %b.at
  %same = icmp eq i64 %a.words, %b.words
  br i1 %same, label %compare, label %differ
compare:
  %a.body = getelementptr i64, ptr %a, i64 4
  %b.body = getelementptr i64, ptr %b, i64 4
  %words = sub i64 %a.words, 4
  %bytes = mul i64 %words, 8
  %order = call i32 @memcmp(ptr %a.body, ptr %b.body, i64 %bytes)
  %equal = icmp eq i32 %order, 0
  ret i1 %equal
differ:
  ret i1 false
}
"""


class Callbacks:
    """The code of the callbacks, which is kept as that of routines is: DuckDB is opened more often than a compiler is wanted."""

    name = __name__

    @staticmethod
    def compile() -> tuple[bytes, bool]:
        """An object file, which means the same in every process."""
        import llvmlite.binding as llvm  # noqa: PLC0415 - 30 ms, once a cache

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)  # calls by addresses of 64 bits
        return bytes(machine.emit_object(llvm.parse_assembly(_IR))), True


class Trampolines(NamedTuple):
    """Addresses of the callbacks."""

    execute: int
    constant: int
    init: int
    release: int
    equals: int


@cache
def trampolines(lib: Library) -> Trampolines:
    """Loaded once a process, at the first open of a database; never freed, since DuckDB keeps the addresses."""
    machine_code.look_in(lib.path)
    code = machine_code.kept(Callbacks.name, Callbacks.compile)
    return Trampolines(*machine_code.load(code, *Trampolines._fields))


@cache
def _memory() -> Any:
    c = ctypes.CDLL(None)
    c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    c.free.restype, c.free.argtypes = None, [ctypes.c_void_p]
    return c


class Block:
    """Memory shared with DuckDB that outlives Python objects: from ``malloc``, freed by a sweep once it is marked."""

    def __init__(self, words: Sequence[int]) -> None:
        content = array("q", words).tobytes()
        self.address = int(_memory().malloc(len(content)) or 0)
        if not self.address:
            raise MemoryError
        ctypes.memmove(self.address, content, len(content))
        self._mark = ctypes.c_int64.from_address(self.address + 8 * PLAN_DEAD)

    @property
    def dead(self) -> bool:
        """Whether DuckDB has let go of it."""
        return self._mark.value != 0

    def free(self) -> None:
        """Give the memory back; nobody may use the block after that."""
        _memory().free(self.address)


class Keeper:
    """Blocks in DuckDB's hands, each with the Python objects its words point into; held until the block is marked."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Block, Any]] = {}
        self._lock = (
            threading.RLock()
        )  # a block that one sweep has freed may be another's by the time a second one looks

    def hold(self, block: Block, *needs: Any) -> int:
        """Keep a block and what it needs; returns its address."""
        with self._lock:
            self._held[block.address] = (block, needs)
        return block.address

    def sweep(self) -> list[Any]:
        """Free all marked blocks; returns what they needed."""
        released = []
        with self._lock:
            dead = [address for address, (block, _) in self._held.items() if block.dead]
            for address in dead:
                block, needs = self._held.pop(address)
                block.free()
                released.append(needs)
        return released
