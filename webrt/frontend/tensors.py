"""TensorProto to NumPy, trusting nothing: dtypes, sizes, places of external data are checked."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
from onnx import TensorProto

from webrt.dtypes import DType
from webrt.errors import ModelError, UnsupportedOpError
from webrt.graph.ir import Array

MAX_ELEMENTS = 1 << 31

ELEMENT_TYPES: dict[int, DType] = {
    TensorProto.FLOAT: DType.F32, TensorProto.FLOAT16: DType.F16, TensorProto.DOUBLE: DType.F64,
    TensorProto.INT64: DType.I64, TensorProto.INT32: DType.I32, TensorProto.INT16: DType.I16,
    TensorProto.INT8: DType.I8, TensorProto.UINT64: DType.U64, TensorProto.UINT32: DType.U32,
    TensorProto.UINT16: DType.U16, TensorProto.UINT8: DType.U8, TensorProto.BOOL: DType.BOOL,
}  # fmt: skip

_RAW: dict[int, str] = {
    TensorProto.FLOAT: "<f4", TensorProto.FLOAT16: "<f2", TensorProto.DOUBLE: "<f8",
    TensorProto.INT64: "<i8", TensorProto.INT32: "<i4", TensorProto.INT16: "<i2",
    TensorProto.INT8: "i1", TensorProto.UINT64: "<u8", TensorProto.UINT32: "<u4",
    TensorProto.UINT16: "<u2", TensorProto.UINT8: "u1", TensorProto.BOOL: "?",
}  # fmt: skip

NARROW: dict[int, tuple[int, DType]] = {
    TensorProto.UINT4: (4, DType.U8), TensorProto.INT4: (4, DType.I8),
    TensorProto.UINT2: (2, DType.U8), TensorProto.INT2: (2, DType.I8),
}  # fmt: skip
"""Bits of types that constants may have, and the dtype whose elements they become."""

_FIELD: dict[int, str] = {
    TensorProto.FLOAT: "float_data", TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data", TensorProto.UINT64: "uint64_data",
    TensorProto.UINT32: "uint64_data",
}  # fmt: skip


def element_type(number: int, where: str) -> DType:
    """The dtype of an ONNX element type; raises UnsupportedOpError for one that isn't run."""
    found = ELEMENT_TYPES.get(number)
    if found is None:
        raise UnsupportedOpError(f"{where}: elements of type {type_name(number)} aren't run")
    return found


def type_name(number: int) -> str:
    try:
        return str(TensorProto.DataType.Name(number))
    except ValueError:
        return f"number {number}"


class Reader:
    """Reads the tensors of one model; `folder` is where external data may lie."""

    def __init__(self, file: str, folder: Path | None) -> None:
        self.file = file
        self.folder = folder
        self._maps: dict[Path, mmap.mmap] = {}

    def read(self, tensor: TensorProto, what: str) -> Array:
        """The tensor as an array of its dtype; a view of its bytes where it can be one."""
        where = f"{self.file}: {what}"
        narrow = NARROW.get(tensor.data_type)
        if not narrow:
            element_type(tensor.data_type, where)
        shape = tuple(tensor.dims)
        count = 1
        for dim in shape:
            count *= dim
            if dim < 0 or count > MAX_ELEMENTS:
                raise ModelError(
                    f"{where} has shape {list(shape)}, expected fewer than 2^31 elements"
                )
        if narrow:
            whole = self._elements(tensor, -(-count * narrow[0] // 8), where)
            return _fields(whole, count, *narrow).reshape(shape)
        return self._elements(tensor, count, where).reshape(shape)

    def _elements(self, tensor: TensorProto, count: int, where: str) -> Array:
        code = np.dtype(_RAW.get(tensor.data_type, "u1"))
        if tensor.data_location == TensorProto.EXTERNAL:
            return self._external(tensor, count, code, where)
        if tensor.HasField("raw_data"):
            raw = tensor.raw_data
            _check(len(raw), count * code.itemsize, "bytes", where)
            return np.frombuffer(raw, code)
        listed = getattr(tensor, _FIELD.get(tensor.data_type, "int32_data"))
        _check(len(listed), count, "elements", where)
        wide = np.dtype(np.int64) if code.kind in "iub" and code.itemsize < 8 else code
        try:
            if tensor.data_type == TensorProto.FLOAT16:
                return np.array(listed, np.uint16).view(np.float16)
            return np.array(listed, wide).astype(code)
        except (OverflowError, ValueError) as error:
            raise ModelError(f"{where} holds elements that aren't {code}") from error

    def _external(
        self, tensor: TensorProto, count: int, code: np.dtype[np.generic], where: str
    ) -> Array:
        entries = {e.key: e.value for e in tensor.external_data}
        path = self._inside(entries.get("location", ""), where)
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", str(count * code.itemsize)))
        except ValueError as error:
            raise ModelError(
                f"{where}: offset or length of its external data isn't a number"
            ) from error
        _check(length, count * code.itemsize, "bytes of external data", where)
        if count == 0:
            return np.empty(0, code)
        mapped = self._map(path, where)
        if offset < 0:
            raise ModelError(f"{where}: expected an offset of at least 0, found {offset}")
        if offset + length > len(mapped):
            raise ModelError(
                f"{where}: expected {offset + length} bytes in {path.name!r}, found {len(mapped)}"
            )
        return np.frombuffer(mapped, code, count, offset)

    def _inside(self, location: str, where: str) -> Path:
        """The external file; raises ModelError for one that isn't in the model's folder."""
        relative = Path(location)
        if self.folder is None or not location or relative.is_absolute() or ".." in relative.parts:
            raise ModelError(
                f"{where}: external data must lie in the model's folder, found {location!r}"
            )
        root = self.folder.resolve()
        try:
            path = (root / relative).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{where}: no external data file {location!r}") from error
        if not path.is_relative_to(root):
            raise ModelError(
                f"{where}: external data must lie in the model's folder, found {location!r}"
            )
        return path

    def _map(self, path: Path, where: str) -> mmap.mmap:
        if path not in self._maps:
            try:
                with path.open("rb") as file:
                    self._maps[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise ModelError(f"{where}: no external data file {path.name!r}") from error
        return self._maps[path]


def _fields(whole: Array, count: int, bits: int, dtype: DType) -> Array:
    """Numbers of a few bits, the first ones in the lowest bits of each byte."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    spread = (whole.astype(np.uint8)[:, None] >> shifts).reshape(-1)[:count]
    if dtype is DType.U8:
        return spread & np.uint8((1 << bits) - 1)
    return (spread << np.uint8(8 - bits)).view(np.int8) >> np.int8(8 - bits)


def _check(found: int, expected: int, unit: str, where: str) -> None:
    if found != expected:
        raise ModelError(f"{where}: expected {expected} {unit}, found {found}")
