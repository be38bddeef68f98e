"""Constants too large for one binding become several.

A product whose weights are that large becomes several products, each of some columns, and a Map
that joins them. Elsewhere a load becomes a choice, by position, of loads of the parts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Load
from webrt.kernel.problem import Contract, Map, map_expressions
from webrt.pack.format import MAX_CONSTANT_BYTES
from webrt.passes.layout import flat
from webrt.passes.parts import columns_of, is_large, part_elements, rows_are_columns
from webrt.passes.workbench import Node, Workbench


def split_products(bench: Workbench, limit: int = MAX_CONSTANT_BYTES) -> bool:
    """Cut products along n whose weights take more than `limit` bytes."""
    changed = False
    for name, value in list(bench.values.items()):
        if not is_large(value, limit):
            continue
        keys = bench.readers_of(name)
        widths = {key: columns_of(bench.nodes[key].problem, name, value, limit) for key in keys}
        for key, width in widths.items():
            problem = bench.nodes[key].problem
            if width is None or not isinstance(problem, Contract):
                continue
            along_k = rows_are_columns(problem, name)
            if along_k:
                pieces = _parts(bench, name, limit)
            elif None in widths.values():
                continue  # the constant would be stored twice
            else:
                pieces = _columns(bench, value, problem, width)
            _cut(bench, key, name, pieces, width, along_k)
            changed = True
    return changed


def _columns(bench: Workbench, value: Value, problem: Contract, width: int) -> list[str]:
    """The names of weights [k][n] cut in `width` columns each."""
    assert value.data is not None
    assert isinstance(problem.n, int)
    matrix = value.data.reshape(-1, problem.n)
    pieces = [matrix[:, at : at + width] for at in range(0, problem.n, width)]
    return [
        bench.name_of(Value(f"{value.name}[:, {j}]", value.dtype, p.shape, np.ascontiguousarray(p)))
        for j, p in enumerate(pieces)
    ]


def _cut(
    bench: Workbench, key: int, name: str, pieces: list[str], width: int, along_k: bool
) -> None:
    """Put products of `width` columns each in the place of a product, and a Map that joins them.

    `along_k` tells that the weights lie as [n][k].
    """
    node = bench.nodes[key]
    problem = node.problem
    assert isinstance(problem, Contract)
    assert isinstance(problem.n, int)
    starts = range(0, problem.n, width)
    joined: list[list[str]] = [[] for _ in node.outputs]
    for start, piece in zip(starts, pieces, strict=True):
        count = min(width, problem.n - start)
        made = _piece(problem, name, piece, start, count, along_k)
        names = []
        for j, output in enumerate(node.outputs):
            whole = bench.values[output]
            shape = (*problem.batch, problem.m, count)
            value = Value(f"{whole.name}[{start}]", whole.dtype, shape)
            names.append(bench.name_of(value))
            joined[j].append(names[-1])
        bench.add(Node(made, tuple(names), node.name))
    bench.update(key, _join(node, problem, joined, width))


def _piece(
    problem: Contract, name: str, piece: str, start: int, count: int, along_k: bool
) -> Contract:
    """The product of `count` columns from `start` on, whose weights are `piece`."""
    n, k = symbol("n"), symbol("k")
    here = n * problem.k + k if along_k else k * count + n

    def move(expr: Expr) -> Expr:
        moved = ex.substitute(expr, {"n": n + start})
        return ex.rewrite(
            moved,
            lambda e: (
                replace(e, memory=piece, offset=here)
                if isinstance(e, Load) and e.memory == name
                else None
            ),
        )

    space: dict[str, Dim] = {f"b{j}": extent for j, extent in enumerate(problem.batch)}
    space |= {"m": problem.m, "n": count}
    size, offset = dims.product(tuple(space.values())), flat(space)
    outputs = tuple(
        replace(o, size=size, offset=offset, expr=move(o.expr)) for o in problem.outputs
    )
    return replace(problem, n=count, b=move(problem.b), outputs=outputs)


def _join(node: Node, problem: Contract, pieces: list[list[str]], width: int) -> Node:
    """The Map that has the outputs of a product from those of its pieces."""
    assert isinstance(problem.n, int)
    axes = (*problem.batch, problem.m, problem.n)
    names = [*(f"b{j}" for j in range(len(problem.batch))), "m", "n"]
    index = {old: symbol(f"i{j}") for j, old in enumerate(names)}
    n = index["n"]
    before: Dim = flat({f"i{j}": extent for j, extent in enumerate(axes[:-1])})
    outputs = []
    for output, parts in zip(problem.outputs, pieces, strict=True):
        loads = [
            Load(
                part,
                before * min(width, problem.n - j * width) + _within(n, j, len(parts), width),
                output.dtype,
            )
            for j, part in enumerate(parts)
        ]
        offset = dims.substitute(output.offset, index)
        outputs.append(replace(output, offset=offset, expr=_chosen(loads, n, width)))
    return replace(node, problem=Map(axes, (), tuple(outputs)))


def _chosen(loads: list[Load], at: Dim, step: int) -> Expr:
    """The load number at // step."""
    result: Expr = loads[-1]
    for j in reversed(range(len(loads) - 1)):
        here = ex.call("lt", ex.as_index(at), ex.i32((j + 1) * step))
        result = ex.select(here, loads[j], result)
    return result


def split_constants(bench: Workbench, limit: int = MAX_CONSTANT_BYTES) -> None:
    """Split every constant of more than `limit` bytes at whole rows of its last axis."""
    for name, value in list(bench.values.items()):
        if is_large(value, limit) and bench.readers_of(name):
            _split(bench, name, value, limit)


def _parts(bench: Workbench, name: str, limit: int) -> list[str]:
    """The names of a constant's parts, of `part_elements` each."""
    value = bench.values[name]
    assert value.data is not None
    if name not in bench.parts:
        data, step = value.data.reshape(-1), part_elements(value, limit)
        chunks = [data[start : start + step] for start in range(0, data.size, step)]
        bench.parts[name] = [
            bench.name_of(Value(f"{value.name}[{j}]", value.dtype, (c.size,), c))
            for j, c in enumerate(chunks)
        ]
    return bench.parts[name]


def _split(bench: Workbench, name: str, value: Value, limit: int) -> None:
    step, parts = part_elements(value, limit), _parts(bench, name, limit)
    for key in bench.readers_of(name):
        node = bench.nodes[key]

        def change(expr: Expr) -> Expr | None:
            if isinstance(expr, Load) and expr.memory == name:
                return _choose(expr, parts, step)
            return None

        problem = map_expressions(node.problem, partial(ex.rewrite, change=change))
        bench.update(key, replace(node, problem=problem))


def _choose(load: Load, parts: list[str], step: int) -> Expr:
    """The load from the part that holds its offset; the other parts are read in range, unused."""
    loads = [
        replace(load, memory=part, offset=_within(load.offset, j, len(parts), step))
        for j, part in enumerate(parts)
    ]
    return _chosen(loads, load.offset, step)


def _within(at: Dim, number: int, parts: int, step: int) -> Dim:
    """Where place `at` lies in part `number` of `step` each, the nearest place if it doesn't."""
    place = at - number * step
    if number > 0:
        place = dims.dim_max(place, 0)
    if number < parts - 1:
        place = dims.dim_min(place, step - 1)
    return place
