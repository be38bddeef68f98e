"""Locals of a kernel and the integer arithmetic of its indices, as WebAssembly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from webrt import dims
from webrt.codegen.encoder import F32, I32, V128, Function, Module
from webrt.codegen.opcodes import Type
from webrt.dims import Dim, Monomial
from webrt.dtypes import DType
from webrt.errors import CompileError
from webrt.kernel.expr import Expr, Value

VALUE_TYPES = {DType.F32: F32, DType.I32: I32, DType.U32: I32, DType.BOOL: I32}
"""A scalar bool is an i32, 0 or 1; four of them are a mask: all bits of a lane or none."""


def value_type(dtype: DType, lanes: int) -> Type:
    """The type of a value on the stack; raises CompileError for one that CPUs don't have."""
    kind = VALUE_TYPES.get(dtype)
    if kind is None:
        raise unsupported(dtype)
    return V128 if lanes == 4 else kind


def unsupported(dtype: DType) -> CompileError:
    return CompileError(f"a CPU kernel computes in f32, i32, u32 and bool: found {dtype}")


@dataclass(slots=True)
class Local:
    """Where a named value lives."""

    index: int
    dtype: DType
    lanes: int
    register: bool = False


class Integers(ABC):
    """The function being printed, its named values, and arithmetic on symbolic integers."""

    def __init__(self, module: Module, function: Function, relaxed: bool) -> None:
        self.module = module
        self.f = function
        self.relaxed = relaxed
        self.names: dict[str, Local] = {}
        self.definitions: dict[str, Dim] = {}
        self._free: dict[Type, list[int]] = {I32: [], F32: [], V128: []}
        self._nonnegative: dict[str, bool] = {}

    @abstractmethod
    def expr(self, expr: Expr) -> None:
        """Push a value."""

    def name(self, name: str, dtype: DType, lanes: int, register: bool = False) -> Local:
        """A new local for a named value."""
        made = Local(self.f.local(value_type(dtype, lanes)), dtype, lanes, register)
        self.names[name] = made
        self._nonnegative.pop(name, None)
        self.definitions.pop(name, None)
        return made

    def temporary(self, kind: Type) -> int:
        """A local for a moment: `release` it."""
        free = self._free[kind]
        return free.pop() if free else self.f.local(kind)

    def release(self, *temporaries: int) -> None:
        for local in temporaries:
            self._free[self.f.types[local]].append(local)

    # Symbolic integers

    def dim(self, dim: Dim, scale: int = 1) -> None:
        """Push `dim` · `scale`."""
        if isinstance(dim, int):
            self.f.i32(dim * scale)
        else:
            self.terms(dim.terms, scale, False)

    def terms(self, terms: tuple[tuple[Monomial, int], ...], scale: int, onto: bool) -> None:
        """Push a sum of terms times `scale`; with `onto`, add it to what is on the stack."""
        f, literal = self.f, 0
        for atoms, coefficient in terms:
            coefficient *= scale
            if not atoms:
                literal = coefficient
                continue
            if not onto and coefficient < 0:
                f.i32(0)
                onto = True
            for position, atom in enumerate(atoms):
                self._atom(atom)
                if position:
                    f.emit("i32.mul")
            self.times(abs(coefficient))
            if onto:
                f.emit("i32.add" if coefficient > 0 else "i32.sub")
            onto = True
        if literal or not onto:
            f.i32(literal)
            if onto:
                f.emit("i32.add")

    def times(self, factor: int) -> None:
        """Multiply what is on the stack by a positive literal."""
        if factor & (factor - 1) == 0:
            if factor > 1:
                self.f.i32(factor.bit_length() - 1)
                self.f.emit("i32.shl")
        else:
            self.f.i32(factor)
            self.f.emit("i32.mul")

    def _atom(self, atom: dims.Atom) -> None:
        if isinstance(atom, dims.Symbol):
            self.f.get(self.names[atom.name].index)
        elif isinstance(atom, Value):
            self.expr(atom.expr)
        else:
            assert isinstance(atom, dims.Operation), atom
            self._operation(atom.op, atom.left, atom.right)

    def _operation(self, op: str, left: Dim, right: Dim) -> None:
        f = self.f
        self.dim(left)
        if op in ("min", "max"):
            self.dim(right)
            self.smaller("i32.lt_s" if op == "min" else "i32.gt_s")
        elif isinstance(right, int) and right > 0 and right & (right - 1) == 0:
            # A shift and a mask round down whatever the sign.
            f.i32(right.bit_length() - 1 if op == "//" else right - 1)
            f.emit("i32.shr_s" if op == "//" else "i32.and")
        elif self.is_nonnegative(left):
            self.dim(right)
            f.emit("i32.div_u" if op == "//" else "i32.rem_u")
        else:
            self._floor(op, right)

    def _floor(self, op: str, right: Dim) -> None:
        """Floor division or its rest, of what is on the stack by a positive `right`."""
        f = self.f
        a, b = self.temporary(I32), self.temporary(I32)
        f.set(a)
        self.dim(right)
        f.set(b)
        if op == "//":
            f.get(a)
            f.get(b)
            f.emit("i32.div_s")
        f.get(a)
        f.get(b)
        f.emit("i32.rem_s")
        if op == "%":
            f.tee(a)
            f.get(a)
        f.i32(31)
        f.emit("i32.shr_s")
        if op == "%":
            f.get(b)
            f.emit("i32.and")
        f.emit("i32.add")
        self.release(a, b)

    def smaller(self, comparison: str) -> None:
        """Of the two i32 on the stack, the first one where `comparison` holds, else the second."""
        f = self.f
        a, b = self.temporary(I32), self.temporary(I32)
        f.set(b)
        f.tee(a)
        f.get(b)
        f.get(a)
        f.get(b)
        f.emit(comparison)
        f.select()
        self.release(a, b)

    def is_nonnegative(self, dim: Dim) -> bool:
        """Whether `dim` is proven to be >= 0 from the definitions of its symbols."""
        if isinstance(dim, int):
            return dim >= 0
        names = dims.free_symbols(dim)
        return all(self._is_nonnegative_name(name) for name in names) and dims.is_nonnegative(
            dim, dict.fromkeys(names, dims.MAX_SYMBOL)
        )

    def _is_nonnegative_name(self, name: str) -> bool:
        known = self._nonnegative.get(name)
        if known is None:
            self._nonnegative[name] = False  # while it is being looked at
            definition = self.definitions.get(name)
            known = definition is not None and self.is_nonnegative(definition)
            self._nonnegative[name] = known
        return known
