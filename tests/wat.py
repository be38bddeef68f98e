"""Disassembles our WebAssembly modules to folded text, which `wat2wasm` makes the same bytes of."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from webrt.codegen.opcodes import OPCODES, Immediate, Opcode, Type

WIDTH = 100
TYPES = {int(t): t.name.lower() for t in Type}
BY_CODE = {op.code: (name, op) for name, op in OPCODES.items()}
LOCALS = {0x20: ("local.get", 0), 0x21: ("local.set", 1), 0x22: ("local.tee", 1)}
BLOCKS = {0x02: "block", 0x03: "loop", 0x04: "if"}
EMPTY = 0x40


@dataclass(frozen=True)
class Node:
    """An instruction with those of its operands that could be folded into it."""

    head: str
    args: tuple[Node, ...] = ()

    def flat(self) -> str:
        return f"({' '.join([self.head, *(a.flat() for a in self.args)])})"

    def lines(self, depth: int) -> Iterator[str]:
        text = "  " * depth + self.flat()
        if len(text) <= WIDTH or not self.args:
            yield text
            return
        line = "  " * depth + f"({self.head}"
        joinable = False  # a short operand joins a short one before it
        for arg in self.args:
            if joinable and len(f"{line} {arg.flat()}") < WIDTH:
                line += f" {arg.flat()}"
                continue
            yield line
            *lines, line = arg.lines(depth + 1)
            joinable = not lines
            yield from lines
        yield line + ")"


class Reader:
    """Bytes from a position on."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        start = self.at
        value = self.unsigned()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def name(self) -> str:
        return self.take(self.unsigned()).decode()

    def types(self) -> list[str]:
        return [TYPES[self.byte()] for _ in range(self.unsigned())]


class Body:
    """One function: folds operands until an instruction stands between them and their use."""

    def __init__(self, reader: Reader, signatures: list[tuple[int, int]], callees: list[int]):
        self.reader = reader
        self.signatures = signatures
        self.callees = callees
        self.pending: list[Node] = []
        self.out: list[str] = []
        self.depth = 2

    def flush(self) -> None:
        for node in self.pending:
            self.out += node.lines(self.depth)
        self.pending.clear()

    def put(self, head: str, operands: int, results: int) -> None:
        """An instruction; if its operands aren't all pending, it takes them off the real stack."""
        if len(self.pending) < operands:
            self.flush()
            self.out.append("  " * self.depth + head)
            return
        split = len(self.pending) - operands
        node = Node(head, tuple(self.pending[split:]))
        del self.pending[split:]
        if results == 1:
            self.pending.append(node)
        else:
            self.flush()
            self.out += node.lines(self.depth)

    def line(self, text: str, before: int = 0, after: int = 0) -> None:
        self.flush()
        self.depth += before
        self.out.append("  " * self.depth + text)
        self.depth += after

    def run(self, end: int) -> list[str]:
        while self.reader.at < end - 1:
            self.instruction()
        self.flush()
        assert self.reader.byte() == 0x0B
        return self.out

    def instruction(self) -> None:
        reader = self.reader
        code = reader.byte()
        if code in LOCALS:
            head, operands = LOCALS[code]
            self.put(f"{head} {reader.unsigned()}", operands, int(code != 0x21))
        elif code in BLOCKS:
            kind = reader.byte()
            result = "" if kind == EMPTY else f" (result {TYPES[kind]})"
            self.line(BLOCKS[code] + result, after=1)
        elif code == 0x05:
            self.line("else", before=-1, after=1)
        elif code == 0x0B:
            self.line("end", before=-1)
        elif code == 0x0C:
            self.put(f"br {reader.unsigned()}", 0, 0)
        elif code == 0x0D:
            self.put(f"br_if {reader.unsigned()}", 1, 0)
        elif code == 0x10:
            callee = reader.unsigned()
            self.put(f"call {callee}", *self.signatures[self.callees[callee]])
        elif code == 0x11:
            kind = reader.unsigned()
            assert reader.byte() == 0
            operands, results = self.signatures[kind]
            self.put(f"call_indirect (type {kind})", operands + 1, results)
        elif code == 0x1A:
            self.put("drop", 1, 0)
        elif code == 0x1B:
            self.put("select", 3, 1)
        elif code == 0x1C:
            assert reader.byte() == 1
            self.put(f"select (result {TYPES[reader.byte()]})", 3, 1)
        else:
            self.constant_or_operation(code)

    def constant_or_operation(self, code: int) -> None:
        reader = self.reader
        if code == 0x41:
            self.put(f"i32.const {reader.signed()}", 0, 1)
        elif code == 0x42:
            self.put(f"i64.const {reader.signed()}", 0, 1)
        elif code == 0x43:
            self.put(f"f32.const {single(reader.take(4))}", 0, 1)
        else:
            self.operation(bytes([code]))

    def operation(self, code: bytes) -> None:
        reader = self.reader
        if code[0] in (0xFC, 0xFD, 0xFE):
            start = reader.at
            reader.unsigned()
            code += reader.data[start : reader.at]
        if code == b"\xfd\x0c":
            self.put(f"v128.const {vector(reader.take(16))}", 0, 1)
            return
        if code == b"\xfe\x01":
            self.put(f"memory.atomic.wait32{memory(reader, 2)}", 3, 1)
            return
        if code[0] == 0xFC and code not in BY_CODE:  # the memories are part of these opcodes
            code += reader.take(2 if code[1] == 0x0A else 1)
        name, op = BY_CODE[code]
        self.put(name + immediate(reader, op), len(op.params), int(op.result is not None))


def immediate(reader: Reader, op: Opcode) -> str:
    match op.immediate:
        case Immediate.LANE:
            return f" {reader.byte()}"
        case Immediate.LANES:
            return "".join(f" {lane}" for lane in reader.take(16))
        case Immediate.MEMORY:
            return memory(reader, op.align)
    return ""


def memory(reader: Reader, natural: int) -> str:
    align, offset = reader.unsigned(), reader.unsigned()
    text = f" offset={offset}" if offset else ""
    return text if align == natural else f"{text} align={1 << align}"


def single(data: bytes) -> str:
    """The shortest decimal of an f32; NaN with its payload."""
    (bits,) = struct.unpack("<I", data)
    (value,) = struct.unpack("<f", data)
    if value != value:
        return f"{'-' if bits >> 31 else ''}nan:{bits & 0x7FFFFF:#x}"
    return str(np.float32(value))


def vector(data: bytes) -> str:
    """As floats where all lanes look like floats, else as integers."""
    bits = struct.unpack("<4I", data)
    if all(b << 1 & 0xFFFFFFFF == 0 or 0x20 < (b >> 23 & 0xFF) < 0xE0 for b in bits) and any(bits):
        return "f32x4 " + " ".join(single(data[i : i + 4]) for i in range(0, 16, 4))
    return "i32x4 " + " ".join(f"{b:#x}" if b > 255 else str(b) for b in bits)


def disassemble(code: bytes) -> str:
    """The text of a module that `encoder.Module` made."""
    assert code[:8] == b"\x00asm\x01\x00\x00\x00"
    reader = Reader(code, 8)
    lines: list[str] = []
    signatures: list[tuple[int, int]] = []
    callees: list[int] = []
    while reader.at < len(code):
        section, size = reader.byte(), reader.unsigned()
        end = reader.at + size
        count = reader.unsigned()
        for position in range(count):
            if section == 1:
                assert reader.byte() == 0x60
                params, results = reader.types(), reader.types()
                signatures.append((len(params), len(results)))
                inside = "".join(
                    f" ({word} {' '.join(types)})"
                    for word, types in (("param", params), ("result", results))
                    if types
                )
                lines.append(f"(type (func{inside}))")
            elif section == 3:
                callees.append(reader.unsigned())
            elif section == 10:
                lines += _function(reader, position, signatures, callees)
            else:
                lines.append(_declaration(reader, section))
        assert reader.at == end, f"section {section}"
    return "(module\n" + "".join(f"  {line}\n" for line in lines) + ")\n"


def _declaration(reader: Reader, section: int) -> str:
    """An import, table, export or element segment, as far as we have them."""
    if section == 2:
        module, name = reader.name(), reader.name()
        assert reader.byte() == 2
        shared = " shared" if reader.byte() == 3 else ""
        limits = f"{reader.unsigned()} {reader.unsigned()}{shared}"
        return f'(import "{module}" "{name}" (memory {limits}))'
    if section == 4:
        assert reader.take(2) == b"\x70\x00"
        return f"(table {reader.unsigned()} funcref)"
    if section == 7:
        name, kind = reader.name(), ("func", "table")[reader.byte()]
        return f'(export "{name}" ({kind} {reader.unsigned()}))'
    assert section == 9
    assert reader.take(4) == b"\x00\x41\x00\x0b"
    entries = [str(reader.unsigned()) for _ in range(reader.unsigned())]
    return f"(elem (i32.const 0) func {' '.join(entries)})".replace(" )", ")")


def _function(
    reader: Reader, position: int, signatures: list[tuple[int, int]], callees: list[int]
) -> Iterator[str]:
    end = reader.unsigned() + reader.at
    yield f"(func (;{position};) (type {callees[position]})"
    for _ in range(reader.unsigned()):
        count, kind = reader.unsigned(), TYPES[reader.byte()]
        names = [kind] * count
        for start in range(0, count, 16):
            yield f"  (local {' '.join(names[start : start + 16])})"
    for line in Body(reader, signatures, callees).run(end):
        yield line[2:]
    yield ")"


def functions(code: bytes) -> list[str]:
    """The text of every function of a module, without what stands around them."""
    lines = [line[2:] for line in disassemble(code).splitlines()]
    starts = [j for j, line in enumerate(lines) if line.startswith("(func ")]
    ends = [j for j, line in enumerate(lines) if line == ")"]
    return ["\n".join(lines[a : b + 1]) + "\n" for a, b in zip(starts, ends, strict=True)]
