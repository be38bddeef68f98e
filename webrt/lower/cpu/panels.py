"""Constant operands laid out in panels: what a kernel for CPUs reads in their place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel.expr import (
    Const,
    Expr,
    Load,
    as_index,
    call,
    cast,
    free_symbols,
    i32,
    rewrite,
    select,
    simplify,
    substitute,
)
from webrt.kernel.problem import Contract, Map, Operand, Output, Problem
from webrt.schedule import Schedule
from webrt.schedule.cpu.contract import CpuContractSchedule, panel_load
from webrt.schedule.cpu.narrow import (
    Narrow,
    batches,
    in_narrow_panels,
    narrow,
    panelled,
    shape,
)
from webrt.schedule.cpu.whole import whole


@dataclass(frozen=True, slots=True)
class Panel:
    """Operand number `operand` is replaced by the output of `problem`, a Map of that one operand.

    All its dims are literals; it runs once, when the weights are loaded.
    """

    operand: int
    problem: Map


def repack(problem: Problem, schedule: Schedule) -> tuple[Problem, tuple[Panel, ...]]:
    """The problem as `lower` takes it under `schedule`: constants in panels where that asks so."""
    if not isinstance(problem, Contract) or not isinstance(schedule, CpuContractSchedule):
        return problem, ()
    if schedule.panels and (found := narrow(of_integers := whole(problem))) is not None:
        return _repack_narrow(of_integers, found, schedule.columns)
    load = panel_load(problem) if schedule.panels else None
    if load is None or in_panels(problem, schedule.columns):
        return problem, ()
    assert isinstance(load.memory, int)
    packer = _packer(problem, load, schedule.columns)
    panelled = Load(load.memory, panel_offset(problem, load, schedule.columns), load.dtype)
    b = rewrite(problem.b, lambda e: panelled if e == load else None)
    old = problem.operands[load.memory]
    operands = list(problem.operands)
    operands[load.memory] = Operand(old.dtype, packer.outputs[0].size, True)
    return replace(problem, operands=tuple(operands), b=b), (Panel(load.memory, packer),)


def _repack_narrow(
    problem: Contract, found: Narrow, columns: int
) -> tuple[Problem, tuple[Panel, ...]]:
    """The problem over panels of fields."""
    if in_narrow_panels(problem, columns) is not None:
        return problem, ()
    packer = _narrow_packer(problem, found, columns)
    read: Expr = panelled(problem, found, columns)
    if found.signed and not found.integer:  # panels of floats hold what isn't negative
        read = call("sub", cast(read, DType.I32), i32(1 << found.bits - 1))
    b = rewrite(problem.b, lambda e: read if e == found.field else None)
    number = int(found.load.memory)
    operands = list(problem.operands)
    operands[number] = Operand(DType.I32, packer.outputs[0].size, True)
    return replace(problem, operands=tuple(operands), b=b), (Panel(number, packer),)


def _narrow_packer(problem: Contract, found: Narrow, columns: int) -> Map:
    """The Map that lays fields out in panels; those behind the last column and k are 0."""
    panels, rows, words = shape(problem, found, columns)
    within = batches(problem, found)
    axes = (*(problem.batch[j] for j in within), panels, rows, words)
    at = [symbol(f"i{j}") for j in range(len(axes))]
    places = {f"b{j}": at[position] for position, j in enumerate(within)}
    space = {f"i{j}": extent for j, extent in enumerate(axes)}
    number = int(found.load.memory)
    own = rewrite(found.field, lambda e: replace(e, memory=0) if isinstance(e, Load) else None)
    if found.signed and not found.integer:
        own = call("add", own, i32(1 << found.bits - 1))
    wide = columns // words
    word: Expr | None = None
    for place in range(wide * found.fields):
        column, ahead = divmod(place, found.fields)
        k = at[-2] * found.fields + ahead
        n = at[-3] * columns + at[-1] * wide + column
        value = simplify(substitute(own, {**places, "k": k, "n": n}), space)
        value = cast(value, DType.I32)
        if found.signed and found.integer:
            value = call("bit_and", value, i32((1 << found.width) - 1))
        if problem.k % found.fields:
            value = select(call("lt", as_index(k), as_index(problem.k)), value, i32(0))
        if problem.n % columns:
            value = select(call("lt", as_index(n), as_index(problem.n)), value, i32(0))
        if place:
            value = call("shift_left", value, i32(place * found.width))
        word = value if word is None else call("bit_or", word, value)
    assert word is not None
    return _map_of(problem.operands[number], axes, word)


def panel_offset(problem: Contract, load: Load, columns: int) -> Dim:
    """Where element (b…, k, n) of b lies in panels of `columns`: [b…][n / columns][k][columns]."""
    k, n = symbol("k"), symbol("n")
    panels = dims.ceil_div(problem.n, columns)
    panel = _matrix(problem, load) * panels + dims.floor_div(n, columns)
    return (panel * problem.k + k) * columns + dims.modulo(n, columns)


def in_panels(problem: Contract, columns: int) -> Load | None:
    """The load of b that reads panels of `columns`, in a problem that `repack` has rewritten."""
    load = panel_load(problem)
    if load is None or load.offset != panel_offset(problem, load, columns):
        return None
    extents = [problem.batch[j] for j in _batches(problem, load)]
    size = dims.product((*extents, dims.ceil_div(problem.n, columns), problem.k, columns))
    return load if problem.operands[int(load.memory)].size == size else None


def _batches(problem: Contract, load: Load) -> list[int]:
    """The numbers of the batch indices that `load` depends on."""
    names = free_symbols(load)
    return [j for j in range(len(problem.batch)) if f"b{j}" in names]


def _matrix(problem: Contract, load: Load) -> Dim:
    """The number of the matrix that a batch index stands for."""
    result: Dim = 0
    for j in _batches(problem, load):
        result = result * problem.batch[j] + symbol(f"b{j}")
    return result


def _packer(problem: Contract, load: Load, columns: int) -> Map:
    """The Map that lays the operand of `load` out in panels."""
    assert isinstance(problem.n, int)
    assert isinstance(problem.k, int)
    batches = _batches(problem, load)
    panels = -(-problem.n // columns)
    axes = (*(problem.batch[j] for j in batches), panels, problem.k, columns)
    at = [symbol(f"i{j}") for j in range(len(axes))]
    n = at[-3] * columns + at[-1]
    places = {f"b{j}": at[position] for position, j in enumerate(batches)}
    source = substitute(Load(0, load.offset, load.dtype), {**places, "k": at[-2], "n": n})
    value: Expr = source
    if problem.n % columns:
        zero = Const(0.0 if load.dtype.is_float else 0, load.dtype)
        value = call("select", call("lt", as_index(n), as_index(problem.n)), source, zero)
    return _map_of(problem.operands[int(load.memory)], axes, value)


def _map_of(source: Operand, axes: tuple[Dim, ...], value: Expr) -> Map:
    """The Map that stores `value`, of a constant, at indices i0, i1 … in their order."""
    offset: Dim = 0
    for j, extent in enumerate(axes):
        offset = offset * extent + symbol(f"i{j}")
    operand = Operand(source.dtype, source.size, True)
    return Map(axes, (operand,), (Output(value.dtype, dims.product(axes), offset, value),))
