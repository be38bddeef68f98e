"""What every lowering shares: bindings, four-lane forms, grids. Blocks are in `scope.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import (
    Call,
    Expr,
    Index,
    Load,
    Ref,
    Value,
    as_index,
    call,
    cast,
    lanes_of,
    substitute,
)
from webrt.kernel.problem import Output, Problem, extents, symbols
from webrt.lower.scope import Names, Scope

Quad = tuple[Dim, Dim, Dim, Dim]
"""Four indices: of the lanes of a four-lane value."""

MAX_GRID = 65535
"""WebGPU's default maxComputeWorkgroupsPerDimension."""


def root_scope(problem: Problem, aligned: bool = True) -> Scope:
    """The outermost block of a kernel for `problem`; its bindings' names are taken.

    `aligned` keeps addresses of four-lane accesses divisible by 4 (`Scope`).
    """
    reserved = [*loop.GRID, *loop.LANES, *symbols(problem), "workgroup", "lane", "symbols", "main"]
    reserved += ["stored", "first", "half", *extents(problem)]
    names = Names([*reserved, *(name for name, *_ in _memories(problem))])
    return Scope(names, aligned=aligned)


def _memories(problem: Problem) -> list[tuple[str, DType, bool]]:
    """Name, storage type and writability of every binding, in order."""
    operands = [(f"x{j}", o.dtype.storage, not o.constant) for j, o in enumerate(problem.operands)]
    first = len(operands)
    outputs = [(f"x{first + j}", o.dtype.storage, True) for j, o in enumerate(problem.outputs)]
    return operands + outputs


def kernel(
    name: str,
    problem: Problem,
    workgroup: tuple[int, int, int],
    grid: tuple[Dim, Dim, Dim],
    scope: Scope,
    shared: tuple[loop.Shared, ...] = (),
) -> loop.Kernel:
    """The finished kernel: bindings and symbols follow from what the body uses."""
    body = tuple(scope.statements)
    uses = _Uses()
    uses.body(body)
    used, wide = uses.names, uses.wide
    bindings = tuple(
        loop.Binding(binding, dtype, 4 if j in wide else 1, writable)
        for j, (binding, dtype, writable) in enumerate(_memories(problem))
    )
    model = sorted(used & set(symbols(problem)), key=lambda s: int(s[1:]))
    return loop.Kernel(name, bindings, tuple(model), shared, workgroup, grid, body)


class _Uses:
    """The symbols that a body uses, and the bindings that it accesses by four."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.wide: set[int] = set()

    def body(self, body: Sequence[loop.Stmt]) -> None:
        for statement in body:
            match statement:
                case loop.Let(_, expr) | loop.Var(_, expr) | loop.Assign(_, expr):
                    self.expr(expr)
                case loop.Store(memory, offset, expr):
                    if isinstance(memory, int) and lanes_of(expr) == 4:
                        self.wide.add(memory)
                    self.dim(offset)
                    self.expr(expr)
                case loop.For(_, start, stop, _, inner):
                    self.dim(start)
                    self.dim(stop)
                    self.body(inner)
                case loop.If(condition, inner, otherwise):
                    self.expr(condition)
                    self.body(inner)
                    self.body(otherwise)

    def expr(self, expr: Expr) -> None:
        if isinstance(expr, Call):
            for arg in expr.args:
                self.expr(arg)
        elif isinstance(expr, Load):
            if expr.lanes == 4 and isinstance(expr.memory, int):
                self.wide.add(expr.memory)
            self.dim(expr.offset)
        elif isinstance(expr, Index):
            self.dim(expr.dim)

    def dim(self, dim: Dim) -> None:
        for atoms, _ in () if isinstance(dim, int) else dim.terms:
            for atom in atoms:
                if isinstance(atom, dims.Symbol):
                    self.names.add(atom.name)
                elif isinstance(atom, Value):
                    self.expr(atom.expr)
                else:
                    for part in atom.parts():
                        self.dim(part)


def statements_of(body: Sequence[loop.Stmt]) -> Iterator[loop.Stmt]:
    """Every statement of a body, the nested ones included."""
    for statement in body:
        yield statement
        if isinstance(statement, loop.For):
            yield from statements_of(statement.body)
        elif isinstance(statement, loop.If):
            yield from statements_of(statement.body)
            yield from statements_of(statement.otherwise)


def exprs_of(statement: loop.Stmt) -> tuple[Expr, ...]:
    """The expressions that stand directly in a statement."""
    match statement:
        case loop.Let(_, expr) | loop.Var(_, expr) | loop.Assign(_, expr):
            return (expr,)
        case loop.Store(_, offset, expr):
            return (expr, Index(offset))
        case loop.If(condition):
            return (condition,)
        case loop.For(_, start, stop):
            return (Index(start), Index(stop))
    return ()


# Four-lane forms


def is_aligned(offset: Dim) -> bool:
    """Whether `offset` is divisible by 4 whatever its symbols are."""
    return dims.modulo(offset, 4) == 0


def quad(base: Dim) -> Quad:
    """The four consecutive indices from 4·base on."""
    return (base * 4, base * 4 + 1, base * 4 + 2, base * 4 + 3)


def vectorise(
    expr: Expr,
    name: str,
    lanes: Quad,
    extents: Mapping[str, Dim],
    refs: Mapping[str, Expr] | None = None,
    aligned: bool = True,
) -> Expr:
    """`expr` at index `name` = lanes[0], …, lanes[3], as a value of four lanes.

    A load becomes a four-lane load where its elements are consecutive and (with `aligned`, as WGSL
    needs it) the first one's address is divisible by 4, a scalar where
    they are one, else four scalar loads. An expression that doesn't depend on the index stays
    scalar (`wide` makes four of it). `refs` replaces references.
    """

    def at(lane: int) -> Mapping[str, Dim]:
        return {name: lanes[lane]}

    done: dict[Expr, Expr] = {}

    def visit(e: Expr) -> Expr:
        if e not in done:
            done[e] = widened(e)
        return done[e]

    def widened(e: Expr) -> Expr:
        match e:
            case Ref(ref):
                return e if refs is None else refs.get(ref, e)
            case Call(op, args):
                changed = tuple([visit(a) for a in args])
                return cast(changed[0], e.dtype) if op == "cast" else call(op, *changed)
            case Load(memory, offset, dtype, 1):
                offsets = [
                    dims.simplify(dims.substitute(offset, at(lane)), extents) for lane in range(4)
                ]
                if all(o == offsets[0] for o in offsets):
                    return Load(memory, offsets[0], dtype)
                neighbours = all(o == offsets[0] + lane for lane, o in enumerate(offsets))
                if neighbours and (not aligned or is_aligned(offsets[0])):
                    return Load(memory, offsets[0], dtype, 4)
                return call("vec4", *(Load(memory, o, dtype) for o in offsets))
            case Index(dim):
                points = [
                    dims.simplify(dims.substitute(dim, at(lane)), extents) for lane in range(4)
                ]
                if all(p == points[0] for p in points):
                    return as_index(points[0])
                return call("vec4", *(as_index(p) for p in points))
        return e

    return visit(expr)


def wide(expr: Expr) -> Expr:
    """`expr` as a value of four lanes."""
    return expr if lanes_of(expr) == 4 else call("splat", expr)


def lane(expr: Expr, position: int) -> Expr:
    """One lane of a four-lane value; a scalar is every lane."""
    return call(f"lane{position}", expr) if lanes_of(expr) == 4 else expr


def store_quad(
    scope: Scope,
    memory: int,
    output: Output,
    across: tuple[str, Quad],
    guards: tuple[Expr | None, ...],
    row: tuple[str, Dim, Dim],
    acc: Ref,
) -> None:
    """Store an output of a Contract or Attention at four columns of one row.

    `across` is the columns' index with its four values, `row` the rows' index with its value and
    extent. There are four guards, one a lane, where columns don't go four by four.
    """
    (name, lanes), (row_name, row_at, row_extent) = across, row
    extents = {**scope.extents, row_name: row_extent}
    value = vectorise(output.expr, name, lanes, extents, {"acc": acc})
    value = scope.share(substitute(value, {row_name: row_at}))
    offsets = [
        dims.simplify(dims.substitute(output.offset, {name: point}), extents) for point in lanes
    ]
    together = is_aligned(offsets[0]) and all(o == offsets[0] + c for c, o in enumerate(offsets))
    offsets = [dims.substitute(o, {row_name: row_at}) for o in offsets]
    if together and len(guards) == 1:
        scope.store(memory, offsets[0], wide(value))
        return
    if lanes_of(value) == 4 and not isinstance(value, Ref):
        value = scope.let("result", value)
    for c, offset in enumerate(offsets):
        with scope.when(guards[c] if len(guards) == 4 else None) as inside:
            inside.store(memory, offset, lane(value, c))


# Grids


@dataclass(frozen=True, slots=True)
class Grid:
    """Workgroups for a space of blocks: `index` decodes a workgroup's position, outermost first.

    Workgroups for which `guard` doesn't hold are surplus.
    """

    size: tuple[Dim, Dim, Dim]
    index: tuple[Dim, ...]
    guard: Expr | None


def fold_grid(blocks: Sequence[Dim]) -> Grid:
    """A grid for blocks[0] × … × blocks[-1], the last one running fastest.

    The last extent is x where it is proven to fit; the others (or all of them) are one number in
    y and z (or x, y), folded where they may exceed `MAX_GRID`.
    """
    many = [extent for extent in blocks if extent != 1]
    wg = [symbol(name) for name in loop.GRID]
    last = many[-1] if many else 1
    split = len(many) > 1 and isinstance(last, int) and last <= MAX_GRID
    outer = many[:-1] if split else many
    low, high = (wg[1], wg[2]) if split else (wg[0], wg[1])
    total = dims.product(tuple(outer))
    fits = isinstance(total, int) and total <= MAX_GRID
    number = low if fits else low + high * MAX_GRID
    guard = None if fits else call("lt", as_index(number), as_index(total))
    folded: tuple[Dim, Dim] = (total, 1)
    if not fits:
        folded = (dims.dim_min(total, MAX_GRID), dims.ceil_div(total, MAX_GRID))
    decoded = [*decode(number, outer), *([wg[0]] if split else [])]
    places = iter(decoded)
    index = tuple(0 if extent == 1 else next(places) for extent in blocks)
    return Grid((last, *folded) if split else (*folded, 1), index, guard)


def decode(number: Dim, extents: Sequence[Dim]) -> tuple[Dim, ...]:
    """The indices that `number` stands for in a row-major space."""
    if not extents:
        return ()
    result: list[Dim] = []
    rest = number
    for position in range(len(extents) - 1, 0, -1):
        result.append(dims.modulo(rest, extents[position]))
        rest = dims.floor_div(rest, extents[position])
    result.append(rest)
    return tuple(reversed(result))


def below(index: Dim, extent: Dim, extents: Mapping[str, Dim]) -> Expr | None:
    """The condition `index < extent`, None where it is proven."""
    if dims.is_below(index, extent, extents):
        return None
    return call("lt", as_index(index), as_index(extent))
