"""From raw columns to features: a program of operators, learned once at training and run by kernels wherever a model scores."""

from udfs.transforms.fit import Fit, describe_step, start_fit
from udfs.transforms.program import (
    Pipeline,
    Program,
    apply_image,
    apply_program,
    build_program_image,
    check_steps,
    is_plain,
    plain_rows,
    run_program,
)
from udfs.transforms.registry import OPERATORS

__all__ = [
    "OPERATORS",
    "Fit",
    "Pipeline",
    "Program",
    "apply_image",
    "apply_program",
    "build_program_image",
    "check_steps",
    "describe_step",
    "is_plain",
    "plain_rows",
    "run_program",
    "start_fit",
]
