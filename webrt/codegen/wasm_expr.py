"""Prints expressions as WebAssembly: every operation of `kernel/expr.py`, on one lane or four."""

from __future__ import annotations

from collections.abc import Sequence

from webrt.codegen.encoder import F32, V128, pack_single
from webrt.codegen.wasm_floats import LIBRARY, Floats
from webrt.codegen.wasm_integers import VALUE_TYPES, unsupported, value_type
from webrt.dtypes import DType
from webrt.kernel.expr import (
    Call,
    Const,
    Expr,
    Index,
    Load,
    Ref,
    as_dim,
    lanes_of,
)
from webrt.kernel.operations import BITS, COMPARISON, PAIRS


def _binary(dtype: DType, lanes: int) -> dict[str, str]:
    """Operations of two operands that are one instruction."""
    if dtype is DType.F32:
        shape = "f32" if lanes == 1 else "f32x4"
        names = ("add", "sub", "mul", "div", "min", "max", *COMPARISON)
        return {op: f"{shape}.{op}" for op in names}
    shape = "i32" if lanes == 1 else "i32x4"
    sign = "s" if dtype is DType.I32 else "u"
    table = {op: f"{shape}.{op}" for op in ("add", "sub", "mul", "eq", "ne")}
    signed = ("lt", "le", "gt", "ge", *(("min", "max") if lanes == 4 else ()))
    table |= {op: f"{shape}.{op}_{sign}" for op in signed}
    if dtype is DType.BOOL:
        table |= {op: f"{'i32' if lanes == 1 else 'v128'}.{op}" for op in ("and", "or", "xor")}
        return table
    bits = "i32" if lanes == 1 else "v128"
    table |= {f"bit_{op}": f"{bits}.{op}" for op in ("and", "or", "xor")}
    if lanes == 1:
        table |= {"shift_left": "i32.shl", "shift_right": f"i32.shr_{sign}"}
    return table


_BINARY = {t: {n: _binary(t, n) for n in (1, 4)} for t in VALUE_TYPES}
_PAIRED = {"pairs": "i16x8.narrow_i32x4_s", "dot2": "i32x4.dot_i16x8_s"}
_SHAPING = frozenset(["splat", "vec4", "sum4", "lane0", "lane1", "lane2", "lane3"])


class Expressions(Floats):
    """Pushes the values of expressions."""

    def expr(self, expr: Expr) -> None:
        """Push a value of as many lanes as `expr` has."""
        if isinstance(expr, Ref):
            self.f.get(self.names[expr.name].index)
        elif isinstance(expr, Call):
            self._call(expr)
        elif isinstance(expr, Load):
            self._load(expr)
        elif isinstance(expr, Index):
            self.dim(expr.dim)
        else:
            self._constant(expr)

    def wide(self, expr: Expr) -> None:
        """Push a value as four lanes: copies of a scalar."""
        f = self.f
        if lanes_of(expr) == 4:
            self.expr(expr)
        elif isinstance(expr, Const):
            if expr.dtype is DType.F32:
                f.f32x4(expr.value)
            else:
                f.i32x4(-int(expr.value) if expr.dtype is DType.BOOL else int(expr.value))
        elif isinstance(expr, Load):
            value_type(expr.dtype, 1)
            offset = self.address(expr)
            f.access("v128.load32_splat", offset)
            self._as_mask(expr.dtype)
        else:
            local = self.copies(expr.name) if isinstance(expr, Ref) else None
            if local is None:
                self._splat(expr)
            else:
                f.get(local)

    def copies(self, name: str) -> int | None:
        local = self.known.get(name)
        if local is None:
            named = self.names[name]
            if named.register:
                return None
            self._splat(Ref(name, named.dtype))
            local = self.known[name] = self.f.local(V128)
            self.f.set(local)
        return local

    def _splat(self, expr: Expr) -> None:
        f = self.f
        if expr.dtype is DType.BOOL:
            f.i32(0)
        self.expr(expr)
        if expr.dtype is DType.BOOL:
            f.emit("i32.sub")
        f.emit("f32x4.splat" if expr.dtype is DType.F32 else "i32x4.splat")

    def _as_mask(self, dtype: DType) -> None:
        """What was loaded as u32 of four lanes, if it is bool, as a mask."""
        if dtype is DType.BOOL:
            self.f.i32x4(0)
            self.f.emit("i32x4.ne")

    def _load(self, load: Load) -> None:
        f = self.f
        kind = value_type(load.dtype, load.lanes)
        offset = self.address(load)
        if kind is V128:
            f.access("v128.load", offset)
            self._as_mask(load.dtype)
            return
        f.access("f32.load" if kind is F32 else "i32.load", offset)
        if load.dtype is DType.BOOL:
            f.i32(0)
            f.emit("i32.ne")

    def _constant(self, const: Const) -> None:
        if value_type(const.dtype, 1) is F32:
            self.f.f32(const.value)
        else:
            self.f.i32(int(const.value))

    # Calls

    def _call(self, call: Call) -> None:
        op, args, lanes = call.op, call.args, call.lanes
        kind = args[0].dtype
        tables = _BINARY.get(kind)
        if tables is None:
            raise unsupported(kind)
        simple = tables[lanes].get(op)
        if lanes == 4 and kind is DType.F32 and op in ("min", "max"):
            self.extreme(op, args)
        elif simple is not None:
            self.args(args, lanes)
            self.f.emit(simple)
        elif op in _SHAPING:
            self._shape(call)
        elif op in PAIRS:
            self._paired(op, args)
        elif op == "select":
            self._select(call)
        elif op in BITS:
            self._bits(args[0], call.dtype, lanes)
        elif op == "cast":
            self._cast(args[0], call.dtype, lanes)
        elif kind is DType.F32 and op in LIBRARY:
            self.function(call)
        elif kind is DType.F32:
            self.args(args, lanes)
            self.float(op, lanes)
        elif kind is DType.BOOL:
            assert op == "not", call
            self.args(args, lanes)
            self.f.emit("i32.eqz" if lanes == 1 else "v128.not")
        else:
            self.integer(op, call)

    def _select(self, call: Call) -> None:
        condition, if_true, if_false = call.args
        if call.lanes == 4 and _is_larger(condition, if_true, if_false):
            self.args((if_false, if_true), 4)
            self.f.emit("f32x4.pmax")
            return
        self.args((if_true, if_false), call.lanes)
        if lanes_of(condition) == 4:
            self.wide(condition)
            self.f.emit("v128.bitselect")
        else:
            self.expr(condition)
            self.f.select()

    # Between lanes and types

    def _shape(self, call: Call) -> None:
        """splat, laneI, vec4 and sum4."""
        f, op, dtype = self.f, call.op, call.dtype
        if op == "splat":
            self.wide(call.args[0])
        elif op == "vec4":
            self._vector(call.args, dtype)
        elif op == "sum4":
            self.expr(call.args[0])
            self._sum(dtype)
        else:
            self.expr(call.args[0])
            f.emit(f"{_shape_of(dtype)}.extract_lane", int(op[-1]))
            if dtype is DType.BOOL:
                f.i32(1)
                f.emit("i32.and")

    def _paired(self, op: str, args: tuple[Expr, ...]) -> None:
        """An operation on lanes of two i16; bytes are widened as they are loaded."""
        f = self.f
        if op in _PAIRED:
            self.args(args, 4)
            f.emit(_PAIRED[op])
            return
        (source,), sign = args, op[-1]
        if isinstance(source, Load):
            f.access(f"v128.load8x8_{sign}", self.address(source))
        else:
            self.expr(source)
            f.emit(f"i16x8.extend_low_i8x16_{sign}")

    def _sum(self, dtype: DType) -> None:
        """The sum of the four lanes, pairs first."""
        f, shape = self.f, _shape_of(dtype)
        x = self.temporary(V128)
        for order in ((2, 3, 0, 1), (1, 0, 3, 2)):
            f.tee(x)
            f.get(x)
            f.get(x)
            f.emit("i8x16.shuffle", *_bytes(order))
            f.emit(f"{shape}.add")
        f.emit(f"{shape}.extract_lane", 0)
        self.release(x)

    def _vector(self, args: tuple[Expr, ...], dtype: DType) -> None:
        """Four scalars as one value: a constant, a shuffle, a ramp, or lane by lane."""
        f = self.f
        if all(arg == args[0] for arg in args):
            self.wide(args[0])
            return
        if all(isinstance(arg, Const) for arg in args):
            f.i32x4(*(_bits(arg) for arg in args if isinstance(arg, Const)))
            return
        if self._shuffle(args) or self._ramp(args):
            return
        if dtype is DType.BOOL:
            args = tuple(Call("cast", (arg,), DType.I32) for arg in args)
        shape = _shape_of(dtype)
        self.wide(args[0])
        for lane in range(1, 4):
            self.expr(args[lane])
            f.emit(f"{shape}.replace_lane", lane)
        if dtype is DType.BOOL:
            f.emit("i32x4.neg")

    def _shuffle(self, args: tuple[Expr, ...]) -> bool:
        """Lanes of two vectors at most."""
        sources: list[Expr] = []
        order: list[int] = []
        for arg in args:
            if not isinstance(arg, Call) or not arg.op.startswith("lane"):
                return False
            source = arg.args[0]
            if source not in sources:
                if len(sources) == 2:
                    return False
                sources.append(source)
            order.append(sources.index(source) * 4 + int(arg.op[-1]))
        for source in sources:
            self.expr(source)
        if len(sources) == 1:
            self.twice(V128)
        self.f.emit("i8x16.shuffle", *_bytes(order))
        return True

    def _ramp(self, args: tuple[Expr, ...]) -> bool:
        """Indices that differ by literals."""
        if any(not isinstance(arg, Index | Const) or arg.dtype is not DType.I32 for arg in args):
            return False
        points = [as_dim(arg) for arg in args]
        steps = [point - points[0] for point in points]
        if not all(isinstance(step, int) for step in steps):
            return False
        self.wide(args[0])
        self.f.i32x4(*(step for step in steps if isinstance(step, int)))
        self.f.emit("i32x4.add")
        return True

    def _bits(self, expr: Expr, to: DType, lanes: int) -> None:
        """The same bits as another type; four lanes have none."""
        self.args((expr,), lanes)
        floats = expr.dtype is DType.F32, to is DType.F32
        if lanes == 1 and floats[0] != floats[1]:
            self.f.emit("f32.reinterpret_i32" if floats[1] else "i32.reinterpret_f32")

    def _cast(self, expr: Expr, to: DType, lanes: int) -> None:
        f, source = self.f, expr.dtype
        value_type(to, lanes)
        self.args((expr,), lanes)
        if source is to:
            return
        if to is DType.BOOL:
            if source is DType.F32:
                if lanes == 1:
                    f.f32(0.0)
                else:
                    f.f32x4(0.0)
            elif lanes == 1:
                f.i32(0)
            else:
                f.i32x4(0)
            shape = "f32" if source is DType.F32 else "i32"
            f.emit(f"{shape}{'x4' if lanes == 4 else ''}.ne")
        elif source is DType.BOOL and lanes == 4:
            # A mask keeps the bits of one, or none.
            if to is DType.F32:
                f.f32x4(1.0)
            else:
                f.i32x4(1)
            f.emit("v128.and")
        elif to is DType.F32:
            sign = "s" if source is DType.I32 else "u"
            f.emit(f"f32.convert_i32_{sign}" if lanes == 1 else f"f32x4.convert_i32x4_{sign}")
        elif source is DType.F32:
            sign = "s" if to is DType.I32 else "u"
            f.emit(f"i32.trunc_sat_f32_{sign}" if lanes == 1 else f"i32x4.trunc_sat_f32x4_{sign}")


def _is_larger(condition: Expr, if_true: Expr, if_false: Expr) -> bool:
    """Whether a `select` is `pmax(if_false, if_true)`: the latter where the first is less.

    That is one instruction of an x86, where `f32x4.max` is eight.
    """
    return (
        isinstance(condition, Call)
        and condition.op == "lt"
        and if_true.dtype is DType.F32
        and condition.args == (if_false, if_true)
    )


def _shape_of(dtype: DType) -> str:
    return "f32x4" if dtype is DType.F32 else "i32x4"


def _bytes(lanes: Sequence[int]) -> list[int]:
    """A shuffle of bytes, from one of lanes: 0 to 3 of the first vector, 4 to 7 of the second."""
    return [lane * 4 + byte for lane in lanes for byte in range(4)]


def _bits(const: Const) -> int:
    """A lane's bits."""
    if const.dtype is DType.F32:
        return int.from_bytes(pack_single(float(const.value)), "little")
    return -int(const.value) if const.dtype is DType.BOOL else int(const.value)
