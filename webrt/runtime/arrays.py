"""Host data: what goes into a run and comes out of it, as NumPy arrays where NumPy is to be had.

Everything else that holds numbers goes in too: anything with a buffer (`array.array`, memoryview),
nested lists, plain numbers. Without NumPy, results are `HostTensor`s.
"""

from __future__ import annotations

import array
import functools
import math
import struct
from dataclasses import dataclass
from typing import Any

from webrt import dims
from webrt.dtypes import DType
from webrt.errors import PackError
from webrt.runtime.device import HOST_TO_STORAGE

_SIGNED, _UNSIGNED = "bhilqn", "BHILQN"
_INTEGERS = {
    (True, 1): DType.I8, (True, 2): DType.I16, (True, 4): DType.I32, (True, 8): DType.I64,
    (False, 1): DType.U8, (False, 2): DType.U16, (False, 4): DType.U32, (False, 8): DType.U64,
}  # fmt: skip
_OTHERS = {"?": DType.BOOL, "e": DType.F16, "f": DType.F32, "d": DType.F64}
_FOREIGN = {"g": "longdouble", "F": "complex64", "D": "complex128"}


@dataclass(frozen=True, slots=True)
class HostTensor:
    """Elements in row-major order, little-endian, in the model's dtype; `data` is their bytes."""

    dtype: DType
    shape: tuple[int, ...]
    data: memoryview

    @property
    def elements(self) -> Any:
        """`data` as a flat memoryview of numbers; those of f16 are a copy, as f32."""
        if self.dtype is DType.F16:
            return _cast(widened(self.data), DType.F32)
        return _cast(self.data, self.dtype)

    def tolist(self) -> Any:
        """The elements as nested lists, or a number for no dims."""
        flat: list[Any] = self.elements.tolist()
        for size in reversed(self.shape[1:]):
            flat = [flat[i : i + size] for i in range(0, len(flat), size)]
        return flat if self.shape else flat[0]


def _cast(data: memoryview, dtype: DType) -> Any:
    code: Any = HOST_TO_STORAGE[dtype]  # typing knows memoryviews of literal formats only
    return data.cast(code) if data.nbytes else memoryview(b"")


class NotAnArrayError(Exception):
    """What was given holds no numbers of one dtype; the message tells what it is."""


@functools.cache
def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def from_host(value: object, wanted: DType) -> HostTensor:
    """`value` as a HostTensor; plain numbers and lists take the dtype `wanted`."""
    if isinstance(value, HostTensor):
        return value
    if isinstance(value, int | float | list | tuple):
        return _from_lists(value, wanted)
    numpy = _numpy()
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        value = _checked_numpy(value)
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError) as error:
        raise NotAnArrayError(f"a {type(value).__name__}") from error
    return HostTensor(_dtype_of(view), tuple(view.shape or ()), _flat(view))


def _checked_numpy(value: Any) -> Any:
    """A contiguous array of a dtype that a memoryview can tell."""
    numpy = _numpy()
    value = numpy.asarray(value)
    if value.dtype.kind not in "biuf" or not value.dtype.isnative:
        raise NotAnArrayError(str(value.dtype))
    return numpy.ascontiguousarray(value).reshape(value.shape)


def _dtype_of(view: memoryview) -> DType:
    code = view.format.lstrip("@=<")
    if code in _OTHERS:
        return _OTHERS[code]
    if len(code) == 1 and code in _SIGNED + _UNSIGNED:
        return _INTEGERS[code in _SIGNED, view.itemsize]
    name = _FOREIGN.get(code, f"elements of format {view.format!r}")
    raise NotAnArrayError(f"{name} {list(view.shape or ())}")


def _flat(view: memoryview) -> memoryview:
    if view.nbytes == 0:
        return memoryview(b"")
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def _from_lists(value: object, wanted: DType) -> HostTensor:
    shape: list[int] = []
    level: object = value
    while isinstance(level, list | tuple):
        shape.append(len(level))
        level = level[0] if level else 0
    flat: list[Any] = []
    _flatten(value, shape, flat)
    if len(shape) > 8:
        raise NotAnArrayError("a list")
    if wanted.is_integer and not all(isinstance(v, int) for v in flat):
        raise NotAnArrayError("floats")
    code = "B" if wanted is DType.BOOL else "f" if wanted is DType.F16 else HOST_TO_STORAGE[wanted]
    try:
        packed = array.array(code, flat)
    except (OverflowError, TypeError) as error:
        raise NotAnArrayError(f"values that are no {wanted.onnx_name}") from error
    data = _flat(memoryview(packed))
    return HostTensor(wanted, tuple(shape), narrowed(data) if wanted is DType.F16 else data)


def _flatten(value: object, shape: list[int], out: list[Any]) -> None:
    if not shape:
        if not isinstance(value, int | float):
            raise NotAnArrayError("a ragged list" if isinstance(value, list | tuple) else "objects")
        out.append(value)
        return
    if not isinstance(value, list | tuple) or len(value) != shape[0]:
        raise NotAnArrayError("a ragged list")
    for part in value:
        _flatten(part, shape[1:], out)


def value_range(tensor: HostTensor) -> tuple[int, int]:
    """The least and the greatest element of an integer tensor with at least one element."""
    numpy = _numpy()
    if numpy is not None:
        values = numpy.frombuffer(tensor.data, tensor.dtype.onnx_name)
        return int(values.min()), int(values.max())
    return min(tensor.elements), max(tensor.elements)


def to_storage(tensor: HostTensor, storage: DType | None = None) -> memoryview:
    """The elements as they stand in device memory, padded to a multiple of 4 bytes.

    `storage` is the element type there where it isn't the dtype's own: floats convert.
    """
    data = tensor.data
    storage = storage or tensor.dtype.storage
    if tensor.dtype is DType.BOOL:
        data = _convert(data, DType.U8, DType.U32, truth=True)
    elif tensor.dtype.is_float:
        data = _float(data, tensor.dtype, storage)
    elif tensor.dtype is not storage:
        data = _convert(data, tensor.dtype, storage)
    rest = -data.nbytes % 4
    return memoryview(bytes(data) + bytes(rest)) if rest else data


def from_storage(
    dtype: DType,
    shape: tuple[int, ...],
    data: memoryview | bytes,
    storage: DType | None = None,
) -> HostTensor:
    """The inverse of `to_storage`; bytes after the last element are left out."""
    size = dims.product(shape)
    assert isinstance(size, int)
    storage = storage or dtype.storage
    view = memoryview(data)[: size * storage.bytes]
    if dtype is DType.BOOL:
        view = _convert(view, DType.U32, DType.U8, truth=True)
    elif dtype.is_float:
        view = _float(view, storage, dtype)
    elif dtype is not storage:
        view = _convert(view, storage, dtype)
    return HostTensor(dtype, shape, view)


def _float(data: memoryview, old: DType, new: DType) -> memoryview:
    """Elements of one float type as those of another, by way of f32."""
    if old is new:
        return data
    if old is not DType.F32:
        data = widened(data) if old is DType.F16 else _singles(data)
    if new is not DType.F32:
        data = narrowed(data) if new is DType.F16 else _doubles(data)
    return data


def _singles(data: memoryview) -> memoryview:
    """Elements of f64 as f32: the nearest ones, of two the even one; infinities beyond."""
    numpy = _numpy()
    if numpy is not None:
        with numpy.errstate(over="ignore", under="ignore"):
            return _flat(memoryview(numpy.frombuffer(data, "float64").astype("float32")))
    return _flat(memoryview(array.array("f", map(_as_f32, _cast(data, DType.F64)))))


def _doubles(data: memoryview) -> memoryview:
    """Elements of f32 as f64: the very same numbers."""
    numpy = _numpy()
    if numpy is not None:
        return _flat(memoryview(numpy.frombuffer(data, "float32").astype("float64")))
    return _flat(memoryview(array.array("d", _cast(data, DType.F32))))


def _as_f32(x: float) -> float:
    return math.copysign(math.inf, x) if abs(x) >= _ROUNDS_TO_INFINITE_F32 else x


_ROUNDS_TO_INFINITE_F32 = 3.4028235677973366e38
"""Halfway between the largest f32 and what would follow."""


def beyond_f32(tensor: HostTensor) -> float | None:
    """A finite element of f64 that no f32 comes near, if there is one."""
    numpy = _numpy()
    if numpy is not None:
        sizes = numpy.abs(numpy.frombuffer(tensor.data, "float64"))
        found = sizes[(sizes >= _ROUNDS_TO_INFINITE_F32) & (sizes < math.inf)]
        return float(found[0]) if found.size else None
    sizes = map(abs, tensor.elements)
    return next((x for x in sizes if _ROUNDS_TO_INFINITE_F32 <= x < math.inf), None)


_CHUNK = 1 << 14
"""Elements that are converted at a time without NumPy: each is a Python float meanwhile."""


def widened(data: memoryview) -> memoryview:
    """Elements of f16 as f32: the very same numbers."""
    numpy = _numpy()
    if numpy is not None:
        return _flat(memoryview(numpy.frombuffer(data, "float16").astype("float32")))
    wide = array.array("f")
    for start in range(0, data.nbytes, 2 * _CHUNK):
        part = data[start : start + 2 * _CHUNK]
        wide.extend(struct.unpack(f"<{part.nbytes // 2}e", part))
    return _flat(memoryview(wide))


def narrowed(data: memoryview) -> memoryview:
    """Elements of f32 as f16: the nearest ones, of two the even one; infinities beyond 65519."""
    numpy = _numpy()
    if numpy is not None:
        with numpy.errstate(over="ignore"):
            return _flat(memoryview(numpy.frombuffer(data, "float32").astype("float16")))
    half = bytearray()
    for start in range(0, data.nbytes, 4 * _CHUNK):
        part = [_in_range(x) for x in _cast(data[start : start + 4 * _CHUNK], DType.F32)]
        half += struct.pack(f"<{len(part)}e", *part)
    return memoryview(half)


def _in_range(x: float) -> float:
    return math.copysign(math.inf, x) if abs(x) >= _ROUNDS_TO_INFINITY else x


_ROUNDS_TO_INFINITY = 65520.0
"""Halfway between the largest f16 and what would follow: struct refuses it and what is above."""


def _convert(data: memoryview, old: DType, new: DType, truth: bool = False) -> memoryview:
    """Integers of one width as integers of another; `truth` makes them 0 or 1."""
    numpy = _numpy()
    if numpy is not None:
        values = numpy.frombuffer(data, old.onnx_name)
        values = values != 0 if truth else values
        return _flat(memoryview(values.astype(new.onnx_name)))
    elements: Any = _cast(data, old)
    if truth:
        elements = map(bool, elements)
    # Values that don't fit wrap around, as NumPy's do: the device computes modulo 2^32.
    mask = (1 << (8 * new.bytes)) - 1
    if not truth and new.bytes < old.bytes:
        unsigned = DType(f"u{8 * new.bytes}")
        packed = array.array(HOST_TO_STORAGE[unsigned], (v & mask for v in elements))
    else:
        packed = array.array(HOST_TO_STORAGE[new], elements)
    return _flat(memoryview(packed))


def as_result(tensor: HostTensor, texts: tuple[str, ...] = ()) -> Any:
    """A NumPy array (a copy that may be written to) where NumPy is installed, else `tensor`.

    With `texts`, the elements are places among them, and the result is strings: an array of
    objects, or nested lists. Raises PackError for places that aren't there.
    """
    numpy = _numpy()
    if texts:
        places = tensor.elements.tolist()
        if places and not 0 <= min(places) <= max(places) < len(texts):
            raise PackError(f"a label is number {max(places)} of {len(texts)}; pack again")
        flat: list[Any] = [texts[place] for place in places]
        if numpy is not None:
            return numpy.array(flat, object).reshape(tensor.shape)
        for size in reversed(tensor.shape[1:]):
            flat = [flat[i : i + size] for i in range(0, len(flat), size)]
        return flat if tensor.shape else flat[0]
    if numpy is None:
        return tensor
    return numpy.frombuffer(bytearray(tensor.data), tensor.dtype.onnx_name).reshape(tensor.shape)
