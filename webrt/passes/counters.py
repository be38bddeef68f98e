"""Counters of loops: states that every turn makes more, or less, by a constant."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from webrt.graph.ir import Graph, Value
from webrt.ops.intervals import Interval
from webrt.passes.integers import natural


def counters(
    body: Graph,
    states: Mapping[Value, tuple[Value, Value]],
    facts: Mapping[Value, Interval],
    turns: int,
) -> dict[Value, Interval]:
    """What such states may be, in a turn and after the last of at most `turns`.

    `states` tells for what a turn is given what it makes of it and what the first turn is given;
    `facts` what is proven of values outside.
    """
    found = {}
    makers = {v: n for n in body.nodes for v in n.outputs}
    for state, (after, first) in states.items():
        made = makers.get(after)
        if made is None or made.op not in ("Add", "Sub") or state not in made.inputs:
            continue
        one, other = made.inputs
        step = other if one is state else one
        if step is None or step.data is None or (made.op == "Sub" and one is not state):
            continue
        start = _range(first) if first.data is not None else facts.get(first)
        if start is None:
            continue
        low, high = _range(step) if made.op == "Add" else tuple(-x for x in _range(step)[::-1])
        least, most = start[0] + min(0, low * turns), start[1] + max(0, high * turns)
        if natural(state.dtype)[0] <= least and most <= natural(state.dtype)[1]:
            found[state] = least, most  # else it may wrap round
    return found


def _range(value: Value) -> Interval:
    assert value.data is not None
    return int(np.min(value.data)), int(np.max(value.data))
