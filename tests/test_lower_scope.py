"""Blocks under construction: where index arithmetic is named; and grids."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import Expr, Index, Load, Ref, as_dim, call, f32, i32
from webrt.kernel.loop import For, If, Let
from webrt.lower import common
from webrt.lower.common import fold_grid, is_aligned, quad, vectorise
from webrt.lower.scope import Names, Scope

F32, I32 = DType.F32, DType.I32
LANE, S0 = symbol("lane0"), symbol("s0")


def scope() -> Scope:
    return Scope(Names(["lane0", "s0"]))


def lets(statements: list[loop.Stmt]) -> list[str]:
    return [f"{s.name} = {s.expr.dim}" for s in statements if isinstance(s, Let)]  # type: ignore[union-attr]


def test_what_does_not_change_in_a_loop_is_named_before_it() -> None:
    root = scope()
    with root.loop("i", 0, 8) as (body, i):
        body.store(0, (LANE * S0 + LANE) * 4 + i * S0 + 1, f32(0.0))
    assert lets(root.statements) == ["at = 4*lane0 + 4*lane0*s0"]
    inside = root.statements[-1]
    assert isinstance(inside, For)
    assert str(inside.body[0].offset) == "at + i*s0 + 1"  # type: ignore[union-attr]


def test_equal_parts_are_named_once() -> None:
    root = scope()
    with root.loop("i", 0, 8) as (body, i):
        body.store(0, LANE // 3 + i, f32(0.0))
        body.store(0, LANE // 3 + i * 2, f32(0.0))
    assert lets(root.statements) == ["part = (lane0 // 3)"]


def test_nothing_new_is_put_before_a_finished_loop() -> None:
    root = scope()
    with root.when(call("lt", Index(LANE), i32(7))) as block:
        with block.loop("i", 0, 8) as (body, i):
            body.store(0, i, f32(0.0))
        with block.when(call("lt", Index(LANE), i32(5))) as last:
            last.store(0, LANE * 4 + S0, f32(0.0))
    (outer,) = root.statements
    assert isinstance(outer, If)
    assert [type(s).__name__ for s in outer.body] == ["For", "Let", "If"]


@pytest.mark.parametrize("divide", [1, 3])
def test_the_value_of_a_register_is_never_remembered(divide: int) -> None:
    root = scope()
    position = root.var("position", i32(0))
    address = as_dim(call("min", position, i32(5))) // divide * 2
    root.store(0, address, f32(1.0))
    root.assign(position, call("add", position, i32(1)))
    root.store(0, address, f32(2.0))
    first, second = (s.offset for s in root.statements if isinstance(s, loop.Store))
    assert first != second
    names = [s.name for s in root.statements if isinstance(s, Let)]
    assert len(names) == (2 if divide == 1 else 4)


def test_a_loaded_index_is_loaded_once_and_outside() -> None:
    root = scope()
    token = as_dim(Load(1, LANE, I32))
    with root.loop("i", 0, 8) as (body, i):
        body.store(0, token * 8 + i, f32(0.0))
        body.store(2, token * 8 + i, f32(0.0))
    assert [type(s).__name__ for s in root.statements] == ["Let", "Let", "For"]


def test_shared_values_are_named_once() -> None:
    root = scope()
    load = Load(0, LANE, F32)
    square = call("mul", load, load)
    shared = root.share(call("add", square, call("exp", square)))
    value = Ref("value_1", F32)
    assert shared == call("add", value, call("exp", value))
    assert [s.name for s in root.statements if isinstance(s, Let)] == ["value", "value_1"]


def test_fresh_names_differ() -> None:
    names = Names(["a", "a_1"])
    made = [names.fresh(hint) for hint in ("a", "a", "a_2", "b", "b_1", "b")]
    assert len({*made, "a", "a_1"}) == len(made) + 2


@pytest.mark.parametrize(
    ("offset", "wanted"),
    [
        (symbol("r") * 8 + symbol("n"), "x0.f32x4"),
        (symbol("r") * 6 + symbol("n"), "vec4"),  # not aligned
        (symbol("n") * 8 + symbol("r"), "vec4"),  # not neighbours
        (symbol("r") * 8, "x0.f32[8*r]"),  # one and the same
        ((symbol("n") // 8) * 64 + symbol("r") * 8 + symbol("n") % 8, "x0.f32x4"),  # heads of 8
    ],
    ids=["together", "unaligned", "strided", "constant", "heads"],
)
def test_four_lane_loads(offset: Dim, wanted: str) -> None:
    extents: dict[str, Dim] = {"r": 5, "j": 4}
    value = vectorise(Load(0, offset, F32), "n", quad(symbol("j")), extents)
    kind = "vec4" if not isinstance(value, Load) else "x0.f32x4" if value.lanes == 4 else None
    assert (kind or f"x0.f32[{value.offset}]") == wanted  # type: ignore[union-attr]


def test_alignment() -> None:
    assert is_aligned(S0 * 4 + 8)
    assert not is_aligned(S0 * 2)
    assert not is_aligned(S0 * 4 + 2)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.sampled_from([90, 65535]), st.data())
def test_a_grid_visits_every_block_once(extents: list[int], most: int, data: st.DataObject) -> None:
    """Also where it has to fold, and where extents are symbols."""
    bindings = {f"s{j}": extent for j, extent in enumerate(extents)}
    blocks: list[Dim] = [
        symbol(f"s{j}") if data.draw(st.booleans()) else extent for j, extent in enumerate(extents)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "MAX_GRID", most)
        grid = fold_grid(blocks)
    size = [dims.evaluate(g, bindings) for g in grid.size]
    seen = []
    for place in itertools.product(*(range(g) for g in size)):
        here = bindings | dict(zip(loop.GRID, place, strict=True))
        if grid.guard is None or holds(grid.guard, here):
            seen.append(tuple(dims.evaluate(i, here) for i in grid.index))
    assert sorted(seen) == sorted(itertools.product(*(range(e) for e in extents)))
    assert size[0] <= most
    assert size[1] <= most


def holds(guard: Expr, bindings: dict[str, int]) -> bool:
    left, right = (dims.evaluate(as_dim(a), bindings) for a in guard.args)  # type: ignore[union-attr]
    return left < right
