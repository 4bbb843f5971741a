"""ML.POLYNOMIAL_EXPAND(STRUCT(a, b, ...) [, degree]): all products of up to ``degree`` (2 unless given) of the values.

The terms of degree 1 come first, then of degree 2 (a*a, a*b, b*b), and so on; a product with a missing value is missing.
``terms`` lists the factors of all terms one after another, ``sizes`` how many each has.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from udfs.jit import view
from udfs.model import Step
from udfs.transforms.operator import Operator, Shape, Words, array_param, numbers, require, words


def polynomial(params, rows, n):
    """``params``: inputs, outputs, sizes, terms; ``rows``: the inputs, the outputs."""
    head = view(params, np.int64, 2)
    inputs = head[0]
    outputs = head[1]
    sizes = view(params + 16, np.int64, outputs)
    term = params + 16 + 8 * outputs
    row = view(rows, np.int64, inputs + outputs)
    for k in range(outputs):
        factors = view(term, np.int64, sizes[k])
        out = view(row[inputs + k], np.float64, n)
        first = view(row[factors[0]], np.float64, n)
        for i in range(n):
            out[i] = first[i]
        for j in range(1, sizes[k]):
            factor = view(row[factors[j]], np.float64, n)
            for i in range(n):
                out[i] *= factor[i]
        term += 8 * sizes[k]


def polynomial_reference(x: npt.NDArray[np.float64], degree: int) -> npt.NDArray[np.float64]:
    """The numpy twin, one row a value."""
    return np.array([np.prod(x[list(term)], axis=0) for term in polynomial_terms(len(x), degree)])


def polynomial_terms(count: int, degree: int) -> list[tuple[int, ...]]:
    """The factors of each term."""
    return [term for size in range(1, degree + 1) for term in combinations_with_replacement(range(count), size)]


def _shapes(step: Step, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    require(inputs and set(inputs) == {"number"}, step, "its inputs are not numbers")
    sizes = array_param(step, "sizes", np.int64, len(step.outputs))
    terms = array_param(step, "terms", np.int64)
    fits = bool((sizes > 0).all()) and bool((sizes <= 16).all()) and int(sizes.sum()) == len(terms)
    require(fits, step, "its terms do not add up")
    require(bool(((terms >= 0) & (terms < len(inputs))).all()), step, "a term names an input that is not there")
    return numbers(len(step.outputs))


def _encode(step: Step) -> Words:
    return words(len(step.inputs), len(step.outputs), step.params["sizes"], step.params["terms"])


POLYNOMIAL_EXPAND = Operator(_shapes, _encode, polynomial)
