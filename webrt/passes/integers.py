"""Proves that integer arithmetic fits 32 bits, by intervals; bounds inputs where it takes that.

int64 is computed in 32 bits. The session holds every integer input to 32 bits; from there on:

- a dynamic dim is 1 … MAX_SYMBOL, an index is below its extent, and a tensor's size fits 32 bits,
  and so does what is at most the size of a tensor of the graph (a flattened index, for instance);
- int64 (uint64) arithmetic whose interval leaves 32 bits is refused, naming the node, unless
  holding the inputs that it comes from to a smaller range makes it fit: then that range is the
  program's (`Program.ranges`), and a run that feeds more is refused. The ranges tried are STEPS;
- a float that is cast to int64 is taken to be within FLOAT_CAST;
- int32 and narrower arithmetic wraps around, as it does in ONNX;
- a table that is looked up by position bounds the symbol that counts the positions
  (`Program.longest`);
- an input that looks up rows of a table (itself, or moved about) is held to the table's rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from webrt import dims
from webrt.dims import Atom, Dim
from webrt.dtypes import DType
from webrt.errors import UnsupportedOpError
from webrt.graph.ir import Graph, Value
from webrt.graph.program import ProblemNode
from webrt.kernel import expr as ex
from webrt.kernel.expr import Call, Const, Expr, Index, Load, Ref
from webrt.kernel.problem import Contract, Fold, Map, Reduce, extents
from webrt.ops.intervals import SYMBOL, Interval, of_dim, of_size, times

I32: Interval = (-(1 << 31), (1 << 31) - 1)
U32: Interval = (0, (1 << 32) - 1)
BIT: Interval = (0, 1)
MOST_HELD = 1 << 30
"""Elements of 4 bytes in the largest buffer of any device."""

FLOAT_CAST: Interval = (-(1 << 28), 1 << 28)
"""Beyond 2^24 floats don't count by ones: nobody counts with larger ones. Sums of a few fit."""

STEPS = (1 << 30, 1 << 24, 1 << 20, 1 << 15, 1 << 10, 1 << 7, 1 << 5, 1)
"""Magnitudes that integer inputs are held to, one after the other, until everything fits."""

_NATURAL: dict[DType, Interval] = {
    DType.BOOL: BIT, DType.I8: (-128, 127), DType.U8: (0, 255),
    DType.I16: (-(1 << 15), (1 << 15) - 1), DType.U16: (0, (1 << 16) - 1),
    DType.U32: U32, DType.U64: U32,
}  # fmt: skip


def natural(dtype: DType) -> Interval:
    """What a dtype's elements may be on the device."""
    return _NATURAL.get(dtype, I32)


@dataclass(slots=True)
class Integers:
    """Intervals of the values of one graph while it is lowered, round after round."""

    graph: Graph
    held: dict[Value, Interval] = field(default_factory=dict)
    inner: frozenset[Value] = frozenset()
    known: dict[Value, Interval] = field(default_factory=dict)
    tops: dict[Value, Dim] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    _sources: dict[Value, Value] = field(default_factory=dict)
    _roots: dict[Value, frozenset[Value]] = field(default_factory=dict)
    _overflows: dict[str, frozenset[Value]] = field(default_factory=dict)
    _narrowed: set[Value] = field(default_factory=set)
    _sizes: tuple[Dim, ...] = ()
    _held: tuple[Dim, ...] = ()
    _changed: bool = False

    def __post_init__(self) -> None:
        values = [*self.graph.inputs, *(v for n in self.graph.nodes for v in n.outputs)]
        sizes = dict.fromkeys(dims.product(v.shape) for v in values)
        self._sizes = tuple(s for s in sizes if not isinstance(s, int))
        held = [v for v in (*self.graph.inputs, *self.graph.outputs) if v.dtype is not DType.F16]
        self._held = tuple({dims.product(v.shape): None for v in held})

    def bound_of(self, top: Dim) -> int | None:
        """What a dim over model symbols is at most if it is at most the size of some tensor.

        One that is an input or an output is in memory, 4 bytes an element.
        """
        if any(dims.is_nonnegative(size - top, {}) for size in self._held):
            return MOST_HELD
        if any(dims.is_nonnegative(size - top, {}) for size in self._sizes):
            return I32[1]
        return None

    @property
    def ranges(self) -> dict[Value, Interval]:
        """The inputs that are held to less than their dtype."""
        return {v: r for v, r in self.held.items() if r != natural(v.dtype)}

    def interval(self, value: Value) -> Interval:
        """What the elements of an integer value are proven to be."""
        if value not in self.known:
            self.known[value] = self._given(value)
        return self.known[value]

    def _given(self, value: Value) -> Interval:
        if value in self.held:
            return self.held[value]
        if value.content is not None:
            found = [of_size(d) for d in value.content]
            low, high = min(f[0] for f in found), max(f[1] for f in found)
            return max(low, I32[0]), min(high, I32[1])  # a tensor's size fits 32 bits
        if value.data is not None and value.data.size and value.data.dtype.kind in "iub":
            return int(np.min(value.data)), int(np.max(value.data))
        return natural(value.dtype)

    def limit(self, value: Value, low: int, high: int) -> None:
        """A lookup with `value`: the input that it is, if it is one, is held to low … high."""
        while value in self._sources:
            value = self._sources[value]
        if value in self.graph.inputs:
            self._hold(value, low, high)
        elif value in self.tops and self.interval(value)[1] > high:
            self.at_most(self.tops[value], high)

    def at_most(self, dim: Dim, limit: Dim) -> None:
        """A run needs dim <= limit: of a symbol and a literal, that bounds the symbol."""
        if isinstance(dim, int) or not isinstance(limit, int):
            return
        rest = 0
        symbols = []
        for atoms, coefficient in dim.terms:
            if not atoms:
                rest = coefficient
            elif len(atoms) == 1 and coefficient == 1 and isinstance(atoms[0], dims.Symbol):
                symbols.append(atoms[0].name)
            else:
                return
        if len(symbols) == 1 and limit - rest >= 1:
            now = self.longest.get(symbols[0], dims.MAX_SYMBOL)
            self.longest[symbols[0]] = min(now, limit - rest)

    def _hold(self, value: Value, low: int, high: int) -> bool:
        if value in self.inner:  # no run refuses what other steps make
            return False
        now = self.held.get(value, natural(value.dtype))
        new = (max(now[0], low), min(now[1], high))
        if new == now or new[0] > new[1]:
            return False
        self.held[value] = new
        self._changed = True
        return True

    def settled(self) -> bool:
        """Whether the round was the last; holds inputs to less for the next, or raises."""
        refused = []
        for name, roots in self._overflows.items():
            if not self._narrow(roots):
                refused.append(name)
        if refused:
            listed = "; ".join(f"node {name!r}" for name in refused)
            raise UnsupportedOpError(
                "int64 arithmetic that isn't proven to fit 32 bits, which it is computed in: "
                + listed
            )
        done = not self._changed
        self._changed = False
        for facts in (self.known, self.tops, self._sources, self._roots):
            facts.clear()
        self._overflows.clear()
        self._narrowed.clear()
        return done

    def _narrow(self, roots: frozenset[Value]) -> bool:
        """Hold the widest input that can be to the next step below its range, once a round."""
        if not self._narrowed.isdisjoint(roots):
            return True
        sizes = {v: max(map(abs, self.interval(v))) for v in roots}
        for value in sorted(roots, key=lambda v: (-sizes[v], v.name)):
            step = next((s for s in STEPS if s < sizes[value]), None)
            if step is not None and self._hold(value, -step, step):
                self._narrowed.add(value)
                return True
        return False

    def visit(self, node: ProblemNode) -> None:
        """Learn the intervals of a node's integer outputs, and what they come from."""
        kinds = [v.dtype for v in node.outputs]
        if all(k.is_float or k is DType.BOOL for k in kinds):
            self._check_index_use(node)
            return
        roots = frozenset[Value]().union(*(self._roots_of(v) for v in node.inputs))
        exact = any(k in (DType.I64, DType.U64) for k in kinds)
        scan = Scan(self, node, exact)
        for value, output in zip(node.outputs, node.problem.outputs, strict=True):
            self._roots[value] = roots
            found = scan.interval(output.expr)
            limits = natural(value.dtype)
            self.known[value] = max(found[0], limits[0]), min(found[1], limits[1])
            top = scan.top(output.expr)
            if top is not None:
                self.tops[value] = top
            self._follow(node, value, output.expr)
        if scan.overflowed:
            self._overflows[node.name] = roots

    def _check_index_use(self, node: ProblemNode) -> None:
        """Integer arithmetic inside a float or bool result (comparisons) must fit as well."""
        exact = any(v.dtype in (DType.I64, DType.U64) for v in node.inputs)
        if not exact:
            return
        scan = Scan(self, node, exact)
        for expr in _results(node):
            scan.interval(expr)
        if scan.overflowed:
            self._overflows[node.name] = frozenset[Value]().union(
                *(self._roots_of(v) for v in node.inputs)
            )

    def _roots_of(self, value: Value) -> frozenset[Value]:
        if value in self.graph.inputs and not value.dtype.is_float:
            return frozenset((value,))
        return self._roots.get(value, frozenset())

    def _follow(self, node: ProblemNode, value: Value, expr: Expr) -> None:
        """A Map that stores what it loads moves elements: all of them where the sizes agree."""
        if not isinstance(node.problem, Map) or not isinstance(expr, Load):
            return
        assert isinstance(expr.memory, int)
        source = node.inputs[expr.memory]
        if dims.product(source.shape) == dims.product(value.shape):
            self._sources[value] = source


def _results(node: ProblemNode) -> tuple[Expr, ...]:
    return tuple(o.expr for o in node.problem.outputs)


class Scan:
    """Intervals of the expressions of one problem; `overflowed` tells that some left 32 bits."""

    def __init__(self, facts: Integers, node: ProblemNode, exact: bool) -> None:
        self.facts = facts
        self.inputs = node.inputs
        self.exact = exact
        self.overflowed = False
        self.space: Mapping[str, Dim] = extents(node.problem)
        self.refs: dict[str, Interval] = {}
        self.sums: dict[str, Dim] = {}
        self._done: dict[Expr, Interval] = {}
        match node.problem:
            case Reduce(passes=passes, reduced=reduced):
                count = min(of_size(dims.product(reduced))[1], I32[1])
                for j, step in enumerate(passes):
                    self.refs[f"p{j}"] = self._combined(step.combine, step.expr, count)
                    top = self.top(step.expr)
                    if top is not None and step.combine != "prod":
                        many = dims.product(reduced) if step.combine == "sum" else 1
                        self.sums[f"p{j}"] = top * many
            case Contract(a=a, b=b, k=k) if not a.dtype.is_float:
                product = times(self.interval(a), self.interval(b))
                self.refs["acc"] = self._fit(times(product, of_size(k)), a.dtype)
            case Fold(first=first, step=step) if not first.dtype.is_float:
                self.refs["acc"] = self._folded(first, step)

    def interval(self, expr: Expr) -> Interval:
        found = self._done.get(expr)
        if found is None:
            found = self._done[expr] = self._find(expr)
        return found

    def _find(self, expr: Expr) -> Interval:
        match expr:
            case Const(value, dtype):
                return (int(value), int(value)) if not dtype.is_float else I32
            case Index(dim):
                low, high = of_dim(dim, self._atom)
                sized = all(isinstance(a, dims.Symbol) for a in dims.atoms_of(dim))
                if sized:  # a tensor's size, or an index: it fits 32 bits
                    return max(low, I32[0]), min(high, I32[1])
                return self._fit((low, high), DType.I32, expr)
            case Load(memory, _, dtype):
                assert isinstance(memory, int)
                return I32 if dtype.is_float else self.facts.interval(self.inputs[memory])
            case Ref(name, dtype):
                return self.refs.get(name, natural(dtype))
            case Call("shift_right", (Call("shift_left" | "bits_u32"), Const(n)), dtype) if (
                0 < n < 32
            ):
                bits = 32 - int(n)  # a field of a word
                return (0, (1 << bits) - 1) if dtype is DType.U32 else (
                    -(1 << bits - 1), (1 << bits - 1) - 1
                )  # fmt: skip
            case Call(op, args, dtype):
                given = [self.interval(a) for a in args]
                if dtype is DType.BOOL:
                    return BIT
                if dtype.is_float:
                    return I32
                return self._fit(_called(op, args, given, dtype), dtype, expr)

    def top(self, expr: Expr) -> Dim | None:
        """A bound over model symbols of an expression that is proven not to be negative."""
        if expr.dtype is not DType.I32 or self.interval(expr)[0] < 0:
            return None
        match expr:
            case Const(value):
                return int(value)
            case Index(dim):
                return dims.upper_bound(dim, self.space)
            case Load(memory):
                assert isinstance(memory, int)
                return self.facts.tops.get(self.inputs[memory])
            case Ref(name):
                return self.sums.get(name)
            case Call("cast", (inner,)) if inner.dtype is DType.BOOL:
                return 1
            case Call("min", (left, right)):
                tops = [t for t in (self.top(left), self.top(right)) if t is not None]
                return min(tops, key=lambda t: not isinstance(t, int), default=None)
            case Call("add" | "mul" | "select" | "max" as op, args):
                first, second = (self.top(a) for a in args[-2:])
                if first is None or second is None:
                    return None
                if op == "mul":
                    return first * second
                return first + second if op == "add" else _larger(first, second)
        return None

    def _fit(self, found: Interval, dtype: DType, expr: Expr | None = None) -> Interval:
        """The interval, or the whole type where it is left; that is noted where it matters."""
        limits = U32 if dtype is DType.U32 else I32
        if limits[0] <= found[0] and found[1] <= limits[1]:
            return found
        if expr is not None and found[0] >= 0:
            self._done[expr] = found
            top = self.top(expr)
            most = None if top is None else self.facts.bound_of(top)
            if most is not None:
                return found[0], most
        self.overflowed |= self.exact
        return limits

    def _atom(self, atom: Atom) -> Interval | None:
        if isinstance(atom, ex.Value):
            return self.interval(atom.expr)
        if isinstance(atom, dims.Symbol):
            if atom.name not in self.space:
                return SYMBOL
            return 0, max(min(of_size(self.space[atom.name])[1], I32[1]) - 1, 0)
        return None

    def _folded(self, first: Expr, step: Expr) -> Interval:
        """What a loop comes to that combines its acc with something else in every turn."""
        low, high = self.interval(first)
        match step:  # a turn that changes nothing is one less
            case Call("select", (_, step, Ref("acc"))):
                pass
        match step:
            case Call("add" | "mul" | "min" | "max" as op, (Ref("acc"), other)):
                count = min(of_size(self.space["t"])[1], I32[1])
                combine = {"add": "sum", "mul": "prod"}.get(op, op)
                least, most = self._combined(combine, other, count)
                if op == "add":  # there may be no turn
                    return self._fit((low + min(least, 0), high + max(most, 0)), first.dtype)
                if op == "mul":
                    product = times((low, high), (min(least, 1), max(most, 1)))
                    return self._fit(product, first.dtype)
                return min(low, least), max(high, most)
        return self._fit((-(1 << 63), 1 << 63), first.dtype)

    def _combined(self, combine: str, expr: Expr, count: int) -> Interval:
        found = self.interval(expr)
        if expr.dtype.is_float or combine in ("max", "min"):
            return found
        if combine == "sum":
            return self._fit(
                (min(found[0] * count, found[0]), max(found[1] * count, found[1])), expr.dtype
            )
        whole = found[0] >= -1 and found[1] <= 1
        return (-1, 1) if whole else self._fit((-(1 << 63), 1 << 63), expr.dtype)


def _larger(left: Dim, right: Dim) -> Dim:
    """A bound of the larger of two that aren't negative."""
    if dims.is_nonnegative(left - right, {}):
        return left
    return right if dims.is_nonnegative(right - left, {}) else left + right


def _called(op: str, args: tuple[Expr, ...], given: list[Interval], dtype: DType) -> Interval:
    """The interval of an integer operation."""
    whole = U32 if dtype is DType.U32 else I32
    match op, given:
        case "add", [a, b]:
            return a[0] + b[0], a[1] + b[1]
        case "sub", [a, b]:
            return a[0] - b[1], a[1] - b[0]
        case "mul", [a, b]:
            return times(a, b)
        case "neg", [a]:
            return -a[1], -a[0]
        case "abs", [a]:
            return (0 if a[0] <= 0 <= a[1] else min(map(abs, a))), max(map(abs, a))
        case "sign", [_]:
            return -1, 1
        case "min", [a, b]:
            return min(a[0], b[0]), min(a[1], b[1])
        case "max", [a, b]:
            return max(a[0], b[0]), max(a[1], b[1])
        case "div", [a, _]:
            largest = max(map(abs, a))
            return (0 if a[0] >= 0 and given[1][0] >= 0 else -largest), largest
        case "mod", [_, b]:
            return min(b[0] + 1, 0), max(b[1] - 1, 0)
        case "bit_and", [a, b] if max(a[0], b[0]) >= 0:
            return 0, min(x[1] for x in (a, b) if x[0] >= 0)
        case "bit_or" | "bit_xor", [a, b] if a[0] >= 0 and b[0] >= 0:
            return 0, (1 << max(a[1], b[1]).bit_length()) - 1
        case "shift_left", [a, b] if b[0] >= 0:
            return times(a, (1 << b[0], 1 << min(b[1], 64)))
        case "shift_right", [a, b] if b[0] >= 0 and b[1] < 32:
            corners = [x >> y for x in a for y in b]
            return min(corners), max(corners)
        case "select", [_, a, b]:
            return min(a[0], b[0]), max(a[1], b[1])
        case "cast", [a] if not args[0].dtype.is_float and a[0] >= whole[0] and a[1] <= whole[1]:
            return a
        case "cast", [_] if args[0].dtype.is_float:
            return FLOAT_CAST if dtype is DType.I32 else U32
    return whole
