"""What a flow says about time: when tensors live, and when their sizes are known.

`Outline` walks a flow once and numbers its moments: each step, each read of the host, each write of
the host is one. Loops span the moments of their bodies. `web/flow.js` is this file in JavaScript.

An epoch begins where symbols get values in the middle of a run, and where those of a branch or of a
loop's body are gone: tensors that are first touched in it are laid out then, in an arena of their
own. A plan whose symbols are all read off its inputs has one epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from webrt.plan.plan import Branch, Flow, HostStep, Item, Loop, Need, Plan, Run


@dataclass(frozen=True, slots=True)
class Span:
    """The epochs in which the flows inside of an item begin, that behind it, whether it is new."""

    begins: tuple[int, ...]
    after: int
    enters: bool


@dataclass(slots=True)
class Outline:
    """`moments` are the tensors touched at each (rings for windows), `epochs` the epoch of each.

    `loops` are (first moment, moment after the last, tensors touched through windows); `spans` are
    those of items that aren't runs, by `id`.
    """

    plan: Plan
    moments: list[tuple[int, ...]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    loops: list[tuple[int, int, frozenset[int]]] = field(default_factory=list)
    spans: dict[int, Span] = field(default_factory=dict)
    epoch: int = 0

    def __post_init__(self) -> None:
        self._walk(self.plan.items)

    def lives(self) -> dict[int, tuple[int, int]]:
        """First and last moment of every tensor that is touched; whole loops where they matter.

        What is touched both inside and outside of a loop, and what is touched through windows
        there, lives from the loop's beginning to its end at least.
        """
        lives: dict[int, tuple[int, int]] = {}
        for moment, touched in enumerate(self.moments):
            for tensor in touched:
                first, _ = lives.get(tensor, (moment, moment))
                lives[tensor] = (first, moment)
        for begin, end, rings in self.loops:  # inner loops stand before outer ones
            for tensor in dict.fromkeys(t for m in self.moments[begin:end] for t in m):
                first, last = lives[tensor]
                if first < begin or last >= end or tensor in rings:
                    lives[tensor] = (min(first, begin), max(last, end - 1))
        return lives

    def _walk(self, flow: Flow) -> None:
        for item in flow:
            match item:
                case Run(first, end):
                    for step in self.plan.steps[first:end]:
                        self._touch(*step.inputs, *step.outputs)
                case HostStep(inputs=inputs, outputs=outputs, symbols=symbols):
                    self._touch(*inputs)
                    self._leave(item, (), bool(symbols))
                    self._touch(*outputs)
                case Branch():
                    self._branch(item)
                case Loop():
                    self._loop(item)
                case Need():
                    self._leave(item, (), enters=False)
                case _:
                    assert_never(item)

    def _branch(self, branch: Branch) -> None:
        """What both ways write is laid out before either begins."""
        self._touch(branch.condition)
        self.epoch += bool(branch.bound)
        written = [set(writes_of(self.plan, flow)) for flow in (branch.then, branch.other)]
        self._touch(*sorted(written[0] & written[1]))
        entry = self.epoch
        self._walk(branch.then)
        self.epoch += self.epoch != entry
        begins = entry, self.epoch
        self._walk(branch.other)
        self._leave(branch, begins, self.epoch != entry)

    def _loop(self, loop: Loop) -> None:
        if loop.condition is not None:
            self._touch(loop.condition)
        begin, entry = len(self.moments), self.epoch
        self._walk(loop.body)
        if loop.condition is not None:
            self._touch(loop.condition)
        rings = frozenset(self._rings(loop.body))
        self.loops.append((begin, len(self.moments), rings))
        self._leave(loop, (entry,), loop.symbol is not None or self.epoch != entry)

    def _leave(self, item: Item, begins: tuple[int, ...], enters: bool) -> None:
        self.epoch += enters
        self.spans[id(item)] = Span(begins, self.epoch, enters)

    def _rings(self, flow: Flow) -> Iterator[int]:
        for tensor in tensors_of(self.plan, flow):
            window = self.plan.tensors[tensor].window
            if window is not None:
                yield window.ring

    def _touch(self, *tensors: int) -> None:
        windows = [self.plan.tensors[t].window for t in tensors]
        self.moments.append(
            tuple(t if w is None else w.ring for t, w in zip(tensors, windows, strict=True))
        )
        self.epochs.append(self.epoch)


def runs_of(flow: Flow) -> Iterator[Run]:
    """Every run of a flow, in order, those inside of branches and loops too."""
    for item in items_of(flow):
        if isinstance(item, Run):
            yield item


def items_of(flow: Flow) -> Iterator[Item]:
    """Every item of a flow in order, each before those inside of it."""
    for item in flow:
        yield item
        if isinstance(item, Branch):
            yield from items_of(item.then)
            yield from items_of(item.other)
        elif isinstance(item, Loop):
            yield from items_of(item.body)


def loops_of(flow: Flow) -> tuple[Loop, ...]:
    """The loops as `Window.loop` counts them."""
    return tuple(i for i in items_of(flow) if isinstance(i, Loop))


def host_steps(plan: Plan) -> tuple[HostStep | Branch | Loop, ...]:
    """The items at which the host waits for the device in the middle of a run."""
    return tuple(
        i
        for i in items_of(plan.flow)
        if isinstance(i, HostStep | Branch) or (isinstance(i, Loop) and i.condition is not None)
    )


def stops_of(plan: Plan) -> tuple[tuple[str, str], ...]:
    """(what, node) of each time the host waits for the device; in a loop, once a turn."""
    found = []
    for item in host_steps(plan):
        match item:
            case HostStep():
                found.append((item.op, item.node))
            case Branch():
                found.append(("if", item.node))
            case Loop():
                found.append(("loop", item.node))
    return tuple(found)


def tensors_of(plan: Plan, flow: Flow) -> Iterator[int]:
    """Every tensor that the steps of a flow touch."""
    for run in runs_of(flow):
        for step in plan.steps[run.first : run.end]:
            yield from step.inputs
            yield from step.outputs


def writes_of(plan: Plan, flow: Flow) -> Iterator[int]:
    """Every tensor that a flow writes."""
    for item in items_of(flow):
        if isinstance(item, Run):
            for step in plan.steps[item.first : item.end]:
                yield from step.outputs
        elif isinstance(item, HostStep):
            yield from item.outputs


def bound_by(item: Item) -> tuple[str, ...]:
    """The symbols that have values after an item, and not before."""
    match item:
        case HostStep(symbols=symbols):
            return symbols
        case Branch(bound=bound):
            return tuple(name for name, _, _ in bound)
        case Loop(symbol=symbol):
            return () if symbol is None else (symbol,)
        case Run() | Need():
            return ()
        case _:
            assert_never(item)
