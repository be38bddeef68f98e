"""Arena offsets: which tensors share memory over time. `web/memory.js` is this file in JavaScript.

The algorithm, step by step, so that both agree to the byte:

1. A tensor of home ARENA lives from the first to the last moment that touches it, both included
   (`plan/flow.py`): what one step reads and writes never overlaps. Every epoch has an arena of its
   own; a tensor lies in that of the epoch in which its life begins.
2. Its size is its bytes under the bindings, rounded up to a multiple of 256.
3. Tensors are placed one by one, larger sizes first, equal sizes by rising tensor index.
4. To place one, take the tensors placed before whose lives overlap its own, by rising
   (offset, index), and walk through them with `end` = 0 at first: the gap before each runs from
   `end` to its offset; afterwards `end` becomes the larger of `end` and its offset + size. The
   smallest gap that holds the tensor wins, the lowest of equal ones; where none does, the tensor
   goes to the final `end`.

The peak is the largest offset + size; the lower bound the largest sum of sizes alive at one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webrt import dims
from webrt.plan.flow import Outline
from webrt.plan.plan import Home, Plan

ALIGNMENT = 256
"""WebGPU's default alignment of a storage binding's offset."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Byte offsets of the arena's tensors, the arena's size, and what no placement can go below."""

    offsets: dict[int, int]
    peak: int
    lower_bound: int


Lives = dict[int, tuple[int, int]]


def lifetimes(plan: Plan) -> dict[int, Lives]:
    """First and last moment of every arena tensor that is touched, by epochs."""
    outline = Outline(plan)
    found: dict[int, Lives] = {epoch: {} for epoch in range(outline.epoch + 1)}
    for tensor, (first, last) in outline.lives().items():
        if plan.tensors[tensor].home is Home.ARENA:
            found[outline.epochs[first]][tensor] = (first, last)
    return found


def place(plan: Plan, bindings: Mapping[str, int]) -> Placement:
    """All arenas together under the given values of the model's symbols.

    Raises KeyError for an unbound symbol.
    """
    placed = [place_epoch(plan, lives, bindings) for lives in lifetimes(plan).values()]
    offsets = {t: o for p in placed for t, o in p.offsets.items()}
    return Placement(offsets, sum(p.peak for p in placed), sum(p.lower_bound for p in placed))


def place_epoch(plan: Plan, lives: Lives, bindings: Mapping[str, int]) -> Placement:
    """Offsets in the arena of one epoch, whose tensors live as `lives` tells.

    Empty tensors have a place, too: they are bound, and a device refuses two that overlap.
    """
    sizes = {t: _aligned(max(1, dims.evaluate(plan.tensors[t].bytes, bindings))) for t in lives}
    offsets: dict[int, int] = {}
    peak = 0
    for tensor in sorted(lives, key=lambda t: (-sizes[t], t)):
        first, last = lives[tensor]
        overlapping = [t for t in offsets if lives[t][0] <= last and first <= lives[t][1]]
        end, best = 0, -1
        smallest = 0
        for other in sorted(overlapping, key=lambda t: (offsets[t], t)):
            gap = offsets[other] - end
            if gap >= sizes[tensor] and (best < 0 or gap < smallest):
                best, smallest = end, gap
            end = max(end, offsets[other] + sizes[other])
        offsets[tensor] = best if best >= 0 else end
        peak = max(peak, offsets[tensor] + sizes[tensor])
    return Placement(offsets, peak, _lower_bound(lives, sizes))


def _lower_bound(lives: Lives, sizes: Mapping[int, int]) -> int:
    alive = [0] * (1 + max((last for _, last in lives.values()), default=0))
    for tensor, (first, last) in lives.items():
        for moment in range(first, last + 1):
            alive[moment] += sizes[tensor]
    return max(alive)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
