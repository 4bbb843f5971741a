"""Code loaded by hand does what it does where LLVM loads it; what is not known is left to LLVM."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest

from udfs import levels, machine_code, object_file, processor
from udfs.forest import objective
from udfs.forest.image import HEAD_WORDS, OUTPUTS, PARAMETER
from udfs.machine_code import ENTRY

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="objects are loaded by hand on x86-64 only"
)

IR = """
@words = internal constant [4 x i64] [i64 7, i64 11, i64 13, i64 17]
@zeros = internal global [3 x i64] zeroinitializer, align 64
declare i32 @memcmp(ptr, ptr, i64)
define i64 @pick(i64 %number) {
  %at = getelementptr i64, ptr @words, i64 %number
  %value = load i64, ptr %at
  ret i64 %value
}
define i64 @count() {
  %before = load i64, ptr @zeros
  %after = add i64 %before, 1
  store i64 %after, ptr @zeros
  ret i64 %after
}
define i32 @compare(i64 %a, i64 %b) {
  %here = inttoptr i64 %a to ptr
  %there = inttoptr i64 %b to ptr
  %order = call i32 @memcmp(ptr %here, ptr %there, i64 3)
  ret i32 %order
}
"""


def emitted(text, **options):
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(**options)
    return machine.emit_object(llvm.parse_assembly(text))


def with_section_size(data, size):
    """The object with that size said of its code."""
    (table,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 60)
    changed = bytearray(data)
    for at in range(table, table + 64 * count, 64):
        if struct.unpack_from("<Q", data, at + 8)[0] & 4:
            struct.pack_into("<Q", changed, at + 32, size)
    return bytes(changed)


def find(name):
    return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value


def test_constants_variables_and_calls_work():
    pick, count, compare = object_file.load(emitted(IR, jit=True), ["pick", "count", "compare"], find)
    word = ctypes.c_int64
    assert [ctypes.CFUNCTYPE(word, word)(pick)(i) for i in range(4)] == [7, 11, 13, 17]
    assert [ctypes.CFUNCTYPE(word)(count)() for _ in range(3)] == [1, 2, 3]
    texts = [ctypes.create_string_buffer(text) for text in (b"abc", b"abd", b"abcd")]
    order = ctypes.CFUNCTYPE(ctypes.c_int, word, word)(compare)
    assert order(ctypes.addressof(texts[0]), ctypes.addressof(texts[2])) == 0
    assert order(ctypes.addressof(texts[0]), ctypes.addressof(texts[1])) < 0


def test_two_copies_have_variables_of_their_own():
    data = emitted(IR, jit=True)
    counts = [ctypes.CFUNCTYPE(ctypes.c_int64)(*object_file.load(data, ["count"], find)) for _ in range(2)]
    assert [count() for count in counts] == [1, 1]


def test_a_routine_gives_the_same_bits_as_where_llvm_loads_it(monkeypatch):
    code, _ = objective.sigmoid.compile()
    (by_hand,) = object_file.load(code, [ENTRY], machine_code._address)

    def refuse(*_):
        raise object_file.ObjectError

    monkeypatch.setattr(object_file, "load", refuse)
    (by_llvm,) = machine_code.load(code, ENTRY)
    assert by_hand != by_llvm
    scores = np.concatenate(
        [np.random.default_rng(1).normal(0, 20, 5_000), [0.0, -0.0, np.inf, -np.inf, np.nan, 800, -800]]
    )
    results = []
    for address in (by_hand, by_llvm):
        out = scores.copy()
        image = np.zeros(HEAD_WORDS, np.int64)
        image[OUTPUTS], image.view(np.float64)[PARAMETER] = 1, 0.7
        ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)(image.ctypes.data, out.ctypes.data, out.nbytes, len(out))
        results.append(out)
    assert not np.array_equal(results[0], scores, equal_nan=True)
    assert results[0].tobytes() == results[1].tobytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF\x02\x01",
        b"!<arch>\n" * 40,
        lambda: emitted(IR, jit=True)[:700],
        lambda: with_section_size(emitted(IR, jit=True), 1 << 40),
        lambda: emitted("@mine = thread_local global i64 5\ndefine ptr @pick() {\n  ret ptr @mine\n}"),
        lambda: emitted(
            "declare void @nowhere_at_all()\ndefine void @pick() {\n  call void @nowhere_at_all()\n  ret void\n}"
        ),
        lambda: emitted("define void @other() {\n  ret void\n}"),
    ],
)
def test_what_is_not_known_is_refused(data):
    with pytest.raises(object_file.ObjectError):
        object_file.load(data if isinstance(data, bytes) else data(), ["pick"], machine_code._address)


def test_linux_and_llvm_agree_on_the_processor():
    theirs = {name for name, present in llvm.get_host_cpu_features().items() if present}
    names = levels.LEVELS["x86-64-v4"]
    assert processor.features() & set(names) == theirs & set(names)


SCORE = """
import sys
from udfs import object_file
if sys.argv[1] == "llvm":
    def refuse(*_):
        raise object_file.ObjectError
    object_file.load = refuse
import sqlml
connection = sqlml.connect(sys.argv[2])
print(connection.execute("SELECT sum(PREDICT(m, *)), count(*) FROM t").fetchall(), "llvmlite.binding" in sys.modules)
"""


def test_duckdb_scores_alike_with_either(tmp_path):
    import sqlml

    path = tmp_path / "a.duckdb"
    with sqlml.connect(path) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT i % 13 AS a, ['x', 'y'][1 + i % 2] AS b, i / 3 AS y FROM range(200) AS r(i)"
        )
        connection.execute(
            "CREATE MODEL m OPTIONS (input_label_cols = ['y'], max_iterations = 3, num_threads = 1) AS SELECT * FROM t"
        )
        ((total, count),) = connection.execute("SELECT sum(PREDICT(m, *)), count(*) FROM t").fetchall()
    for loader in ("llvm", "hand"):
        done = subprocess.run(
            [sys.executable, "-P", "-c", SCORE, loader, str(path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == (f"[({total}, {count})] {loader == 'llvm'}\n", "")
