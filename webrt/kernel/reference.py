"""Evaluates any problem straight from its definition with NumPy: the oracle of kernels and passes.

Nothing in the JIT half imports this file. Every expression is evaluated over its whole iteration
space at once, with one array axis an index; an affine load is a strided view of its operand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.erf import erf
from webrt.kernel.expr import Call, Const, Expr, Index, Load, Ref, Value
from webrt.kernel.problem import (
    Attention,
    Contract,
    Fold,
    Map,
    Output,
    Problem,
    Reduce,
    extents,
    specialise,
)

Array = npt.NDArray[Any]

NUMPY: dict[DType, Any] = {
    DType.F32: np.float32, DType.F16: np.float16, DType.I64: np.int64, DType.I32: np.int32,
    DType.I16: np.int16, DType.I8: np.int8, DType.U64: np.uint64, DType.U32: np.uint32,
    DType.U16: np.uint16, DType.U8: np.uint8, DType.BOOL: np.bool_,
}  # fmt: skip

MASKED = -3e38
"""Attention scores at or below this are masked out."""

CHUNK = 1 << 24
"""Points of an iteration space that are evaluated at once, about."""


def evaluate_problem(
    problem: Problem,
    operands: Sequence[Array],
    bindings: Mapping[str, int],
    *,
    strict: bool = False,
) -> list[Array]:
    """The outputs of `problem`, flat, for flat operands and values of the model's symbols.

    Integers are i32 (or u32), a bool operand may be bool or any integers. A load out of range
    reads a clamped offset, as on a device. With `strict`, one that changes a result raises
    IndexError, and so does an output element that isn't written exactly once.
    """
    bound = specialise(problem, bindings)
    flat = [_storage(a, o.dtype, o.size, j) for j, (a, o) in enumerate(
        zip(operands, bound.operands, strict=True))]  # fmt: skip
    with np.errstate(all="ignore"):
        results = _run(bound, flat, strict, None)
        if strict:
            for poison in (3, 77):
                again = _run(bound, flat, strict, poison)
                for j, (x, y) in enumerate(zip(results, again, strict=True)):
                    if not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
                        raise IndexError(f"output {j} depends on a load that is out of range")
    return results


def _storage(array: Array, dtype: DType, size: Dim, position: int) -> Array:
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.size != size:
        raise ValueError(f"operand {position} has {flat.size} elements, expected {size}")
    return flat != 0 if dtype is DType.BOOL else flat.astype(NUMPY[dtype], copy=False)


def _run(problem: Problem, operands: list[Array], strict: bool, poison: int | None) -> list[Array]:
    outputs = [_Result(o, strict) for o in problem.outputs]
    for window in _windows(problem):
        memory = _Memory(operands, window, poison)
        match problem:
            case Map():
                _store(outputs, memory.over(problem, "i"))
            case Reduce():
                _reduce(problem, memory, outputs)
            case Contract():
                a, b = (memory.over(problem, "b", *ends) for ends in (("m", "k"), ("k", "n")))
                point = memory.over(problem, "b", "m", "n")
                point.refs["acc"] = np.matmul(a.matrix(problem.a), b.matrix(problem.b))
                _store(outputs, point)
            case Attention():
                _attention(problem, memory, outputs)
            case Fold():
                _fold(problem, memory, outputs)
    return [o.finish() for o in outputs]


def _windows(problem: Problem) -> Iterator[dict[str, range]]:
    """Cut a large iteration space along its outermost index that isn't summed."""
    whole: dict[str, range] = {}
    for name, extent in extents(problem).items():
        assert isinstance(extent, int), f"unbound extent {extent} of {name}"
        whole[name] = range(extent)
    volume = 1
    for name, extent_range in whole.items():
        volume *= len(extent_range) if name != "e" else 1
    if isinstance(
        problem, Contract
    ):  # its operands and its output, never all three indices at once
        volume //= min(len(whole[name]) for name in "mnk") or 1
    if isinstance(problem, Attention):
        volume //= min(len(whole[name]) for name in "qtd") or 1
    if isinstance(problem, Fold):
        volume //= len(whole["t"]) or 1
    first = next((n for n, r in whole.items() if n[0] in "ibmq" and len(r) > 1), None)
    if first is None or volume <= CHUNK:
        yield whole
        return
    length = len(whole[first])
    step = max(1, length * CHUNK // volume)
    for start in range(0, length, step):
        yield whole | {first: range(start, min(start + step, length))}


def _reduce(problem: Reduce, memory: _Memory, outputs: list[_Result]) -> None:
    element = memory.over(problem, "i", "r")
    row = memory.over(problem, "i")
    axes = tuple(range(len(problem.axes), len(element.shape)))
    combine: dict[str, Callable[..., Array]] = {
        "sum": np.sum,
        "max": np.max,
        "min": np.min,
        "prod": np.prod,
    }
    for j, one in enumerate(problem.passes):
        values = np.broadcast_to(element.expr(one.expr), element.shape)
        if values.size:
            result = combine[one.combine](values, axis=axes, keepdims=True).astype(values.dtype)
        else:
            shape = [1 if a in axes else size for a, size in enumerate(values.shape)]
            result = np.full(shape, _of_nothing(one.combine, values.dtype), values.dtype)
        element.refs[f"p{j}"] = result
        row.refs[f"p{j}"] = result.reshape(row.shape)
    for output in outputs:
        output.store(element if output.each else row)


def _of_nothing(combine: str, dtype: np.dtype[Any]) -> float:
    """What a row of no elements comes to."""
    if combine in ("sum", "prod"):
        return int(combine == "prod")
    if dtype.kind == "f":
        return -np.inf if combine == "max" else np.inf
    limits = np.iinfo(dtype)
    return int(limits.min if combine == "max" else limits.max)


def _attention(problem: Attention, memory: _Memory, outputs: list[_Result]) -> None:
    query = memory.over(problem, "b", "q", "d").matrix(problem.query)
    key = memory.over(problem, "b", "t", "d").matrix(problem.key)
    value = memory.over(problem, "b", "t", "e").matrix(problem.value)
    scores = memory.over(problem, "b", "q", "t")
    scores.refs["score"] = np.matmul(query, np.swapaxes(key, -1, -2))
    masked = np.maximum(scores.matrix(problem.score), np.float32(MASKED))
    weights = np.exp(masked - masked.max(axis=-1, keepdims=True))
    point = memory.over(problem, "b", "q", "e")
    point.refs["acc"] = np.matmul(weights, value) / weights.sum(axis=-1, keepdims=True)
    _store(outputs, point)


def _fold(problem: Fold, memory: _Memory, outputs: list[_Result]) -> None:
    """Turn after turn at all points at once; where it isn't a point's turn, its acc stays."""
    point = memory.over(problem, "i")
    start, stop = (
        np.broadcast_to(point.expr(e), point.shape) for e in (problem.start, problem.stop)
    )
    limit = len(memory.window["t"])
    acc = np.array(np.broadcast_to(point.expr(problem.first), point.shape))
    if acc.size:
        for turn in range(max(int(start.min()), 0), min(int(stop.max()), limit)):
            window = memory.window | {"t": range(turn, turn + 1)}
            now = replace(memory, window=window).over(problem, "i", "t")
            now.refs["acc"] = acc[..., None]
            made = np.broadcast_to(now.expr(problem.step), (*acc.shape, 1))[..., 0]
            acc = np.where((start <= turn) & (turn < stop), made, acc).astype(acc.dtype)
    point.refs["acc"] = acc
    _store(outputs, point)


@dataclass
class _Memory:
    """The operands, the window of the iteration space, and what a load out of range reads."""

    operands: list[Array]
    window: dict[str, range]
    poison: int | None

    def over(self, problem: Problem, *families: str) -> _Space:
        """The part of the iteration space whose indices are of `families` (first letters)."""
        names = [n for f in families for n in self.window if n[0] == f]
        return _Space(self, tuple(names))


class _Space:
    """Evaluates expressions over some indices: array axis j is the index `names[j]`."""

    def __init__(self, memory: _Memory, names: tuple[str, ...]) -> None:
        self.memory = memory
        self.names = names
        self.ranges = tuple(memory.window[n] for n in names)
        self.shape = tuple(len(r) for r in self.ranges)
        self.refs: dict[str, Array] = {}
        self._known: dict[int, tuple[Expr, Array]] = {}

    def matrix(self, expr: Expr) -> Array:
        """`expr` with its last two axes filled in, the others broadcastable."""
        values = self.expr(expr)
        if values.ndim < len(self.shape):
            values = values.reshape((1,) * (len(self.shape) - values.ndim) + values.shape)
        return np.broadcast_to(values, values.shape[:-2] + self.shape[-2:])

    def expr(self, expr: Expr) -> Array:
        found = self._known.get(id(expr))
        if found is None:  # the expression is kept alive with its value: its id stays its own
            found = self._known[id(expr)] = (expr, self._expr(expr))
        return found[1]

    def _expr(self, expr: Expr) -> Array:
        match expr:
            case Const(value, dtype):
                return np.asarray(value, NUMPY[dtype])
            case Index(dim):
                return np.asarray(self.dim(dim)).astype(np.int32)
            case Load(int(memory), offset, dtype, 1):
                loaded = self.load(self.memory.operands[memory], offset)
                assert loaded.dtype == NUMPY[dtype], f"load of {loaded.dtype} as {dtype}"
                return loaded
            case Call(op, args, dtype, 1):
                return apply(op, [self.expr(a) for a in args], dtype)
            case Ref(name):
                return self.refs[name]
        raise ValueError(f"{expr} has no place in a problem")

    def dim(self, dim: Dim) -> Array | int:
        """A dim as int64 over the space; a loaded value in it is an integer array."""
        if isinstance(dim, int):
            return dim
        total: Array | int = 0
        for atoms, coefficient in dim.terms:
            factor: Array | int = coefficient
            for atom in atoms:
                factor = factor * self._atom(atom)
            total = total + factor
        return total

    def _atom(self, atom: dims.Atom) -> Array | int:
        match atom:
            case dims.Symbol(name):
                axis = self.names.index(name)
                sides = [1] * len(self.names)
                sides[axis] = self.shape[axis]
                within = self.ranges[axis]
                return np.arange(within.start, within.stop, dtype=np.int64).reshape(sides)
            case dims.Operation(op, left, right):
                a, b = np.asarray(self.dim(left)), np.asarray(self.dim(right))
                match op:
                    case "//":
                        return np.asarray(np.floor_divide(a, b))
                    case "%":
                        return np.asarray(np.mod(a, b))
                    case "min":
                        return np.asarray(np.minimum(a, b))
                return np.asarray(np.maximum(a, b))
            case Value(inner):
                return self.expr(inner).astype(np.int64)
        raise ValueError(f"{atom} has no place in a problem")

    def load(self, operand: Array, offset: Dim) -> Array:
        view = self.view(operand, offset)
        if view is not None:
            return view
        places = np.asarray(self.dim(offset))
        clamped = np.clip(places, 0, max(operand.size - 1, 0))
        values = operand[clamped] if operand.size else np.zeros(places.shape, operand.dtype)
        if self.memory.poison is not None:
            poison = np.asarray(self.memory.poison).astype(operand.dtype)
            if operand.dtype == np.bool_:
                poison = np.asarray(self.memory.poison > 3)
            values = np.where(places == clamped, values, poison)
        return np.asarray(values)

    def view(self, array: Array, offset: Dim, whole: bool = False) -> Array | None:
        """`array` at an affine offset that stays in range, as a strided view; else None."""
        affine = _affine(offset, self.names)
        if affine is None:
            return None
        base, strides = affine
        low = high = base
        sides = []
        for stride, within in zip(strides, self.ranges, strict=True):
            if len(within) == 0:
                return None
            base += stride * within.start
            low += stride * (within.start if stride >= 0 else within.stop - 1)
            high += stride * (within.stop - 1 if stride >= 0 else within.start)
            sides.append(len(within) if stride or whole else 1)
        if low < 0 or high >= array.size:
            return None
        steps = [s * array.itemsize for s in strides]
        return np.lib.stride_tricks.as_strided(array[base:], sides, steps)


def _affine(dim: Dim, names: tuple[str, ...]) -> tuple[int, list[int]] | None:
    """(base, stride of each index) where `dim` is an affine function of the indices."""
    if isinstance(dim, int):
        return dim, [0] * len(names)
    base, strides = 0, [0] * len(names)
    for atoms, coefficient in dim.terms:
        match atoms:
            case ():
                base = coefficient
            case (dims.Symbol(name),) if name in names:
                strides[names.index(name)] = coefficient
            case _:
                return None
    return base, strides


class _Result:
    """One output array, poisoned until it is written."""

    def __init__(self, output: Output, strict: bool) -> None:
        assert isinstance(output.size, int), f"unbound size {output.size}"
        self.output = output
        self.each = output.each
        self.array: Array = np.full(output.size, 85, NUMPY[output.dtype])
        self.counts = np.zeros(output.size, np.int32) if strict else None

    def store(self, space: _Space) -> None:
        values = np.broadcast_to(space.expr(self.output.expr), space.shape)
        assert values.dtype == self.array.dtype, f"{values.dtype} stored as {self.array.dtype}"
        view = space.view(self.array, self.output.offset, whole=True)
        if view is not None and self.counts is None:
            view[...] = values
            return
        places = np.broadcast_to(np.asarray(space.dim(self.output.offset)), space.shape)
        if places.size and (places.min() < 0 or places.max() >= self.array.size):
            raise IndexError(f"a store at {self.output.offset} is out of range")
        self.array[places] = values
        if self.counts is not None:
            np.add.at(self.counts, places.reshape(-1), 1)

    def finish(self) -> Array:
        """The array; raises IndexError unless every element was written exactly once."""
        if self.counts is not None and not (self.counts == 1).all():
            place = int(np.argmax(self.counts != 1))
            raise IndexError(f"element {place} is written {self.counts[place]} times")
        return self.array


def _store(outputs: list[_Result], space: _Space) -> None:
    for output in outputs:
        output.store(space)


# The meaning of each scalar operation on arrays, which `interpret` shares.


def _truncated_div(a: Array, b: Array) -> Array:
    """Integer division to zero; 0 where the divisor is 0: an unselected branch doesn't fail."""
    safe = np.where(b == 0, 1, b)
    quotient = a // safe
    inexact = (quotient * safe != a) & ((a < 0) != (safe < 0))
    return np.where(b == 0, 0, quotient + inexact)


def _div(a: Array, b: Array) -> Array:
    return _truncated_div(a, b) if a.dtype.kind in "iu" else a / b


def _mod(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.fmod(a, b)
    return np.where(b == 0, 0, np.mod(a, np.where(b == 0, 1, b)))


def _power(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.power(a, b)
    return np.power(a.astype(np.int64), np.maximum(b, 0).astype(np.int64))


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "inverse_sqrt": lambda x: 1 / np.sqrt(x),
    "tanh": np.tanh, "erf": erf, "sin": np.sin, "cos": np.cos, "floor": np.floor, "ceil": np.ceil,
    "round": np.rint, "reciprocal": lambda x: 1 / x, "neg": lambda x: -x, "abs": np.abs,
    "sign": np.sign, "not": np.logical_not, "add": np.add, "sub": np.subtract, "mul": np.multiply,
    "div": _div, "mod": _mod, "min": np.minimum, "max": np.maximum, "pow": _power, "lt": np.less,
    "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
    "ne": np.not_equal, "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor,
    "select": np.where, "is_nan": np.isnan, "is_inf": np.isinf, "fma": lambda a, b, c: a * b + c,
}  # fmt: skip


def _shift(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda a, b: function(a, b & np.asarray(31, b.dtype))


def _bits(target: Any) -> Callable[[Array], Array]:
    return lambda x: np.ascontiguousarray(x).view(target).reshape(x.shape)


_FUNCTIONS |= {
    "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor,
    "shift_left": _shift(np.left_shift), "shift_right": _shift(np.right_shift),
    "bits_f32": _bits(np.float32), "bits_i32": _bits(np.int32), "bits_u32": _bits(np.uint32),
}  # fmt: skip


def apply(op: str, args: list[Array], dtype: DType) -> Array:
    """One operation on broadcastable arrays; the caller ignores floating-point warnings."""
    if op == "cast":
        return convert(args[0], dtype)
    return np.asarray(_FUNCTIONS[op](*args)).astype(NUMPY[dtype], copy=False)


def convert(x: Array, dtype: DType) -> Array:
    """`cast`: float to integer rounds to zero and saturates, to bool is `!= 0`."""
    if dtype is DType.BOOL:
        return np.not_equal(x, 0)
    if x.dtype.kind == "f" and dtype.is_integer:
        info = np.iinfo(NUMPY[dtype])
        wide = np.nan_to_num(np.trunc(x.astype(np.float64)))
        x = np.clip(wide, float(info.min), float(info.max))
    result: Array = x.astype(NUMPY[dtype])
    return result
