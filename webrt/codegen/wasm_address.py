"""Addresses: pointers that accesses share, and strength reduction in innermost loops.

An element's address is its memory's base plus 4 times an offset. The offset's literal part goes
into the instruction; the rest, a pointer, is computed once a block for all accesses that share it.
In an innermost loop over k, an offset `coefficient·k + rest` whose coefficient and rest don't
change in the loop becomes a pointer that the end of the body moves on.

V8 14 adds the offset of a load that is copied into four lanes apart from the pointer, once for each
offset of a body. So rows of a register tile have a pointer each, and share their offsets.

An effective address is the pointer plus the instruction's offset, as unsigned numbers and without
wrapping. Memories begin at `abi.FIRST_ADDRESS` or above: a pointer less than that below an element
isn't negative, so accesses share a pointer only while their literals lie in a window of `WINDOW`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from webrt import dims
from webrt.codegen.encoder import I32
from webrt.codegen.wasm_integers import Integers
from webrt.dims import Dim, Monomial
from webrt.kernel import loop
from webrt.kernel.expr import Call, Expr, Index, Load, Ref, Value, lanes_of, walk

WINDOW = 16000
"""Elements; times 4 it is below `abi.FIRST_ADDRESS`, with room for a load a little outside."""

NEAR = 16
"""Elements: copied loads that are farther apart have pointers of their own, `MOST_ROWS` at most.

128 × 1536 × 384 in tiles of 4 × 8, k unrolled by 4, in Chromium 156 on a busy machine: 41 GFLOP/s,
37 with one pointer; the peak was 50 then (2026-11-22)."""

MOST_ROWS = 6

Terms = tuple[tuple[Monomial, int], ...]


@dataclass(slots=True)
class _Group:
    """Accesses of one memory, coefficient and rest: (literal, the access's id) each."""

    memory: int | str
    coefficient: Terms
    rest: Terms
    members: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Bumps:
    """Pointers that a loop moves: (pointer's local, step's local or literal bytes) each."""

    moves: list[tuple[int, int | None, int]] = field(default_factory=list)
    planned: list[int] = field(default_factory=list)


class Addresses(Integers):
    """Where the memories of a kernel begin, and the pointers that are known in a block."""

    bases: dict[int | str, tuple[int, int]]
    """Of every memory: the local with its base, and elements to add (arrays of the scratch)."""

    known: dict[tuple[int, Terms, int] | str | Call, int]
    """Locals that this block and those around it have computed. Pointers, by the base's local, the
    rest and the literal; four copies of a scalar, by its name; calls of the library."""

    planned: dict[int, tuple[int, int]]
    """By the id of an access: its pointer's local and the instruction's offset in bytes."""

    def address(self, access: Load | loop.Store) -> int:
        """Push the pointer of an access; the result is the instruction's offset."""
        found = self.planned.get(id(access))
        if found is not None:
            self.f.get(found[0])
            return found[1]
        base, literal, rest = self._split(access.memory, access.offset)
        window = literal // WINDOW * WINDOW
        if self._is_lasting(rest):
            self.f.get(self.pointer(base, rest, window))
        else:
            self._push(base, rest, window)
        return (literal - window) * 4

    def _split(self, memory: int | str, offset: Dim) -> tuple[int, int, Terms]:
        """The local of the base, the literal part of an offset, and the rest."""
        base, literal = self.bases[memory]
        if isinstance(offset, int):
            return base, literal + offset, ()
        atoms, last = offset.terms[-1]  # a literal stands last
        if not atoms:
            return base, literal + last, offset.terms[:-1]
        return base, literal, offset.terms

    def pointer(self, base: int, rest: Terms, literal: int) -> int:
        """The local with base + 4·(rest + literal), computed where it isn't known in this block."""
        if not rest and not literal:
            return base
        key = (base, rest, literal)
        local = self.known.get(key)
        if local is None:
            near = self.known.get((base, rest, 0))
            self._push(*((near, ()) if near is not None else (base, rest)), literal)
            local = self.known[key] = self.f.local(I32)
            self.f.set(local)
        return local

    def _push(self, base: int, rest: Terms, literal: int) -> None:
        self.f.get(base)
        if rest:
            self.terms(rest, 4, True)
        if literal:
            self.f.i32(literal * 4)
            self.f.emit("i32.add")

    def _is_lasting(self, rest: Terms) -> bool:
        """Whether a pointer stays right for the rest of its block."""
        return all(
            isinstance(atom, dims.Symbol) or self._is_lasting_atom(atom)
            for atoms, _ in rest
            for atom in atoms
        )

    def _is_lasting_atom(self, atom: dims.Atom) -> bool:
        if isinstance(atom, Value):
            return self.is_lasting_value(atom.expr)
        return all(isinstance(d, int) or self._is_lasting(d.terms) for d in atom.parts())

    def is_lasting_value(self, expr: Expr) -> bool:
        """Whether a value stays right for the rest of its block: it reads no memory, register."""
        return not any(
            isinstance(e, Load) or (isinstance(e, Ref) and self.names[e.name].register)
            for e in walk(expr)
        )

    # Innermost loops

    def plan(self, statement: loop.For, counter: int) -> Bumps:
        """Set up pointers for the accesses of an innermost loop; its counter holds its start."""
        body = _Body(statement)
        groups: dict[tuple[int, Terms, Terms, bool], _Group] = {}
        for access in body.accesses:
            offset = dims.substitute(access.offset, body.inlined)
            base, literal, rest = self._split(access.memory, offset)
            parts = body.classify(rest)
            if parts is None or not self._is_lasting(parts[1]):
                continue
            key = (base, *parts, id(access) in body.copied)
            group = groups.get(key)
            if group is None:
                group = groups[key] = _Group(access.memory, *parts)
            group.members.append((literal, id(access)))
        for name in body.splatted:
            if name not in body.changing:
                self.copies(name)
        bumps = Bumps()
        for (base, coefficient, rest, copied), group in groups.items():
            for first, members in _windows(group.members, copied):
                local = self.pointer(base, rest, first)
                if coefficient:
                    local = self._moving(local, coefficient, statement, counter, bumps)
                for literal, access_id in members:
                    self.planned[access_id] = (local, (literal - first) * 4)
                    bumps.planned.append(access_id)
        return bumps

    @abstractmethod
    def copies(self, name: str) -> int | None:
        """The local with four copies of a scalar, None for one that may change in this block."""

    def _moving(
        self, start: int, coefficient: Terms, statement: loop.For, counter: int, bumps: Bumps
    ) -> int:
        """A pointer that begins at `start` + 4·coefficient·counter, and moves with the counter."""
        f = self.f
        pointer = f.local(I32)
        f.get(start)
        step: int | None = None
        literal = coefficient[0][1] if not coefficient[0][0] and len(coefficient) == 1 else 0
        if not literal:
            step = f.local(I32)
            self.terms(coefficient, 4, False)
            f.set(step)
        if statement.start != 0:
            f.get(counter)
            if step is None:
                self.times(abs(literal) * 4)
            else:
                f.get(step)
                f.emit("i32.mul")
            f.emit("i32.add" if literal >= 0 else "i32.sub")
        f.set(pointer)
        if step is not None and statement.step != 1:
            f.get(step)
            f.i32(statement.step)
            f.emit("i32.mul")
            f.set(step)
        bumps.moves.append((pointer, step, literal * 4 * statement.step))
        return pointer

    def move(self, bumps: Bumps) -> None:
        """The end of the body: every pointer goes on to the next turn."""
        f = self.f
        for pointer, step, literal in bumps.moves:
            f.get(pointer)
            if step is None:
                f.i32(literal)
            else:
                f.get(step)
            f.emit("i32.add")
            f.set(pointer)

    def forget(self, bumps: Bumps) -> None:
        """After the loop: its accesses, if they occur elsewhere, have no pointers any more."""
        for access_id in bumps.planned:
            del self.planned[access_id]


def _windows(
    members: list[tuple[int, int]], copied: bool
) -> list[tuple[int, list[tuple[int, int]]]]:
    """Accesses that may share a pointer, each with the literal to fold into it."""
    if copied:
        rows = list(_cut(sorted(members), NEAR, 0))
        if 1 < len(rows) <= MOST_ROWS:
            return rows
    return list(_cut(sorted(members), WINDOW, WINDOW // 2))


def _cut(
    members: list[tuple[int, int]], width: int, low: int
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Runs of members within `width` of their first literal, or of 0 where that is below `low`."""
    start = 0
    while start < len(members):
        first = members[start][0]
        if 0 <= first < low:
            first = 0
        end = start
        while end < len(members) and members[end][0] - first < width:
            end += 1
        yield first, members[start:end]
        start = end


class _Body:
    """What an innermost loop's body accesses, and which names change in it."""

    def __init__(self, statement: loop.For) -> None:
        self.symbol = dims.Symbol(statement.name)
        self.changing = {statement.name}
        self.inlined: dict[str, Dim] = {}
        self.splatted: dict[str, None] = {}  # scalars of which four copies are needed, in order
        self.accesses: list[Load | loop.Store] = []
        self.copied: set[int] = set()  # loads of a scalar that goes into four lanes, by their id
        self._seen: set[int] = set()
        self._statements(statement.body)

    def _statements(self, body: Sequence[loop.Stmt]) -> None:
        for statement in body:
            match statement:
                case loop.Let(name, expr):
                    self._expr(expr)
                    self.changing.add(name)
                    if isinstance(expr, Index):
                        self.inlined[name] = dims.substitute(expr.dim, self.inlined)
                case loop.Var(name, expr) | loop.Assign(name, expr):
                    self._expr(expr)
                    self.changing.add(name)
                case loop.Store(_, offset, expr):
                    self.accesses.append(statement)
                    self._dim(offset)
                    self._expr(expr)
                case loop.If(condition, inner, otherwise):
                    self._expr(condition)
                    self._statements(inner)
                    self._statements(otherwise)

    def _expr(self, expr: Expr) -> None:
        if isinstance(expr, Call):
            for arg in expr.args:
                widened = expr.lanes == 4 and lanes_of(arg) == 1
                if isinstance(arg, Ref):
                    if widened:
                        self.splatted[arg.name] = None
                    continue
                if widened and expr.op != "vec4" and isinstance(arg, Load):
                    self.copied.add(id(arg))
                self._expr(arg)
        elif isinstance(expr, Load):
            if id(expr) not in self._seen:
                self._seen.add(id(expr))
                self.accesses.append(expr)
                self._dim(expr.offset)
        elif isinstance(expr, Index):
            self._dim(expr.dim)

    def _dim(self, dim: Dim) -> None:
        if not isinstance(dim, int):
            for monomial, _ in dim.terms:
                for atom in monomial:
                    if isinstance(atom, Value):
                        self._expr(atom.expr)
                    elif isinstance(atom, dims.Operation):
                        self._dim(atom.left)
                        self._dim(atom.right)

    def classify(self, terms: Terms) -> tuple[Terms, Terms] | None:
        """(coefficient of the loop's symbol, rest), None where one of them changes."""
        coefficient: list[tuple[Monomial, int]] = []
        rest: list[tuple[Monomial, int]] = []
        for atoms, factor in terms:
            if self.symbol in atoms:
                others = list(atoms)
                others.remove(self.symbol)
                atoms = tuple(others)
                coefficient.append((atoms, factor))
            else:
                rest.append((atoms, factor))
            if not all(self._stays(atom) for atom in atoms):
                return None
        return tuple(coefficient), tuple(rest)

    def _stays(self, atom: dims.Atom) -> bool:
        if isinstance(atom, dims.Symbol):
            return atom.name not in self.changing
        return all(
            not isinstance(e, Load)
            and not (isinstance(e, Ref) and e.name in self.changing)
            and not any(n in self.changing for n in dims.free_symbols(dims.atom_dim(atom)))
            for e in walk(Index(dims.atom_dim(atom)))
        )

    def is_fixed(self, dim: Dim) -> bool:
        """Whether `dim` has the same value in every turn of the loop."""
        return isinstance(dim, int) or all(self._stays(a) for m, _ in dim.terms for a in m)
