"""Encodes a WebAssembly module, typed: an instruction whose operands aren't on the stack raises.

Bytes are emitted as the code is built; there is no text stage and nothing runs behind it. Binary
format: WebAssembly core specification 3.0, chapter 5.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from webrt.codegen.opcodes import OPCODES, Immediate, Type, unsigned

I32, F32, V128 = Type.I32, Type.F32, Type.V128

Signature = tuple[tuple[Type, ...], tuple[Type, ...]]
"""Parameters and results of a function."""


class EncodingError(AssertionError):
    """An instruction that would not validate: a bug in whoever emitted it."""


def signed(value: int) -> bytes:
    """`value` in signed LEB128."""
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


_SHORT = 1 << 9
_GET = [b"\x20" + unsigned(local) for local in range(_SHORT)]
_SET = [b"\x21" + unsigned(local) for local in range(_SHORT)]
_NO_IMMEDIATE = Immediate.NONE


def pack_single(value: float) -> bytes:
    """The four bytes of the f32 nearest to `value`; infinite where that is too large."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", math.copysign(math.inf, value))


@dataclass(slots=True)
class _Frame:
    """A block, loop or if that is open; `height` is the stack's when it was opened."""

    kind: str
    height: int
    result: Type | None


@dataclass
class Function:
    """A function's body under construction; local indices count parameters first."""

    module: Module
    index: int
    params: tuple[Type, ...]
    results: tuple[Type, ...]
    code: bytearray = field(default_factory=bytearray)
    types: list[Type] = field(default_factory=list)
    stack: list[Type] = field(default_factory=list)
    frames: list[_Frame] = field(default_factory=list)
    held: dict[bytes, int] = field(default_factory=dict)
    spare: list[int] = field(default_factory=list)  # vector locals of code that was put in line
    holds: bool = False  # vector constants but 0 come from locals: inside a hot loop
    floor: int = 0  # the stack's height when the innermost frame was opened

    def __post_init__(self) -> None:
        self.types = list(self.params)

    # Locals and constants

    def local(self, kind: Type) -> int:
        """A new local, 0 at first."""
        self.types.append(kind)
        return len(self.types) - 1

    def get(self, local: int) -> None:
        self.code += _GET[local] if local < _SHORT else b"\x20" + unsigned(local)
        self.stack.append(self.types[local])

    def set(self, local: int) -> None:
        self._pop(self.types[local])
        self.code += _SET[local] if local < _SHORT else b"\x21" + unsigned(local)

    def tee(self, local: int) -> None:
        self._pop(self.types[local])
        self.code += b"\x22" + unsigned(local)
        self.stack.append(self.types[local])

    def i32(self, value: int) -> None:
        """A constant; values from 2³¹ on are taken modulo 2³²."""
        self.code.append(0x41)
        if 0 <= value < 64:
            self.code.append(value)
        else:
            self.code += signed((value + (1 << 31)) % (1 << 32) - (1 << 31))
        self.stack.append(I32)

    def f32(self, value: float) -> None:
        self.code += b"\x43" + pack_single(value)
        self.stack.append(F32)

    def f32x4(self, value: float) -> None:
        """Four copies of a constant."""
        self._vector(pack_single(value) * 4)

    def i32x4(self, *values: int) -> None:
        """A constant of four lanes; one value stands for all four."""
        lanes = values if len(values) == 4 else values * 4
        self._vector(struct.pack("<4I", *(v % (1 << 32) for v in lanes)))

    def _vector(self, constant: bytes) -> None:
        if self.holds and any(constant):
            self.get(self.hold(constant))
        else:
            self.code += b"\xfd\x0c" + constant
            self.stack.append(V128)

    def hold(self, vector: bytes) -> int:
        """A local that holds a vector constant from the function's first instruction on.

        For constants in loops: V8 makes a vector constant of two moves and a shuffle wherever it
        stands, and takes none out of a loop (Chromium 156: exp runs 1.4 times as fast so).
        """
        local = self.held.get(vector)
        if local is None:
            local = self.held[vector] = self.local(V128)
        return local

    # Instructions

    def emit(self, name: str, *lanes: int) -> None:
        """An instruction of `OPCODES` without a memory operand; `lanes` are its immediates."""
        op = OPCODES[name]
        self._pops(op.params)
        self.code += op.code
        if op.immediate is _NO_IMMEDIATE and not lanes:
            pass
        elif op.immediate is Immediate.LANE:
            (lane,) = lanes
            self.code.append(lane)
        elif op.immediate is Immediate.LANES:
            assert len(lanes) == 16, lanes
            self.code += bytes(lanes)
        elif lanes or op.immediate is Immediate.MEMORY:
            raise EncodingError(f"{name} with the immediates {lanes}")
        if op.result is not None:
            self.stack.append(op.result)

    def access(self, name: str, offset: int = 0) -> None:
        """A load, store or atomic of `OPCODES`; `offset` is unsigned and added without wrapping.

        Plain accesses claim the alignment of an element, 4 bytes at most: it is a hint, and
        elements are all that is aligned. Atomic ones must claim their natural one.
        """
        op = OPCODES[name]
        self._pops(op.params)
        self.code += op.code
        self.code.append(min(op.align, 2))
        self.code += unsigned(offset)
        if op.result is not None:
            self.stack.append(op.result)

    def wait32(self, offset: int = 0) -> None:
        """`memory.atomic.wait32` without a timeout: address, expected value -> how it ended."""
        self._pop(I32)
        self._pop(I32)
        self.code += b"\x42\x7f\xfe\x01\x02" + unsigned(offset)  # i64.const -1
        self.stack.append(I32)

    def select(self) -> None:
        """if_true, if_false, condition -> one of the two."""
        self._pop(I32)
        kind = self._pop(None)
        self._pop(kind)
        # A vector needs the typed form, where the type is named.
        self.code += b"\x1c\x01" + bytes([kind]) if kind is V128 else b"\x1b"
        self.stack.append(kind)

    def drop(self) -> None:
        self._pop(None)
        self.code += b"\x1a"

    def call(self, function: Function) -> None:
        for kind in reversed(function.params):
            self._pop(kind)
        self.code += b"\x10" + unsigned(function.index)
        self.stack += function.results

    def call_indirect(self, signature: Signature) -> None:
        """Arguments, then the entry of the table."""
        self._pop(I32)
        for kind in reversed(signature[0]):
            self._pop(kind)
        self.code += b"\x11" + unsigned(self.module.type(signature)) + b"\x00"
        self.stack += signature[1]

    # Control

    def block(self) -> None:
        self._open("block", b"\x02", None)

    def loop(self) -> None:
        self._open("loop", b"\x03", None)

    def if_(self, result: Type | None = None) -> None:
        """Takes the condition; each branch leaves a `result`, if there is one."""
        self._pop(I32)
        self._open("if", b"\x04", result)

    def else_(self) -> None:
        frame = self.frames[-1]
        if frame.kind != "if":
            raise EncodingError("else without if")
        self._close(frame)
        frame.kind = "else"
        self.code += b"\x05"

    def end(self) -> None:
        """Close the innermost block, loop or if."""
        frame = self.frames.pop()
        if frame.kind == "if" and frame.result is not None:
            raise EncodingError("an if with a result needs an else")
        self._close(frame)
        self.floor = self.frames[-1].height if self.frames else 0
        self.code += b"\x0b"
        if frame.result is not None:
            self.stack.append(frame.result)

    def br(self, depth: int) -> None:
        """Leave block number `depth`, counted from the innermost, or repeat a loop.

        Only as the last instruction of a block: what would follow is dead.
        """
        self._branch(depth, b"\x0c")

    def br_if(self, depth: int) -> None:
        self._pop(I32)
        self._branch(depth, b"\x0d")

    def _branch(self, depth: int, code: bytes) -> None:
        frame = self.frames[-1 - depth]
        if frame.kind != "loop" and frame.result is not None:
            raise EncodingError("a branch out of a block with a result")
        self.code += code + unsigned(depth)

    def _open(self, kind: str, code: bytes, result: Type | None) -> None:
        self.floor = len(self.stack)
        self.frames.append(_Frame(kind, self.floor, result))
        self.code += code + (b"\x40" if result is None else bytes([result]))

    def _close(self, frame: _Frame) -> None:
        """The stack holds the frame's result and nothing else of its own."""
        left = self.stack[frame.height :]
        if left != ([] if frame.result is None else [frame.result]):
            raise EncodingError(f"a {frame.kind} of {frame.result} leaves {left}")
        del self.stack[frame.height :]

    def _pops(self, kinds: Sequence[Type]) -> None:
        """Take operands of these types off the stack."""
        stack = self.stack
        two = len(kinds) == 2 and len(stack) >= self.floor + 2
        if two and stack[-1] is kinds[1] and stack[-2] is kinds[0]:  # what there is most of
            del stack[-2:]
            return
        for kind in reversed(kinds):
            self._pop(kind)

    def _pop(self, kind: Type | None) -> Type:
        if len(self.stack) <= self.floor:
            raise EncodingError("an operand is missing")
        found = self.stack.pop()
        if kind is not None and found is not kind:
            raise EncodingError(f"expected {kind.name}, found {found.name}")
        return found

    def body(self) -> bytes:
        """The function's entry of the code section."""
        if self.frames or tuple(self.stack) != self.results:
            raise EncodingError(f"a function of {self.results} ends with {self.stack}")
        runs: list[tuple[int, Type]] = []
        for kind in self.types[len(self.params) :]:
            if runs and runs[-1][1] is kind:
                runs[-1] = (runs[-1][0] + 1, kind)
            else:
                runs.append((1, kind))
        head = unsigned(len(runs)) + b"".join(unsigned(n) + bytes([kind]) for n, kind in runs)
        held = b"".join(b"\xfd\x0c" + v + b"\x21" + unsigned(n) for v, n in self.held.items())
        return sized(head + held + bytes(self.code) + b"\x0b")


def sized(data: bytes) -> bytes:
    """`data` behind its length."""
    return unsigned(len(data)) + data


def _vector(items: Sequence[bytes]) -> bytes:
    return unsigned(len(items)) + b"".join(items)


class Module:
    """A module: types, one imported memory, functions, one exported table of some of them.

    `types` are written in the order in which they are first used; those given come first.
    """

    def __init__(self, signatures: Sequence[Signature] = ()) -> None:
        self._types: dict[Signature, int] = {}
        self.functions: list[Function] = []
        self.exports: list[tuple[str, int]] = []
        self.table: list[int] = []
        self.library: dict[tuple[str, bool], Function] = {}  # name, relaxed: `wasm_math`
        for signature in signatures:
            self.type(signature)

    def type(self, signature: Signature) -> int:
        return self._types.setdefault(signature, len(self._types))

    def function(
        self, params: Sequence[Type], results: Sequence[Type] = (), export: str | None = None
    ) -> Function:
        """A new function; its body may be filled in later."""
        made = Function(self, len(self.functions), tuple(params), tuple(results))
        self.type((made.params, made.results))
        self.functions.append(made)
        if export is not None:
            self.exports.append((export, made.index))
        return made

    def encode(self, shared: bool = False) -> bytes:
        """The module's bytes. It imports `env.memory` and exports its table as `table`."""
        bodies = [f.body() for f in self.functions]  # may still use new types
        types = [
            b"\x60" + _vector([bytes([t]) for t in params]) + _vector([bytes([t]) for t in results])
            for params, results in self._types
        ]
        flags = b"\x03" if shared else b"\x01"
        memory = b"\x03env\x06memory\x02" + flags + unsigned(1) + unsigned(MAX_PAGES)
        exports = [sized(name.encode()) + b"\x00" + unsigned(index) for name, index in self.exports]
        exports.append(sized(b"table") + b"\x01\x00")
        size = unsigned(len(self.table))
        element = b"\x00\x41\x00\x0b" + _vector([unsigned(index) for index in self.table])
        sections = (
            (1, _vector(types)),
            (2, _vector([memory])),
            (3, _vector([unsigned(self._types[f.params, f.results]) for f in self.functions])),
            (4, _vector([b"\x70\x00" + size])),
            (7, _vector(exports)),
            (9, _vector([element])),
            (10, _vector(bodies)),
        )
        return b"\x00asm\x01\x00\x00\x00" + b"".join(
            bytes([number]) + sized(content) for number, content in sections
        )


MAX_PAGES = 65536
"""Pages of 64 KiB that a 32-bit memory may have: 4 GiB."""
