"""What control flow becomes: branches and loops over graphs, rings, sizes read from data.

These nodes are made by the front end, never read from a model. Graphs that they hold are closed:
what they take from outside are their last inputs, and the node's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.evaluate import evaluate_inner, outer_bindings
from webrt.graph.ir import Graph, Node, Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, call
from webrt.ops.compose import Make
from webrt.ops.emit import Emitter, Operands, flat
from webrt.ops.registry import Attr, compute, operator
from webrt.ops.site import Inferred, Site, Tensor

MAX_TURNS = 1 << 16
"""Turns of a loop whose number is known before it begins."""

MAX_WHILE_TURNS = 1 << 12
"""Turns of a loop that goes on while a condition holds, where the model gives no number."""


def graph_of(site: Site, name: str) -> Graph:
    """A graph that the node holds."""
    found = site.attributes.get(name)
    assert isinstance(found, Graph), (site.op, name)
    return found


class _Structure:
    """The plan holds what these stand for (`passes/flow.py`)."""

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        raise site.unsupported("is inside of what must be one kernel")


@operator("If", Attr("then"), Attr("other"), domain="webrt")
class If(_Structure):
    """Inputs: the condition, then what both graphs take. Its outputs' dims are the maker's."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return tuple(Inferred(v.dtype, v.shape) for v in graph_of(site, "then").outputs)

    @staticmethod
    def reference(site: Site, condition: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        chosen = "then" if condition.reshape(-1)[0] else "other"
        return tuple(evaluate_inner(graph_of(site, chosen), given, compute))


@operator("Loop", Attr("body"), Attr("states"), Attr("scans"), Attr("most"), domain="webrt")
class Loop(_Structure):
    """Inputs: the number of turns (or none), a condition (or none), states, rings, captures.

    The body takes a turn's states, the turn's slots of the rings (flat), captures; it gives the
    condition for the next turn (where the loop has one), the next states, and what is collected.
    The node's outputs are the last states and a ring for everything collected.
    """

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        body, states = graph_of(site, "body"), site.integer("states")
        first = int(site.optional(1) is not None)
        made = body.outputs[first:]
        finals = [Inferred(v.dtype, v.shape) for v in made[:states]]
        slots = slots_of(site)
        rings = [Inferred(v.dtype, (slots, pitch_of(v.dtype, v.shape))) for v in made[states:]]
        return (*finals, *rings)

    @staticmethod
    def reference(
        site: Site, trips: Tensor | None, condition: Tensor | None, *given: Tensor
    ) -> tuple[Tensor, ...]:
        body = graph_of(site, "body")
        states, scans = site.integer("states"), site.integer("scans")
        now, rings = list(given[:states]), given[states : states + scans]
        captures = given[states + scans :]
        limit = None if trips is None else int(trips.reshape(-1)[0])
        going = condition is None or bool(condition.reshape(-1)[0])
        collected: list[list[Tensor]] = [[] for _ in graph_of(site, "body").outputs[states:]]
        slots = body.inputs[states : states + scans]
        turn = 0
        while going and (limit is None or turn < limit) and turn < site.integer("most"):
            parts = [
                ring[turn].reshape(-1)[: _count(v.shape)].reshape(array_dims(v.shape))
                for ring, v in zip(rings, slots, strict=True)
            ]
            made = evaluate_inner(body, [*now, *parts, *captures], compute)
            if condition is not None:
                going = bool(made[0].reshape(-1)[0])
                made = made[1:]
            now = made[:states]
            for row, array in zip(collected, made[states:], strict=False):
                row.append(_slot(array))
            turn += 1
        bound = site.attributes.get("binds", ())
        assert isinstance(bound, tuple)
        outer_bindings().update((str(name), turn + 1) for name in bound)
        count = len(body.outputs) - states - int(condition is not None)
        return (*now, *(np.stack(r) if r else np.zeros((0, 1)) for r in collected[:count]))


def _count(shape: tuple[Dim, ...]) -> int:
    return int(np.prod(array_dims(shape), dtype=int))


def array_dims(shape: tuple[Dim, ...]) -> tuple[int, ...]:
    """A shape at the values of the symbols of the graph around."""
    return tuple(dims.evaluate(d, outer_bindings()) for d in shape)


def _slot(array: Tensor) -> Tensor:
    unit = 64 if array.itemsize != 2 else 128
    width = -(-max(array.size, 1) // unit) * unit
    return np.pad(array.reshape(-1), (0, width - array.size))


def slots_of(site: Site) -> Dim:
    """How many slots a loop's rings have: as many as it may take turns."""
    trips = site.optional(0)
    most = site.integer("most")
    if trips is None:
        return most
    turns = site.scalar(0, "its number of turns")
    if site.optional(1) is None:
        return turns
    return dims.dim_min(turns, most)


def pitch_of(dtype: DType, shape: tuple[Dim, ...]) -> Dim:
    """Elements of a slot: 256 bytes or a multiple, for that is how bindings are aligned."""
    unit = 256 // dtype.storage.bytes
    return dims.dim_max(dims.ceil_div(dims.product(shape), unit), 1) * unit


@operator("ToRing", Attr("axis", 0), Attr("reverse", 0), domain="webrt")
class ToRing:
    """The slices of a tensor along an axis as the slots of a ring, in their order or reversed."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x, axis = site.input(0), site.integer("axis")
        rest = (*x.shape[:axis], *x.shape[axis + 1 :])
        return (Inferred(x.dtype, (x.shape[axis], pitch_of(x.dtype, rest))),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        rows = np.moveaxis(x, site.integer("axis"), 0)
        rows = rows[::-1] if site.integer("reverse") else rows
        slots = [_slot(row) for row in rows]
        return (np.stack(slots) if slots else np.zeros((0, 64), x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, axis = site.input(0), site.integer("axis")
        rest = (*x.shape[:axis], *x.shape[axis + 1 :])
        count = dims.product(rest)
        whole = emit.outputs[0].shape[1] == count

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            turn = x.shape[axis] - 1 - at[0] if site.integer("reverse") else at[0]
            place = at[1] if whole else dims.dim_min(at[1], count - 1)
            inner = digits(place, rest)
            element = operands.at(x, [*inner[:axis], turn, *inner[axis:]])
            if whole:
                return element
            zero = Const(0.0 if element.dtype.is_float else 0, element.dtype)
            if element.dtype is DType.BOOL:
                zero = Const(False, DType.BOOL)
            return ex.select(call("lt", ex.as_index(at[1]), ex.as_index(count)), element, zero)

        emit.map(body)


def digits(place: Dim, shape: tuple[Dim, ...]) -> list[Dim]:
    """The multi-index of a flat place."""
    found: list[Dim] = []
    for position in range(len(shape) - 1, -1, -1):
        if position == 0:
            found.append(place)
        else:
            found.append(dims.modulo(place, shape[position]))
            place = dims.floor_div(place, shape[position])
    return found[::-1]


@operator("FromRing", Attr("axis", 0), Attr("reverse", 0), Attr("first", 0), domain="webrt")
class FromRing:
    """A ring's slots from `first` on as slices along an axis; input 1 is the tensor's shape."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(site.input(0).dtype, site.needed(1, "its shape")),)

    @staticmethod
    def reference(site: Site, ring: Tensor, shape: Tensor) -> tuple[Tensor, ...]:
        axis, first = site.integer("axis"), site.integer("first")
        sizes = [int(d) for d in shape]
        rest = sizes[:axis] + sizes[axis + 1 :]
        count = int(np.prod(rest, dtype=int))
        rows = [row[:count].reshape(rest) for row in ring[first : first + sizes[axis]]]
        rows = rows[::-1] if site.integer("reverse") else rows
        return (np.stack(rows, axis) if rows else np.zeros(sizes, ring.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        ring, axis = site.input(0), site.integer("axis")
        shape = emit.outputs[0].shape
        rest = (*shape[:axis], *shape[axis + 1 :])

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            turn = shape[axis] - 1 - at[axis] if site.integer("reverse") else at[axis]
            inner = flat([*at[:axis], *at[axis + 1 :]], rest)
            return operands.load(ring, (turn + site.integer("first")) * ring.shape[1] + inner)

        emit.map(body)


@operator("Need", domain="webrt")
class Need(_Structure):
    """Two sizes that a run holds to be equal."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(DType.BOOL, ()),)

    @staticmethod
    def reference(site: Site, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        if (left != right).any():
            raise site.shape_error(str(right), str(left))
        return (np.array(True),)


@operator("Values", domain="webrt")
class Values(_Structure):
    """The elements of a small tensor become symbols, each minus one."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(site.input(0).dtype, site.input(0).shape),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        return (x,)


def held(site: Site, make: Make, fits: Value) -> None:
    """End a run where the one element of an i32 vector, which the host reads, is negative."""
    if fits.data is not None:
        if np.less(fits.data, 0).any():
            raise site.shape_error("inputs that it takes", "others")
        return
    symbol = site.fresh("holds") + 1
    make.node("Values", (fits,), {"binds": (str(symbol),)}, "webrt")


def captured(
    nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value]
) -> list[Value]:
    """What a body takes from around it, besides its inputs: what is neither known nor made."""
    made = {*inputs, *(v for n in nodes for v in n.outputs)}
    read = [*(v for n in nodes for v in n.inputs if v is not None), *outputs]
    known = [v for v in dict.fromkeys(read) if v.data is not None or v.content is not None]
    return [v for v in dict.fromkeys(read) if v not in made and v not in known]


@dataclass(frozen=True, slots=True)
class Slices:
    """What a loop reads in turns: the slices of `x` along an axis, backwards if `reverse`."""

    x: Value
    axis: int = 0
    reverse: bool = False


Body = Callable[["Make", Sequence[Value], Sequence[Value]], tuple[Sequence[Value], Sequence[Value]]]


def repeat(
    make: Make, trips: Dim, states: Sequence[Value], slices: Sequence[Slices], body: Body
) -> tuple[list[Value], list[Value]]:
    """The states after `trips` turns of `body`, and rings of what it collects.

    `body(make, states, slices)` gives the next states and the collected values.
    """
    inner = Make(f"{make.name}/turn")
    formals = [Value(f"{make.name}/state_{j}", s.dtype, s.shape) for j, s in enumerate(states)]
    parts = [_part(make, s, j) for j, s in enumerate(slices)]
    nexts, collected = body(inner, formals, parts)
    rings = [
        make("ToRing", s.x, domain="webrt", axis=s.axis, reverse=int(s.reverse)) for s in slices
    ]
    params, outputs = [*formals, *parts], [*nexts, *collected]
    taken = captured(inner.nodes, params, outputs)
    graph = Graph((), (*params, *taken), tuple(outputs), tuple(inner.nodes), ("",) * len(outputs))
    made = make.several(
        len(outputs), "Loop", make.scalar(trips), None, *states, *rings, *taken,
        domain="webrt", body=graph, states=len(states), scans=len(slices), most=MAX_TURNS,
    )  # fmt: skip
    return list(made[: len(states)]), list(made[len(states) :])


def _part(make: Make, slices: Slices, number: int) -> Value:
    shape = slices.x.shape
    rest = (*shape[: slices.axis], *shape[slices.axis + 1 :])
    return Value(f"{make.name}/slice_{number}", slices.x.dtype, rest)


def unrolled(
    make: Make, trips: int, states: Sequence[Value], slices: Sequence[Slices], body: Body
) -> tuple[list[Value], list[list[Value]]]:
    """`repeat` without a loop; what is collected comes as the turns' values."""
    now, collected = list(states), []
    for turn in range(trips):
        parts = []
        for s in slices:
            place = trips - 1 - turn if s.reverse else turn
            part = make.part(s.x, s.axis, place, place + 1)
            parts.append(make("Squeeze", part, make.integers(s.axis)))
        nexts, row = body(make, now, parts)
        now = list(nexts)
        collected.append(list(row))
    return now, [list(column) for column in zip(*collected, strict=True)]
