"""Runs loop IR in NumPy, all workgroups and lanes in lockstep: the oracle of lowerings.

Nothing in the JIT half imports this file. A value is an array with one element a lane of the whole
grid (or a scalar where all lanes agree); a four-lane value has a last axis of 4. Branches run under
masks. Stricter than a device: a store out of range raises, and so do two lanes that meet in one
place without a barrier between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import Call, Const, Expr, Index, Load, Ref, Value, lanes_of
from webrt.kernel.operations import PAIRS
from webrt.kernel.problem import Problem
from webrt.kernel.reference import NUMPY, Array, apply

MAX_STEPS = 1 << 22
"""Turns of one loop after which it is taken to be endless."""


class RaceError(RuntimeError):
    """Two lanes use one place, one of them storing, with no barrier between."""


def run_problem(
    kernel: loop.Kernel, problem: Problem, operands: Sequence[Array], bindings: Mapping[str, int]
) -> list[Array]:
    """The problem's outputs, flat, as `kernel` computes them; a bool output as bool."""
    arrays = [np.asarray(a).reshape(-1) for a in operands]
    for output in problem.outputs:
        size = dims.evaluate(output.size, bindings)
        poison = np.nan if output.dtype.is_float else 77
        arrays.append(np.full(size, poison, NUMPY[output.dtype.storage]))
    results = run(kernel, arrays, bindings)[len(operands) :]
    for result, output in zip(results, problem.outputs, strict=True):
        if output.dtype is DType.BOOL and not np.isin(result, (0, 1)).all():
            raise ValueError("a bool is stored as 0 or 1")
    return [
        r.astype(np.bool_) if o.dtype is DType.BOOL else r
        for r, o in zip(results, problem.outputs, strict=True)
    ]


def run(kernel: loop.Kernel, arrays: Sequence[Array], bindings: Mapping[str, int]) -> list[Array]:
    """What every binding holds after the kernel has run on flat `arrays`, outputs included.

    Raises IndexError for a store out of range, RaceError for lanes in each other's way, and
    ValueError for a barrier that only some lanes of a workgroup meet.
    """
    copies = []
    for array, binding in zip(arrays, kernel.bindings, strict=True):
        flat = np.array(array).reshape(-1).astype(NUMPY[binding.dtype])
        copies.append(flat)
    with np.errstate(all="ignore"):
        machine = _Machine(kernel, copies, bindings)
        machine.block(kernel.body, np.ones(machine.lanes, np.bool_))
    return copies


class _Memory:
    """A flat array and, for each element, which lane stored and which loaded it last."""

    def __init__(self, array: Array, name: str, writable: bool) -> None:
        self.array = array
        self.name = name
        self.writable = writable
        self.writer = np.full(array.size if writable else 0, -1, np.int64)
        self.reader = np.full(array.size if writable else 0, -1, np.int64)
        self.written = False

    def meet(self) -> None:
        """Forget who was here: a barrier."""
        self.writer[:] = -1
        self.reader[:] = -1
        self.written = False

    def load(self, places: Array, lanes: Array, mask: Array) -> Array:
        """Elements at `places`, clamped, for `lanes`, of which `mask` are active."""
        clamped = np.clip(places, 0, max(self.array.size - 1, 0))
        if self.writable and clamped.size:
            who, where = np.broadcast_arrays(lanes, clamped)
            active = np.broadcast_to(mask, where.shape)
            who, where = who[active], where[active]
            if self.written:
                stored = self.writer[where]
                if ((stored != -1) & (stored != who)).any():
                    raise RaceError(f"{self.name} is loaded where another lane has stored")
            shared = (self.reader[where] != -1) & (self.reader[where] != who)
            self.reader[where] = np.where(shared, -2, who)
            order = np.argsort(where, kind="stable")
            same = where[order][1:] == where[order][:-1]
            differs = same & (who[order][1:] != who[order][:-1])
            self.reader[where[order][1:][differs]] = -2
        return np.asarray(self.array[clamped])

    def store(self, places: Array, values: Array, lanes: Array) -> None:
        """Store active lanes' values; all three arguments are one-dimensional."""
        if not self.writable:
            raise ValueError(f"{self.name} is read-only")
        if places.size == 0:
            return
        if places.min() < 0 or places.max() >= self.array.size:
            raise IndexError(f"{self.name}: a store at {places.max()} of {self.array.size}")
        stored, loaded = self.writer[places], self.reader[places]
        changes = self.array[places] != values
        if (changes & (stored != -1) & (stored != lanes)).any():
            raise RaceError(f"{self.name}: two lanes store different values in one place")
        if (changes & (loaded != -1) & (loaded != lanes)).any():
            raise RaceError(f"{self.name} is stored where another lane has loaded")
        self.array[places] = values
        self.writer[places] = lanes
        self.written = True
        kept = self.array[places]
        same = (kept == values) | ((kept != kept) & (values != values))
        if not same.all():
            raise RaceError(f"{self.name}: two lanes store different values in one place")


class _Machine:
    """The state of all lanes of all workgroups."""

    def __init__(
        self, kernel: loop.Kernel, arrays: list[Array], bindings: Mapping[str, int]
    ) -> None:
        grid = [dims.evaluate(g, bindings) for g in kernel.grid]
        groups = grid[0] * grid[1] * grid[2]
        x, y, z = kernel.workgroup
        self.size = x * y * z
        self.lanes = groups * self.size
        self.ids = np.arange(self.lanes, dtype=np.int64)
        group, lane = self.ids // self.size, self.ids % self.size
        places = [group % grid[0], group // grid[0] % grid[1], group // (grid[0] * grid[1])]
        positions = [lane % x, lane // x % y, lane // (x * y)]
        self.values: dict[str, Array] = {}
        for name, numbers in zip((*loop.GRID, *loop.LANES), (*places, *positions), strict=True):
            self.values[name] = numbers.astype(np.int32)
        for name in kernel.symbols:
            self.values[name] = np.asarray(bindings[name], np.int32)
        outputs = _stored(kernel.body)
        self.memory: dict[int | str, _Memory] = {
            j: _Memory(array, b.name, b.writable and j in outputs)
            for j, (array, b) in enumerate(zip(arrays, kernel.bindings, strict=True))
        }
        self.shared: dict[str, int] = {}
        for one in kernel.shared:
            length = one.length * one.lanes
            self.shared[one.name] = length
            poison = np.full(length * groups, 77, NUMPY[one.dtype.storage])
            self.memory[one.name] = _Memory(poison, one.name, True)

    # Statements

    def block(self, body: tuple[loop.Stmt, ...], mask: Array) -> None:
        if not mask.any():
            return
        for statement in body:
            self._statement(statement, mask)

    def _statement(self, statement: loop.Stmt, mask: Array) -> None:
        match statement:
            case loop.Let(name, expr) | loop.Var(name, expr):
                self.values[name] = self.expr(expr, mask)
            case loop.Assign(name, expr):
                new, old = self.expr(expr, mask), self.values[name]
                active = mask[:, None] if lanes_of(expr) == 4 else mask
                self.values[name] = np.where(active, new, old).astype(old.dtype)
            case loop.Store(memory, offset, expr):
                self._store(memory, offset, expr, mask)
            case loop.Barrier():
                self._barrier(mask)
            case loop.For(name, start, stop, step, body):
                self._for(name, start, stop, step, body, mask)
            case loop.If(condition, body, otherwise):
                holds = np.broadcast_to(self.expr(condition, mask), mask.shape)
                self.block(body, mask & holds)
                self.block(otherwise, mask & ~holds)

    def _for(
        self, name: str, start: Dim, stop: Dim, step: int, body: tuple[loop.Stmt, ...], mask: Array
    ) -> None:
        counter = np.asarray(self.dim(start, mask))
        for _ in range(MAX_STEPS):
            active = mask & (counter < self.dim(stop, mask))
            if not active.any():
                return
            self.values[name] = counter.astype(np.int32)
            self.block(body, active)
            counter = counter + step
        raise RuntimeError(f"the loop over {name} doesn't end")

    def _barrier(self, mask: Array) -> None:
        by_group = mask.reshape(-1, self.size)
        if (by_group.any(axis=1) != by_group.all(axis=1)).any():
            raise ValueError("a barrier that only some lanes of a workgroup meet")
        for name in self.shared:
            self.memory[name].meet()

    def _store(self, memory: int | str, offset: Dim, expr: Expr, mask: Array) -> None:
        wide = lanes_of(expr) == 4
        values = self.expr(expr, mask)
        shape = (self.lanes, 4) if wide else (self.lanes,)
        values = np.broadcast_to(values, shape)[mask]
        places = np.broadcast_to(self._places(memory, offset, wide, mask), shape)[mask]
        ids = np.broadcast_to(self.ids[:, None] if wide else self.ids, shape)[mask]
        target = self.memory[memory]
        values = values.astype(target.array.dtype)
        target.store(places.reshape(-1), values.reshape(-1), ids.reshape(-1))

    def _places(self, memory: int | str, offset: Dim, wide: bool, mask: Array) -> Array:
        """Flat places in the memory: a workgroup array has a part of it for each workgroup."""
        places = np.asarray(self.dim(offset, mask))
        if wide:
            places = places[..., None] + np.arange(4)
        if isinstance(memory, str):
            length = self.shared[memory]
            active = np.broadcast_to(mask[:, None] if wide else mask, (*mask.shape, 4)[: 1 + wide])
            inside = (places >= 0) & (places < length)
            if not (np.broadcast_to(inside, active.shape) | ~active).all():
                raise IndexError(f"{memory}[{offset}] is out of range")
            group = self.ids // self.size * length
            places = np.clip(places, 0, length - 1) + (group[:, None] if wide else group)
        return places

    # Expressions

    def expr(self, expr: Expr, mask: Array) -> Array:
        """A value for every lane, or one for all; where `mask` doesn't hold it is arbitrary."""
        match expr:
            case Const(value, dtype):
                return np.asarray(value, NUMPY[dtype])
            case Index(dim):
                return np.asarray(self.dim(dim, mask)).astype(np.int32)
            case Ref(name, dtype):
                known = self.values[name]
                assert known.dtype == NUMPY[dtype], f"{name} is {known.dtype}, not {dtype}"
                return known
            case Load(memory, offset, dtype, lanes):
                places = self._places(memory, offset, lanes == 4, mask)
                ids = self.ids[:, None] if lanes == 4 else self.ids
                active = mask[:, None] if lanes == 4 else mask
                loaded = self.memory[memory].load(places, ids, active)
                if dtype is DType.BOOL:
                    return np.not_equal(loaded, 0)
                assert loaded.dtype == NUMPY[dtype], f"{memory} is {loaded.dtype}, not {dtype}"
                return loaded
            case Call(op, args, dtype, lanes):
                return self._call(op, args, dtype, lanes, mask)

    def _call(
        self, op: str, args: tuple[Expr, ...], dtype: DType, lanes: int, mask: Array
    ) -> Array:
        values = [self.expr(a, mask) for a in args]
        if op == "splat":
            return np.repeat(values[0][..., None], 4, axis=-1)
        if op == "vec4":
            return np.stack(np.broadcast_arrays(*values), axis=-1)
        if op.startswith("lane"):
            return np.asarray(values[0][..., int(op[-1])])
        if op in PAIRS:
            return _paired(op, values)
        if op == "sum4":
            return np.asarray(values[0].sum(axis=-1, dtype=values[0].dtype))
        if lanes == 4:
            values = [
                v[..., None] if lanes_of(a) == 1 else v for a, v in zip(args, values, strict=True)
            ]
            result = apply(op, values, dtype)
            return np.broadcast_to(result, (*result.shape[:-1], 4))
        return apply(op, values, dtype)

    def dim(self, dim: Dim, mask: Array) -> Array | int:
        """A dim as int64."""
        if isinstance(dim, int):
            return dim
        total: Array | int = 0
        for atoms, coefficient in dim.terms:
            factor: Array | int = coefficient
            for atom in atoms:
                factor = factor * self._atom(atom, mask)
            total = total + factor
        return total

    def _atom(self, atom: dims.Atom, mask: Array) -> Array:
        match atom:
            case dims.Symbol(name):
                return self.values[name].astype(np.int64)
            case dims.Operation(op, left, right):
                a, b = np.asarray(self.dim(left, mask)), np.asarray(self.dim(right, mask))
                return np.asarray(_OPERATIONS[op](a, b))
            case Value(expr):
                return self.expr(expr, mask).astype(np.int64)
        raise ValueError(f"{atom} has no place in a kernel")


def _paired(op: str, values: list[Array]) -> Array:
    """An operation on lanes of two i16."""
    if op == "pairs":
        low, high = np.broadcast_arrays(*values)
        whole = np.concatenate([low, high], axis=-1)
        return np.ascontiguousarray(np.clip(whole, -(1 << 15), (1 << 15) - 1), "<i2").view("<i4")
    if op == "dot2":
        a, b = (np.ascontiguousarray(v, "<i4").view("<i2").astype(np.int64) for v in values)
        products = a * b
        return (products[..., ::2] + products[..., 1::2]).astype(np.int32)
    halves = np.ascontiguousarray(values[0][..., :2], "<i4")
    narrow = halves.view(np.int8 if op == "widen_s" else np.uint8)
    return np.ascontiguousarray(narrow, "<i2").view("<i4")


_OPERATIONS = {
    "//": np.floor_divide, "%": np.mod, "min": np.minimum, "max": np.maximum,
}  # fmt: skip


def _stored(body: Sequence[loop.Stmt]) -> set[int | str]:
    """Every memory that the body stores to."""
    found: set[int | str] = set()
    for statement in body:
        match statement:
            case loop.Store(memory):
                found.add(memory)
            case loop.For(body=inner):
                found |= _stored(inner)
            case loop.If(body=inner, otherwise=otherwise):
                found |= _stored(inner) | _stored(otherwise)
    return found
