"""Prints loop IR as WebAssembly. A printer only: decisions are `schedule/`'s and `lower/`'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from webrt import dims
from webrt.codegen import abi
from webrt.codegen.encoder import I32, V128, Function, Module
from webrt.codegen.wasm_expr import Expressions
from webrt.codegen.wasm_integers import Local, value_type
from webrt.codegen.wasm_replay import replay
from webrt.dims import Dim, symbol
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import Call, Expr, Index, Ref, lanes_of

_FIRST, _LAST = "$first", "$last"  # no name of loop IR


def module(kernels: Sequence[loop.Kernel], relaxed: bool = False) -> bytes:
    """The module of `kernels` (see `abi`); `relaxed` uses relaxed SIMD."""
    made = Module(abi.TYPES)
    for kernel in kernels:
        function = made.function(*abi.KERNEL)
        made.table.append(function.index)
        _Printer(made, function, relaxed, kernel).print()
    replay(made)
    return made.encode()


def scratch_bytes(kernel: loop.Kernel) -> int:
    """Bytes that a worker needs for the kernel's workgroup arrays; each begins 16-aligned."""
    return sum(_shared_bytes(shared) for shared in kernel.shared)


def _shared_bytes(shared: loop.Shared) -> int:
    return -(-shared.length * shared.lanes * shared.dtype.storage.bytes // 16) * 16


class _Printer(Expressions):
    """One kernel: units `first` … `last` - 1, with its memories and symbols in locals."""

    def __init__(
        self, made: Module, function: Function, relaxed: bool, kernel: loop.Kernel
    ) -> None:
        super().__init__(made, function, relaxed)
        assert kernel.workgroup == (1, 1, 1), kernel.name
        assert kernel.grid[1:] == (1, 1), kernel.name
        self.kernel = kernel
        self.known = {}
        self.planned = {}
        self.bases = {}

    def print(self) -> None:
        args, first, last, scratch = range(4)
        f = self.f
        for position in range(len(self.kernel.bindings)):
            base = f.local(I32)
            f.get(args)
            f.access("i32.load", position * 4)
            f.set(base)
            self.bases[position] = (base, 0)
        place = 0
        for shared in self.kernel.shared:
            self.bases[shared.name] = (scratch, place // 4)
            place += _shared_bytes(shared)
        self._symbols(args)
        self.names[_FIRST] = Local(first, DType.I32, 1)
        self.names[_LAST] = Local(last, DType.I32, 1)
        self.definitions[_FIRST] = 0
        body = self.kernel.body
        self._for(loop.For(loop.GRID[0], symbol(_FIRST), symbol(_LAST), 1, body))

    def _symbols(self, args: int) -> None:
        f = self.f
        if not self.kernel.symbols:
            return
        table = self.temporary(I32)
        f.get(args)
        f.access("i32.load", len(self.kernel.bindings) * 4)
        f.set(table)
        for name in self.kernel.symbols:
            local = self.name(name, DType.I32, 1)
            self.definitions[name] = 1
            f.get(table)
            f.access("i32.load", int(name[1:]) * 4)
            f.set(local.index)
        self.release(table)

    # Statements

    def _block(self, body: tuple[loop.Stmt, ...]) -> None:
        """A block of its own: what it computes is forgotten at its end."""
        around = self.known
        self.known = dict(around)
        for statement in body:
            self._statement(statement)
        self.known = around

    def _statement(self, statement: loop.Stmt) -> None:
        match statement:
            case loop.Let(name, expr):
                self._define(name, expr, False)
            case loop.Var(name, expr):
                self._define(name, expr, True)
            case loop.Assign(name, expr):
                self._assign(name, expr)
            case loop.Store():
                self._store(statement)
            case loop.For():
                self._for(statement)
            case loop.If(condition, body, otherwise):
                self.expr(condition)
                self.f.if_()
                self._block(body)
                if otherwise:
                    self.f.else_()
                    self._block(otherwise)
                self.f.end()
            case loop.Barrier():
                pass  # a workgroup is one lane
            case _:
                assert_never(statement)

    def _define(self, name: str, expr: Expr, register: bool) -> None:
        self.expr(expr)
        local = self.name(name, expr.dtype, lanes_of(expr), register)
        self.known.pop(name, None)
        self.f.set(local.index)
        if isinstance(expr, Index):
            self.definitions[name] = expr.dim

    def _assign(self, name: str, expr: Expr) -> None:
        local = self.names[name]
        product = _accumulated(name, expr)
        if product is not None and self.relaxed and local.lanes == 4:
            self.args(product.args, 4)
            self.f.get(local.index)
            self.f.emit("f32x4.relaxed_madd")
        else:
            self.args((expr,), local.lanes)
        self.f.set(local.index)

    def _store(self, store: loop.Store) -> None:
        f, expr = self.f, store.expr
        lanes = lanes_of(expr)
        kind = value_type(expr.dtype, lanes)
        offset = self.address(store)
        self.expr(expr)
        if kind is V128:
            if expr.dtype is DType.BOOL:
                f.i32(31)
                f.emit("i32x4.shr_u")
            f.access("v128.store", offset)
        else:
            f.access("i32.store" if kind is I32 else "f32.store", offset)

    # Loops

    def _for(self, statement: loop.For) -> None:
        f, step = self.f, statement.step
        trips = _trips(statement)
        if trips == 0:
            return
        self.dim(statement.start)
        counter = self.name(statement.name, DType.I32, 1).index
        f.set(counter)
        self.known.pop(statement.name, None)
        self.definitions[statement.name] = statement.start
        if trips == 1:
            self._block(statement.body)
            return
        stop = self._stop(statement)
        if trips is None:
            f.get(counter)
            self._push_stop(statement.stop, stop)
            f.emit("i32.lt_s")
            f.if_()
        around = self.known
        self.known = dict(around)
        bumps = None if _has_loop(statement.body) else self.plan(statement, counter)
        f.loop()
        f.holds = bumps is not None
        self._block(statement.body)
        f.holds = False
        if bumps is not None:
            self.move(bumps)
        f.get(counter)
        f.i32(step)
        f.emit("i32.add")
        f.tee(counter)
        self._push_stop(statement.stop, stop)
        f.emit("i32.lt_s")
        f.br_if(0)
        f.end()
        if bumps is not None:
            self.forget(bumps)
        self.known = around
        if trips is None:
            f.end()

    def _stop(self, statement: loop.For) -> int | None:
        """A local with the loop's end; None for a literal, and for one that the body may change."""
        stop = statement.stop
        if isinstance(stop, int) or not self._is_lasting(stop.terms):
            return None
        name = dims.lone_symbol(stop)
        if name is not None:
            return self.names[name].index
        local = self.f.local(I32)
        self.dim(stop)
        self.f.set(local)
        return local

    def _push_stop(self, stop: Dim, local: int | None) -> None:
        if local is None:
            self.dim(stop)
        else:
            self.f.get(local)


def _accumulated(name: str, expr: Expr) -> Call | None:
    """The product that is added to a register, in `name = name + a·b`."""
    if not isinstance(expr, Call) or expr.op != "add" or expr.dtype is not DType.F32:
        return None
    left, right = expr.args
    if isinstance(right, Ref) and right.name == name:
        left, right = right, left
    if (
        isinstance(left, Ref)
        and left.name == name
        and isinstance(right, Call)
        and right.op == "mul"
    ):
        return right
    return None


def _has_loop(body: tuple[loop.Stmt, ...]) -> bool:
    for statement in body:
        match statement:
            case loop.For():
                return True
            case loop.If(_, inner, otherwise):
                if _has_loop(inner) or _has_loop(otherwise):
                    return True
    return False


def _trips(statement: loop.For) -> int | None:
    """How often the loop runs, where that is known."""
    start, stop = statement.start, statement.stop
    if isinstance(start, int) and isinstance(stop, int):
        return max(0, -(-(stop - start) // statement.step))
    return None
