"""States that a loop only makes longer: lists of TorchScript, tensors that grow by a part a turn.

    outs = Concat(outs, part)        or        outs = SequenceInsert(outs, part)

Nothing in a turn reads them. They are taken out of the body, which gives the part instead: the loop
collects the parts, and they are joined when it is through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from onnx import GraphProto

from webrt import dims
from webrt.errors import UnsupportedOpError
from webrt.frontend.sequences import Item, Listed, Stacked, merged
from webrt.frontend.structure import used_names
from webrt.graph.ir import Graph, Node, Value, binds
from webrt.ops.compose import Make


class Scope(Protocol):
    """What the builder of a graph gives."""

    nodes: list[Node]


@dataclass(frozen=True, slots=True)
class Appended:
    """The state of a number that grows by a part a turn; `axis` None: a sequence."""

    number: int
    part: str
    axis: int | None


def split(
    graph: GraphProto, states: Sequence[Item | None]
) -> tuple[GraphProto, list[Appended], list[Item | None]]:
    """The body of a Loop without such states, their parts its last outputs; which they are; the
    other states.
    """
    made = {o: n for n in graph.node for o in n.output}
    read = [name for n in graph.node for name in used_names(n)] + [o.name for o in graph.output]
    found: list[Appended] = []
    gone: set[str] = set()
    for number, formal in enumerate(i.name for i in graph.input[2:]):
        after = graph.output[1 + number].name if 1 + number < len(graph.output) else ""
        node = made.get(after)
        if node is None or node.domain or len(node.input) != 2:
            continue
        if node.op_type not in ("Concat", "SequenceInsert"):
            continue
        before = node.input[0]
        same = made.get(before)  # to the dtype that it has, or a turn would change it
        if same is not None and same.op_type in ("Cast", "Identity"):
            before = same.input[0] if read.count(before) == 1 else ""
        if before == formal and read.count(formal) == read.count(after) == 1:
            axis = next((a.i for a in node.attribute if a.name == "axis"), None)
            found.append(Appended(number, node.input[1], axis))
            gone |= {after, node.input[0]}
    if not found:
        return graph, [], list(states)
    rest = GraphProto()
    rest.CopyFrom(graph)
    numbers = {a.number for a in found}
    for field in (rest.node, rest.input, rest.output):
        del field[:]
    rest.node.extend(n for n in graph.node if gone.isdisjoint(n.output))
    rest.input.extend(i for j, i in enumerate(graph.input) if j - 2 not in numbers)
    rest.output.extend(o for j, o in enumerate(graph.output) if j - 1 not in numbers)
    for state in found:
        rest.output.add().name = state.part
    return rest, found, [v for j, v in enumerate(states) if j not in numbers]


def held(
    scope: Scope, name: str, found: Sequence[Appended], states: Sequence[Item | None],
    results: list[Item],
) -> list[Item]:  # fmt: skip
    """A turn's results, whose parts (the last of them) have the sizes of what they are joined to.

    Where a turn decides a part's sizes, it holds the two to be equal. Torchvision pastes masks,
    each of its own size, into images of one.
    """
    own = {s for n in scope.nodes for s in binds(n)}
    make = Make(f"{name}/part")
    made = list(results)
    for place, state in enumerate(found, len(results) - len(found)):
        first, part = states[state.number], results[place]
        if state.axis is None or not isinstance(first, Value) or not isinstance(part, Value):
            continue
        rank = len(part.shape)
        if len(first.shape) != rank or not -rank <= state.axis < rank:
            continue
        shape = list(part.shape)
        for j, (left, right) in enumerate(zip(part.shape, first.shape, strict=True)):
            if j != state.axis % rank and not own.isdisjoint(dims.free_symbols(left)):
                make("Need", make.scalar(left), make.scalar(right), domain="webrt")
                shape[j] = right
        made[place] = make.reshape(part, *shape)
    scope.nodes += make.nodes
    return made


def finish(
    scope: Scope, name: str, found: Sequence[Appended], states: Sequence[Item | None],
    results: list[Item],
) -> list[Item]:  # fmt: skip
    """A loop's outputs, from those of what `split` left: the parts, stacked, come last."""
    if not found:
        return results
    _check_sizes(scope, name, results[-len(found) :])
    make = Make(f"{name}/joined")
    rest, parts = list(results[: -len(found)]), results[-len(found) :]
    for state, stack in zip(found, parts, strict=True):
        first = states[state.number]
        assert isinstance(stack, Value)
        if state.axis is None and isinstance(first, Listed):
            rest.insert(state.number, Stacked(first.values, stack))
        elif state.axis is not None and isinstance(first, Value):
            rank = len(stack.shape) - 1
            if not -rank <= state.axis < rank:
                raise UnsupportedOpError(f"node {name!r}: joins along axis {state.axis} of {rank}")
            axis = state.axis % rank
            whole = merged(make, stack, axis)
            empty = len(first.shape) == rank and first.shape[axis] == 0
            rest.insert(state.number, whole if empty else make("Concat", first, whole, axis=axis))
        else:
            raise UnsupportedOpError(f"node {name!r}: its state {state.number} isn't what grows")
    scope.nodes += make.nodes
    return rest


def _check_sizes(scope: Scope, name: str, parts: Sequence[Item]) -> None:
    """Raise UnsupportedOpError for parts of sizes that a turn decides."""
    bodies = [b for n in scope.nodes if isinstance(b := n.attributes.get("body"), Graph)]
    bound = {s for body in bodies for n in body.nodes for s in binds(n)}
    for part in parts:
        shape = part.shape if isinstance(part, Value) else ()
        if any(not bound.isdisjoint(dims.free_symbols(d)) for d in shape):
            raise UnsupportedOpError(
                f"node {name!r}: parts of sizes that a turn decides aren't run"
            )
