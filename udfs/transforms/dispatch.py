"""A call of machine code by its address, so that one interpreter serves operators compiled apart from it."""

from __future__ import annotations

from llvmlite import ir

from udfs.jit import intrinsic, types


@intrinsic
def call_kernel(typing_context, address, params, rows, n):
    """Call the kernel of an operator: ``kernel(params, rows, n)``, see ``udfs.transforms.operator``."""

    def codegen(context, builder, signature, arguments):
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word, word, word])
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        builder.call(function, arguments[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen
