"""What every lowering for CPUs shares: units of work, unaligned fours, loads kept inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from webrt import dims
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.errors import CompileError
from webrt.kernel import loop
from webrt.kernel.axes import stride
from webrt.kernel.expr import (
    Call,
    Expr,
    Index,
    Load,
    Ref,
    Value,
    as_dim,
    as_index,
    call,
    cast,
    free_symbols,
    map_dims,
    own_dims,
    simplify,
    substitute,
    walk,
)
from webrt.kernel.problem import Operand, Output, Problem, expressions, extents
from webrt.lower import common
from webrt.lower.common import Quad
from webrt.lower.scope import Scope

UNIT: Dim = symbol(loop.GRID[0])
"""The unit that the kernel's body computes: 0 … grid[0] - 1, in any order, on any worker."""


def root_scope(problem: Problem) -> Scope:
    """The outermost block of a unit; wasm's accesses need no alignment."""
    return common.root_scope(problem, aligned=False)


def kernel(
    name: str,
    problem: Problem,
    units: Dim,
    scope: Scope,
    shared: tuple[loop.Shared, ...] = (),
) -> loop.Kernel:
    """The finished kernel: `units` workgroups of one lane; `shared` is a worker's own memory."""
    return common.kernel(name, problem, (1, 1, 1), (units, 1, 1), scope, shared)


def vectorise(
    expr: Expr,
    name: str,
    lanes: Quad,
    extents: Mapping[str, Dim],
    refs: Mapping[str, Expr] | None = None,
) -> Expr:
    """`expr` at index `name` = lanes[0], …, lanes[3] as `common.vectorise` has it, unaligned.

    So that a load is one of four wherever the elements are consecutive.
    """
    near = all(point - lanes[0] == c for c, point in enumerate(lanes))
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
                if op == "cast":
                    return cast(changed[0], e.dtype)
                return call(op, *changed)
            case Load(memory, offset, dtype, 1):
                step = stride(offset, name)
                if step == 0:
                    return e
                if step == 1 and near:
                    return Load(memory, dims.substitute(offset, {name: lanes[0]}), dtype, 4)
                points = at_lanes(offset, name, lanes, extents)
                if step is None and all(p == points[0] for p in points):
                    return Load(memory, points[0], dtype)
                if step is None and all(p == points[0] + c for c, p in enumerate(points)):
                    return Load(memory, points[0], dtype, 4)
                return call("vec4", *(Load(memory, p, dtype) for p in points))
            case Index(dim):
                if stride(dim, name) == 0:
                    return e
                points = at_lanes(dim, name, lanes, extents)
                if all(p == points[0] for p in points):
                    return as_index(points[0])
                return call("vec4", *(as_index(p) for p in points))
        return e

    return visit(expr)


def four_of(points: tuple[Dim, ...]) -> Quad:
    """Four points, as the type that says so."""
    a, b, c, d = points
    return (a, b, c, d)


def at_lanes(dim: Dim, name: str, lanes: Quad, extents: Mapping[str, Dim]) -> list[Dim]:
    """`dim` at four values of index `name`."""
    step = stride(dim, name)
    if step is None:
        return [dims.simplify(dims.substitute(dim, {name: one}), extents) for one in lanes]
    first = dims.substitute(dim, {name: lanes[0]})
    return [first + step * (one - lanes[0]) for one in lanes]


def refuse_f16(problem: Problem, name: str) -> None:
    """Raise CompileError for a problem that stores f16: wasm has no arithmetic for it."""
    tensors: list[Operand | Output] = [*problem.operands, *problem.outputs]
    for tensor in tensors:
        if tensor.dtype is DType.F16:
            raise CompileError(
                f"{name}: kernels for CPUs have no f16, found in a tensor of {tensor.size};"
                " pack the model in f32"
            )


def keep_inside(
    expr: Expr,
    operands: tuple[Operand, ...],
    extents: Mapping[str, Dim],
    dropped: bool = False,
    only: frozenset[int] | None = None,
) -> Expr:
    """`expr` with those loads kept inside of their operands whose value a `select` may drop.

    Such a load may lie anywhere, and wasm traps outside of its memory. A load of four may reach
    three elements out on either side, so that those of its lanes that are used stay in place.
    With `dropped`, a `select` around may drop `expr` itself; `only` these operands are kept to.
    """

    def indices(dim: Dim, dropped: bool) -> Dim:
        """`dim` with the loads in it kept inside, too."""

        def change(atom: dims.Atom) -> Dim | None:
            return as_dim(visit(atom.expr, dropped)) if isinstance(atom, Value) else None

        return dims.rebuild(dim, change)

    def visit(e: Expr, dropped: bool) -> Expr:
        match e:
            case Load(int() as memory, offset, dtype, lanes):
                offset = indices(offset, dropped)
                if dropped and (only is None or memory in only):
                    size = operands[memory].size
                    if not dims.is_below(offset, size, extents):
                        offset = dims.dim_min(dims.dim_max(offset, 1 - lanes), size - 1)
                return Load(memory, offset, dtype, lanes)
            case Index(dim):
                return as_index(indices(dim, dropped))
            case Call("select", (condition, if_true, if_false)):
                return call(
                    "select", visit(condition, dropped), visit(if_true, True), visit(if_false, True)
                )
            case Call(op, args, dtype, lanes):
                return Call(op, tuple(visit(a, dropped) for a in args), dtype, lanes)
        return e

    return visit(expr, dropped)


class Inside:
    """`keep_inside` for the operands of one problem that its loads may leave at all."""

    def __init__(self, problem: Problem) -> None:
        self.operands = problem.operands
        self.leaving: set[int] = set()
        self.seen: set[Load] = set()
        space = extents(problem)
        for expr in expressions(problem):
            self._look(expr, False, space)

    def _look(self, e: Expr, dropped: bool, space: Mapping[str, Dim]) -> None:
        if isinstance(e, Call):
            for j, arg in enumerate(e.args):
                self._look(arg, dropped or (e.op == "select" and j > 0), space)
        elif dropped and isinstance(e, Load) and self._may_leave(e, space):
            assert isinstance(e.memory, int)
            self.leaving.add(e.memory)
        for dim in own_dims(e):
            for atom in dims.atoms_of(dim):
                if isinstance(atom, Value):
                    self._look(atom.expr, dropped, space)

    def _may_leave(self, load: Load, space: Mapping[str, Dim]) -> bool:
        if not isinstance(load.memory, int) or load.memory in self.leaving or load in self.seen:
            return False
        self.seen.add(load)
        return not dims.is_below(load.offset, self.operands[load.memory].size, space)

    def keep(self, expr: Expr, extents: Mapping[str, Dim], dropped: bool = False) -> Expr:
        """`expr` with its loads inside; `dropped`: a `select` around may drop it."""
        if not self.leaving:
            return expr
        return keep_inside(expr, self.operands, extents, dropped, frozenset(self.leaving))


def at_outer(
    scope: Scope,
    exprs: Sequence[Expr],
    outer: Mapping[str, Dim],
    moving: Iterable[str],
    inside: Inside,
) -> list[Expr]:
    """`exprs` at the `outer` indices; loaded indices that don't depend on `moving` are named."""
    known: dict[Value, Dim] = {}
    still = set(moving)

    def change(atom: dims.Atom) -> Dim | None:
        if isinstance(atom, dims.Symbol):
            return outer.get(atom.name)
        if not isinstance(atom, Value) or not still.isdisjoint(free_symbols(atom.expr)):
            return None
        if any(isinstance(e, Ref) for e in walk(atom.expr)):
            return None  # a pass's result, which isn't there yet
        if atom not in known:
            index = inside.keep(substitute(atom.expr, outer), scope.extents, True)
            # No symbol: of one without an extent it would be taken for granted that it is positive.
            known[atom] = as_dim(scope.let("index", index))
        return known[atom]

    return [map_dims(e, lambda d: dims.rebuild(d, change)) for e in exprs]


def hoist(scope: Scope, exprs: Sequence[Expr], moving: set[str], inside: Inside) -> list[Expr]:
    """`exprs` with what is the same for all values of the indices `moving` named in `scope`."""
    known: dict[tuple[Expr, bool], Expr] = {}
    fixed: dict[int, bool] = {}

    def is_fixed(e: Expr) -> bool:
        if id(e) not in fixed:
            if isinstance(e, Call):
                fixed[id(e)] = all([is_fixed(a) for a in e.args])
            else:
                fixed[id(e)] = moving.isdisjoint(free_symbols(e))
        return fixed[id(e)]

    def visit(e: Expr, dropped: bool) -> Expr:
        if isinstance(e, Load | Call) and is_fixed(e):
            if (e, dropped) not in known:
                simple = inside.keep(simplify(e, scope.extents), scope.extents, dropped)
                known[e, dropped] = scope.let("fixed", simple)
            return known[e, dropped]
        if not isinstance(e, Call):
            return e
        arms = dropped or e.op == "select"
        args = tuple(visit(a, arms if j else dropped) for j, a in enumerate(e.args))
        return Call(e.op, args, e.dtype, e.lanes)

    return [visit(e, False) for e in exprs]


def splats(scope: Scope, exprs: Sequence[Expr]) -> dict[str, Expr]:
    """Four copies of every number that `exprs` refer to, named in `scope`: outside of a loop."""
    found = {e.name: e for x in exprs for e in walk(x) if isinstance(e, Ref) and e.lanes == 1}
    return {
        name: scope.let("four", call("splat", ref))
        for name, ref in found.items()
        if ref.dtype is not DType.BOOL
    }
