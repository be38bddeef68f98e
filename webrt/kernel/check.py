"""Tells whether a problem means something: what passes must keep, and packs are held to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.expr import Call, Expr, Index, Load, Ref, lanes_of, own_dims, parts
from webrt.kernel.operations import VECTOR
from webrt.kernel.problem import Attention, Contract, Fold, Map, Operand, Problem, Reduce, extents

STORED = (DType.F32, DType.F16, DType.I32, DType.U32, DType.BOOL)
"""The dtypes that a tensor of a problem may have."""

COMBINES = ("sum", "max", "min", "prod")

_MODEL_SYMBOL = re.compile(r"s(0|[1-9][0-9]{0,3})")
MAX_AXES = 32


def check_problem(problem: Problem) -> None:
    """Raise ValueError where an index, an operand, a result or a type isn't what it must be."""
    space = extents(problem)
    if len(space) > MAX_AXES:
        raise ValueError(f"{len(space)} indices are more than {MAX_AXES}")
    if not problem.outputs:
        raise ValueError("a problem without outputs")
    for name, extent in space.items():
        _check_dim(extent, (), f"the extent of {name}")
    for j, operand in enumerate(problem.operands):
        _check_tensor(operand.dtype, operand.size, f"operand {j}")
        _check_span(operand, f"operand {j}")
    refs: dict[str, DType] = {}
    check = _Checker(problem.operands)
    whole: Iterable[str] = space
    match problem:
        case Map():
            pass
        case Reduce(passes=passes):
            for j, one in enumerate(passes):
                check.expr(one.expr, space, refs, f"pass {j}")
                if one.combine not in COMBINES or one.expr.dtype in (DType.BOOL, DType.F16):
                    raise ValueError(f"pass {j}: no {one.combine} of {one.expr.dtype}")
                refs[f"p{j}"] = one.expr.dtype
            whole = [name for name in space if name[0] == "i"]
        case Contract(a=a, b=b):
            check.expr(a, space.keys() - {"n"}, {}, "a")
            check.expr(b, space.keys() - {"m"}, {}, "b")
            if a.dtype is not b.dtype or a.dtype in (DType.BOOL, DType.F16):
                raise ValueError(f"a contraction of {a.dtype} with {b.dtype}")
            refs = {"acc": a.dtype}
            whole = space.keys() - {"k"}
        case Attention(query=query, key=key, value=value, score=score):
            check.expr(query, space.keys() - {"t", "e"}, {}, "query")
            check.expr(key, space.keys() - {"q", "e"}, {}, "key")
            check.expr(value, space.keys() - {"q", "d"}, {}, "value")
            check.expr(score, space.keys() - {"d", "e"}, {"score": DType.F32}, "score")
            if any(e.dtype is not DType.F32 for e in (query, key, value, score)):
                raise ValueError("attention is computed in f32")
            refs = {"acc": DType.F32}
            whole = space.keys() - {"t", "d"}
        case Fold():
            whole = space.keys() - {"t"}
            refs = {"acc": problem.first.dtype}
            _check_fold(problem, check, space, refs)
    for j, output in enumerate(problem.outputs):
        place = f"output {j}"
        _check_tensor(output.dtype, output.size, place)
        if output.each and not isinstance(problem, Reduce):
            raise ValueError(f"{place}: only a reduce stores each element of a row")
        names = list(space) if output.each else whole
        check.expr(output.expr, names, refs, place)
        check.expr(Index(output.offset), names, {}, f"{place}'s offset")
        if output.expr.dtype is not output.dtype:
            raise ValueError(f"{place} of {output.dtype} stores {output.expr.dtype}")


def _check_fold(
    problem: Fold, check: _Checker, space: Mapping[str, Dim], refs: Mapping[str, DType]
) -> None:
    """The loop: whole bounds, and a step that makes of acc what acc is."""
    points = space.keys() - {"t"}
    for place, one in (("start", problem.start), ("stop", problem.stop)):
        check.expr(one, points, {}, place)
        if one.dtype is not DType.I32:
            raise ValueError(f"{place}: a loop counts in i32, found {one.dtype}")
    check.expr(problem.first, points, {}, "first")
    check.expr(problem.step, space, refs, "step")
    kind = problem.first.dtype
    if kind is not problem.step.dtype or kind in (DType.BOOL, DType.F16):
        raise ValueError(f"a loop that makes {problem.step.dtype} of {kind}")


class _Checker:
    """Checks expressions over the operands of one problem."""

    def __init__(self, operands: tuple[Operand, ...]) -> None:
        self.operands = operands

    def expr(self, expr: Expr, names: Iterable[str], refs: Mapping[str, DType], place: str) -> None:
        """Every index in `names`, every reference in `refs`, every load of an operand."""
        known = set(names)
        for e in parts(expr):
            if lanes_of(e) != 1 or (isinstance(e, Call) and e.op in VECTOR):
                raise ValueError(f"{place}: problems have no four-lane values")
            for dim in own_dims(e):
                _check_dim(dim, known, place)
            if _computes_f16(e):
                raise ValueError(f"{place}: f16 is loaded and stored, not computed with")
            if isinstance(e, Ref) and refs.get(e.name) is not e.dtype:
                raise ValueError(f"{place}: no {e.name} of {e.dtype} there")
            if isinstance(e, Load) and not (
                isinstance(e.memory, int)
                and e.memory < len(self.operands)
                and self.operands[e.memory].dtype is e.dtype
            ):
                raise ValueError(f"{place}: no operand {e.memory} of {e.dtype}")


def _computes_f16(expr: Expr) -> bool:
    """Whether more is done with f16 than loads and casts: `widen.py` couldn't take it away."""
    if isinstance(expr, Call) and expr.op != "cast":
        return any(a.dtype is DType.F16 for a in expr.args)
    return expr.dtype is DType.F16 and not isinstance(expr, Load | Call)


def _check_dim(dim: Dim, known: Iterable[str], place: str) -> None:
    for name in dims.free_symbols(dim):
        if name not in known and not _MODEL_SYMBOL.fullmatch(name):
            raise ValueError(f"{place}: no index {name} there")


def _check_span(operand: Operand, place: str) -> None:
    if operand.span is None:
        return
    if operand.dtype not in (DType.I32, DType.U32, DType.F32) or operand.span[0] > operand.span[1]:
        raise ValueError(f"{place}: {operand.dtype} doesn't go from {operand.span}")


def _check_tensor(dtype: DType, size: Dim, place: str) -> None:
    if dtype not in STORED:
        raise ValueError(f"{place}: {dtype} isn't stored on a device")
    _check_dim(size, (), place)
