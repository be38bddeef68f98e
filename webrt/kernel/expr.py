"""Scalar expressions: the arithmetic inside problems and loop IR, typed and immutable.

Indices are symbolic integers (`dims.Dim`); everything that depends on data is an `Expr`. The two
meet in both directions: `Index(dim)` is an integer expression, `Value(expr)` an atom of a dim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import copysign
from typing import ClassVar, Union

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.operations import BITS, COMPARISON, OPS


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """A literal. Float values are finite or ±inf/nan; bool ones are False or True.

    0.0 and -0.0 are two.
    """

    value: float | int | bool
    dtype: DType
    lanes: ClassVar[int] = 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Const) or self.dtype is not other.dtype:
            return False
        same = self.value == other.value
        return same and (self.value != 0 or copysign(1, self.value) == copysign(1, other.value))

    def __hash__(self) -> int:
        return hash((self.value, self.dtype))


@dataclass(frozen=True, slots=True)
class Index:
    """A symbolic integer as an i32 expression."""

    dim: Dim
    dtype: ClassVar[DType] = DType.I32
    lanes: ClassVar[int] = 1


class _Kept:
    """What is worked out of an expression, of all that stands in it, when it is first asked for."""

    __slots__ = ("_hash", "_names")
    _hash: int
    _names: frozenset[str]

    def hash_of(self, content: object) -> int:
        object.__setattr__(self, "_hash", hash(content))
        return self._hash


@dataclass(frozen=True, slots=True)
class Load(_Kept):
    """Element `offset` (flat, in elements) of an operand; `lanes` 4 loads offset … offset + 3.

    `memory` is the operand's position in the problem or kernel, or the name of a workgroup array.
    A bool operand is stored as u32; its load has dtype bool (`!= 0` is implied).
    """

    memory: int | str
    offset: Dim
    dtype: DType
    lanes: int = 1

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            return self.hash_of((self.memory, self.offset, self.dtype, self.lanes))


@dataclass(frozen=True, slots=True)
class Call(_Kept):
    """An operation of `OPS` on expressions."""

    op: str
    args: tuple[Expr, ...]
    dtype: DType
    lanes: int = 1

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            return self.hash_of((self.op, self.args, self.dtype, self.lanes))


@dataclass(frozen=True, slots=True)
class Ref:
    """A named value: an accumulator or pass result of a problem, a let or register of loop IR."""

    name: str
    dtype: DType
    lanes: int = 1


Expr = Union[Const, Index, Load, Call, Ref]


@dataclass(frozen=True, slots=True)
class Value(dims.Atom):
    """An i32 expression as an atom of a dim: how a loaded index enters an address."""

    expr: Expr
    _text: str | None = field(default=None, init=False, repr=False, compare=False)

    def __str__(self) -> str:
        if self._text is None:  # terms are sorted by it, so it is asked for often
            from webrt.kernel.text import print_expr

            object.__setattr__(self, "_text", f"[{print_expr(self.expr)}]")
        assert self._text is not None
        return self._text

    def evaluate(self, bindings: Mapping[str, int]) -> int:
        raise KeyError(str(self))

    def rebuild(self, change: Callable[[Dim], Dim]) -> Dim | None:
        changed = map_dims(self.expr, change)
        return None if changed is self.expr else as_dim(changed)

    def parts(self) -> tuple[Dim, ...]:
        return tuple(d for e in _calls(self.expr) for d in own_dims(e))


def lanes_of(expr: Expr) -> int:
    return expr.lanes


def f32(value: float) -> Const:
    return Const(float(value), DType.F32)


def i32(value: int) -> Const:
    return Const(int(value), DType.I32)


def boolean(value: bool) -> Const:
    return Const(bool(value), DType.BOOL)


def call(op: str, *args: Expr) -> Expr:
    """A call whose dtype follows from its operands; checks the operand types.

    Integer `add`, `sub` and `mul` of symbolic integers and literals stay symbolic integers.
    """
    assert op in OPS, op
    first = args[0].dtype
    lanes = max([a.lanes for a in args])
    if op in COMPARISON:
        assert args[0].dtype == args[1].dtype, (op, args)
        return Call(op, args, DType.BOOL, lanes)
    if op in ("is_nan", "is_inf"):
        return Call(op, args, DType.BOOL, lanes)
    if op in BITS:
        return Call(op, args, BITS[op], lanes)
    if op == "select":
        assert first is DType.BOOL, args
        assert args[1].dtype == args[2].dtype, args
        return Call(op, args, args[1].dtype, lanes)
    for arg in args:
        assert arg.dtype is first, (op, args)
    if first is DType.I32 and op in ("add", "sub", "mul", "neg"):
        symbolic = all(isinstance(a, Const | Index) for a in args)
        if symbolic:
            return as_index(_integer(op, [as_dim(a) for a in args]))
    if op in ("lane0", "lane1", "lane2", "lane3", "sum4"):
        lanes = 1
    elif op in ("splat", "vec4"):
        lanes = 4
    return Call(op, args, first, lanes)


def cast(expr: Expr, dtype: DType) -> Expr:
    """`expr` converted to `dtype`; nothing where it has that type, or had before it was widened.

    A literal stays one, but for f16: those are only loaded and stored.
    """
    if expr.dtype is dtype:
        return expr
    if dtype is DType.F16 and isinstance(expr, Call) and expr.op == "cast":
        (inner,) = expr.args
        if inner.dtype is DType.F16 and expr.dtype is DType.F32:
            return inner  # widening loses nothing
    if isinstance(expr, Const) and abs(expr.value) < 1 << 30 and dtype is not DType.F16:
        value = expr.value
        return Const(
            float(value) if dtype.is_float else bool(value) if dtype is DType.BOOL else int(value),
            dtype,
        )
    return Call("cast", (expr,), dtype, lanes_of(expr))


def select(condition: Expr, if_true: Expr, if_false: Expr) -> Expr:
    """`if_true` where the bool `condition` holds, else `if_false`; folds a literal condition."""
    if isinstance(condition, Const):
        return if_true if condition.value else if_false
    return if_true if if_true == if_false else call("select", condition, if_true, if_false)


def as_index(dim: Dim) -> Expr:
    """A dim as an i32 expression: a literal, the expression of a lone `Value`, or an `Index`."""
    if isinstance(dim, int):
        return i32(dim)
    if len(dim.terms) == 1:
        atoms, coefficient = dim.terms[0]
        if coefficient == 1 and len(atoms) == 1 and isinstance(atoms[0], Value):
            return atoms[0].expr
    return Index(dim)


def as_dim(expr: Expr) -> Dim:
    """An i32 expression as a dim: sums and products of integers stay polynomials."""
    assert expr.dtype is DType.I32, expr
    if isinstance(expr, Const):
        return int(expr.value)
    if isinstance(expr, Index):
        return expr.dim
    if isinstance(expr, Call) and expr.op in ("add", "sub", "mul", "neg"):
        return _integer(expr.op, [as_dim(a) for a in expr.args])
    return dims.atom_dim(Value(expr))


def _integer(op: str, args: list[Dim]) -> Dim:
    match op:
        case "add":
            return args[0] + args[1]
        case "sub":
            return args[0] - args[1]
        case "mul":
            return args[0] * args[1]
    return args[0] * -1


def children(expr: Expr) -> tuple[Expr, ...]:
    """The operands of a call; a leaf has none (`own_dims`: what stands in its indices)."""
    return expr.args if isinstance(expr, Call) else ()


def own_dims(expr: Expr) -> tuple[Dim, ...]:
    """The dims that stand directly in `expr`."""
    if isinstance(expr, Index):
        return (expr.dim,)
    return (expr.offset,) if isinstance(expr, Load) else ()


def walk(expr: Expr) -> Iterator[Expr]:
    """`expr` and everything in it, expressions inside its indices included."""
    waiting = [expr]
    while waiting:
        current = waiting.pop()
        yield current
        if isinstance(current, Call):
            waiting += current.args[::-1]
            continue
        for dim in own_dims(current):
            if not isinstance(dim, int) and dim.compound:
                waiting += [value.expr for value in reversed(_values(dim))]


def parts(expr: Expr) -> Iterator[Expr]:
    """What `walk` gives, in that order, but equal expressions once: fusion repeats them."""
    seen: set[Expr] = set()
    waiting = [expr]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        yield current
        if isinstance(current, Call):
            waiting += current.args[::-1]
            continue
        for dim in own_dims(current):
            if not isinstance(dim, int) and dim.compound:
                waiting += [value.expr for value in reversed(_values(dim))]


def _calls(expr: Expr) -> Iterator[Expr]:
    """`expr` and its operands, without what stands inside indices."""
    yield expr
    for child in children(expr):
        yield from _calls(child)


def _values(dim: Dim) -> list[Value]:
    """The values that stand in `dim`, without those inside of their own indices."""
    found: list[Value] = []
    for atom in () if isinstance(dim, int) else dim.compound:
        if isinstance(atom, Value):
            found.append(atom)
        else:
            for part in atom.parts():
                found += _values(part)
    return found


def free_symbols(expr: Expr) -> frozenset[str]:
    """Names of all symbols (indices and dynamic dims) in `expr`."""
    if not isinstance(expr, Call):
        return frozenset[str]().union(*map(dims.free_symbols, own_dims(expr)))
    try:
        return expr._names
    except AttributeError:
        names = frozenset[str]().union(*[free_symbols(arg) for arg in expr.args])
        object.__setattr__(expr, "_names", names)
        return names


def looks_up(expr: Expr) -> bool:
    """Whether an index in `expr` depends on a reference: on what its own problem computes."""
    return any(
        isinstance(inner, Ref)
        for e in walk(expr)
        for dim in own_dims(e)
        for value in _values(dim)
        for inner in walk(value.expr)
    )


def distinct_loads(expr: Expr) -> list[Load]:
    """Every load in `expr` once, in the order of their first occurrences."""
    return [e for e in parts(expr) if isinstance(e, Load)]


def loads(expr: Expr) -> list[Load]:
    """Every load in `expr`, those inside indices included, in order, with repetitions."""
    return [e for e in walk(expr) if isinstance(e, Load)]


def map_dims(expr: Expr, change: Callable[[Dim], Dim]) -> Expr:
    """Change every dim that stands in `expr`, outermost first (nested values are in those dims).

    Equal expressions are changed once: fusion repeats them.
    """
    done: dict[Expr, Expr] = {}

    def visit(e: Expr) -> Expr:
        if e not in done:
            done[e] = _with_parts(e, visit, change)
        return done[e]

    return visit(expr)


def _with_parts(
    expr: Expr, change: Callable[[Expr], Expr], change_dim: Callable[[Dim], Dim]
) -> Expr:
    """`expr` with its operands and its own dim changed; itself where nothing changes."""
    if isinstance(expr, Call):
        args = tuple([change(a) for a in expr.args])
        if args == expr.args:
            return expr
        return cast(args[0], expr.dtype) if expr.op == "cast" else call(expr.op, *args)
    if isinstance(expr, Load):
        offset = change_dim(expr.offset)
        same = offset is expr.offset
        return expr if same else Load(expr.memory, offset, expr.dtype, expr.lanes)
    if isinstance(expr, Index):
        dim = change_dim(expr.dim)
        return expr if dim is expr.dim else as_index(dim)
    return expr


def substitute(expr: Expr, mapping: Mapping[str, Dim]) -> Expr:
    """Replace symbols by dims in every index of `expr`."""
    return map_dims(expr, lambda d: dims.substitute(d, mapping)) if mapping else expr


def simplify(expr: Expr, extents: Mapping[str, Dim]) -> Expr:
    """Simplify every index of `expr`, given the extents of the indices."""
    return map_dims(expr, lambda d: dims.simplify(d, extents))


def rewrite(expr: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """Replace leaves and calls bottom up, inside indices too; None keeps an expression.

    Equal expressions are changed once: fusion repeats them.
    """
    done: dict[Expr, Expr] = {}

    def in_atom(atom: dims.Atom) -> Dim | None:
        if not isinstance(atom, Value):
            return atom.rebuild(in_dim)
        new = visit(atom.expr)
        return None if new is atom.expr else as_dim(new)

    def in_dim(dim: Dim) -> Dim:
        plain = isinstance(dim, int) or not dim.compound
        return dim if plain else dims.replace_atoms(dim, in_atom)

    def visit(e: Expr) -> Expr:
        if e not in done:
            whole = _with_parts(e, visit, in_dim)
            result = change(whole)
            done[e] = whole if result is None else result
        return done[e]

    return visit(expr)
