"""Constants too large for one binding become several, with a choice by position where they load."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from webrt import dims
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load
from webrt.kernel.problem import map_expressions
from webrt.pack.format import MAX_CONSTANT_BYTES
from webrt.passes.workbench import Workbench, part_elements


def split_constants(bench: Workbench, limit: int = MAX_CONSTANT_BYTES) -> None:
    """Split every constant of more than `limit` bytes at whole rows of its last axis."""
    for name, value in list(bench.values.items()):
        if value.data is None or not bench.readers_of(name):
            continue
        if value.data.size * value.dtype.storage.bytes > limit:
            _split(bench, name, value, limit)


def _split(bench: Workbench, name: str, value: Value, limit: int) -> None:
    assert value.data is not None
    step = part_elements(value, limit)
    data = value.data.reshape(-1)
    parts: list[tuple[str, int]] = []
    for start in range(0, data.size, step):
        chunk = data[start : start + step]
        part = Value(f"{value.name}[{len(parts)}]", value.dtype, (chunk.size,), chunk)
        parts.append((bench.name_of(part), chunk.size))
    for key in bench.readers_of(name):
        node = bench.nodes[key]

        def change(expr: Expr) -> Expr | None:
            if isinstance(expr, Load) and expr.memory == name:
                return _choose(expr, parts, step)
            return None

        problem = map_expressions(node.problem, partial(ex.rewrite, change=change))
        bench.update(key, replace(node, problem=problem))


def _choose(load: Load, parts: list[tuple[str, int]], step: int) -> Expr:
    """The load from the part that holds its offset; the other parts are read in range, unused."""
    last = len(parts) - 1

    def part(j: int) -> Load:
        offset = load.offset - j * step
        if j > 0:
            offset = dims.dim_max(offset, 0)
        if j < last:
            offset = dims.dim_min(offset, step - 1)
        return replace(load, memory=parts[j][0], offset=offset)

    result: Expr = part(last)
    for j in reversed(range(last)):
        here = ex.call("lt", ex.as_index(load.offset), ex.i32((j + 1) * step))
        result = ex.select(here, part(j), result)
    return result
