"""Products with weights of a few bits: MatMulNBits, unpacked where the product reads them."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Array, Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call, f32
from webrt.kernel.problem import Contract
from webrt.ops.emit import Emitter, Operands
from webrt.ops.packed import WORD, field
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, hold_equal, shape_text

M, N, K = dims.symbol("m"), dims.symbol("n"), dims.symbol("k")


def _sizes(site: Site) -> tuple[int, int, int, int, int]:
    """(K, N, bits, block, blocks in a row)."""
    k, n, bits = site.positive("K"), site.positive("N"), site.positive("bits")
    block = site.positive("block_size")
    if bits not in (2, 4, 8):
        raise site.unsupported(f"weights of {bits} bits: 2, 4 and 8 are run")
    if block < 16 or block & (block - 1):
        raise site.shape_error("a block_size that is a power of 2, at least 16", str(block))
    return k, n, bits, block, -(-k // block)


def _check_bytes(site: Site, position: int, wanted: int) -> None:
    """An input is of uint8, so many bytes."""
    value = site.input(position)
    found = f"{value.dtype} of {shape_text(value.shape)}"
    error = site.shape_error(f"{wanted} elements of uint8 as input {position}", found)
    if value.dtype is not DType.U8:
        raise error
    hold_equal(site, error, dims.product(value.shape), wanted)


def _point_stride(bits: int, blocks: int) -> int:
    """Zero points of a row start at whole bytes."""
    return -(-blocks * bits // 8) * (8 // bits)


def fields(raw: Tensor, bits: int) -> Tensor:
    """Bytes as numbers, the first ones in the lowest bits."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return (raw[:, None] >> shifts & np.uint8((1 << bits) - 1)).reshape(-1)


@operator(
    "MatMulNBits", Attr("K"), Attr("N"), Attr("accuracy_level", 0), Attr("bits", 4),
    Attr("block_size"), Attr("weight_prepacked", 0), domain="com.microsoft",
)  # fmt: skip
class MatMulNBits:
    """A · Bᵀ, B [N, K] in blocks along K: scale · (number - zero point); then a bias."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        k, n, bits, block, blocks = _sizes(site)
        shape = site.ranked(0, 1, 64)
        hold_equal(site, site.shape_error(f"a last dim of {k}", shape_text(shape)), shape[-1], k)
        if site.attributes.get("weight_prepacked", 0):
            raise site.unsupported("weights that another runtime has packed aren't run")
        _check_bytes(site, 1, n * blocks * block * bits // 8)
        scales = site.input(2)
        if dims.product(scales.shape) != n * blocks:
            raise site.shape_error(f"{n * blocks} scales", shape_text(scales.shape))
        if site.optional(4) is not None:
            raise site.unsupported("an order of groups (g_idx) isn't run")
        points = site.optional(3)
        if points is not None and points.dtype is DType.U8:
            _check_bytes(site, 3, n * _point_stride(bits, blocks) * bits // 8)
        elif points is not None and dims.product(points.shape) != n * blocks:
            raise site.shape_error(f"{n * blocks} zero points", shape_text(points.shape))
        return (Inferred(site.input(0).dtype, (*shape[:-1], n)),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, raw: Tensor, scales: Tensor, points: Tensor | None = None,
        _: Tensor | None = None, bias: Tensor | None = None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        k, n, bits, block, blocks = _sizes(site)
        numbers = fields(raw.reshape(-1), bits).reshape(n, blocks, block).astype(np.float32)
        zero: Tensor = np.full((n, blocks), 1 << bits - 1, np.float32)
        if points is not None and points.dtype == np.uint8:
            stride = _point_stride(bits, blocks)
            zero = fields(points.reshape(-1), bits).reshape(n, stride)[:, :blocks]
        elif points is not None:
            zero = points.reshape(n, blocks)
        step = scales.reshape(n, blocks, 1).astype(np.float32)
        weight = ((numbers - zero.astype(np.float32)[..., None]) * step).reshape(n, -1)[:, :k]
        result = np.matmul(x.astype(np.float32), weight.T)
        return (result if bias is None else result + bias,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, output, bias = site.input(0), emit.outputs[0], site.optional(5)
        k, n, bits, _, _ = _sizes(site)
        operands = emit.operands()
        a = operands.load(x, M * k + K)
        number = _number(site, operands, n, k, bits)
        number = call("sub", number, _point(site, operands))
        b = call("mul", number, _of_block(site, operands, 2))
        result: Expr = Ref("acc", DType.F32)
        if bias is not None:
            result = call("add", result, operands.load(bias, N))
        stored = emit.stored(output, M * n + N, result)
        rows = dims.product(x.shape[:-1])
        problem = Contract((), rows, n, k, operands.declared(), a, b, (stored,))
        emit.problem(problem, operands, emit.outputs)


_Weak = weakref.WeakValueDictionary[tuple[int, str], Array]
_SOURCES: _Weak = weakref.WeakValueDictionary()
_MADE: _Weak = weakref.WeakValueDictionary()
"""What constants were laid out as, while anybody holds it: a graph is lowered in several rounds."""


def _kept(source: Array, name: str, make: Callable[[], Array]) -> Array:
    key = id(source), name
    found = _MADE.get(key)
    if found is None or _SOURCES.get(key) is not source:
        found = _MADE[key] = make()
        _SOURCES[key] = source
    return found


def _words(source: Array, n: int, k: int, bits: int) -> Array:
    """[K / rows][N / 4] words of four columns × as many rows as fit: what lanes read together."""
    rows = WORD // (4 * bits)
    total = np.zeros((-(-k // rows), -(-n // 4)), np.uint32)
    raw = np.ascontiguousarray(source).reshape(n, -1)
    for column in range(n):
        numbers = np.zeros(total.shape[0] * rows, np.uint32)
        numbers[:k] = fields(raw[column], bits)[:k]
        for row in range(rows):
            place = np.uint32((column % 4 + 4 * row) * bits)
            total[:, column // 4] |= numbers[row::rows] << place
    return total.view(np.int32)


def _number(site: Site, operands: Operands, n: int, k: int, bits: int) -> Expr:
    """Weight (k, n) as f32; the shift by its row is one for all columns."""
    value, rows = site.input(1), WORD // (4 * bits)
    source = value.data
    if source is None:
        _, _, _, block, blocks = _sizes(site)
        return _from_bytes(operands, value, N * (blocks * block) + K, bits)
    made = _kept(source, f"{n} {k} {bits}", lambda: _words(source, n, k, bits))
    words = Value(f"{value.name}.words", DType.I32, (made.size,), made.reshape(-1))
    row = dims.floor_div(K, rows) * (-(-n // 4)) + dims.floor_div(N, 4)
    word = operands.load(words, row)
    if rows > 1:
        above = dims.modulo(K, rows) * (-4 * bits) + 4 * bits * (rows - 1)
        word = call("shift_left", word, ex.as_index(above))
    found = field(word, dims.modulo(N, 4), bits, False, 4 * bits)
    return ex.cast(ex.cast(found, DType.I32), DType.F32)


def _from_bytes(operands: Operands, value: Value, place: Dim, bits: int) -> Expr:
    """A number of a few bits as f32, of bytes that only a run tells."""
    each = 8 // bits
    byte = ex.cast(operands.load(value, dims.floor_div(place, each)), DType.I32)
    found = field(byte, dims.modulo(place, each), bits, False)
    return ex.cast(ex.cast(found, DType.I32), DType.F32)


def _of_block(site: Site, operands: Operands, position: int) -> Expr:
    """The scale or zero point of weight (k, n), as it is given: [N, blocks]."""
    _, n, _, block, blocks = _sizes(site)
    value, row = site.input(position), dims.floor_div(K, block)
    data = value.data
    if data is None:
        return ex.cast(operands.load(value, N * blocks + row), DType.F32)
    turned = _kept(data, "turned", lambda: np.ascontiguousarray(data.reshape(n, blocks).T))
    columns = Value(f"{value.name}.columns", value.dtype, (n * blocks,), turned.reshape(-1))
    return operands.load(columns, row * n + N)


def _point(site: Site, operands: Operands) -> Expr:
    """The zero point of weight (k, n)."""
    _, n, bits, block, blocks = _sizes(site)
    points, row = site.optional(3), dims.floor_div(K, block)
    if points is None:
        return f32(1 << bits - 1)
    if points.dtype is not DType.U8:
        return _of_block(site, operands, 3)
    source, stride = points.data, _point_stride(bits, blocks)
    if source is None:
        return _from_bytes(operands, points, N * stride + row, bits)

    def make() -> Array:
        numbers = fields(source.reshape(-1), bits).reshape(n, stride)[:, :blocks]
        return np.ascontiguousarray(numbers.T).astype(np.float32)

    made = _kept(source, "points", make)
    value = Value(f"{points.name}.columns", DType.F32, (made.size,), made.reshape(-1))
    return operands.load(value, row * n + N)
