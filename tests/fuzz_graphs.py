"""Random valid models in the manner of NNSmith: the registry infers each node as it is made.

A value knows an interval that holds its elements, so that operators stay away from points where
they aren't defined or where rounding decides: `Draw.within` brings a value into an interval first.
Floats that are multiples of a power of two stay exact through moves, sums and products: only such
values are compared, rounded or ranked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import ShapeError, UnsupportedOpError
from webrt.graph.ir import Attribute, Value
from webrt.ops.compose import applied
from webrt.ops.registry import find
from webrt.ops.site import numpy_dtype

Array = npt.NDArray[np.generic]
OPSETS = (13, 17, 18, 21)
LONGEST = 5
"""A symbol's greatest value."""
EXACT_BITS = 20
TYPE_ATTRIBUTES = ("to", "dtype")


class RejectedError(Exception):
    """This operator doesn't take these values; another is drawn."""


@dataclass(frozen=True, eq=False)
class Val:
    """A value of the model; `grain` g says that elements are multiples of 2^-g, None: any floats.

    `far` tells that no element is nearer to zero than that.
    """

    value: Value
    low: float
    high: float
    grain: int | None = None

    @property
    def name(self) -> str:
        return self.value.name

    @property
    def dtype(self) -> DType:
        return self.value.dtype

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.value.shape

    @property
    def rank(self) -> int:
        return len(self.value.shape)

    @property
    def bound(self) -> float:
        return max(abs(self.low), abs(self.high))

    @property
    def is_exact(self) -> bool:
        return self.grain is not None

    @property
    def literal(self) -> tuple[int, ...]:
        """The shape, where no dim is dynamic."""
        if not all(isinstance(d, int) for d in self.shape):
            raise RejectedError("a dynamic dim")
        return tuple(d for d in self.shape if isinstance(d, int))

    def size(self) -> int:
        """The greatest number of elements."""
        return most(dims.product(self.shape))


def most(dim: Dim) -> int:
    """A dim's value where every symbol is LONGEST: dims here grow with their symbols."""
    return dims.evaluate(dim, dict.fromkeys(dims.free_symbols(dim), LONGEST))


@dataclass
class Model:
    """A finished model, and how to make feeds for it."""

    proto: onnx.ModelProto
    inputs: tuple[Val, ...]
    symbols: dict[str, str]
    operators: tuple[str, ...]

    def feeds(self, seed: int) -> tuple[dict[str, int], dict[str, Array]]:
        """Values of the symbols, by name, and random inputs of these shapes."""
        source = np.random.default_rng(seed)
        sizes = {id: int(source.integers(1, LONGEST + 1)) for id in self.symbols.values()}
        feeds = {}
        for val in self.inputs:
            shape = tuple(dims.evaluate(d, sizes) for d in val.shape)
            feeds[val.name] = sample(source, val, shape)
        return {name: sizes[id] for name, id in self.symbols.items()}, feeds


def sample(source: np.random.Generator, val: Val, shape: tuple[int, ...]) -> Array:
    """Elements inside of the value's interval, of its grain."""
    target = numpy_dtype(val.dtype)
    if val.dtype is DType.BOOL:
        return np.asarray(source.integers(0, 2, shape)).astype(target)
    if val.grain is not None:
        step = 2.0**-val.grain
        whole = source.integers(round(val.low / step), round(val.high / step) + 1, shape)
        return np.asarray(whole * step if val.grain else whole).astype(target)
    return np.asarray(source.uniform(val.low, val.high, shape)).astype(target)


@dataclass
class Draw:
    """A model while it is made. Templates call `node`, and take their inputs from `pick`."""

    random: random.Random
    opset: int
    values: list[Val] = field(default_factory=list)
    inputs: list[Val] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    symbols: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    count: int = 0

    # Values

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def shape(self, least: int = 0, greatest: int = 4, *, literal: bool = False) -> tuple[Dim, ...]:
        rank = self.random.randint(least, greatest)
        return tuple(self.dim(literal=literal) for _ in range(rank))

    def dim(self, *, literal: bool = False) -> Dim:
        if not literal and self.random.random() < 0.25:
            name = self.random.choice(["N", "M"])
            return dims.symbol(self.symbols.setdefault(name, f"s{len(self.symbols)}"))
        return self.random.choice([1, 2, 3, 4, 5, 7, 8, 9])

    def input(
        self,
        dtype: DType = DType.F32,
        shape: tuple[Dim, ...] | None = None,
        low: float = -4,
        high: float = 4,
        grain: int | None = 2,
    ) -> Val:
        """A new input of the model, or a constant where its shape allows it and chance wants it."""
        shape = self.shape() if shape is None else shape
        if not all(isinstance(d, int) or dims.lone_symbol(d) for d in shape):
            raise RejectedError("an input's dim is a number or a name")
        grain = 0 if dtype is not DType.F32 else grain
        if dtype is DType.BOOL:
            low, high = 0, 1
        if dtype in (DType.U8, DType.U32):
            low = max(low, 0)
        name = self.name()
        val = Val(Value(name, dtype, shape), low, high, grain)
        if all(isinstance(d, int) for d in shape) and self.random.random() < 0.3:
            source = np.random.default_rng(self.random.randrange(1 << 32))
            data = sample(source, val, val.literal)
            return self.constant(data, low, high, grain)
        self.inputs.append(val)
        self.values.append(val)
        return val

    def constant(
        self, data: Array, low: float = 0, high: float = 0, grain: int | None = None
    ) -> Val:
        """A constant of the model; its interval is that of its elements if none is given."""
        name = self.name()
        dtype = next(d for d in DType if numpy_dtype(d) == data.dtype)
        if low == high and data.size:
            low, high = float(data.min()), float(data.max())
            grain = 0 if not dtype.is_float else grain
        self.constants[name] = data
        return Val(Value(name, dtype, data.shape, data), low, high, grain)

    def ints(self, *numbers: int) -> Val:
        return self.constant(np.array(numbers, np.int64))

    def number(self, value: float) -> Val:
        return self.constant(np.array(value, np.float32), grain=EXACT_BITS // 2)

    def pick(
        self,
        wanted: Callable[[Val], bool] = lambda v: True,
        dtypes: tuple[DType, ...] = (DType.F32,),
        new: Callable[[], Val] | None = None,
    ) -> Val:
        """A value that fits, newer ones rather; else a new input that `new` makes."""
        found = [v for v in self.values if v.dtype in dtypes and wanted(v) and v.size() <= 4096]
        if found and (new is None or self.random.random() < 0.85):
            weights = [1 + 2 * j / len(found) for j in range(len(found))]
            return self.random.choices(found, weights)[0]
        if new is None:
            made = self.input(self.random.choice(dtypes))
            if not wanted(made):
                raise RejectedError("no value fits")
            return made
        return new()

    # Nodes

    def node(
        self,
        op: str,
        inputs: Sequence[Val | None],
        interval: tuple[float, float] | Sequence[tuple[float, float]] = (-1, 1),
        grain: int | None = None,
        outputs: int = 1,
        **attributes: Attribute,
    ) -> list[Val]:
        """Add a node: its outputs, whose intervals the caller knows."""
        if find(op, "", self.opset) is None or not onnx.defs.has(op):
            raise RejectedError(op)
        names = [self.name() for _ in range(outputs)]
        values = [None if v is None else v.value for v in inputs]
        try:
            _, results = applied(
                op, values, attributes, name=op.lower(), outputs=names, version=self.opset
            )
        except (UnsupportedOpError, ShapeError) as error:
            self.refused.append(f"{op}: {error}")
            raise RejectedError(str(error)) from error
        intervals = [interval] * outputs if isinstance(interval[0], float | int) else interval
        found = []
        for name, value, (low, high) in zip(names, results, intervals, strict=False):  # type: ignore[misc]
            kept = grain if value.dtype.is_float else 0
            if kept is not None and max(abs(low), abs(high)) * 2**kept > 2**EXACT_BITS:
                kept = None
            if value.dtype.is_integer and max(abs(low), abs(high)) >= 2**30:
                raise RejectedError("integers that may not fit")
            found.append(Val(Value(name, value.dtype, value.shape), low, high, kept))
            if found[-1].size() > 1 << 14:
                raise RejectedError("too large")
        self._append(op, inputs, names, attributes)
        self.values += found
        return found

    def one(self, op: str, *inputs: Val | None, **keywords: object) -> Val:
        return self.node(op, inputs, **keywords)[0]  # type: ignore[arg-type]

    def _append(
        self,
        op: str,
        inputs: Sequence[Val | None],
        names: Sequence[str],
        attributes: Mapping[str, Attribute],
    ) -> None:
        given = {}
        for key, value in attributes.items():
            if key in TYPE_ATTRIBUTES and isinstance(value, str):
                dtype = numpy_dtype(DType(value))
                given[key] = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            elif isinstance(value, np.ndarray):
                given[key] = numpy_helper.from_array(value)
            else:
                given[key] = value
        texts = ["" if v is None else v.name for v in inputs]
        self.used |= {t for t in texts if t}
        self.nodes.append(helper.make_node(op, texts, list(names), **given))

    # Intervals

    def within(self, val: Val, low: float, high: float) -> Val:
        """The value, scaled or clamped into an interval if it may lie outside of it."""
        if low <= val.low and val.high <= high:
            return val
        if low < 0 < high and val.bound <= 64 * min(-low, high):
            scale = 2.0 ** np.floor(np.log2(min(-low, high) / val.bound))
            factor = self.constant(np.array(scale, np.float32))
            grain = None if val.grain is None else val.grain + int(-np.log2(scale))
            return self.one(
                "Mul", val, factor, interval=(val.low * scale, val.high * scale), grain=grain
            )
        if low >= 0 and val.bound <= 256:
            positive = val if val.low >= 0 else self.one("Abs", val, interval=(0, val.bound))
            scale = (high - low) / max(positive.high, 1e-3)
            factor, offset = (self.constant(np.array(x, np.float32)) for x in (scale, low))
            scaled = self.one("Mul", positive, factor, interval=(0, high - low))
            return self.one("Add", scaled, offset, interval=(low, high))
        bounds = [self.constant(np.array(x, np.float32)) for x in (low, high)]
        return self.one("Clip", val, *bounds, interval=(low, high), grain=_common(val, low, high))

    def exact(self, dtypes: tuple[DType, ...] = (DType.F32,), **keywords: object) -> Val:
        """A value that is computed without rounding."""
        return self.pick(lambda v: v.is_exact, dtypes, **keywords)  # type: ignore[arg-type]

    def partner(self, val: Val, low: float = -4, high: float = 4, grain: int | None = 2) -> Val:
        """A value that broadcasts with another, most often a new one."""
        fits = [v for v in self.values if v.dtype is val.dtype and broadcasts(v, val)]
        fits = [
            v for v in fits if low <= v.low and v.high <= high and (v.is_exact or grain is None)
        ]
        if fits and self.random.random() < 0.6:
            return self.random.choice(fits)
        shape: list[Dim] = [1 if self.random.random() < 0.25 else d for d in val.shape]
        if shape and self.random.random() < 0.3:
            shape = shape[self.random.randint(0, len(shape)) :]
        return self.input(val.dtype, tuple(shape), low, high, grain)

    def finish(self) -> Model:
        """The model: its outputs are the values that nothing reads, and some others."""
        made = {n for node in self.nodes for n in node.output}
        outputs = [
            v
            for v in self.values
            if v.name in made and (v.name not in self.used or self.random.random() < 0.15)
        ]
        outputs = outputs[-6:]
        live, nodes = {v.name for v in outputs}, []
        for node in reversed(self.nodes):
            if live & set(node.output):
                nodes.append(node)
                live |= set(node.input)
        names = {id: name for name, id in self.symbols.items()}
        inputs = tuple(v for v in self.inputs if v.name in live)
        graph = helper.make_graph(
            nodes[::-1],
            "fuzz",
            [helper.make_tensor_value_info(v.name, _element(v), _shape(v, names)) for v in inputs],
            [
                helper.make_tensor_value_info(v.name, _element(v), [None] * len(v.shape))
                for v in outputs
            ],
            [numpy_helper.from_array(a, n) for n, a in self.constants.items() if n in live],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        shown = {d for v in inputs for dim in v.shape for d in dims.free_symbols(dim)}
        symbols = {name: id for name, id in self.symbols.items() if id in shown}
        return Model(proto, inputs, symbols, tuple(n.op_type for n in nodes[::-1]))


def _common(val: Val, *numbers: float) -> int | None:
    """The grain of a value that is clamped to numbers."""
    if val.grain is None:
        return None
    return val.grain if all((x * 2**val.grain).is_integer() for x in map(float, numbers)) else None


def broadcasts(left: Val, right: Val) -> bool:
    pairs = zip(reversed(left.shape), reversed(right.shape), strict=False)
    return all(a == b or a == 1 or b == 1 for a, b in pairs)


def _element(val: Val) -> int:
    return helper.np_dtype_to_tensor_dtype(numpy_dtype(val.dtype))


def _shape(val: Val, names: Mapping[str, str]) -> list[int | str]:
    found = ((d, dims.lone_symbol(d)) for d in val.shape)
    return [d if isinstance(d, int) else names[lone or ""] for d, lone in found]
