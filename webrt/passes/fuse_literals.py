"""Scalar constants become literals of the expressions that load them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, Load
from webrt.kernel.problem import Attention, Map, Problem, expressions, extents, map_expressions
from webrt.passes.algebra import tidy
from webrt.passes.workbench import Node, Workbench

LOWEST = -3.4028234663852886e38
MAX_UNIFORM = 4096  # elements up to which a constant is looked through for being all equal


def inline_literals(bench: Workbench) -> None:
    """Replace loads of uniform constants, and of integer tensors known up to symbols."""
    known = {name: value for name, value in bench.values.items() if _is_literal(value)}
    for key in list(bench.nodes):
        if not any(name in known for name in bench.reads(key)):
            continue
        node = bench.nodes[key]

        def change(expr: Expr) -> Expr | None:
            if isinstance(expr, Load) and expr.memory in known:
                assert isinstance(expr.memory, str)
                return _literal(known[expr.memory], expr)
            return None

        whole = partial(_whole, change=change, space=extents(node.problem))
        bench.update(key, replace(node, problem=map_expressions(node.problem, whole)))


def _whole(expr: Expr, change: Callable[[Expr], Expr | None], space: Mapping[str, Dim]) -> Expr:
    return tidy(ex.rewrite(expr, change), space)


def _is_literal(value: Value) -> bool:
    if value.data is not None:
        data = value.data
        return 0 < data.size <= MAX_UNIFORM and bool(np.all(data == data.flat[0]))
    return value.content is not None


def _literal(value: Value, load: Load) -> Expr | None:
    if value.data is not None:
        return _const(value.data.flat[0].item(), load.dtype)
    assert value.content is not None
    elements = [ex.cast(ex.as_index(d), load.dtype) for d in value.content]
    if isinstance(load.offset, int):
        return elements[load.offset]
    result = elements[-1]
    for j, element in reversed(list(enumerate(elements[:-1]))):
        here = ex.call("eq", ex.as_index(load.offset), ex.i32(j))
        result = ex.select(here, element, result)
    return result


def _const(value: object, dtype: DType) -> Const:
    assert isinstance(value, bool | int | float)
    if dtype is DType.BOOL:
        return Const(bool(value), dtype)
    return Const(float(value) if dtype.is_float else int(value), dtype)


def finite_masks(bench: Workbench) -> None:
    """Scores are masked with the lowest finite number where a model has -inf.

    WGSL may assume that there are no infinities; a score of -3e38 or less is masked all the same.
    """
    for key in bench.in_order():
        node = bench.nodes[key]
        problem = node.problem
        if isinstance(problem, Attention):
            changed: Problem = replace(problem, score=_finite(problem.score))
        elif isinstance(problem, Map) and _only_masks(bench, node):
            changed = map_expressions(problem, _finite)
        else:
            continue
        if changed != problem:
            bench.update(key, replace(node, problem=changed))


def _finite(expr: Expr) -> Expr:
    return ex.rewrite(expr, lambda e: Const(LOWEST, e.dtype) if _is_low(e) else None)


def _is_low(expr: Expr) -> bool:
    return isinstance(expr, Const) and expr.dtype is DType.F32 and expr.value == -math.inf


def _only_masks(bench: Workbench, node: Node) -> bool:
    """Whether a Map's outputs are read by the scores of attentions and nowhere else."""
    for name in node.outputs:
        readers = [bench.nodes[r].problem for r in bench.readers_of(name)]
        if bench.is_result(name) or not readers:
            return False
        for problem in readers:
            if not isinstance(problem, Attention):
                return False
            used = [e for root in expressions(problem) for e in ex.loads(root) if e.memory == name]
            if len(used) > sum(e.memory == name for e in ex.loads(problem.score)):
                return False
    return True
