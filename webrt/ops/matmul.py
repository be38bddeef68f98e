"""Matrix products: MatMul and Gemm as contractions."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call, f32
from webrt.kernel.problem import Contract
from webrt.ops.emit import Emitter, Operands, spread
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, broadcast, hold_equal, shape_text

M, N, K = dims.symbol("m"), dims.symbol("n"), dims.symbol("k")


def product_shape(site: Site, left: Value, right: Value) -> tuple[Dim, ...]:
    """The shape of NumPy's matmul; raises ShapeError."""
    a, b = left.shape, right.shape
    if not a or not b:
        raise site.shape_error(
            "operands of at least one dim", f"{shape_text(a)} and {shape_text(b)}"
        )
    inner = b[0] if len(b) == 1 else b[-2]
    error = site.shape_error("equal inner dims", f"{shape_text(a)} and {shape_text(b)}")
    hold_equal(site, error, a[-1], inner)
    batch = broadcast(site, a[:-2], b[:-2])
    return (*batch, *(a[-2:-1] if len(a) > 1 else ()), *(b[-1:] if len(b) > 1 else ()))


@operator("MatMul")
class MatMul:
    """NumPy's matmul."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        left, right = site.input(0), site.input(1)
        return (Inferred(left.dtype, product_shape(site, left, right)),)

    @staticmethod
    def reference(site: Site, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        return (np.matmul(left, right),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        lower_matmul(emit, site.input(0), site.input(1))


def lower_matmul(emit: Emitter, left: Value, right: Value) -> None:
    """Left batch dims become rows where the right side has none."""
    a = left.shape if len(left.shape) > 1 else (1, *left.shape)
    b = right.shape if len(right.shape) > 1 else (*right.shape, 1)
    operands = emit.operands()
    if all(d == 1 for d in b[:-2]):
        batch: tuple[Dim, ...] = ()
        rows = dims.product(a[:-1])
        x = operands.load(left, M * a[-1] + K)
        y = operands.load(right, K * b[-1] + N)
    else:
        batch = _batch(a[:-2], b[:-2])
        rows = a[-2]
        at = tuple(dims.symbol(f"b{j}") for j in range(len(batch)))
        x = operands.load(left, spread((*at, M, K), a) if a[-2] != 1 else spread((*at, 0, K), a))
        y = operands.load(right, spread((*at, K, N), b) if b[-1] != 1 else spread((*at, K, 0), b))
    offset: Dim = 0
    for j, extent in enumerate(batch):
        offset = offset * extent + dims.symbol(f"b{j}")
    offset = (offset * rows + M) * b[-1] + N
    dtype = x.dtype
    stored = emit.stored(emit.outputs[0], offset, Ref("acc", dtype))
    problem = Contract(batch, rows, b[-1], a[-1], operands.declared(), x, y, (stored,))
    emit.problem(problem, operands, emit.outputs)


def _batch(a: tuple[Dim, ...], b: tuple[Dim, ...]) -> tuple[Dim, ...]:
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    return tuple(y if x == 1 else x for x, y in zip(left, right, strict=True))


@operator(
    "Gemm", Attr("alpha", 1.0), Attr("beta", 1.0), Attr("transA", 0), Attr("transB", 0)
)  # fmt: skip
class Gemm:
    """alpha·A·B + beta·C, each of A and B transposed or not."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        a, b = site.input(0), site.input(1)
        m, n, k, inner = _gemm_dims(site, a, b)
        found = f"{shape_text(a.shape)}, {shape_text(b.shape)}"
        hold_equal(site, site.shape_error("equal inner dims", found), k, inner)
        c = site.optional(2)
        if c is not None:
            broadcast(site, c.shape, (m, n))
        return (Inferred(a.dtype, (m, n)),)

    @staticmethod
    def reference(site: Site, a: Tensor, b: Tensor, c: Tensor | None = None) -> tuple[Tensor, ...]:
        left = a.T if site.integer("transA") else a
        right = b.T if site.integer("transB") else b
        result = np.asarray(site.number("alpha"), a.dtype) * np.matmul(left, right)
        return (result if c is None else result + np.asarray(site.number("beta"), a.dtype) * c,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        a, b = site.input(0), site.input(1)
        m, n, k, _ = _gemm_dims(site, a, b)
        operands = emit.operands()
        x = operands.load(a, K * m + M if site.integer("transA") else M * k + K)
        y = operands.load(b, N * k + K if site.integer("transB") else K * n + N)
        result = _scaled(Ref("acc", x.dtype), site.number("alpha"))
        c = site.optional(2)
        if c is not None:
            result = call("add", result, _scaled(_addend(operands, c), site.number("beta")))
        stored = emit.stored(emit.outputs[0], M * n + N, result)
        problem = Contract((), m, n, k, operands.declared(), x, y, (stored,))
        emit.problem(problem, operands, emit.outputs)


def _gemm_dims(site: Site, a: Value, b: Value) -> tuple[Dim, Dim, Dim, Dim]:
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise site.shape_error("two matrices", f"{shape_text(a.shape)} and {shape_text(b.shape)}")
    m, k = reversed(a.shape) if site.integer("transA") else a.shape
    inner, n = reversed(b.shape) if site.integer("transB") else b.shape
    return m, n, k, inner


def _addend(operands: Operands, c: Value) -> Expr:
    return operands.at(c, (M, N))


def _scaled(x: Expr, factor: float) -> Expr:
    if factor == 1:
        return x
    return call("mul", x, f32(factor) if x.dtype is DType.F32 else ex.Const(int(factor), x.dtype))
