"""If, Loop and Scan: branches that are known fold away, short loops unroll, the rest stays.

A body that stays is closed: what it takes from around it becomes an input of its node. Sequences
and optionals live in folded branches and unrolled turns only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from onnx import GraphProto, NodeProto

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import ModelError, ShapeError, UnsupportedOpError
from webrt.frontend import appended
from webrt.frontend.sequences import Item
from webrt.graph.ir import Attribute, Graph, Node, Value
from webrt.graph.ir import binds as bound_by
from webrt.ops.compose import Make
from webrt.ops.flow import MAX_TURNS, MAX_WHILE_TURNS, captured
from webrt.ops.registry import NEWEST
from webrt.ops.site import Site, shape_text

FEW_TURNS = 8
"""Turns up to which a loop unrolls at once."""

MAX_UNROLLED = 256
"""Turns up to which a loop unrolls that can't stay one: its states change their shapes, say."""


class Scope(Protocol):
    """What the builder of a graph gives."""

    nodes: list[Node]
    opsets: dict[str, int]
    place: str
    """Which turns of unrolled loops are being built, as a suffix of names."""
    turns: list[Value]
    """The turn of each loop that a run takes and that is being built."""

    def inside(self, name: str, graph: GraphProto, given: Sequence[Item | None]) -> list[Item]:
        """The outputs of a graph within this scope, its nodes appended."""

    def fresh(self, name: str) -> Dim:
        """A new symbol."""

    def known(self, value: Value) -> Value:
        """The value with its elements known, which a run reads if it must."""

    def subgraph(self, node: NodeProto, name: str) -> GraphProto: ...


@dataclass(frozen=True, slots=True)
class _Turns:
    """A loop as Loop and Scan both are: what it is given, and how a turn is built.

    `body(turn, going, states, parts)` gives the condition (or None), the states, what is collected.
    """

    name: str
    trips: Dim | None
    condition: Value | None
    states: list[Item]
    slices: list[tuple[Value, int, bool]]
    collected: list[tuple[int, bool]]
    body: Callable[[Value, Sequence[Item], Sequence[Value]], tuple[Item | None, list[Item]]]


def build_if(scope: Scope, name: str, node: NodeProto, inputs: Sequence[Item | None]) -> list[Item]:
    """The outputs of an If."""
    condition = _tensor(inputs[0], name)
    if condition.data is not None and condition.data.size == 1:
        chosen = "then_branch" if condition.data.reshape(-1)[0] else "else_branch"
        return scope.inside(name, scope.subgraph(node, chosen), ())
    outer = scope.nodes
    sides: list[tuple[list[Node], list[Value]]] = []
    for branch in ("then_branch", "else_branch"):
        scope.nodes = []
        made = scope.inside(f"{name}/{branch}", scope.subgraph(node, branch), ())
        sides.append((scope.nodes, [_tensor(v, name) for v in made]))
    scope.nodes = outer
    if any(_differ(*pair) for pair in zip(sides[0][1], sides[1][1], strict=True)):
        return _assumed(scope, name, condition, *sides[0])
    sides = [(_without_sizes(scope, nodes, outs), outs) for nodes, outs in sides]
    taken = list(dict.fromkeys(v for nodes, outs in sides for v in captured(nodes, (), outs)))
    binds: list[str] = []
    outputs = tuple(
        _joined(scope, name, j, left, right, binds)
        for j, (left, right) in enumerate(zip(sides[0][1], sides[1][1], strict=True))
    )
    attributes: dict[str, Attribute] = {
        key: Graph((), tuple(taken), tuple(outs), tuple(nodes), tuple(v.name for v in outs))
        for key, (nodes, outs) in zip(("then", "other"), sides, strict=True)
    }
    if binds:
        attributes["binds"] = tuple(binds)
    made_node = Node("If", name, (condition, *taken), outputs, attributes, "webrt", NEWEST)
    scope.nodes.append(made_node)
    return list(outputs)


def _without_sizes(scope: Scope, nodes: list[Node], outputs: list[Value]) -> list[Node]:
    """The nodes of a branch that stay in it: what its outputs' sizes need runs before, in any case.

    Torchvision's detectors have such branches: boxes that no better one covers, or no boxes.
    """
    makers = {v: n for n in nodes for v in n.outputs}
    binders = {s: n for n in nodes for s in bound_by(n)}

    def sized(values: Iterable[Value]) -> list[Node]:
        """The nodes of the branch that give sizes of values their values."""
        sizes = {s for v in values for d in v.shape for s in dims.free_symbols(d)}
        return [binders[s] for s in sizes if s in binders]

    needed: dict[int, Node] = {}
    stack = sized(outputs)
    while stack:
        node = stack.pop()
        if id(node) in needed:
            continue
        needed[id(node)] = node
        read = [v for v in node.inputs if v is not None]
        stack += [makers[v] for v in read if v in makers]
        stack += sized([*read, *node.outputs])
    scope.nodes += [n for n in nodes if id(n) in needed]
    return [n for n in nodes if id(n) not in needed]


def _differ(left: Value, right: Value) -> bool:
    return left.dtype is not right.dtype or len(left.shape) != len(right.shape)


def _assumed(
    scope: Scope, name: str, condition: Value, nodes: list[Node], outputs: list[Value]
) -> list[Item]:
    """The first branch where the second gives other types: a run holds the condition to be true.

    That is torch's `squeeze`, which asks whether a dim is 1 and gives another rank where it is.
    """
    maker = next((n for n in reversed(scope.nodes) if condition in n.outputs), None)
    site = None if maker is None else Site.of(maker)
    if maker is None or site is None or maker.op != "Equal" or condition.shape not in ((), (1,)):
        raise UnsupportedOpError(f"node {name!r} (If): its branches differ in type or rank")
    left, right = site.known(0), site.known(1)
    if left is None or right is None or len(left) != 1 or len(right) != 1:
        raise UnsupportedOpError(f"node {name!r} (If): its branches differ in type or rank")
    make = Make(name)
    make("Need", make.scalar(left[0]), make.scalar(right[0]), domain="webrt")
    scope.nodes += [*make.nodes, *nodes]
    return list(outputs)


def _joined(
    scope: Scope, name: str, number: int, left: Value, right: Value, binds: list[str]
) -> Value:
    """What an output is, whichever branch made it; dims that differ become symbols."""
    shape: list[Dim] = []
    for axis, (a, b) in enumerate(zip(left.shape, right.shape, strict=True)):
        if a == b:
            shape.append(a)
            continue
        symbol = scope.fresh(f"{name}.{number}.{axis}")
        binds.append(str(symbol))
        shape.append(symbol - 1)
    return Value(f"{name}.{number}", left.dtype, tuple(shape))


def build_loop(
    scope: Scope, name: str, node: NodeProto, inputs: Sequence[Item | None]
) -> list[Item]:
    """The outputs of a Loop."""
    graph = scope.subgraph(node, "body")
    given = [*inputs, None, None][: max(2, len(inputs))]
    trips: Dim | None = None
    if given[0] is not None:
        (trips,) = Site("Loop", name, (scope.known(_tensor(given[0], name)),), {}, 0, 1).needed(
            0, "its number of turns"
        )
        trips = dims.dim_max(trips, 0)
        if isinstance(trips, int) and trips >= 1 << 31:  # TorchScript's: its condition ends it
            trips = None
    condition = None if given[1] is None else _tensor(given[1], name)
    if condition is not None and condition.data is not None:
        if not condition.data.reshape(-1)[0]:
            trips = 0
        condition = None
    unrolls = isinstance(trips, int) and trips <= MAX_UNROLLED
    graph, grown, kept = (graph, [], given[2:]) if unrolls else appended.split(graph, given[2:])
    states = [_item(v, name) for v in kept]
    count = len(graph.output) - 1 - len(states)
    if len(graph.input) != 2 + len(states) or count < 0:
        raise ModelError(f"node {name!r} (Loop): its body doesn't have what its inputs ask for")
    ranks = [min(len(i.type.tensor_type.shape.dim), 1) for i in graph.input[:2]]
    true = Value(f"{name}.going", DType.BOOL, (1,) * ranks[1], np.full((1,) * ranks[1], True))

    def body(
        turn: Value, now: Sequence[Item], parts: Sequence[Value]
    ) -> tuple[Item | None, list[Item]]:
        if ranks[0]:  # old converters declare the turn as a tensor of one element
            make = Make(f"{name}/turn")
            turn = make("Reshape", turn, make.integers(1))
            scope.nodes += make.nodes
        first, *rest = scope.inside(f"{name}/body", graph, (turn, true, *now))
        return first, appended.held(scope, name, grown, given[2:], rest)

    loop = _Turns(name, trips, condition, states, [], [(0, False)] * count, body)
    return appended.finish(scope, name, grown, given[2:], _turns(scope, loop))


def build_scan(
    scope: Scope, name: str, node: NodeProto, inputs: Sequence[Item | None]
) -> list[Item]:
    """The outputs of a Scan; of opset 8, that is one for each element of a batch."""
    if scope.opsets[""] > 8:
        return _scan(scope, name, node, inputs)
    first, *rest = inputs
    batch = {v.shape[0] for v in rest if isinstance(v, Value) and v.shape}
    many = batch.pop() if len(batch) == 1 else None
    if first is not None or not isinstance(many, int) or many > MAX_UNROLLED:
        raise UnsupportedOpError(f"node {name!r} (Scan): over batches, it isn't run")
    make = Make(name)
    rows: list[list[Value]] = []
    for j in range(many):
        slices = [make.part(_tensor(v, name), 0, j, j + 1) for v in rest]
        parts = [make("Squeeze", part, make.integers(0)) for part in slices]
        scope.nodes += make.nodes
        make.nodes.clear()
        rows.append([_tensor(v, name) for v in _scan(scope, f"{name}/{j}", node, parts)])
    found: list[Item] = []
    for column in zip(*rows, strict=True):
        whole = [make("Unsqueeze", v, make.integers(0)) for v in column]
        found.append(make("Concat", *whole, axis=0) if len(whole) > 1 else whole[0])
    scope.nodes += make.nodes
    return found


def _scan(scope: Scope, name: str, node: NodeProto, inputs: Sequence[Item | None]) -> list[Item]:
    graph = scope.subgraph(node, "body")
    numbers = {a.name: a.i for a in node.attribute if a.name == "num_scan_inputs"}
    lists = {a.name: list(a.ints) for a in node.attribute}
    scans = numbers.get("num_scan_inputs", 0)
    states = [_item(v, name) for v in inputs[: len(inputs) - scans]]
    sources = [_tensor(v, name) for v in inputs[len(inputs) - scans :]]
    count = len(graph.output) - len(states)
    if scans < 1 or len(inputs) < scans or len(graph.input) != len(inputs) or count < 0:
        raise ModelError(f"node {name!r} (Scan): its body doesn't have what its inputs ask for")
    slices = []
    for j, x in enumerate(sources):
        axis = (lists.get("scan_input_axes") or [0] * scans)[j]
        ways = lists.get("scan_input_directions") or lists.get("directions") or [0] * scans
        reverse = ways[j]
        slices.append((x, _axis(name, axis, len(x.shape)), bool(reverse)))
    axes = lists.get("scan_output_axes") or [0] * count
    ways = lists.get("scan_output_directions") or [0] * count
    trips = {x.shape[axis] for x, axis, _ in slices}
    if len(trips) > 1:
        raise ShapeError(f"node {name!r} (Scan): expected as many slices everywhere, found others")

    def body(
        turn: Value, now: Sequence[Item], parts: Sequence[Value]
    ) -> tuple[Item | None, list[Item]]:
        return None, scope.inside(f"{name}/body", graph, (*now, *parts))

    collected = [(a, bool(w)) for a, w in zip(axes, ways, strict=True)]
    return _turns(scope, _Turns(name, trips.pop(), None, states, slices, collected, body))


def _turns(scope: Scope, loop: _Turns) -> list[Item]:
    """Unrolled where that is short or the only way, else a node."""
    many = loop.trips if isinstance(loop.trips, int) else None
    if many is not None and many <= FEW_TURNS:
        made = _unroll(scope, loop, many)
        if made is not None:
            return made
    try:
        return _stay(scope, loop)
    except UnsupportedOpError:
        made = None if many is None or many > MAX_UNROLLED else _unroll(scope, loop, many)
        if made is None:
            raise
        return made


def _unroll(scope: Scope, loop: _Turns, many: int) -> list[Item] | None:
    """Every turn's nodes; None where a run decides how many turns there are."""
    if loop.condition is not None:
        return None
    outer, scope.nodes = scope.nodes, []
    place = scope.place
    make = Make(loop.name)
    now: list[Item] = list(loop.states)
    rows: list[list[Value]] = []
    done = 0
    for turn in range(many):
        parts = []
        for x, axis, reverse in loop.slices:
            at = many - 1 - turn if reverse else turn
            part = make.part(x, axis, at, at + 1)
            parts.append(make("Squeeze", part, make.integers(axis)))
        scope.nodes += make.nodes
        make.nodes.clear()
        scope.place = f"{place} in turn {turn}"
        try:
            going, made = loop.body(make.scalar(turn), now, parts)
        finally:
            scope.place = place
        now = made[: len(now)]
        rows.append([_tensor(v, loop.name) for v in made[len(now) :]])
        done += 1
        if going is not None:
            known = _tensor(going, loop.name).data
            if known is None and turn < many - 1:
                scope.nodes = outer
                return None
            if known is not None and not known.reshape(-1)[0]:
                break
    collected = _stacked(make, loop, rows, done)
    scope.nodes = [*outer, *scope.nodes, *make.nodes]
    return [*now, *collected]


def _stacked(make: Make, loop: _Turns, rows: list[list[Value]], done: int) -> list[Value]:
    """The values that turns collected, as tensors."""
    if not done and loop.collected:
        raise UnsupportedOpError(
            f"node {loop.name!r}: it takes no turn: what it collects isn't run"
        )
    found = []
    for j, (place, backwards) in enumerate(loop.collected):
        axis = _axis(loop.name, place, len(rows[0][j].shape) + 1)
        parts = [make("Unsqueeze", row[j], make.integers(axis)) for row in rows]
        parts = parts[::-1] if backwards else parts
        found.append(make("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0])
    return found


def _stay(scope: Scope, loop: _Turns) -> list[Item]:
    """A loop that a run takes."""
    name = loop.name
    states = [_tensor(v, name) for v in loop.states]
    formals = [Value(f"{name}.state_{j}", s.dtype, s.shape) for j, s in enumerate(states)]
    parts = [
        Value(f"{name}.slice_{j}", x.dtype, (*x.shape[:axis], *x.shape[axis + 1 :]))
        for j, (x, axis, _) in enumerate(loop.slices)
    ]
    turn = Value(f"{name}.turn", DType.I64, ())
    outer, scope.nodes = scope.nodes, []
    scope.turns.append(turn)
    try:
        going, made = loop.body(turn, formals, parts)
        outs = [_tensor(v, name) for v in made]
        inner = scope.nodes
    finally:
        scope.nodes = outer
        scope.turns.pop()
    condition, checks = _condition(loop, going)
    for j, (state, after) in enumerate(zip(formals, outs, strict=False)):
        if state.dtype is not after.dtype or state.shape != after.shape:
            raise UnsupportedOpError(
                f"node {name!r}: state {j} changes, which isn't run: {_kind(state)} before a turn,"
                f" {_kind(after)} after it"
            )
    most = MAX_TURNS if condition is None else MAX_WHILE_TURNS
    make = Make(name)
    rings = [
        make("ToRing", x, domain="webrt", axis=axis, reverse=int(reverse))
        for x, axis, reverse in loop.slices
    ]
    params = [*formals, *parts]
    uses = {v for n in inner for v in n.inputs} | set(outs)
    if turn in uses:
        turns = make.range(most if loop.trips is None else dims.dim_min(loop.trips, most))
        rings.append(make("ToRing", turns, domain="webrt"))
        params.append(turn)
    outputs = [*checks, *outs]
    taken = captured(inner, params, outputs)
    body = Graph((), (*params, *taken), tuple(outputs), tuple(inner), ("",) * len(outputs))
    attributes: dict[str, Attribute] = {
        "body": body, "states": len(states), "scans": len(rings), "most": most,
    }  # fmt: skip
    length = loop.trips
    if condition is not None:
        symbol = scope.fresh(f"{name}.turns")
        attributes["binds"] = (str(symbol),)
        length = symbol - 1
    assert length is not None
    limit = None if loop.trips is None else make.scalar(loop.trips)
    results = make.several(
        len(outs), "Loop", limit, condition, *states, *rings, *taken, domain="webrt", **attributes
    )
    finals, found = list(results[: len(states)]), results[len(states) :]
    pairs = zip(found, outs[len(states) :], loop.collected, strict=True)
    for ring, value, (place, backwards) in pairs:
        axis = _axis(name, place, len(value.shape) + 1)
        shape = (*value.shape[:axis], length, *value.shape[axis:])
        finals.append(
            make(
                "FromRing", ring, make.integers(*shape), domain="webrt", axis=axis,
                reverse=int(backwards),
            )
        )  # fmt: skip
    scope.nodes += make.nodes
    return list(finals)


def _condition(loop: _Turns, going: Item | None) -> tuple[Value | None, list[Value]]:
    """The loop's condition, and what a turn makes of it: none where it always holds."""
    after = None if going is None else _tensor(going, loop.name)
    if after is not None and after.data is not None:
        if not after.data.reshape(-1)[0]:
            raise UnsupportedOpError(f"node {loop.name!r}: takes at most one turn: that isn't run")
        after = None
    if after is None and loop.condition is None:
        if loop.trips is None:
            raise UnsupportedOpError(f"node {loop.name!r} (Loop): never ends")
        return None, []
    true = Value(f"{loop.name}.going", DType.BOOL, (), np.array(True))
    return loop.condition or true, [after or true]


def _kind(value: Value) -> str:
    return f"{value.dtype} {shape_text(value.shape)}"


def _axis(name: str, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ShapeError(f"node {name!r}: expected an axis in {-rank} … {rank - 1}, found {axis}")
    return axis % rank


def _item(item: Item | None, name: str) -> Item:
    if item is None:
        raise UnsupportedOpError(f"node {name!r}: a state that isn't given isn't run")
    return item


def _tensor(item: Item | None, name: str) -> Value:
    if not isinstance(item, Value):
        raise UnsupportedOpError(
            f"node {name!r}: a sequence or an optional in control flow that a run decides isn't run"
        )
    return item


BUILDERS = {"If": build_if, "Loop": build_loop, "Scan": build_scan}
