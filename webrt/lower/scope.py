"""Blocks of loop IR under construction: index arithmetic is named once, as far out as it can be.

So a printer has nothing left to optimise: common subexpressions and loop-invariant parts of
addresses are `Let`s of the outermost block where all their symbols are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from webrt import dims
from webrt.dims import Dim, Symbolic, symbol
from webrt.kernel import loop
from webrt.kernel.expr import (
    Call,
    Const,
    Expr,
    Index,
    Load,
    Ref,
    Value,
    as_index,
    call,
    lanes_of,
    own_dims,
    walk,
)


class Names:
    """Fresh local names of one kernel: `hint`, `hint_1`, `hint_2` …"""

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self._used: dict[str, int] = dict.fromkeys(taken, 0)

    def fresh(self, hint: str) -> str:
        while True:
            count = self._used.get(hint)
            self._used[hint] = 0 if count is None else count + 1
            name = hint if count is None else f"{hint}_{count + 1}"
            if count is None or name not in self._used:
                self._used.setdefault(name, 0)
                return name


@dataclass(slots=True)
class _Known:
    """What a block has made of indices, and of expressions."""

    dims: dict[Dim, Dim] = field(default_factory=dict)
    exprs: dict[Expr, Expr] = field(default_factory=dict)


@dataclass
class Scope:
    """A block being built; `parent` is the block around it.

    With `aligned`, addresses of four-lane accesses are kept divisible by 4, as WGSL needs them.
    """

    names: Names
    parent: Scope | None = None
    aligned: bool = True
    statements: list[loop.Stmt] = field(default_factory=list)
    defined: set[str] = field(default_factory=set)
    registers: set[str] = field(default_factory=set)
    has_loop: bool = False
    _memo: dict[Dim, Dim] = field(default_factory=dict)
    _extents: dict[str, Dim] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.depth: int = 0 if self.parent is None else self.parent.depth + 1

    @property
    def extents(self) -> dict[str, Dim]:
        """Extents of every symbol named with one, here and around."""
        around = {} if self.parent is None else self.parent.extents
        return around | self._extents

    # Statements

    def let(self, hint: str, expr: Expr) -> Ref:
        """Name a value here."""
        return self.name(hint, self.expr(expr))

    def name(self, hint: str, expr: Expr) -> Ref:
        """Name a value here as it stands: nothing in its indices is looked for further out."""
        name = self.names.fresh(hint)
        self.defined.add(name)
        self.statements.append(loop.Let(name, expr))
        return Ref(name, expr.dtype, lanes_of(expr))

    def symbol(self, hint: str, dim: Dim, extent: Dim | None = None) -> Dim:
        """Name a dim here, unless it is a literal or a symbol; with its extent, if it is known."""
        if isinstance(dim, int):
            return dim
        named = dim if _is_symbol(dim) else self._named(dim, hint)
        if extent is not None:
            (name,) = dims.free_symbols(named)
            self._extents[name] = extent
        return named

    def bind(self, name: str, dim: Dim, extent: Dim) -> None:
        """Name a dim here by the name that the problem's expressions use."""
        self.statements.append(loop.Let(name, as_index(self.index(dim))))
        self.defined.add(name)
        self._extents[name] = extent

    def var(self, hint: str, expr: Expr) -> Ref:
        """Declare a register here."""
        name = self.names.fresh(hint)
        self.defined.add(name)
        self.registers.add(name)
        self.statements.append(loop.Var(name, self.expr(expr)))
        return Ref(name, expr.dtype, lanes_of(expr))

    def assign(self, register: Ref, expr: Expr) -> None:
        self.statements.append(loop.Assign(register.name, self.expr(expr)))

    def store(self, memory: int | str, offset: Dim, expr: Expr) -> None:
        """Store a value; of four lanes only where `is_aligned(offset)`, unless none need be."""
        address = self._address(offset, lanes_of(expr))
        self.statements.append(loop.Store(memory, address, self.expr(expr)))

    def barrier(self) -> None:
        self.statements.append(loop.Barrier())

    @contextmanager
    def loop(
        self, hint: str, start: Dim, stop: Dim, step: int = 1, extent: Dim | None = None
    ) -> Iterator[tuple[Scope, Dim]]:
        """A serial loop: gives the block inside and the loop's symbol."""
        name = self.names.fresh(hint)
        inner = Scope(self.names, self, self.aligned, defined={name})
        inner._extents[name] = stop if extent is None else extent
        start, stop = self.index(start), self.index(stop)
        yield inner, symbol(name)
        self.statements.append(loop.For(name, start, stop, step, tuple(inner.statements)))
        self.has_loop = True

    @contextmanager
    def when(self, *conditions: Expr | None) -> Iterator[Scope]:
        """A block that runs where all conditions hold; this very block where there is none."""
        kept = [c for c in conditions if c is not None]
        if not kept:
            yield self
            return
        test = kept[0]
        for condition in kept[1:]:
            test = call("and", test, condition)
        inner = Scope(self.names, self, self.aligned)
        test = self.expr(test)
        yield inner
        self.statements.append(loop.If(test, tuple(inner.statements)))

    # Index arithmetic

    def expr(self, expr: Expr, known: _Known | None = None) -> Expr:
        """`expr` with the arithmetic of its indices named, each part as far out as it can be.

        `known` remembers what stands in expressions that follow one another.
        """
        if isinstance(expr, (Ref, Const)):
            return expr
        if known is None:
            return self._expr(expr, None)
        if expr not in known.exprs:
            known.exprs[expr] = self._expr(expr, known)
        return known.exprs[expr]

    def _expr(self, expr: Load | Index | Call, known: _Known | None) -> Expr:
        if isinstance(expr, Index):
            return as_index(self.index(expr.dim, known))
        if isinstance(expr, Load):
            address = self._address(expr.offset, expr.lanes, known)
            return Load(expr.memory, address, expr.dtype, expr.lanes)
        args = tuple([self.expr(a, known) for a in expr.args])
        return expr if args == expr.args else Call(expr.op, args, expr.dtype, expr.lanes)

    def index(self, dim: Dim, known: _Known | None = None) -> Dim:
        """`dim` with every part that is known in a block further out named there."""
        if isinstance(dim, int):
            return dim
        if known is not None:  # elements of a vector's neighbours differ in their literals
            rest, literal = dims.split_literal(dim)
            found = known.dims.get(rest)
            if found is None:
                found = known.dims[rest] = self.index(rest)
            return found + literal
        dim = dims.rebuild(dim, self._named_atom)
        if isinstance(dim, int):
            return dim
        levels: dict[int, tuple[Scope, list[Dim]]] = {}
        for atoms, coefficient in dim.terms:
            term = Symbolic(((atoms, coefficient),)) if atoms else coefficient
            home = self._home(term) if atoms else self
            levels.setdefault(home.depth, (home, []))[1].append(term)
        if len(levels) == 1 and self.depth in levels:
            return dim
        inner = levels.pop(self.depth, (self, []))[1]
        base: Dim = 0
        for depth in sorted(levels):
            home, terms = levels[depth]
            base = home._named(dims.total([base, *terms]), "at")
        return dims.total([base, *inner]) if inner else base

    def _address(self, offset: Dim, lanes: int, known: _Known | None = None) -> Dim:
        """An address; one that must be divisible by 4 is kept so by naming its quarter."""
        if lanes == 1 or not self.aligned:
            return self.index(offset, known)
        return self.index(dims.floor_div(offset, 4), known) * 4

    def _named_atom(self, atom: dims.Atom) -> Dim | None:
        """Divisions, modulos, minima and loaded indices get names of their own."""
        if isinstance(atom, dims.Symbol):
            return None
        if isinstance(atom, Value):
            if isinstance(atom.expr, Ref):
                return dims.atom_dim(atom)
            value = dims.atom_dim(atom)
            home = self._home(value)
            if home is not self or not self._changes(value):
                known = self._known(value)
                if known is None:
                    known = symbol(home.let("index", atom.expr).name)
                    home._memo[value] = known
                return known
            return symbol(self.let("index", atom.expr).name)
        assert isinstance(atom, dims.Operation)
        whole = dims.atom_dim(atom)
        return self._home(whole)._named(whole, "part")

    def _named(self, dim: Dim, hint: str) -> Dim:
        """The symbol of a `Let` of `dim` in this block."""
        if isinstance(dim, int) or _is_symbol(dim):
            return dim
        known = self._known(dim)
        if known is None:
            ready = dims.rebuild(dim, self._inner_atom)
            name = self.names.fresh(hint)
            self.defined.add(name)
            self.statements.append(loop.Let(name, as_index(ready)))
            known = symbol(name)
            if not self._changes(dim):
                self._memo[dim] = known
        return known

    def _inner_atom(self, atom: dims.Atom) -> Dim | None:
        """Inside a named dim an operation stays, its parts get names."""
        if isinstance(atom, dims.Operation):
            left, right = self.index(atom.left), self.index(atom.right)
            return dims.atom_dim(dims.Operation(atom.op, left, right))
        return self._named_atom(atom)

    def _known(self, dim: Dim) -> Dim | None:
        """The symbol that `dim` has here or further out."""
        scope: Scope | None = self
        while scope is not None:
            if dim in scope._memo:
                return scope._memo[dim]
            scope = scope.parent
        return None

    def _home(self, dim: Dim) -> Scope:
        """The outermost block that knows everything in `dim`, but not one ahead of a finished loop.

        A value that is first needed after a loop would take a register all through it.
        """
        names = _symbols_alone(dim)
        if names is None:
            if self._changes(dim):
                return self
            names = _names_in(dim)
        scope = self
        while scope.parent is not None and not scope.has_loop and names.isdisjoint(scope.defined):
            scope = scope.parent
        return scope

    def _changes(self, dim: Dim) -> bool:
        """Whether `dim` reads a register or workgroup memory: its value depends on the moment."""
        if _symbols_alone(dim) is not None:
            return False
        registers: set[str] = set()
        scope: Scope | None = self
        while scope is not None:
            registers |= scope.registers
            scope = scope.parent
        return any(
            (isinstance(e, Ref) and e.name in registers)
            or (isinstance(e, Load) and isinstance(e.memory, str))
            for e in walk(Index(dim))
        )

    # Values

    def share(self, expr: Expr) -> Expr:
        """`expr` with every load and call that occurs more than once named here, once."""
        return self.share_all([expr])[0] if isinstance(expr, Call) else self.expr(expr)

    def share_all(self, exprs: Sequence[Expr]) -> list[Expr]:
        """`share` of several expressions: what two of them have in common is named too."""
        known = _Known()
        exprs = [self.expr(e, known) for e in exprs]
        uses: dict[Expr, int] = {}
        for expr in exprs:
            _count_uses(expr, uses)
        named: dict[Expr, Expr] = {}

        def visit(e: Expr) -> Expr:
            if e in named:
                return named[e]
            result = e
            if isinstance(e, Call):
                result = Call(e.op, tuple(visit(a) for a in e.args), e.dtype, e.lanes)
            if uses.get(e, 0) > 1 and isinstance(e, Call | Load):
                name = self.names.fresh("value")
                self.defined.add(name)
                self.statements.append(loop.Let(name, result))
                result = Ref(name, e.dtype, lanes_of(e))
            named[e] = result
            return result

        return [visit(e) for e in exprs]


def _count_uses(expr: Expr, uses: dict[Expr, int]) -> None:
    uses[expr] = uses.get(expr, 0) + 1
    if uses[expr] == 1 and isinstance(expr, Call):
        for arg in expr.args:
            _count_uses(arg, uses)


def _is_symbol(dim: Dim) -> bool:
    if isinstance(dim, int) or len(dim.terms) != 1:
        return False
    atoms, coefficient = dim.terms[0]
    return coefficient == 1 and len(atoms) == 1 and isinstance(atoms[0], dims.Symbol)


def _symbols_alone(dim: Dim) -> set[str] | None:
    """The names in a dim of nothing but symbols; None if there is more in it."""
    names: set[str] = set()
    for atoms, _ in () if isinstance(dim, int) else dim.terms:
        for atom in atoms:
            if not isinstance(atom, dims.Symbol):
                return None
            names.add(atom.name)
    return names


def _names_in(dim: Dim) -> set[str]:
    names = set(dims.free_symbols(dim))
    for expr in walk(Index(dim)):
        if isinstance(expr, Ref):
            names.add(expr.name)
        for inner in own_dims(expr):
            names |= dims.free_symbols(inner)
    return names
