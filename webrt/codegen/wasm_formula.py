"""Formulas over four f32 lanes, and their code: what `wasm_math` is written in."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from webrt.codegen.encoder import V128, Function


@dataclass(frozen=True, slots=True)
class Value:
    """Four lanes: an instruction of operands, a local, or a constant (by its bits: `i32`)."""

    op: str
    args: tuple[Value, ...] = ()
    number: float = 0

    def __add__(self, other: Value | float) -> Value:
        return op("f32x4.add", self, other)

    def __sub__(self, other: Value | float) -> Value:
        return op("f32x4.sub", self, other)

    def __mul__(self, other: Value | float) -> Value:
        return op("f32x4.mul", self, other)

    def __truediv__(self, other: Value | float) -> Value:
        return op("f32x4.div", self, other)

    def __and__(self, other: Value) -> Value:
        return op("v128.and", self, other)

    def __or__(self, other: Value) -> Value:
        return op("v128.or", self, other)

    def __xor__(self, other: Value) -> Value:
        return op("v128.xor", self, other)

    def __lt__(self, other: Value | float) -> Value:
        return op("f32x4.lt", self, other)

    def __gt__(self, other: Value | float) -> Value:
        return op("f32x4.gt", self, other)

    def equals(self, other: Value | float) -> Value:
        return op("f32x4.eq", self, other)

    def __lshift__(self, bits: int) -> Value:
        return Value("i32x4.shl", (self,), bits)

    def __rshift__(self, bits: int) -> Value:
        return Value("i32x4.shr_s", (self,), bits)


def op(name: str, *args: Value | float) -> Value:
    """An instruction of `OPCODES` without immediates."""
    return Value(name, tuple(a if isinstance(a, Value) else four(a) for a in args))


def four(number: float) -> Value:
    """Four copies of a constant."""
    return Value("f32", (), number)


def bits(value: int) -> Value:
    """Four copies of an integer constant."""
    return Value("i32", (), value)


def absolute(x: Value) -> Value:
    return op("f32x4.abs", x)


def clamp(x: Value, low: float, high: float) -> Value:
    """NaN stays: `pmin` and `pmax` give their first operand unless the second compares."""
    return op("f32x4.pmax", op("f32x4.pmin", x, high), low)


def where(condition: Value, if_true: Value | float, if_false: Value | float) -> Value:
    """`if_true` where all bits of `condition` are set, `if_false` where none is."""
    return op("v128.bitselect", if_true, if_false, condition)


class Code:
    """Writes values to a function; where they are in line, constants are held in locals."""

    def __init__(self, function: Function, relaxed: bool, in_line: bool) -> None:
        self.function = function
        self.relaxed = relaxed
        self.in_line = in_line
        self.indices: list[tuple[int, int]] = []  # where the index of a local stands, and which

    def push(self, value: Value) -> None:
        function = self.function
        match value.op:
            case "local":
                self.get(int(value.number))
            case "f32":
                self.constant(struct.pack("<f", value.number))
            case "i32":
                self.constant(struct.pack("<I", int(value.number)))
            case "i32x4.shl" | "i32x4.shr_s":
                self.push(value.args[0])
                function.i32(int(value.number))
                function.emit(value.op)
            case name:
                for arg in value.args:
                    self.push(arg)
                function.emit(name)

    def constant(self, lane: bytes) -> None:
        if self.in_line:
            self.get(self.function.hold(lane * 4))
        else:
            self.function.i32x4(*struct.unpack("<I", lane))

    def keep(self, value: Value) -> Value:
        """The value in a local, for what is used more than once."""
        self.push(value)
        local = Value("local", (), self.function.local(V128))
        self.set(local)
        return local

    def get(self, local: int) -> None:
        self.indices.append((len(self.function.code) + 1, local))
        self.function.get(local)

    def set(self, local: Value) -> None:
        self.indices.append((len(self.function.code) + 1, int(local.number)))
        self.function.set(int(local.number))

    def madd(self, a: Value, b: Value | float, c: Value | float) -> Value:
        """a·b + c, rounded once or twice."""
        if self.relaxed:
            return op("f32x4.relaxed_madd", a, b, c)
        return op("f32x4.add", a * b, c)

    def nmadd(self, a: Value, b: Value | float, c: Value) -> Value:
        """`c` - a·b, rounded once or twice."""
        if self.relaxed:
            return op("f32x4.relaxed_nmadd", a, b, c)
        return c - a * b

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """c₀ + c₁·x + c₂·x² + …, by Horner's rule; `x` is a local."""
        *rest, last = coefficients
        value = self.madd(x, last, rest.pop())
        for coefficient in reversed(rest):
            value = self.madd(value, x, coefficient)
        return value
