"""Data types: what a tensor holds in the model, and what its elements are on a device."""

from __future__ import annotations

import enum


class DType(enum.Enum):
    """An element type, by the short name that IR texts, packs and messages use."""

    F32 = "f32"
    F16 = "f16"
    F64 = "f64"
    I64 = "i64"
    I32 = "i32"
    I16 = "i16"
    I8 = "i8"
    U64 = "u64"
    U32 = "u32"
    U16 = "u16"
    U8 = "u8"
    BOOL = "bool"

    __hash__ = object.__hash__  # members are alone of their kind; Enum's own is Python code

    def __str__(self) -> str:
        return self.value

    @property
    def bytes(self) -> int:
        """Size of one element in a host array (a bool takes one byte)."""
        return _BYTES[self]

    @property
    def is_float(self) -> bool:
        return self in (DType.F32, DType.F16, DType.F64)

    @property
    def is_integer(self) -> bool:
        return not self.is_float and self is not DType.BOOL

    @property
    def storage(self) -> DType:
        """The type of this tensor's elements in device memory, one of f32, f16, i32, u32.

        WGSL has no 64-bit and no 8-bit numbers, and its bool can't be stored: integers are i32
        where their range is proven (`passes/integers.py`), a bool is a u32 that is 0 or 1, and
        f64 is narrowed to f32, which packs tell.
        """
        return _STORAGE[self]

    @property
    def computed(self) -> DType:
        """The type that kernels compute this type's elements in: f32, i32, u32 or bool.

        f16 is for storage alone: it is widened where it is loaded and rounded where it is stored,
        so that no sum overflows and a device without f16 runs the same kernels on f32.
        """
        return _COMPUTED[self]

    @property
    def onnx_name(self) -> str:
        """ONNX's and onnxruntime-web's name of the type: `float32`, `int64`, `bool` …"""
        return _ONNX_NAMES[self]

    @classmethod
    def from_onnx_name(cls, name: str) -> DType:
        """The inverse of `onnx_name`; raises KeyError for a name that isn't one."""
        return _FROM_ONNX_NAME[name]


_BYTES = {
    DType.F32: 4, DType.F16: 2, DType.F64: 8, DType.I64: 8, DType.I32: 4, DType.I16: 2,
    DType.I8: 1, DType.U64: 8, DType.U32: 4, DType.U16: 2, DType.U8: 1, DType.BOOL: 1,
}  # fmt: skip
_STORAGE = {
    DType.F32: DType.F32, DType.F16: DType.F16, DType.F64: DType.F32, DType.I64: DType.I32,
    DType.I32: DType.I32, DType.I16: DType.I32, DType.I8: DType.I32, DType.U64: DType.U32,
    DType.U32: DType.U32, DType.U16: DType.U32, DType.U8: DType.U32, DType.BOOL: DType.U32,
}  # fmt: skip
_COMPUTED = _STORAGE | {DType.F16: DType.F32, DType.BOOL: DType.BOOL}
_ONNX_NAMES = {
    DType.F32: "float32", DType.F16: "float16", DType.F64: "float64", DType.I64: "int64",
    DType.I32: "int32", DType.I16: "int16", DType.I8: "int8", DType.U64: "uint64",
    DType.U32: "uint32", DType.U16: "uint16", DType.U8: "uint8", DType.BOOL: "bool",
}  # fmt: skip
_FROM_ONNX_NAME = {name: dtype for dtype, name in _ONNX_NAMES.items()}
