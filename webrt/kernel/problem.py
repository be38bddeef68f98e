"""Problems: what a kernel computes, never how. A small closed union of frozen dataclasses.

Iteration spaces have named indices, each an i32 symbol from 0 to its extent - 1:

    Map        i0 i1 …                 one point per output element
    Reduce     i0 i1 …  r0 r1 …        rows, and the elements of a row
    Contract   b0 b1 …  m n k          batch, rows, columns, summed
    Attention  b0 b1 …  q t d e        batch, query row, key row, key column, value column
    Fold       i0 i1 …  t              points, and the turns of each one's loop

Expressions load operands by flat offset, so that a reshape is no operation at all and a transpose
is a change of an offset. Every dim may be symbolic: other symbols than the indices are the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Union

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.expr import Expr, free_symbols, substitute


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that is read: `size` elements, contiguous. `dtype` is bool, f32, f16, i32 or u32.

    `constant` tells that it is a weight: bound read-only, and known before a run. `span` promises
    that no element is less than its first number nor more than its second, where that is known,
    and of floats that they are whole numbers.
    """

    dtype: DType
    size: Dim
    constant: bool = False
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor that is written: `expr` is stored at flat `offset`, a bijection onto 0 … size - 1.

    In a Reduce, `each` tells whether it is stored for every element of the row or once a row.
    """

    dtype: DType
    size: Dim
    offset: Dim
    expr: Expr
    each: bool = False


@dataclass(frozen=True, slots=True)
class Map:
    """`outputs[j][offset(i…)] = expr(i…)` for every point of `axes`."""

    axes: tuple[Dim, ...]
    operands: tuple[Operand, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """One reduction over the row: combine is `sum`, `max`, `min` or `prod`.

    The result of pass j is `Ref("p<j>", dtype)` in later passes and in the outputs.
    """

    combine: str
    expr: Expr


@dataclass(frozen=True, slots=True)
class Reduce:
    """Passes over each row, one after the other, then outputs from their results."""

    axes: tuple[Dim, ...]
    reduced: tuple[Dim, ...]
    operands: tuple[Operand, ...]
    passes: tuple[Pass, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """`Ref("acc") = sum over k of a(b…, m, k) · b(b…, k, n)`; outputs are over b…, m, n and acc."""

    batch: tuple[Dim, ...]
    m: Dim
    n: Dim
    k: Dim
    operands: tuple[Operand, ...]
    a: Expr
    b: Expr
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Attention:
    """Softmax attention: `score` modifies `Ref("score") = sum over d of query · key` per (q, t).

    `Ref("acc") = sum over t of softmax_t(score) · value(b…, t, e)`; outputs are over b…, q, e, acc.
    A score of -3e38 or less is masked out; a row whose scores are all masked gives the mean of
    value, as a softmax over equal scores does.
    """

    batch: tuple[Dim, ...]
    q: Dim
    t: Dim
    d: Dim
    e: Dim
    operands: tuple[Operand, ...]
    query: Expr
    key: Expr
    value: Expr
    score: Expr
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """A loop at every point of `axes`, from `start` to before `stop`, which data may decide.

    `Ref("acc")` is `first`, then in turn `step` for t = start, start + 1 …: `step` reads acc, also
    in its indices. No t is below 0 nor reaches `limit`. Outputs are over i… and acc.
    """

    axes: tuple[Dim, ...]
    limit: Dim
    operands: tuple[Operand, ...]
    start: Expr
    stop: Expr
    first: Expr
    step: Expr
    outputs: tuple[Output, ...]


Problem = Union[Map, Reduce, Contract, Attention, Fold]


def extents(problem: Problem) -> dict[str, Dim]:
    """Every index of the problem's iteration space with its extent, outermost first."""
    match problem:
        case Map(axes=axes):
            return {f"i{j}": d for j, d in enumerate(axes)}
        case Reduce(axes=axes, reduced=reduced):
            rows = {f"i{j}": d for j, d in enumerate(axes)}
            return rows | {f"r{j}": d for j, d in enumerate(reduced)}
        case Contract(batch=batch, m=m, n=n, k=k):
            return {f"b{j}": d for j, d in enumerate(batch)} | {"m": m, "n": n, "k": k}
        case Attention(batch=batch, q=q, t=t, d=d, e=e):
            space = {f"b{j}": extent for j, extent in enumerate(batch)}
            return space | {"q": q, "t": t, "d": d, "e": e}
        case Fold(axes=axes, limit=limit):
            return {f"i{j}": d for j, d in enumerate(axes)} | {"t": limit}


def expressions(problem: Problem) -> tuple[Expr, ...]:
    """Every expression of the problem, outputs last."""
    outputs = tuple(o.expr for o in problem.outputs)
    match problem:
        case Map():
            return outputs
        case Reduce(passes=passes):
            return (*(p.expr for p in passes), *outputs)
        case Contract(a=a, b=b):
            return (a, b, *outputs)
        case Attention(query=query, key=key, value=value, score=score):
            return (query, key, value, score, *outputs)
        case Fold(start=start, stop=stop, first=first, step=step):
            return (start, stop, first, step, *outputs)


def _with_expr(output: Output, expr: Expr) -> Output:
    return output if expr is output.expr else replace(output, expr=expr)


def map_expressions(problem: Problem, change: Callable[[Expr], Expr]) -> Problem:
    """The problem with every expression changed."""
    outputs = tuple([_with_expr(o, change(o.expr)) for o in problem.outputs])
    match problem:
        case Map():
            return replace(problem, outputs=outputs)
        case Reduce():
            passes = tuple(Pass(p.combine, change(p.expr)) for p in problem.passes)
            return replace(problem, passes=passes, outputs=outputs)
        case Contract():
            return replace(problem, a=change(problem.a), b=change(problem.b), outputs=outputs)
        case Attention():
            return replace(
                problem,
                query=change(problem.query), key=change(problem.key), value=change(problem.value),
                score=change(problem.score), outputs=outputs,
            )  # fmt: skip
        case Fold():
            return replace(
                problem,
                start=change(problem.start), stop=change(problem.stop),
                first=change(problem.first), step=change(problem.step), outputs=outputs,
            )  # fmt: skip


def symbols(problem: Problem) -> tuple[str, ...]:
    """The model's symbols that the problem depends on, sorted."""
    space = extents(problem)
    found = {s for d in space.values() for s in dims.free_symbols(d)}
    for expr in expressions(problem):
        found |= free_symbols(expr)
    for operand in problem.operands:
        found |= dims.free_symbols(operand.size)
    for output in problem.outputs:
        found |= dims.free_symbols(output.size) | dims.free_symbols(output.offset)
    return tuple(sorted(found - space.keys()))


def specialise(problem: Problem, bindings: Mapping[str, int]) -> Problem:
    """The problem with symbols of the model bound to literals: what a hot shape compiles."""

    def dim(value: Dim) -> Dim:
        return dims.substitute(value, bindings)

    def expr(value: Expr) -> Expr:
        return substitute(value, bindings)

    operands = tuple(replace(o, size=dim(o.size)) for o in problem.operands)
    outputs = tuple(
        replace(o, size=dim(o.size), offset=dim(o.offset), expr=expr(o.expr))
        for o in problem.outputs
    )
    match problem:
        case Map(axes=axes):
            return Map(tuple(map(dim, axes)), operands, outputs)
        case Reduce(axes=axes, reduced=reduced, passes=passes):
            changed = tuple(Pass(p.combine, expr(p.expr)) for p in passes)
            return Reduce(
                tuple(map(dim, axes)), tuple(map(dim, reduced)), operands, changed, outputs
            )
        case Contract(batch=batch, m=m, n=n, k=k, a=a, b=b):
            space = (tuple(map(dim, batch)), dim(m), dim(n), dim(k))
            return Contract(*space, operands, expr(a), expr(b), outputs)
        case Attention(batch=batch, q=q, t=t, d=d, e=e):
            return Attention(
                tuple(map(dim, batch)), dim(q), dim(t), dim(d), dim(e), operands,
                expr(problem.query), expr(problem.key), expr(problem.value), expr(problem.score),
                outputs,
            )  # fmt: skip
        case Fold(axes=axes, limit=limit, start=start, stop=stop, first=first, step=step):
            return Fold(
                tuple(map(dim, axes)), dim(limit), operands,
                expr(start), expr(stop), expr(first), expr(step), outputs,
            )  # fmt: skip
