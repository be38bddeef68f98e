"""How constants too large for a binding are cut: at whole rows, or with the product they serve."""

from __future__ import annotations

from webrt import dims
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.axes import stride
from webrt.kernel.problem import Contract, Problem
from webrt.pack.format import MAX_CONSTANT_BYTES

_ROWS = 128  # parts hold a multiple of so many rows where they can: no tile reads two of them


def is_large(value: Value, limit: int = MAX_CONSTANT_BYTES) -> bool:
    """Whether a value is a constant that one binding doesn't hold."""
    return value.data is not None and value.data.size * value.dtype.storage.bytes > limit


def part_elements(value: Value, limit: int = MAX_CONSTANT_BYTES) -> int:
    """Elements of each part (the last may have less) of a constant of more than `limit` bytes."""
    row = int(value.shape[-1]) if value.shape and isinstance(value.shape[-1], int) else 1
    unit = row * _ROWS
    if unit * value.dtype.storage.bytes > limit:
        unit = 4
    return limit // value.dtype.storage.bytes // unit * unit


def part_count(value: Value) -> int:
    """How many tensors of the plan a value will be: `passes/split.py` splits large constants."""
    if value.data is None or not is_large(value):
        return 1
    return -(-value.data.size // part_elements(value))


def columns_of(
    problem: Problem, name: str, value: Value, limit: int = MAX_CONSTANT_BYTES
) -> int | None:
    """Columns of each product that a Contract is cut in, whose b has a large constant for weights.

    None where the constant isn't b's matrix as it stands, [n][k] or [k][n].
    """
    if not isinstance(problem, Contract) or not is_large(value, limit) or value.data is None:
        return None
    n, k = problem.n, problem.k
    if not (isinstance(n, int) and isinstance(k, int)) or n * k != value.data.size:
        return None
    elsewhere = (problem.a, *(o.expr for o in problem.outputs))
    found = [e for e in ex.distinct_loads(problem.b) if e.memory == name]
    if len(found) != 1 or any(e.memory == name for one in elsewhere for e in ex.loads(one)):
        return None
    offset = found[0].offset
    if dims.substitute(offset, {"n": 0, "k": 0}) != 0:
        return None
    if rows_are_columns(problem, name):
        step = part_elements(value, limit)
        return step // k if step % k == 0 else None
    if (stride(offset, "n"), stride(offset, "k")) != (1, n):
        return None
    most = limit // value.dtype.storage.bytes // k
    return most // _ROWS * _ROWS or most // 4 * 4 or None


def rows_are_columns(problem: Contract, name: str) -> bool:
    """Whether the constant lies as [n][k]."""
    (load,) = (e for e in ex.distinct_loads(problem.b) if e.memory == name)
    return (stride(load.offset, "n"), stride(load.offset, "k")) == (problem.k, 1)
