"""What kernels find in the library itself: the operators' machine code by number."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from udfs.compiler import name_elsewhere

OPERATOR_TABLE = "sqlml_operators"


@intrinsic
def operator_address(typing_context, number):
    """The address of an operator's kernel."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name_elsewhere(OPERATOR_TABLE)
        word = ir.IntType(64)
        table = builder.module.globals.get(OPERATOR_TABLE)
        if table is None:
            table = ir.GlobalVariable(builder.module, word, OPERATOR_TABLE)
        at = builder.add(builder.ptrtoint(table, word), builder.mul(arguments[0], ir.Constant(word, 8)))
        return builder.load(builder.inttoptr(at, word.as_pointer()))

    return types.int64(types.int64), codegen
