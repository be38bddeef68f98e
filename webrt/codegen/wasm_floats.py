"""Arithmetic on f32 values that isn't one WebAssembly instruction."""

from __future__ import annotations

from math import inf

from webrt.codegen import wasm_math
from webrt.codegen.encoder import F32, V128
from webrt.codegen.opcodes import Type
from webrt.codegen.wasm_whole import WholeNumbers
from webrt.kernel.expr import Call, Const, Expr

LIBRARY = {name: name for name in ("exp", "log", "tanh", "erf", "sin", "cos", "pow")}
LIBRARY["mod"] = "fmod"
"""Functions of `wasm_math`, by the operation that they compute."""

_UNARY = {
    "neg": "neg", "abs": "abs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil",
    "round": "nearest",
}  # fmt: skip


class Floats(WholeNumbers):
    """Pushes the results of operations on floats."""

    def extreme(self, op: str, args: tuple[Expr, ...]) -> None:
        """The smaller or larger of two; with a constant, the kind that is one machine instruction.

        `pmin(a, b)` is `b < a ? b : a`: a NaN in `a` stays.
        """
        if _is_number(args[0]):
            args = args[::-1]
        self.args(args, 4)
        self.f.emit(f"f32x4.{'p' if _is_number(args[1]) else ''}{op}")

    def float(self, op: str, lanes: int) -> None:
        """An operation on the f32 operands on the stack."""
        f = self.f
        shape = "f32" if lanes == 1 else "f32x4"
        if op in _UNARY:
            f.emit(f"{shape}.{_UNARY[op]}")
            return
        match op:
            case "inverse_sqrt" | "reciprocal":
                if op == "inverse_sqrt":
                    f.emit(f"{shape}.sqrt")
                self._one_over(lanes)
            case "fma":
                self._fma(lanes)
            case "is_nan":
                self.twice(F32 if lanes == 1 else V128)
                f.emit(f"{shape}.ne")
            case "is_inf":
                f.emit(f"{shape}.abs")
                if lanes == 1:
                    f.f32(inf)
                else:
                    f.f32x4(inf)
                f.emit(f"{shape}.eq")
            case "sign":
                self._float_sign(lanes)
            case _:
                raise AssertionError(op)

    def function(self, call: Call) -> None:
        """A function of the library; computed once a block, as indices tend to repeat it."""
        f, lanes = self.f, call.lanes
        lasting = self.is_lasting_value(call)
        known = self.known.get(call) if lasting else None
        if known is not None:
            f.get(known)
            return
        self.args(call.args, lanes)
        if lanes == 1:
            if len(call.args) == 2:
                second = self.temporary(F32)
                f.set(second)
                f.emit("f32x4.splat")
                f.get(second)
                self.release(second)
            f.emit("f32x4.splat")
        wasm_math.apply(f, LIBRARY[call.op], self.relaxed)
        if lanes == 1:
            f.emit("f32x4.extract_lane", 0)
        if lasting:
            local = self.known[call] = f.local(F32 if lanes == 1 else V128)
            f.tee(local)

    def _one_over(self, lanes: int) -> None:
        f = self.f
        kind = F32 if lanes == 1 else V128
        x = self.temporary(kind)
        f.set(x)
        if lanes == 1:
            f.f32(1.0)
        else:
            f.f32x4(1.0)
        f.get(x)
        f.emit("f32.div" if lanes == 1 else "f32x4.div")
        self.release(x)

    def _fma(self, lanes: int) -> None:
        """a·b + c of the three on the stack, rounded once where the engine does."""
        f = self.f
        if lanes == 4 and self.relaxed:
            f.emit("f32x4.relaxed_madd")
            return
        shape, kind = ("f32", F32) if lanes == 1 else ("f32x4", V128)
        c = self.temporary(kind)
        f.set(c)
        f.emit(f"{shape}.mul")
        f.get(c)
        f.emit(f"{shape}.add")
        self.release(c)

    def _float_sign(self, lanes: int) -> None:
        """1 with x's sign where x isn't 0 and isn't NaN, else x itself."""
        f = self.f
        kind = F32 if lanes == 1 else V128
        x = self.temporary(kind)
        f.set(x)
        if lanes == 1:
            f.f32(1.0)
            f.get(x)
            f.emit("f32.copysign")
            f.get(x)
            f.get(x)
            f.emit("f32.abs")
            f.f32(0.0)
            f.emit("f32.gt")
            f.select()
        else:
            f.get(x)
            f.i32x4(-(1 << 31))
            f.emit("v128.and")
            f.f32x4(1.0)
            f.emit("v128.or")
            f.get(x)
            f.get(x)
            f.emit("f32x4.abs")
            f.f32x4(0.0)
            f.emit("f32x4.gt")
            f.emit("v128.bitselect")
        self.release(x)

    def twice(self, kind: Type) -> None:
        f = self.f
        x = self.temporary(kind)
        f.tee(x)
        f.get(x)
        self.release(x)


def _is_number(expr: Expr) -> bool:
    """Whether `expr` is a constant other than NaN, or copies of one."""
    if isinstance(expr, Call) and expr.op == "splat":
        expr = expr.args[0]
    return isinstance(expr, Const) and expr.value == expr.value
