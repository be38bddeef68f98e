"""Arena placement: the vectors shared with the JavaScript player, and properties of any plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pack_read import FLOW_BASE, sealed

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.pack.read import parse_manifest
from webrt.plan.memory import ALIGNMENT, lifetimes, place, place_epoch
from webrt.plan.plan import Home, Plan, Step, Tensor

VECTORS = Path(__file__).parent / "vectors" / "memory.json"


def plan_of(shapes: list[Dim], steps: list[tuple[list[int], list[int]]]) -> Plan:
    tensors = tuple(Tensor(DType.F32, (shape,), Home.ARENA) for shape in shapes)
    listed = tuple(Step(0, tuple(reads), tuple(writes), "") for reads, writes in steps)
    return Plan((), (), (), tensors, (), listed)


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text()), ids=lambda c: c["name"])
def test_vectors(case: dict[str, object]) -> None:
    assert isinstance(case["shapes"], list)
    assert isinstance(case["steps"], list)
    assert isinstance(case["bindings"], dict)
    plan = plan_of([dims.from_json(s) for s in case["shapes"]], case["steps"])
    placed = place(plan, case["bindings"])
    assert {str(t): o for t, o in sorted(placed.offsets.items())} == case["offsets"]
    assert (placed.peak, placed.lower_bound) == (case["peak"], case["lower_bound"])


def test_the_arenas_of_a_flow() -> None:
    plan = parse_manifest(sealed(FLOW_BASE)).plan
    case = json.loads((VECTORS.parent / "flow.json").read_text())
    found = [place_epoch(plan, lives, case["bindings"]) for lives in lifetimes(plan).values()]
    assert [{str(t): o for t, o in p.offsets.items()} for p in found] == [
        epoch["offsets"] for epoch in case["epochs"]
    ]
    assert [p.peak for p in found] == [epoch["peak"] for epoch in case["epochs"]]
    assert place(plan, case["bindings"]).peak == sum(p.peak for p in found)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    shapes = draw(st.lists(st.integers(1, 2000), min_size=1, max_size=12))
    order = list(range(len(shapes)))
    steps = []
    for tensor in order:
        reads = draw(st.lists(st.sampled_from(order[:tensor]), max_size=3)) if tensor else []
        steps.append((reads, [tensor]))
    return plan_of(list(shapes), steps)


@given(plans())
@settings(max_examples=200)
def test_tensors_alive_together_never_overlap(plan: Plan) -> None:
    placed = place(plan, {})
    lives = lifetimes(plan)[0]
    sizes = {t: int(str(plan.tensors[t].bytes)) for t in lives}
    for a in lives:
        assert placed.offsets[a] % ALIGNMENT == 0
        assert placed.offsets[a] + sizes[a] <= placed.peak
        for b in lives:
            if a < b and lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1]:
                end_a, end_b = placed.offsets[a] + sizes[a], placed.offsets[b] + sizes[b]
                assert end_a <= placed.offsets[b] or end_b <= placed.offsets[a]
    assert placed.lower_bound <= placed.peak


def test_homes_other_than_the_arena_take_no_place() -> None:
    tensors = (
        Tensor(DType.F32, (4,), Home.INPUT),
        Tensor(DType.F32, (4,), Home.OUTPUT),
        Tensor(DType.F32, (4,), Home.CONSTANT),
    )
    plan = Plan((), (), (), tensors, (), (Step(0, (0, 2), (1,), ""),))
    placed = place(plan, {})
    assert (placed.offsets, placed.peak, placed.lower_bound) == ({}, 0, 0)


def test_an_unbound_symbol_is_a_key_error() -> None:
    plan = plan_of([dims.symbol("s0")], [([], [0])])
    with pytest.raises(KeyError):
        place(plan, {})
