"""Arithmetic on i32 and u32 values that isn't one WebAssembly instruction."""

from __future__ import annotations

from abc import abstractmethod

from webrt.codegen.encoder import I32, V128
from webrt.codegen.wasm_address import Addresses
from webrt.dtypes import DType
from webrt.kernel.expr import Call, Const, Expr, lanes_of


class WholeNumbers(Addresses):
    """Pushes the results of integer operations."""

    @abstractmethod
    def wide(self, expr: Expr) -> None:
        """Push a value as four lanes."""

    def args(self, args: tuple[Expr, ...], lanes: int) -> None:
        """Push operands of so many lanes."""
        for arg in args:
            if lanes == 4:
                self.wide(arg)
            else:
                self.expr(arg)

    def integer(self, op: str, call: Call) -> None:
        """An operation on i32 or u32 that isn't one instruction."""
        f, lanes, dtype = self.f, call.lanes, call.args[0].dtype
        if op in ("div", "mod", "pow"):
            self.args(call.args, lanes)
            if lanes == 1:
                self._scalar(op, dtype)
            else:
                self._lane_by_lane(op, dtype)
            return
        if op in ("shift_left", "shift_right"):
            self._wide_shift(op, call)
            return
        if op in ("min", "max"):
            self.args(call.args, 1)
            sign = "s" if dtype is DType.I32 else "u"
            self.smaller(f"i32.{'lt' if op == 'min' else 'gt'}_{sign}")
            return
        if op == "neg" and lanes == 1:
            f.i32(0)
            self.expr(call.args[0])
            f.emit("i32.sub")
            return
        self.args(call.args, lanes)
        match op, lanes:
            case "neg", 4:
                f.emit("i32x4.neg")
            case "abs", 4:
                if dtype is DType.I32:
                    f.emit("i32x4.abs")
            case "abs", 1:
                if dtype is DType.I32:
                    self._scalar_abs()
            case "sign", 1:
                self._scalar_sign(dtype)
            case "sign", 4:
                self._vector_sign(dtype)
            case _:
                raise AssertionError(op)

    def _wide_shift(self, op: str, call: Call) -> None:
        """Four lanes shift by one count in one instruction, by counts of their own lane by lane."""
        value, count = call.args
        sign = "s" if value.dtype is DType.I32 else "u"
        self.wide(value)
        if lanes_of(count) == 1:
            self.expr(count)
            self.f.emit("i32x4.shl" if op == "shift_left" else f"i32x4.shr_{sign}")
            return
        if op == "shift_left" and isinstance(count, Call) and count.op == "vec4":
            literal = [int(c.value) % 32 for c in count.args if isinstance(c, Const)]
            if len(literal) == 4:  # fields of packed words: a product is one instruction
                self.f.i32x4(*(1 << n for n in literal))
                self.f.emit("i32x4.mul")
                return
        self.wide(count)
        self._lane_by_lane(op, value.dtype)

    def _scalar_abs(self) -> None:
        f = self.f
        x, s = self.temporary(I32), self.temporary(I32)
        f.tee(x)
        f.i32(31)
        f.emit("i32.shr_s")
        f.tee(s)
        f.get(x)
        f.emit("i32.xor")
        f.get(s)
        f.emit("i32.sub")
        self.release(x, s)

    def _scalar_sign(self, dtype: DType) -> None:
        f = self.f
        if dtype is DType.U32:
            f.i32(0)
            f.emit("i32.ne")
            return
        x = self.temporary(I32)
        f.tee(x)
        f.i32(31)
        f.emit("i32.shr_s")
        f.get(x)
        f.i32(0)
        f.emit("i32.gt_s")
        f.emit("i32.or")
        self.release(x)

    def _vector_sign(self, dtype: DType) -> None:
        f = self.f
        if dtype is DType.U32:
            f.i32x4(0)
            f.emit("i32x4.ne")
            f.i32x4(1)
            f.emit("v128.and")
            return
        f.i32x4(1)
        f.emit("i32x4.min_s")
        f.i32x4(-1)
        f.emit("i32x4.max_s")

    def _divide(self, op: str, dtype: DType) -> None:
        """Division to zero, or the rest with the divisor's sign; a zero divisor gives 0."""
        f = self.f
        a, b, q = self.temporary(I32), self.temporary(I32), self.temporary(I32)
        f.set(b)
        f.set(a)
        if dtype is DType.U32:
            f.get(a)
            f.get(b)
            f.get(b)
            f.emit("i32.eqz")
            f.emit("i32.or")
            f.emit("i32.div_u" if op == "div" else "i32.rem_u")
            f.i32(0)
            f.get(b)
            f.select()
        elif op == "div":
            # a·b is right for the divisors -1, where the least integer would trap, and 0.
            f.get(a)
            f.get(b)
            f.emit("i32.mul")
            f.get(a)
            f.i32(1)
            f.get(b)
            f.get(b)
            f.i32(1)
            f.emit("i32.add")
            f.i32(2)
            f.emit("i32.lt_u")
            f.tee(q)
            f.select()
            f.emit("i32.div_s")
            f.get(q)
            f.select()
        else:
            f.get(a)
            f.get(b)
            f.get(b)
            f.emit("i32.eqz")
            f.emit("i32.or")
            f.emit("i32.rem_s")
            f.tee(q)
            f.get(b)
            f.i32(0)
            f.get(q)
            f.get(b)
            f.emit("i32.xor")
            f.i32(0)
            f.emit("i32.lt_s")
            f.get(q)
            f.i32(0)
            f.emit("i32.ne")
            f.emit("i32.and")
            f.select()
            f.emit("i32.add")
        self.release(a, b, q)

    def _lane_by_lane(self, op: str, dtype: DType) -> None:
        f = self.f
        a, b, result = (self.temporary(V128) for _ in range(3))
        f.set(b)
        f.set(a)
        for lane in range(4):
            if lane:
                f.get(result)
            for operand in (a, b):
                f.get(operand)
                f.emit("i32x4.extract_lane", lane)
            self._scalar(op, dtype)
            if lane:
                f.emit("i32x4.replace_lane", lane)
            else:
                f.emit("i32x4.splat")
            f.set(result)
        f.get(result)
        self.release(a, b, result)

    def _scalar(self, op: str, dtype: DType) -> None:
        if op == "pow":
            self._power(dtype)
        elif op == "shift_left":
            self.f.emit("i32.shl")
        elif op == "shift_right":
            self.f.emit("i32.shr_s" if dtype is DType.I32 else "i32.shr_u")
        else:
            self._divide(op, dtype)

    def _power(self, dtype: DType) -> None:
        """By squaring, modulo 2³²; a negative exponent counts as 0."""
        f = self.f
        a, b, result = self.temporary(I32), self.temporary(I32), self.temporary(I32)
        if dtype is DType.I32:
            f.i32(0)
            self.smaller("i32.gt_s")
        f.set(b)
        f.set(a)
        f.i32(1)
        f.set(result)
        f.loop()
        f.get(result)
        f.get(a)
        f.i32(1)
        f.get(b)
        f.i32(1)
        f.emit("i32.and")
        f.select()
        f.emit("i32.mul")
        f.set(result)
        f.get(a)
        f.get(a)
        f.emit("i32.mul")
        f.set(a)
        f.get(b)
        f.i32(1)
        f.emit("i32.shr_u")
        f.tee(b)
        f.br_if(0)
        f.end()
        f.get(result)
        self.release(a, b, result)
