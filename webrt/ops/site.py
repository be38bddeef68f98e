"""A site: one application of an operator, as its rules look at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import ShapeError, UnsupportedOpError
from webrt.graph.ir import Array, Attribute, Node, Value
from webrt.ops.intervals import of_size

MAX_KNOWN = 512

Tensor = npt.NDArray[Any]
"""What references compute with: NumPy code over any dtype, objects included."""

_NUMPY = {
    DType.F32: np.float32, DType.F16: np.float16, DType.F64: np.float64, DType.I64: np.int64,
    DType.I32: np.int32, DType.I16: np.int16, DType.I8: np.int8, DType.U64: np.uint64,
    DType.U32: np.uint32, DType.U16: np.uint16, DType.U8: np.uint8, DType.BOOL: np.bool_,
}  # fmt: skip


FRESH: ContextVar[Callable[[str], Dim] | None] = ContextVar("new symbols", default=None)
"""Makes the symbol of that name, while a model is read."""


ASSUMED: ContextVar[list[tuple[Dim, Dim]] | None] = ContextVar("dims taken for equal", default=None)
"""Collects what operators assume of dims, while a model is read."""


CACHES: ContextVar[Set[str]] = ContextVar("symbols of caches", default=frozenset())
"""The ids of those that stand, less 1, for dims of inputs; a size that a run reads looks alike."""


class DependsOnDataError(UnsupportedOpError):
    """Elements of the input at `position` would have to be known."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class Undecided(Exception):
    """A symbolic evaluation that can't be decided."""


def literals(array: Tensor) -> tuple[int, ...]:
    """The elements of a vector; raises Undecided where one is a symbol's."""
    if any(isinstance(d, dims.Symbolic) for d in array.reshape(-1)):
        raise Undecided
    return tuple(int(d) for d in array.reshape(-1))


@dataclass(frozen=True, slots=True)
class Inferred:
    """An output's type; `content` where its elements are known up to symbols."""

    dtype: DType
    shape: tuple[Dim, ...]
    content: tuple[Dim, ...] | None = None


def numpy_dtype(dtype: DType) -> np.dtype[np.generic]:
    """NumPy's name of a dtype."""
    return np.dtype(_NUMPY[dtype])


@dataclass(frozen=True, slots=True)
class Site:
    """The operator, its inputs, its attributes with defaults, how many outputs are wanted."""

    op: str
    name: str
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Attribute]
    version: int
    outputs: int
    domain: str = ""
    whole: list[tuple[Dim, Dim]] = field(default_factory=list)
    """(a, b) for each dim b that broadcasting takes to be at most a."""
    bound: list[str] = field(default_factory=list)
    """The symbols that a run gives values at this node."""

    @classmethod
    def of(cls, node: Node) -> Site:
        return cls(
            node.op, node.name, node.inputs, node.attributes, node.version, len(node.outputs),
            node.domain,
        )  # fmt: skip

    # Inputs

    def input(self, position: int) -> Value:
        """An input that has to be there."""
        value = self.optional(position)
        if value is None:
            raise self.shape_error(f"an input {position}", "none")
        return value

    def optional(self, position: int) -> Value | None:
        return self.inputs[position] if position < len(self.inputs) else None

    def known(self, position: int) -> tuple[Dim, ...] | None:
        """The elements of a small integer input, up to symbols; None where they aren't known."""
        value = self.optional(position)
        if value is None:
            return None
        if value.content is not None:
            return value.content
        if value.data is None or value.data.size > MAX_KNOWN:
            return None
        if value.data.dtype.kind == "f" and not _whole(value.data):
            return None
        return tuple(int(x) for x in value.data.reshape(-1))

    def needed(self, position: int, what: str) -> tuple[Dim, ...]:
        """The elements of an integer input that shapes depend on."""
        found = self.known(position)
        if found is None:
            why = self.unsupported(f"{what} depends on data")
            raise DependsOnDataError(str(why), position)
        return found

    def assume(self, left: Dim, right: Dim) -> None:
        """Take two dims for equal; a run checks it."""
        assumed = ASSUMED.get()
        if assumed is not None:
            assumed.append((left, right))

    def fresh(self, what: str) -> Dim:
        """A size that only a run tells, from 0 on: a new symbol of this node, minus one."""
        make = FRESH.get()
        if make is None:
            raise self.unsupported(f"{what} depends on data")
        symbol = make(f"{self.name}.{what}")
        self.bound.append(str(symbol))
        return symbol - 1

    def constant(self, position: int, what: str) -> Array:
        """The data of an input that has to be a constant."""
        value = self.input(position)
        if value.data is None:
            raise self.unsupported(f"{what} isn't a constant")
        return value.data

    def axes(self, position: int, attribute: str = "axes") -> tuple[int, ...] | None:
        """Axes from the attribute or, in newer opsets, from the input; None where absent."""
        if attribute in self.attributes:
            return self.integers(attribute)
        if self.optional(position) is None:
            return None
        axes = self.needed(position, attribute)
        known = tuple(d for d in axes if isinstance(d, int))
        if len(known) < len(axes):
            raise self.unsupported(f"{attribute} depends on data")
        return known

    def ranked(self, position: int, least: int, most: int | None = None) -> tuple[Dim, ...]:
        """The shape of an input that has to have `least` dims (to `most`; exactly for None)."""
        shape = self.input(position).shape
        top = least if most is None else most
        if not least <= len(shape) <= top:
            wanted = f"{least} dims" if least == top else f"{least} to {top} dims"
            raise self.shape_error(f"{wanted} of input {position}", shape_text(shape))
        return shape

    def scalar(self, position: int, what: str) -> Dim:
        """The one element of an integer input that shapes depend on."""
        elements = self.needed(position, what)
        if len(elements) != 1:
            raise self.shape_error(f"one element of {what}", str(len(elements)))
        return elements[0]

    # Attributes

    def integer(self, name: str) -> int:
        value = self.attributes.get(name)
        if not isinstance(value, int):
            raise self.unsupported(f"attribute {name} is {value!r}, expected an integer")
        return value

    def number(self, name: str) -> float:
        value = self.attributes.get(name)
        if not isinstance(value, int | float):
            raise self.unsupported(f"attribute {name} is {value!r}, expected a number")
        return float(value)

    def text(self, name: str) -> str:
        value = self.attributes.get(name)
        if not isinstance(value, str):
            raise self.unsupported(f"attribute {name} is {value!r}, expected a string")
        return value

    def positive(self, name: str) -> int:
        value = self.integer(name)
        if value < 1:
            raise self.shape_error(f"an attribute {name} of at least 1", str(value))
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        value = self.attributes.get(name)
        if not isinstance(value, tuple):
            raise self.unsupported(f"attribute {name} is {value!r}, expected integers")
        return tuple(int(x) for x in value)

    # Axes and errors

    def axis(self, axis: int, rank: int) -> int:
        """A possibly negative axis as one from 0 to rank - 1."""
        if not -rank <= axis < max(rank, 1):
            raise self.shape_error(f"an axis in {-rank} … {rank - 1}", str(axis))
        return axis + rank if axis < 0 else axis

    def shape_error(self, expected: str, found: str) -> ShapeError:
        return ShapeError(f"node {self.name!r} ({self.op}): expected {expected}, found {found}")

    def unsupported(self, why: str) -> UnsupportedOpError:
        return UnsupportedOpError(f"node {self.name!r} ({self.op}): {why}")


class DimsDiffer(ShapeError):
    """Two dims must be equal, and may be: each is a symbol of the model or a number."""

    def __init__(self, message: str, left: Dim, right: Dim) -> None:
        super().__init__(message)
        self.left, self.right = left, right


class NeedsMultiple(ShapeError):
    """Two dims are equal where a symbol is a multiple of `factor`: an image halved and doubled."""

    def __init__(self, message: str, symbol: str, factor: int) -> None:
        super().__init__(message)
        self.symbol, self.factor = symbol, factor


FACTORS = (2, 4, 8, 16, 32, 64, 128, 3, 6, 12, 24)
"""What a dim may have to be a multiple of."""


def _multiple(left: Dim, right: Dim) -> tuple[str, int] | None:
    """(symbol, factor) with which the dims become equal, if one symbol's multiples do it."""
    names = dims.free_symbols(left - right)
    if len(names) != 1 or isinstance(left, int) or isinstance(right, int):
        return None
    (name,) = names
    for factor in FACTORS:
        scaled = {name: dims.symbol(name) * factor}
        if dims.substitute(left, scaled) == dims.substitute(right, scaled):
            return name, factor
    return None


def mismatch(error: ShapeError, left: Dim, right: Dim) -> ShapeError:
    """`error`, or a DimsDiffer or NeedsMultiple where `left` and `right` may be made equal."""
    found = None if same_dim(left, right) is False else _multiple(left, right)
    if found is not None:
        return NeedsMultiple(str(error), *found)
    kinds = {_own_dim(d) for d in (left, right) if not isinstance(d, int)}
    # A cache that may be empty isn't all that has its length: a run holds the two to be equal.
    plain = kinds in ({0}, {1})
    if not plain or same_dim(left, right) is False:
        return error
    return DimsDiffer(str(error), left, right)


def _own_dim(dim: Dim) -> int | None:
    """0 for a dim of an input as it stands, 1 for one that may be 0, else None."""
    found = dims.scaled_symbol(dim)
    if found is None or found[1] != 1:
        return None
    return found[2] if found[2] == 0 or found[0] in CACHES.get() else None


def hold_equal(site: Site, error: ShapeError, left: Dim, right: Dim) -> None:
    """Raise `error`, or its like, unless two dims are equal or a run may hold them to be."""
    same = same_dim(left, right)
    if same is True:
        return
    found = mismatch(error, left, right)
    if same is False or isinstance(found, DimsDiffer | NeedsMultiple):
        raise found
    site.assume(left, right)


def hold_shape(
    site: Site, position: int, wanted: Sequence[Dim], skipped: int | None = None
) -> None:
    """An input must have a shape, but for the dim `skipped`; a run holds it to what isn't known."""
    found = site.input(position).shape
    error = site.shape_error(f"{shape_text(tuple(wanted))} for input {position}", shape_text(found))
    if len(found) != len(wanted):
        raise error
    for axis, (left, right) in enumerate(zip(found, wanted, strict=True)):
        if axis != skipped:
            hold_equal(site, error, left, right)


def _whole(data: Array) -> bool:
    """Whether floats are integers, and so small that sums of them are."""
    wide = data.astype(np.float64)
    return bool((np.abs(wide) < 1 << 22).all() and (wide == np.rint(wide)).all())


def shape_text(shape: tuple[Dim, ...]) -> str:
    """`[s0, 128]`: a shape for messages."""
    return "[" + ", ".join(map(str, shape)) + "]"


def same_dim(left: Dim, right: Dim) -> bool | None:
    """Whether two dims are equal; None where it depends on symbols."""
    sign = compare(left, right)
    return None if sign is None else sign == 0


def compare(left: Dim, right: Dim) -> int | None:
    """The sign of left - right where it doesn't depend on symbols (1 also for >= 1), else None."""
    if left == right:
        return 0
    difference = left - right
    low, high = of_size(difference)
    if low > 0 or dims.is_nonnegative(difference - 1, {}):
        return 1
    if high < 0 or dims.is_nonnegative(difference * -1 - 1, {}):
        return -1
    return None


def broadcast(site: Site, *shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The shape that ONNX's multidirectional broadcasting gives; raises ShapeError."""
    rank = max(map(len, shapes))
    result: list[Dim] = []
    for position in range(-rank, 0):
        found: Dim = 1
        for shape in shapes:
            if -position <= len(shape):
                found = _joined(site, found, shape[position], shapes)
        result.append(found)
    return tuple(result)


def _joined(site: Site, left: Dim, right: Dim, shapes: tuple[tuple[Dim, ...], ...]) -> Dim:
    if left == 1 or left == right:
        return right
    if right == 1:
        return left
    for dim, other in ((left, right), (right, left)):
        rest = _minimum_with(dim, other)
        if rest is not None:  # a slice that was cut to fit: it must be whole
            site.whole.append((rest, other))
            return other
    texts = " and ".join(map(shape_text, shapes))
    # What passes make of a graph was assumed when it was read.
    hold_equal(site, site.shape_error("shapes that broadcast", texts), left, right)
    return min(left, right, key=lambda d: len(str(d)))


def _minimum_with(dim: Dim, other: Dim) -> Dim | None:
    """The rest x of a dim that is min(x, other)."""
    if isinstance(dim, int) or len(dim.terms) != 1:
        return None
    (atoms, coefficient) = dim.terms[0]
    if coefficient != 1 or len(atoms) != 1 or not isinstance(atoms[0], dims.Operation):
        return None
    left, right = atoms[0].left, atoms[0].right
    if atoms[0].op != "min" or other not in (left, right):
        return None
    return right if left == other else left
