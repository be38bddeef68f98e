"""Prints loop IR as WGSL. A printer only: every decision was taken in `schedule/` and `lower/`."""

from __future__ import annotations

import re
import struct
from typing import assert_never

from webrt import dims
from webrt.codegen import shaderlib
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import loop
from webrt.kernel.expr import Call, Const, Expr, Index, Load, Ref, Value, lanes_of, walk

ENTRY_POINT = "main"

HALF = "enable f16;\n\nalias half = f16;\n"
"""How the text of a kernel that stores f16 begins: all that names the type."""
WIDE_HALF = "alias half = f32;\n"

_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "eq": "==", "ne": "!=", "and": "&", "or": "|", "xor": "!=",
    "bit_and": "&", "bit_or": "|", "bit_xor": "^",
}  # fmt: skip
_FUNCTIONS = {
    "exp": "exp", "log": "log", "sqrt": "sqrt", "inverse_sqrt": "inverseSqrt",
    "floor": "floor", "ceil": "ceil", "round": "round", "abs": "abs", "sign": "sign",
    "min": "min", "max": "max", "pow": "pow", "fma": "fma",
}  # fmt: skip
_MIXES_LANES = frozenset(["add", "sub", "mul", "div", "mod"])
"""WGSL's operators that take a vector and a scalar; a scalar operand of others is splatted."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def generate(kernel: loop.Kernel) -> str:
    """The WGSL module of `kernel`; its entry point is `main`."""
    return _Printer(kernel).module()


def widened(text: str) -> str:
    """The module with f32 in the place of f16, for adapters without it; raises ValueError."""
    if not text.startswith(HALF):
        raise ValueError("not the text of a kernel that stores f16")
    return WIDE_HALF + text.removeprefix(HALF)


def binding_type(binding: loop.Binding) -> str:
    """The WGSL type of a binding's elements."""
    return _type(binding.dtype, binding.lanes)


def _type(dtype: DType, lanes: int) -> str:
    name = "half" if dtype is DType.F16 else str(dtype)
    return name if lanes == 1 else f"vec4<{name}>"


class _Printer:
    """One kernel's text; collects the library functions that it calls."""

    def __init__(self, kernel: loop.Kernel) -> None:
        self.kernel = kernel
        self.functions: set[str] = set()
        self.lines: list[str] = []
        # Symbols that may be 0 but never negative; the model's own are at least 1.
        self.nonnegative: dict[str, Dim] = {
            name: dims.MAX_SYMBOL for name in (*loop.GRID, *loop.LANES)
        }

    def module(self) -> str:
        kernel = self.kernel
        for statement in kernel.body:
            self._statement(statement, 1)
        body = "\n".join(self.lines)
        x, y, z = kernel.workgroup
        parts = [HALF] if self._uses_f16() else []
        parts += [self._declarations()]
        if self.functions:
            parts.append(shaderlib.source(self.functions))
        head = [
            f"@compute @workgroup_size({x}, {y}, {z})",
            f"fn {ENTRY_POINT}(",
            "  @builtin(workgroup_id) workgroup: vec3<u32>,",
            "  @builtin(local_invocation_id) lane: vec3<u32>,",
            ") {",
            *self._prelude(body),
        ]
        parts.append("\n".join([*head, body, "}"]) + "\n")
        return "\n".join(parts)

    def _uses_f16(self) -> bool:
        memories: list[loop.Binding | loop.Shared] = [*self.kernel.bindings, *self.kernel.shared]
        return any(m.dtype is DType.F16 for m in memories) or "half" in "\n".join(self.lines)

    def _declarations(self) -> str:
        lines = []
        for position, binding in enumerate(self.kernel.bindings):
            access = "read_write" if binding.writable else "read"
            assert _NAME.fullmatch(binding.name), binding.name
            lines.append(
                f"@group(0) @binding({position}) var<storage, {access}> {binding.name}: "
                f"array<{binding_type(binding)}>;"
            )
        if self.kernel.symbols:
            vectors = max(int(name[1:]) for name in self.kernel.symbols) // 4 + 1
            lines.append(
                f"@group(0) @binding({len(self.kernel.bindings)}) var<uniform> symbols: "
                f"array<vec4<i32>, {vectors}>;"
            )
        for shared in self.kernel.shared:
            assert _NAME.fullmatch(shared.name), shared.name
            element = _type(shared.dtype.storage, shared.lanes)
            lines.append(f"var<workgroup> {shared.name}: array<{element}, {shared.length}>;")
        return "\n".join(lines) + "\n"

    def _prelude(self, body: str) -> list[str]:
        """The kernel's symbols, as far as its body uses them."""
        used = set(re.findall(r"[a-z_][a-z0-9_]*", body))
        lines = []
        for axis, name in zip("xyz", loop.GRID, strict=True):
            if name in used:
                lines.append(f"  let {name} = i32(workgroup.{axis});")
        for axis, name in zip("xyz", loop.LANES, strict=True):
            if name in used:
                lines.append(f"  let {name} = i32(lane.{axis});")
        for name in self.kernel.symbols:
            if name in used:
                index = int(name[1:])
                lines.append(f"  let {name} = symbols[{index // 4}].{'xyzw'[index % 4]};")
        return lines

    # Statements

    def _emit(self, depth: int, text: str) -> None:
        self.lines.append("  " * depth + text)

    def _statement(self, statement: loop.Stmt, depth: int) -> None:
        match statement:
            case loop.Let(name, expr):
                assert _NAME.fullmatch(name), name
                if expr.dtype is DType.I32 and lanes_of(expr) == 1 and self._is_nonnegative(expr):
                    self.nonnegative[name] = dims.MAX_SYMBOL
                self._emit(depth, f"let {name} = {_bare(self.expr(expr))};")
            case loop.Var(name, expr):
                assert _NAME.fullmatch(name), name
                self._emit(depth, f"var {name} = {_bare(self.expr(expr))};")
            case loop.Assign(name, expr):
                self._assign(name, expr, depth)
            case loop.Store(memory, offset, expr):
                self._store(memory, offset, expr, depth)
            case loop.Barrier():
                self._emit(depth, "workgroupBarrier();")
            case loop.For(name, start, stop, step, body):
                assert _NAME.fullmatch(name), name
                if self._is_nonnegative(Index(start)):
                    self.nonnegative[name] = dims.MAX_SYMBOL
                self._emit(
                    depth,
                    f"for (var {name} = {self._i32(start)}; {name} < {_bare(self.dim(stop))}; "
                    f"{name} += {step}) {{",
                )
                self._block(body, depth)
                self._emit(depth, "}")
            case loop.If(condition, body, otherwise):
                self._emit(depth, f"if ({_bare(self.expr(condition))}) {{")
                self._block(body, depth)
                if otherwise:
                    self._emit(depth, "} else {")
                    self._block(otherwise, depth)
                self._emit(depth, "}")
            case _:
                assert_never(statement)

    def _block(self, body: tuple[loop.Stmt, ...], depth: int) -> None:
        for statement in body:
            self._statement(statement, depth + 1)

    def _assign(self, name: str, expr: Expr, depth: int) -> None:
        match expr:
            case Call("add" | "mul" as op, (Ref(left) as register, right)) if (
                left == name and lanes_of(register) >= lanes_of(right)
            ):
                operator = f"{_INFIX[op]}="
                self._emit(depth, f"{name} {operator} {_bare(self.expr(right))};")
            case _:
                self._emit(depth, f"{name} = {_bare(self.expr(expr))};")

    def _store(self, memory: int | str, offset: Dim, expr: Expr, depth: int) -> None:
        name, dtype, width = self._memory(memory)
        lanes = lanes_of(expr)
        text = _bare(self.expr(expr))
        if expr.dtype is DType.BOOL:
            text = f"{_type(dtype, lanes)}({text})"
        if lanes == 1 or width == 4:
            self._emit(depth, f"{self._element(memory, offset, lanes)} = {text};")
            return
        self._emit(depth, "{")
        self._emit(depth + 1, f"let stored = {text};")
        self._emit(depth + 1, f"let first = {_bare(self.dim(offset))};")
        for position, component in enumerate("xyzw"):
            self._emit(depth + 1, f"{name}[first + {position}] = stored.{component};")
        self._emit(depth, "}")

    # Memory

    def _memory(self, memory: int | str) -> tuple[str, DType, int]:
        """Name, storage type and lanes of a binding or workgroup array."""
        if isinstance(memory, int):
            binding = self.kernel.bindings[memory]
            return binding.name, binding.dtype, binding.lanes
        shared = next(s for s in self.kernel.shared if s.name == memory)
        return shared.name, shared.dtype.storage, shared.lanes

    def _element(self, memory: int | str, offset: Dim, lanes: int) -> str:
        """The reference to the element (or the vec4) at a flat offset, counted in elements."""
        name, _, width = self._memory(memory)
        if width == 1:
            return f"{name}[{_bare(self.dim(offset))}]"
        vector = f"{name}[{_bare(self.dim(dims.floor_div(offset, 4)))}]"
        if lanes == 4:
            return vector
        component = dims.modulo(offset, 4)
        if isinstance(component, int):
            return f"{vector}.{'xyzw'[component]}"
        return f"{vector}[{_bare(self.dim(component))}]"

    def _load(self, load: Load) -> str:
        _, dtype, width = self._memory(load.memory)
        if load.lanes == 4 and width == 1:
            parts = ", ".join(
                self._element(load.memory, load.offset + position, 1) for position in range(4)
            )
            text = f"{_type(dtype, 4)}({parts})"
        else:
            text = self._element(load.memory, load.offset, load.lanes)
        if load.dtype is DType.BOOL:
            zero = "0u" if load.lanes == 1 else "vec4<u32>(0u)"
            return f"({text} != {zero})"
        return text

    # Expressions

    def expr(self, expr: Expr) -> str:
        match expr:
            case Const(value, dtype):
                return self._constant(value, dtype)
            case Index(dim):
                return self._i32(dim)
            case Load():
                return self._load(expr)
            case Ref(name):
                return name
            case Call():
                return self._call(expr)
            case _:
                assert_never(expr)

    def _constant(self, value: float | int | bool, dtype: DType) -> str:
        if dtype is DType.BOOL:
            return "true" if value else "false"
        if dtype is DType.I32:
            return "i32(-2147483648)" if value == -(1 << 31) else _signed(f"{int(value)}i")
        if dtype is DType.U32:
            return f"{int(value)}u"
        single = _round_single(float(value))
        if single != single or single in (float("inf"), float("-inf")):
            function = "infinity" if single == single else "not_a_number"
            self.functions.add(function)
            text = f"{function}()" if dtype is DType.F32 else f"half({function}())"
            return f"(-{text})" if single < 0 else text
        return _signed(_shortest(single) + ("f" if dtype is DType.F32 else "h"))

    def _call(self, call: Call) -> str:
        op, lanes = call.op, call.lanes
        operand = call.args[0].dtype
        if op == "select":
            condition, if_true, if_false = call.args
            values = [self._wide(a, lanes, False) for a in (if_false, if_true)]
            return f"select({', '.join(values)}, {_bare(self.expr(condition))})"
        mixes = op in _MIXES_LANES and not (op == "mod" and not operand.is_float)
        width = 1 if op in ("splat", "vec4", "sum4") or op.startswith("lane") else lanes
        args = [self._wide(a, width, mixes) for a in call.args]
        if op in _INFIX:
            return f"({args[0]} {_INFIX[op]} {args[1]})"
        if op in _FUNCTIONS:
            return f"{_FUNCTIONS[op]}({', '.join(map(_bare, args))})"
        match op:
            case "div":
                return f"({args[0]} / {args[1]})"
            case "mod":
                return self._modulo(call, args)
            case "shift_left" | "shift_right":
                sign = "<<" if op == "shift_left" else ">>"
                return f"({args[0]} {sign} {_type(DType.U32, lanes)}({_bare(args[1])}))"
            case "bits_f32" | "bits_i32" | "bits_u32":
                return f"bitcast<{_type(call.dtype, lanes)}>({_bare(args[0])})"
            case "neg":
                return f"(-{args[0]})"
            case "not":
                return f"(!{args[0]})"
            case "reciprocal":
                return f"({self._constant(1.0, operand)} / {args[0]})"
            case "erf" | "tanh" | "sin" | "cos":
                return self._library(op, lanes, operand, _bare(args[0]))
            case "cast":
                return f"{_type(call.dtype, lanes)}({_bare(args[0])})"
            case "is_nan" | "is_inf":
                return self._class_test(op, lanes, operand, args[0])
            case "splat":
                return f"{_type(call.dtype, 4)}({_bare(args[0])})"
            case "vec4":
                return f"{_type(call.dtype, 4)}({', '.join(map(_bare, args))})"
            case "sum4" if isinstance(call.args[0], Ref):
                return "({0}.x + {0}.y + {0}.z + {0}.w)".format(args[0])
            case "sum4":
                one = self._constant(1.0 if operand.is_float else 1, operand)
                return f"dot({_bare(args[0])}, {_type(operand, 4)}({one}))"
            case "lane0" | "lane1" | "lane2" | "lane3":
                return f"{args[0]}.{'xyzw'[int(op[-1])]}"
        raise AssertionError(op)

    def _wide(self, expr: Expr, lanes: int, mixes: bool) -> str:
        """`expr` as an operand of a call of `lanes` lanes."""
        text = self.expr(expr)
        if lanes == 1 or lanes_of(expr) == lanes or mixes:
            return text
        return f"{_type(expr.dtype, lanes)}({_bare(text)})"

    def _modulo(self, call: Call, args: list[str]) -> str:
        """Float: C's fmod, as WGSL's own. Integer: floor, where WGSL truncates."""
        if call.dtype is not DType.I32:
            return f"({args[0]} % {args[1]})"
        self.functions.add("floor_mod")
        if call.lanes == 1:
            return f"floor_mod({', '.join(map(_bare, args))})"
        parts = ", ".join(f"floor_mod({args[0]}.{c}, {args[1]}.{c})" for c in "xyzw")
        return f"vec4<i32>({parts})"

    def _library(self, op: str, lanes: int, dtype: DType, arg: str) -> str:
        function = f"{op}{lanes}"
        self.functions.add(function)
        if dtype is DType.F32:
            return f"{function}({arg})"
        return f"{_type(dtype, lanes)}({function}({_type(DType.F32, lanes)}({arg})))"

    def _class_test(self, op: str, lanes: int, dtype: DType, arg: str) -> str:
        """By the bits, because WGSL may assume that there is no NaN and no infinity."""
        unsigned = _type(DType.U32, lanes)
        if dtype is DType.F16:
            arg = f"{_type(DType.F32, lanes)}({_bare(arg)})"
        bits = f"(bitcast<{unsigned}>({_bare(arg)}) & {unsigned}(0x7fffffffu))"
        return f"({bits} {'>' if op == 'is_nan' else '=='} {unsigned}(0x7f800000u))"

    # Indices

    def _i32(self, dim: Dim) -> str:
        """A dim as an i32 expression of its own: a bare literal would stay abstract."""
        return self._constant(dim, DType.I32) if isinstance(dim, int) else self.dim(dim)

    def dim(self, dim: Dim) -> str:
        """A dim as i32 arithmetic, in brackets where it is a sum."""
        if isinstance(dim, int):
            return str(dim) if dim >= 0 else f"({dim})"
        text = ""
        for atoms, coefficient in dim.terms:
            factors = [self._atom(a) for a in atoms]
            if abs(coefficient) != 1 or not atoms:
                factors.append(str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            text += f" {sign} " if text else "-" if coefficient < 0 else ""
            text += " * ".join(factors)
        return text if (" " not in text and text[0] != "-") or text != _bare(text) else f"({text})"

    def _atom(self, atom: dims.Atom) -> str:
        if isinstance(atom, dims.Symbol):
            return atom.name
        if isinstance(atom, Value):
            return self.expr(atom.expr)
        assert isinstance(atom, dims.Operation), atom
        left, right = self.dim(atom.left), self.dim(atom.right)
        if atom.op in ("min", "max"):
            return f"{atom.op}({_bare(left)}, {_bare(right)})"
        if self._is_nonnegative(Index(atom.left)):
            return f"({left} {'/' if atom.op == '//' else '%'} {right})"
        function = "floor_div" if atom.op == "//" else "floor_mod"
        self.functions.add(function)
        return f"{function}({_bare(left)}, {_bare(right)})"

    def _is_nonnegative(self, expr: Expr) -> bool:
        """Whether truncating division of `expr` is proven to be floor division."""
        if isinstance(expr, Const):
            return expr.value >= 0
        if not isinstance(expr, Index) or any(isinstance(e, Load) for e in walk(expr)):
            return False
        known = {*self.nonnegative, *self.kernel.symbols}
        return dims.free_symbols(expr.dim) <= known and dims.is_nonnegative(
            expr.dim, self.nonnegative
        )


_BRACKET = re.compile("[()]")


def _bare(text: str) -> str:
    """`text` without the one pair of brackets that encloses all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for bracket in _BRACKET.finditer(text, 0, len(text) - 1):
        depth += 1 if bracket[0] == "(" else -1
        if depth == 0:
            return text
    return text[1:-1]


_LARGEST_SINGLE = 3.4028234663852886e38


def _signed(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


def _round_single(value: float) -> float:
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    assert isinstance(single, float)
    return single


def _shortest(single: float) -> str:
    """The shortest decimal that rounds to `single`, with a point or an exponent.

    It never passes the largest single: Tint refuses 3.4028235e+38f, which would round down to it.
    """
    for digits in range(1, 18):
        text = f"{single:.{digits}g}"
        if _round_single(float(text)) == single and abs(float(text)) <= _LARGEST_SINGLE:
            break
    return text if "." in text or "e" in text else f"{text}.0"
