"""The encoder: the bytes that `wat2wasm` makes, for every instruction, and what it refuses."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from wat import disassemble

from webrt.codegen import abi, wasm_math
from webrt.codegen.encoder import (
    F32,
    I32,
    V128,
    EncodingError,
    Function,
    Module,
    Signature,
    pack_single,
    signed,
)
from webrt.codegen.opcodes import OPCODES, Immediate, Opcode, Type, unsigned

NAMES = {I32: "i32", F32: "f32", V128: "v128"}
SHUFFLE = (0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31)


def validate(code: bytes) -> None:
    config = wasmtime.Config()
    config.wasm_threads = True
    config.shared_memory = True
    config.wasm_relaxed_simd = True
    wasmtime.Module.validate(wasmtime.Engine(config), code)


def types(word: str, kinds: Sequence[Type]) -> str:
    return f"({word} {' '.join(NAMES[k] for k in kinds)})" if kinds else ""


def reference(signature: Signature, body: str, more_types: str = "") -> bytes:
    """The bytes of a module of one function, by wasmtime's own assembler."""
    params, results = signature
    kind = f"{types('param', params)} {types('result', results)}"
    return bytes(
        wasmtime.wat2wasm(
            f"""(module (type (func {kind})) {more_types}
            (import "env" "memory" (memory 1 65536))
            (func (type 0) {body})
            (table 0 funcref) (export "table" (table 0)) (elem (i32.const 0) func))"""
        )
    )


def same(
    params: Sequence[Type], results: Sequence[Type], emit: Callable[[Function], None], text: str
) -> None:
    module = Module()
    function = module.function(params, results)
    emit(function)
    code = module.encode()
    assert code == reference((tuple(params), tuple(results)), text)
    validate(code)


# Instructions, constants, locals


def immediates(op: Opcode) -> tuple[int, ...]:
    return {Immediate.LANE: (3,), Immediate.LANES: SHUFFLE}.get(op.immediate, ())


@pytest.mark.parametrize("name", OPCODES)
def test_every_instruction(name: str) -> None:
    op = OPCODES[name]
    results = () if op.result is None else (op.result,)

    def emit(function: Function) -> None:
        for local in range(len(op.params)):
            function.get(local)
        if op.immediate is Immediate.MEMORY:
            function.access(name, 300)
        else:
            function.emit(name, *immediates(op))

    operands = " ".join(f"local.get {i}" for i in range(len(op.params)))
    if op.immediate is Immediate.MEMORY:
        text = f"offset=300 align={1 << min(op.align, 2)}"
    else:
        text = " ".join(map(str, immediates(op)))
    same(op.params, results, emit, f"{operands} {name} {text}")


def test_waiting() -> None:
    def emit(function: Function) -> None:
        function.get(0)
        function.get(1)
        function.wait32(8)

    same(
        (I32, I32), (I32,), emit,
        "local.get 0 local.get 1 i64.const -1 memory.atomic.wait32 offset=8",
    )  # fmt: skip


INTEGERS = [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, -8192, -8193, 2**31 - 1, -(2**31)]


@pytest.mark.parametrize("value", INTEGERS)
def test_integer_constants(value: int) -> None:
    same((), (I32,), lambda f: f.i32(value), f"i32.const {value}")
    same((), (I32,), lambda f: f.i32(value % (1 << 32)), f"i32.const {value}")


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1.5, -2.0, 1e-45, 3.4028234663852886e38, math.inf, -math.inf, 1e300]
)
def test_float_constants(value: float) -> None:
    (bits,) = struct.unpack("<I", pack_single(value))
    same((), (V128,), lambda f: f.f32x4(value), f"v128.const i32x4 {bits} {bits} {bits} {bits}")
    text = "inf" if value == 1e300 else repr(value)
    same((), (F32,), lambda f: f.f32(value), f"f32.const {text}")


def test_not_a_number_stays_one() -> None:
    assert pack_single(math.nan) == struct.pack("<f", math.nan)
    same((), (F32,), lambda f: f.f32(math.nan), "f32.const nan")


def test_vector_constants() -> None:
    same((), (V128,), lambda f: f.i32x4(7), "v128.const i32x4 7 7 7 7")
    same((), (V128,), lambda f: f.i32x4(1, -2, 3, 2**32 - 4), "v128.const i32x4 1 -2 3 -4")


def test_locals_are_declared_in_runs() -> None:
    def emit(function: Function) -> None:
        for kind in (V128, V128, I32, F32, F32, V128):
            function.local(kind)
        function.get(0)
        function.tee(3)
        function.set(3)

    same(
        (I32,), (), emit,
        "(local v128 v128 i32 f32 f32 v128) local.get 0 local.tee 3 local.set 3",
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 127, 128, 200, 16384])
def test_locals_with_large_indices(count: int) -> None:
    def emit(function: Function) -> None:
        last = [function.local(I32) for _ in range(count)][-1]
        function.get(last)
        function.set(last)

    names = " ".join(["i32"] * count)
    same((), (), emit, f"(local {names}) local.get {count - 1} local.set {count - 1}")


HELD = """(local v128) v128.const f32x4 2 2 2 2 local.set 1
    local.get 0 local.get 1 f32x4.add local.get 1 f32x4.add"""


def test_held_constants_stand_at_the_beginning() -> None:
    def emit(function: Function) -> None:
        function.get(0)
        for _ in range(2):
            function.get(function.hold(struct.pack("<4f", 2, 2, 2, 2)))
            function.emit("f32x4.add")

    def by_switch(function: Function) -> None:
        function.get(0)
        function.holds = True
        for _ in range(2):
            function.f32x4(2.0)
            function.emit("f32x4.add")

    same((V128,), (V128,), emit, HELD)
    same((V128,), (V128,), by_switch, HELD)


@pytest.mark.parametrize("offset", [0, 1, 127, 128, 16384, 2**31, 2**32 - 1])
def test_offsets(offset: int) -> None:
    def emit(function: Function) -> None:
        function.get(0)
        function.access("v128.load", offset)

    same((I32,), (V128,), emit, f"local.get 0 v128.load offset={offset} align=4")


def test_selection_and_dropping() -> None:
    def emit(function: Function) -> None:
        for kind in (0, 2):
            function.get(kind)
            function.get(kind + 1)
            function.get(4)
            function.select()
            function.drop()

    same(
        (V128, V128, F32, F32, I32), (), emit,
        "local.get 0 local.get 1 local.get 4 select (result v128) drop "
        "local.get 2 local.get 3 local.get 4 select drop",
    )  # fmt: skip


# Control and calls


def test_control() -> None:
    def emit(function: Function) -> None:
        function.block()
        function.loop()
        function.get(0)
        function.br_if(1)
        function.get(0)
        function.if_(V128)
        function.get(1)
        function.else_()
        function.i32x4(0)
        function.end()
        function.set(1)
        function.get(0)
        function.if_()
        function.i32(1)
        function.set(0)
        function.else_()
        function.end()
        function.br(0)
        function.end()
        function.end()

    same(
        (I32, V128), (), emit,
        """block loop local.get 0 br_if 1
        local.get 0 if (result v128) local.get 1 else v128.const i32x4 0 0 0 0 end local.set 1
        local.get 0 if i32.const 1 local.set 0 else end
        br 0 end end""",
    )  # fmt: skip


def test_calls_exports_and_the_table() -> None:
    module = Module()
    first = module.function((I32, F32), (F32,), export="first")
    second = module.function((I32,), (), export="second")
    module.table = [second.index, first.index]
    first.get(1)
    second.get(0)
    second.f32(1.0)
    second.call(first)
    second.drop()
    second.i32(3)
    second.f32(2.0)
    second.get(0)
    second.call_indirect(((I32, F32), (F32,)))
    second.drop()
    code = module.encode()
    assert code == bytes(
        wasmtime.wat2wasm(
            """(module (type (func (param i32 f32) (result f32))) (type (func (param i32)))
            (import "env" "memory" (memory 1 65536))
            (func (type 0) local.get 1)
            (func (type 1) local.get 0 f32.const 1 call 0 drop
              i32.const 3 f32.const 2 local.get 0 call_indirect (type 0) drop)
            (table 2 funcref)
            (export "first" (func 0)) (export "second" (func 1)) (export "table" (table 0))
            (elem (i32.const 0) func 1 0))"""
        )
    )
    validate(code)


def test_a_type_that_only_an_indirect_call_uses_is_declared() -> None:
    module = Module()
    function = module.function((I32,))
    function.get(0)
    function.call_indirect(((), ()))
    text = "local.get 0 call_indirect (type 1)"
    assert module.encode() == reference(((I32,), ()), text, "(type (func))")


# What it refuses


def steps(*calls: Callable[[Function], None]) -> Callable[[Function], None]:
    def run(function: Function) -> None:
        for call in calls:
            call(function)
        function.body()

    return run


def one(f: Function) -> None:
    f.i32(1)


def single(f: Function) -> None:
    f.f32(1.0)


def add(f: Function) -> None:
    f.emit("i32.add")


def if_i32(f: Function) -> None:
    f.if_(I32)


WRONG: dict[str, tuple[Callable[[Function], None], str]] = {
    "nothing there": (steps(Function.drop), "an operand is missing"),
    "one of two": (steps(one, add), "an operand is missing"),
    "type": (steps(one, single, add), "expected I32, found F32"),
    "first type": (steps(single, one, add), "expected I32, found F32"),
    "vector": (steps(single, lambda f: f.emit("i32x4.splat")), "expected I32, found F32"),
    "local": (steps(one, lambda f: f.set(f.local(V128))), "expected V128, found I32"),
    "selection": (steps(one, single, one, Function.select), "expected F32, found I32"),
    "under a block": (steps(one, Function.block, Function.drop), "an operand is missing"),
    "after a block": (
        steps(Function.block, one, Function.drop, Function.end, Function.drop),
        "an operand is missing",
    ),
    "left in a block": (steps(Function.block, one, Function.end), "a block of None leaves"),
    "else of a block": (steps(Function.block, Function.else_), "else without if"),
    "no else": (steps(one, if_i32, one, Function.end), "an if with a result needs an else"),
    "arm": (steps(one, if_i32, single, Function.else_), "a if of"),
    "branch": (steps(one, if_i32, one, lambda f: f.br_if(0)), "a branch out of a block"),
    "lane": (steps(one, one, lambda f: f.emit("i32.add", 1)), "i32.add with the immediates"),
    "no offset": (steps(one, lambda f: f.emit("i32.load")), "i32.load with the immediates"),
    "results": (steps(one), "a function of () ends with"),
    "open": (steps(Function.block), "a function of () ends with"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_would_not_validate_raises(name: str) -> None:
    emit, message = WRONG[name]
    with pytest.raises(EncodingError, match=re.escape(message)):
        emit(Module().function(()))


def test_operands_of_calls_are_checked() -> None:
    module = Module()
    callee = module.function((V128,), (V128,))
    caller = module.function(())
    caller.i32(1)
    with pytest.raises(EncodingError, match="expected V128, found I32"):
        caller.call(callee)


# LEB128


def read(data: bytes, is_signed: bool) -> int:
    value = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(data))
    return value - (1 << 7 * len(data)) if is_signed and data[-1] & 0x40 else value


@given(st.integers(0, 2**64))
def test_unsigned_leb128(value: int) -> None:
    data = unsigned(value)
    assert read(data, False) == value
    assert len(data) == max(1, -(-value.bit_length() // 7))
    assert all((byte >= 0x80) == (i + 1 < len(data)) for i, byte in enumerate(data))


@given(st.integers(-(2**63), 2**63))
def test_signed_leb128(value: int) -> None:
    data = signed(value)
    assert read(data, True) == value
    assert len(data) == (value if value >= 0 else ~value).bit_length() // 7 + 1
    assert all((byte >= 0x80) == (i + 1 < len(data)) for i, byte in enumerate(data))


# Whole modules


@pytest.mark.parametrize(("functions", "entries"), [(0, 0), (1, 3), (300, 20000)])
def test_the_memory_of_any_module_can_be_made_shared(functions: int, entries: int) -> None:
    module = Module(abi.TYPES)
    if functions:
        wasm_math.function(module, "exp", True)
    for number in range(functions):
        module.function(*abi.KERNEL, export=f"f{number}").local(V128)
    module.table = [functions] * entries
    code, shared = module.encode(), module.encode(shared=True)
    at = abi.MEMORY_FLAGS_OFFSET
    assert code[at] == abi.UNSHARED
    assert code[:at] + bytes([abi.SHARED]) + code[at + 1 :] == shared
    validate(code)
    validate(shared)


@pytest.mark.parametrize("relaxed", [False, True])
def test_the_library_through_its_text(relaxed: bool) -> None:
    module = Module(abi.TYPES)
    for name in (*wasm_math.UNARY, *wasm_math.BINARY):
        wasm_math.function(module, name, relaxed)
        signature = abi.UNARY if name in wasm_math.UNARY else abi.BINARY
        into = module.function(*signature, export=name)
        for local in range(len(signature[0])):
            into.get(local)
        wasm_math.inline(into, name, relaxed)
    code = module.encode()
    text = disassemble(code)
    assert ("relaxed" in text) == relaxed
    assert bytes(wasmtime.wat2wasm(text)) == code
