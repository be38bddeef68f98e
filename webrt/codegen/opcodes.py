"""WebAssembly's instructions as data: opcode, operand types, result type, kind of immediate.

From the WebAssembly core specification 3.0, appendix "Index of Instructions" (fixed-width and
relaxed SIMD included), and the threads proposal for the atomic ones. Only what kernels need.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Type(IntEnum):
    """A value type, as it is encoded."""

    I32 = 0x7F
    F32 = 0x7D
    V128 = 0x7B


class Immediate(IntEnum):
    """What follows an opcode: nothing, a lane, sixteen lanes, alignment and offset."""

    NONE = 0
    LANE = 1
    LANES = 2
    MEMORY = 3


@dataclass(frozen=True, slots=True)
class Opcode:
    """One instruction; `align` is the log2 of an access's natural alignment."""

    code: bytes
    params: tuple[Type, ...]
    result: Type | None
    immediate: Immediate = Immediate.NONE
    align: int = 0


_BYTES = [bytes([value]) for value in range(0x80)]


def unsigned(value: int) -> bytes:
    """`value` in unsigned LEB128."""
    if value < 0x80:
        return _BYTES[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_I, _F, _V = Type.I32, Type.F32, Type.V128


def _table() -> dict[str, Opcode]:
    table: dict[str, Opcode] = {}

    def scalar(params: tuple[Type, ...], result: Type | None, **codes: int) -> None:
        for name, code in codes.items():
            table[name.replace("_DOT_", ".")] = Opcode(bytes([code]), params, result)

    def vector(params: tuple[Type, ...], result: Type | None, **codes: int) -> None:
        for name, code in codes.items():
            table[name.replace("_DOT_", ".")] = Opcode(b"\xfd" + unsigned(code), params, result)

    def lane(name: str, code: int, params: tuple[Type, ...], result: Type) -> None:
        table[name] = Opcode(b"\xfd" + unsigned(code), params, result, Immediate.LANE)

    def memory(
        name: str, code: bytes, params: tuple[Type, ...], result: Type | None, align: int
    ) -> None:
        table[name] = Opcode(code, params, result, Immediate.MEMORY, align)

    # i32
    scalar((_I,), _I, i32_DOT_eqz=0x45, i32_DOT_clz=0x67, i32_DOT_ctz=0x68)
    scalar(
        (_I, _I), _I,
        i32_DOT_eq=0x46, i32_DOT_ne=0x47, i32_DOT_lt_s=0x48, i32_DOT_lt_u=0x49, i32_DOT_gt_s=0x4A,
        i32_DOT_gt_u=0x4B, i32_DOT_le_s=0x4C, i32_DOT_le_u=0x4D, i32_DOT_ge_s=0x4E,
        i32_DOT_ge_u=0x4F, i32_DOT_add=0x6A, i32_DOT_sub=0x6B, i32_DOT_mul=0x6C,
        i32_DOT_div_s=0x6D, i32_DOT_div_u=0x6E, i32_DOT_rem_s=0x6F, i32_DOT_rem_u=0x70,
        i32_DOT_and=0x71, i32_DOT_or=0x72, i32_DOT_xor=0x73, i32_DOT_shl=0x74, i32_DOT_shr_s=0x75,
        i32_DOT_shr_u=0x76,
    )  # fmt: skip
    # f32
    scalar(
        (_F,), _F,
        f32_DOT_abs=0x8B, f32_DOT_neg=0x8C, f32_DOT_ceil=0x8D, f32_DOT_floor=0x8E,
        f32_DOT_trunc=0x8F, f32_DOT_nearest=0x90, f32_DOT_sqrt=0x91,
    )  # fmt: skip
    scalar(
        (_F, _F), _F,
        f32_DOT_add=0x92, f32_DOT_sub=0x93, f32_DOT_mul=0x94, f32_DOT_div=0x95, f32_DOT_min=0x96,
        f32_DOT_max=0x97, f32_DOT_copysign=0x98,
    )  # fmt: skip
    scalar(
        (_F, _F), _I,
        f32_DOT_eq=0x5B, f32_DOT_ne=0x5C, f32_DOT_lt=0x5D, f32_DOT_gt=0x5E, f32_DOT_le=0x5F,
        f32_DOT_ge=0x60,
    )  # fmt: skip
    scalar((_I,), _F, f32_DOT_convert_i32_s=0xB2, f32_DOT_convert_i32_u=0xB3)
    scalar((_I,), _F, f32_DOT_reinterpret_i32=0xBE)
    scalar((_F,), _I, i32_DOT_reinterpret_f32=0xBC)
    table["i32.trunc_sat_f32_s"] = Opcode(b"\xfc\x00", (_F,), _I)
    table["i32.trunc_sat_f32_u"] = Opcode(b"\xfc\x01", (_F,), _I)
    table["memory.copy"] = Opcode(b"\xfc\x0a\x00\x00", (_I, _I, _I), None)
    table["memory.fill"] = Opcode(b"\xfc\x0b\x00", (_I, _I, _I), None)
    # Memory
    memory("i32.load", b"\x28", (_I,), _I, 2)
    memory("f32.load", b"\x2a", (_I,), _F, 2)
    memory("i32.load8_s", b"\x2c", (_I,), _I, 0)
    memory("i32.load8_u", b"\x2d", (_I,), _I, 0)
    memory("i32.load16_u", b"\x2f", (_I,), _I, 1)
    memory("i32.store", b"\x36", (_I, _I), None, 2)
    memory("f32.store", b"\x38", (_I, _F), None, 2)
    memory("i32.store8", b"\x3a", (_I, _I), None, 0)
    memory("v128.load", b"\xfd\x00", (_I,), _V, 4)
    memory("v128.load8x8_s", b"\xfd\x01", (_I,), _V, 3)
    memory("v128.load8x8_u", b"\xfd\x02", (_I,), _V, 3)
    memory("v128.load32_splat", b"\xfd\x09", (_I,), _V, 2)
    memory("v128.load32_zero", b"\xfd\x5c", (_I,), _V, 2)
    memory("v128.store", b"\xfd\x0b", (_I, _V), None, 4)
    # Vectors
    table["i8x16.shuffle"] = Opcode(b"\xfd\x0d", (_V, _V), _V, Immediate.LANES)
    vector((_I,), _V, i32x4_DOT_splat=17, i8x16_DOT_splat=15)
    vector((_F,), _V, f32x4_DOT_splat=19)
    lane("i32x4.extract_lane", 27, (_V,), _I)
    lane("i32x4.replace_lane", 28, (_V, _I), _V)
    lane("f32x4.extract_lane", 31, (_V,), _F)
    lane("f32x4.replace_lane", 32, (_V, _F), _V)
    vector(
        (_V, _V), _V,
        i32x4_DOT_eq=55, i32x4_DOT_ne=56, i32x4_DOT_lt_s=57, i32x4_DOT_lt_u=58, i32x4_DOT_gt_s=59,
        i32x4_DOT_gt_u=60, i32x4_DOT_le_s=61, i32x4_DOT_le_u=62, i32x4_DOT_ge_s=63,
        i32x4_DOT_ge_u=64, f32x4_DOT_eq=65, f32x4_DOT_ne=66, f32x4_DOT_lt=67, f32x4_DOT_gt=68,
        f32x4_DOT_le=69, f32x4_DOT_ge=70, v128_DOT_and=78, v128_DOT_andnot=79, v128_DOT_or=80,
        v128_DOT_xor=81, i32x4_DOT_add=174, i32x4_DOT_sub=177, i32x4_DOT_mul=181,
        i32x4_DOT_min_s=182, i32x4_DOT_min_u=183, i32x4_DOT_max_s=184, i32x4_DOT_max_u=185,
        f32x4_DOT_add=228, f32x4_DOT_sub=229, f32x4_DOT_mul=230, f32x4_DOT_div=231,
        f32x4_DOT_min=232, f32x4_DOT_max=233, f32x4_DOT_pmin=234, f32x4_DOT_pmax=235,
        i16x8_DOT_narrow_i32x4_s=133, i32x4_DOT_dot_i16x8_s=186,
    )  # fmt: skip
    vector(
        (_V,), _V,
        v128_DOT_not=77, f32x4_DOT_ceil=103, f32x4_DOT_floor=104, f32x4_DOT_trunc=105,
        f32x4_DOT_nearest=106, i32x4_DOT_abs=160, i32x4_DOT_neg=161, f32x4_DOT_abs=224,
        f32x4_DOT_neg=225, f32x4_DOT_sqrt=227, i32x4_DOT_trunc_sat_f32x4_s=248,
        i32x4_DOT_trunc_sat_f32x4_u=249, f32x4_DOT_convert_i32x4_s=250,
        f32x4_DOT_convert_i32x4_u=251,
    )  # fmt: skip
    vector((_V,), _V, i16x8_DOT_extend_low_i8x16_s=135, i16x8_DOT_extend_low_i8x16_u=137)
    vector((_V, _I), _V, i32x4_DOT_shl=171, i32x4_DOT_shr_s=172, i32x4_DOT_shr_u=173)
    vector((_V,), _I, v128_DOT_any_true=83, i32x4_DOT_all_true=163, i32x4_DOT_bitmask=164)
    vector((_V, _V, _V), _V, v128_DOT_bitselect=82)
    vector((_V, _V, _V), _V, f32x4_DOT_relaxed_madd=0x105, f32x4_DOT_relaxed_nmadd=0x106)
    vector((_V, _V), _V, f32x4_DOT_relaxed_min=0x10D, f32x4_DOT_relaxed_max=0x10E)
    # Atomics
    memory("memory.atomic.notify", b"\xfe\x00", (_I, _I), _I, 2)
    memory("i32.atomic.load", b"\xfe\x10", (_I,), _I, 2)
    memory("i32.atomic.store", b"\xfe\x17", (_I, _I), None, 2)
    memory("i32.atomic.rmw.add", b"\xfe\x1e", (_I, _I), _I, 2)
    return table


OPCODES = _table()
"""Every instruction but constants, locals, calls, control and `memory.atomic.wait32`."""
