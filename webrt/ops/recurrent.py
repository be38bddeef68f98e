"""LSTM, GRU and RNN: everything that needs no state in one go, then a loop over time.

Directions are a dim beside the batch, so that one loop does both: [direction, batch, hidden]. The
second one reads its steps backwards: reversed before the loop, and back after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from webrt.dims import Dim
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.flow import Slices, repeat, unrolled
from webrt.ops.registry import Attr
from webrt.ops.site import Site, hold_shape

SHORT = 4
"""Steps up to which no loop is made."""

Activation = Callable[[Make, Value], Value]
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_BLEND = {"LSTM": 3, "GRU": 2, "RNN": 1}  # activations of one direction
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_TWICE = ("Tanh", "Tanh")
_PARAMETERS: dict[str, tuple[float | None, float | None]] = {
    "Affine": (1.0, 0.0), "LeakyRelu": (0.01, None), "ThresholdedRelu": (1.0, None),
    "ScaledTanh": (1.0, 1.0), "HardSigmoid": (0.2, 0.5), "Elu": (1.0, None), "Relu": (None, None),
    "Tanh": (None, None), "Sigmoid": (None, None), "Softsign": (None, None),
    "Softplus": (None, None),
}  # fmt: skip
"""Every activation with its defaults of alpha and beta, where it takes them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one recurrent operator computes, put together of `make`'s nodes.

    `x` is [steps, direction, batch, gates · hidden]: what the inputs contribute, biases included.
    """

    site: Site
    make: Make
    directions: int
    batch: Dim
    hidden: int
    steps: Dim
    x: Value
    recurrent: Value  # [direction, hidden, gates · hidden]
    bias: Value | None  # of the recurrence alone, [direction, 1, gates · hidden]
    peepholes: Value | None  # [direction, 3 · hidden]
    lengths: Value | None
    activations: tuple[tuple[Activation, ...], ...]  # for each direction
    clip: float | None

    def gates(self, make: Make, value: Value) -> list[Value]:
        """A value's parts along the last axis."""
        axis = len(value.shape) - 1
        count = _GATES[self.site.op]
        return [
            make.part(value, axis, j * self.hidden, (j + 1) * self.hidden) for j in range(count)
        ]

    def squash(self, make: Make, which: int, value: Value) -> Value:
        """Activation number `which` of a gate, clipped before."""
        if self.clip is not None:
            bounds = make.number(-self.clip, value), make.number(self.clip, value)
            value = make("Clip", value, *bounds)
        return self.activation(make, which, value)

    def activation(self, make: Make, which: int, value: Value) -> Value:
        """Activation number `which`, of each direction its own."""
        functions = dict.fromkeys(row[which] for row in self.activations)
        if len(functions) == 1:
            return next(iter(functions))(make, value)
        made = [f(make, make.part(value, 0, d, d + 1)) for d, f in enumerate(functions)]
        return make("Concat", *made, axis=0)

    def peephole(self, make: Make, which: int, state: Value) -> Value | None:
        """What the cell's state adds to gate `which` (input, output, forget)."""
        if self.peepholes is None:
            return None
        weights = make.part(self.peepholes, 1, which * self.hidden, (which + 1) * self.hidden)
        weights = make.reshape(weights, self.directions, 1, self.hidden)
        return make("Mul", weights, state)


def _recurrent(op: str) -> Callable[[Site, Make], tuple[Value, ...]]:
    def expand(site: Site, make: Make) -> tuple[Value, ...]:
        cell = _cell(site, make)
        states = [_initial(cell, j) for j in range(2 if op == "LSTM" else 1)]
        turn = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[op]
        slices = [Slices(cell.x)]
        if cell.lengths is not None:
            slices.append(Slices(_alive(cell)))

        def body(
            inner: Make, now: Sequence[Value], parts: Sequence[Value]
        ) -> tuple[Sequence[Value], Sequence[Value]]:
            nexts = turn(cell, inner, now, parts[0])
            output = nexts[0]
            if cell.lengths is not None:
                zero = inner.number(0, output)
                output = inner("Where", parts[1], output, zero)
                nexts = [
                    inner("Where", parts[1], new, old) for new, old in zip(nexts, now, strict=True)
                ]
            return nexts, [output]

        shape = (cell.steps, cell.directions, cell.batch, cell.hidden)
        if isinstance(cell.steps, int) and cell.steps <= SHORT:
            finals, (column,) = unrolled(make, cell.steps, states, slices, body)
            rows = [make.reshape(v, 1, *v.shape) for v in column]
            outputs = make("Concat", *rows, axis=0) if len(rows) > 1 else rows[0]
        else:
            finals, (ring,) = repeat(make, cell.steps, states, slices, body)
            outputs = make("FromRing", ring, make.integers(*shape), domain="webrt")
        outputs = _each_way(cell, outputs)
        if site.attributes.get("layout", 0):
            outputs = make.transpose(outputs, 2, 0, 1, 3)
            finals = [make.transpose(v, 1, 0, 2) for v in finals]
        return (outputs, *finals)

    return expand


def _cell(site: Site, make: Make) -> Cell:
    op, hidden = site.op, site.positive("hidden_size") if "hidden_size" in site.attributes else 0
    directions = 2 if site.text("direction") == "bidirectional" else 1
    if site.text("direction") not in ("forward", "reverse", "bidirectional"):
        raise site.unsupported(f"a direction {site.text('direction')!r}")
    x, weights = site.input(0), site.input(1)
    site.ranked(0, 3)
    if site.attributes.get("layout", 0):
        x = make.transpose(x, 1, 0, 2)
    steps, batch, features = x.shape
    rows = site.ranked(1, 3)[1]
    if not isinstance(rows, int) or rows % _GATES[op]:
        raise site.shape_error(f"a multiple of {_GATES[op]} rows", str(rows))
    hidden = hidden or rows // _GATES[op]
    wanted = [(1, (directions, _GATES[op] * hidden, features)),
              (2, (directions, _GATES[op] * hidden, hidden)),
              (3, (directions, 2 * _GATES[op] * hidden))]  # fmt: skip
    for position, shape in wanted:
        if site.optional(position) is not None:
            hold_shape(site, position, shape)
    lengths = site.optional(4)
    whole = lengths is not None and lengths.data is not None and isinstance(steps, int)
    if whole and lengths is not None and lengths.data is not None and (lengths.data == steps).all():
        lengths = None  # nothing is cut short
    bias, after = _biases(site, make, directions, hidden)
    clip = site.attributes.get("clip")
    cell = Cell(
        site, make, directions, batch, hidden, steps, x,
        make.transpose(site.input(2), 0, 2, 1), after,
        site.optional(7) if op == "LSTM" else None, lengths,
        _activations(site, directions), float(clip) if isinstance(clip, int | float) else None,
    )  # fmt: skip
    if cell.peepholes is not None:
        hold_shape(site, 7, (directions, 3 * hidden))
    ways = _each_way(cell, make.reshape(x, steps, 1, batch, features), first=True)
    product = make("MatMul", ways, make.transpose(weights, 0, 2, 1))
    if bias is not None:
        product = make("Add", product, bias)
    return replace(cell, x=product)


def _biases(
    site: Site, make: Make, directions: int, hidden: int
) -> tuple[Value | None, Value | None]:
    """What is added to the inputs' part, and what to the recurrence's before a reset gate."""
    bias = site.optional(3)
    if bias is None:
        return None, None
    width = _GATES[site.op] * hidden
    halves = [make.part(bias, 1, j * width, (j + 1) * width) for j in range(2)]
    first, second = (make.reshape(h, directions, 1, width) for h in halves)
    if site.op != "GRU" or not site.attributes.get("linear_before_reset", 0):
        return make("Add", first, second), None
    return first, second


def _each_way(cell: Cell, value: Value, first: bool = False) -> Value:
    """[steps, direction, …]: steps backwards where the direction is; `first`: of one for all."""
    make, way = cell.make, cell.site.text("direction")
    if way == "forward":
        return value
    if cell.directions == 1:
        return _backwards(cell, value)
    halves = [value, value] if first else [make.part(value, 1, d, d + 1) for d in range(2)]
    return make("Concat", halves[0], _backwards(cell, halves[1]), axis=1)


def _backwards(cell: Cell, value: Value) -> Value:
    """Steps in reversed order; of each batch its own steps only where it has fewer."""
    make = cell.make
    if cell.lengths is None:
        starts, ends, steps = make.integers(-1), make.integers(-(1 << 31) + 1), make.integers(-1)
        return make("Slice", value, starts, ends, make.integers(0), steps)
    flat = make.transpose(value, 0, 2, 1, 3)  # ReverseSequence takes steps, then batches
    lengths = make.cast(cell.lengths, make.integers(0).dtype)
    turned = make("ReverseSequence", flat, lengths, time_axis=0, batch_axis=1)
    return make.transpose(turned, 0, 2, 1, 3)


def _alive(cell: Cell) -> Value:
    """[steps, 1, batch, 1] of bool: whether the batch has that step."""
    make = cell.make
    assert cell.lengths is not None
    turns = make.reshape(make.range(cell.steps), cell.steps, 1, 1, 1)
    lengths = make.cast(cell.lengths, turns.dtype)
    return make("Less", turns, make.reshape(lengths, 1, 1, cell.batch, 1))


def _initial(cell: Cell, which: int) -> Value:
    """The state before the first step: an input or zeros."""
    make, given = cell.make, cell.site.optional(5 + which)
    shape = (cell.directions, cell.batch, cell.hidden)
    if given is None:
        zero = np.zeros(1, cell.x.data.dtype if cell.x.data is not None else np.float32)
        made = make("ConstantOfShape", make.integers(*shape), value=zero)
        return make.cast(made, cell.x.dtype)
    if cell.site.attributes.get("layout", 0):
        given = make.transpose(given, 1, 0, 2)
    return given


def _lstm(cell: Cell, make: Make, now: Sequence[Value], x: Value) -> list[Value]:
    hidden, state = now
    summed = make("Add", make("MatMul", hidden, cell.recurrent), x)
    i, o, f, c = cell.gates(make, summed)
    coupled = bool(cell.site.attributes.get("input_forget", 0))
    i = cell.squash(make, 0, _plus(make, i, cell.peephole(make, 0, state)))
    if coupled:
        f = make("Sub", make.number(1, i), i)
    else:
        f = cell.squash(make, 0, _plus(make, f, cell.peephole(make, 2, state)))
    c = cell.squash(make, 1, c)
    after = make("Add", make("Mul", f, state), make("Mul", i, c))
    o = cell.squash(make, 0, _plus(make, o, cell.peephole(make, 1, after)))
    return [make("Mul", o, cell.activation(make, 2, after)), after]


def _plus(make: Make, value: Value, other: Value | None) -> Value:
    return value if other is None else make("Add", value, other)


def _gru(cell: Cell, make: Make, now: Sequence[Value], x: Value) -> list[Value]:
    (hidden,) = now
    width = cell.hidden
    both = make.part(cell.recurrent, 2, 0, 2 * width)
    last = make.part(cell.recurrent, 2, 2 * width, 3 * width)
    bias = cell.bias
    first = make("MatMul", hidden, both)
    if bias is not None:
        first = make("Add", first, make.part(bias, 2, 0, 2 * width))
    first = make("Add", first, make.part(x, 2, 0, 2 * width))
    z = cell.squash(make, 0, make.part(first, 2, 0, width))
    r = cell.squash(make, 0, make.part(first, 2, width, 2 * width))
    if cell.site.attributes.get("linear_before_reset", 0):
        inner = make("MatMul", hidden, last)
        if bias is not None:
            inner = make("Add", inner, make.part(bias, 2, 2 * width, 3 * width))
        inner = make("Mul", r, inner)
    else:
        inner = make("MatMul", make("Mul", r, hidden), last)
    h = cell.squash(make, 1, make("Add", inner, make.part(x, 2, 2 * width, 3 * width)))
    kept = make("Mul", z, hidden)
    return [make("Add", make("Mul", make("Sub", make.number(1, z), z), h), kept)]


def _rnn(cell: Cell, make: Make, now: Sequence[Value], x: Value) -> list[Value]:
    return [cell.squash(make, 0, make("Add", make("MatMul", now[0], cell.recurrent), x))]


def _activations(site: Site, directions: int) -> tuple[tuple[Activation, ...], ...]:
    """The functions of each direction, from names and their parameters in order."""
    each = _BLEND[site.op]
    names = site.attributes.get("activations") or _DEFAULTS[site.op] * directions
    if site.op == "RNN" and names == _TWICE:  # the default, whatever the direction
        names = names[:directions]
    assert isinstance(names, tuple)
    if len(names) != each * directions:
        raise site.shape_error(f"{each * directions} activations", str(len(names)))
    alphas, betas = (list(_floats(site, f"activation_{k}")) for k in ("alpha", "beta"))
    made: dict[tuple[str, float | None, float | None], Activation] = {}
    found: list[Activation] = []
    for name in map(str, names):
        known = next((k for k in _PARAMETERS if k.lower() == name.lower()), None)
        if known is None:
            raise site.unsupported(f"an activation {name!r}")
        alpha, beta = _PARAMETERS[known]
        if alpha is not None and alphas:
            alpha = alphas.pop(0)
        if beta is not None and betas:
            beta = betas.pop(0)
        key = known, alpha, beta
        found.append(made.setdefault(key, _activation(*key)))
    return tuple(tuple(found[d * each : (d + 1) * each]) for d in range(directions))


def _floats(site: Site, name: str) -> tuple[float, ...]:
    value = site.attributes.get(name, ())
    return tuple(float(str(v)) for v in value) if isinstance(value, tuple) else ()


def _activation(name: str, alpha: float | None, beta: float | None) -> Activation:
    def apply(make: Make, x: Value) -> Value:
        match name:
            case "Affine":
                return make(
                    "Add", make("Mul", x, make.number(alpha or 0, x)), make.number(beta or 0, x)
                )
            case "ScaledTanh":
                inner = make("Tanh", make("Mul", x, make.number(beta or 0, x)))
                return make("Mul", inner, make.number(alpha or 0, x))
        if alpha is None:
            return make(name, x)
        return make(name, x, alpha=alpha) if beta is None else make(name, x, alpha=alpha, beta=beta)

    return apply


_COMMON = (
    Attr("activation_alpha"), Attr("activation_beta"), Attr("clip"),
    Attr("direction", "forward"), Attr("hidden_size"), Attr("layout", 0, since=14),
)  # fmt: skip

for _name, _own in {
    "LSTM": (Attr("activations"), Attr("input_forget", 0)),
    "GRU": (Attr("activations"), Attr("linear_before_reset", 0)),
    "RNN": (Attr("activations", _TWICE),),
}.items():  # fmt: skip
    composite(_name, *_COMMON, *_own, since=7)(_recurrent(_name))
