"""Operators that make tensors of nothing: ranges, constants of a shape, triangles."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Const, Expr, call
from webrt.ops.emit import Emitter, Operands, device_dtype
from webrt.ops.registry import MAX_CONTENT, Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, numpy_dtype


def _fill(site: Site) -> Tensor:
    value = site.attributes.get("value")
    return np.zeros(1, np.float32) if not isinstance(value, np.ndarray) else value.reshape(-1)


def _dtype_of(array: Tensor) -> DType:
    for dtype in DType:
        if numpy_dtype(dtype) == array.dtype:
            return dtype
    raise AssertionError(array.dtype)


@operator("ConstantOfShape", Attr("value"), since=9)
class ConstantOfShape:
    """One value everywhere."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.needed(0, "its shape")
        fill = _fill(site)
        dtype = _dtype_of(fill)
        size = dims.product(shape)
        content = None
        if dtype in (DType.I64, DType.I32) and isinstance(size, int) and size <= MAX_CONTENT:
            content = (int(fill[0]),) * size
        return (Inferred(dtype, shape, content),)

    @staticmethod
    def reference(site: Site, shape: Tensor) -> tuple[Tensor, ...]:
        fill = _fill(site)
        return (np.full(tuple(int(d) for d in shape), fill[0], fill.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        fill = _fill(site)
        emit.map(lambda operands, at: emit.constant(fill[0], _dtype_of(fill)))


@operator("Range", Attr("stash_type", 1, since=27), since=11)
class Range:
    """start, start + delta, … below limit."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        dtype = site.input(0).dtype
        given = [site.input(j).data for j in range(3)]
        if dtype.is_float and all(g is not None for g in given):
            bounds = [g.reshape(-1) for g in given if g is not None]
            if any(b.size != 1 for b in bounds) or not float(bounds[2][0]):
                raise site.shape_error("three scalars, the last not 0", "others")
            start, limit, delta = (float(b[0]) for b in bounds)
            return (Inferred(dtype, (max(int(np.ceil((limit - start) / delta)), 0),)),)
        first, end, step = (site.scalar(j, "its length") for j in range(3))
        if not isinstance(step, int) or step == 0:
            raise site.unsupported(f"a step of {step}")
        span = end - first if step > 0 else first - end
        count = dims.ceil_div(span, abs(step))
        if isinstance(count, int):
            count = max(count, 0)
            if count <= MAX_CONTENT and not dtype.is_float:
                return (Inferred(dtype, (count,), tuple(first + step * j for j in range(count))),)
        return (Inferred(dtype, (count,)),)

    @staticmethod
    def reference(site: Site, start: Tensor, limit: Tensor, delta: Tensor) -> tuple[Tensor, ...]:
        first, end, step = (a.reshape(-1)[0] for a in (start, limit, delta))
        count = max(int(np.ceil((end - first) / step)), 0)
        return ((first + np.arange(count) * step).astype(start.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            dtype = emit.outputs[0].dtype
            start, step = (operands.load(site.input(j), 0) for j in (0, 2))
            place = ex.cast(ex.as_index(at[0]), device_dtype(dtype))
            return call("add", start, call("mul", place, step))

        emit.map(body)


@operator("EyeLike", Attr("dtype"), Attr("k", 0), since=9)
class EyeLike:
    """One on a diagonal."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        value = site.input(0)
        site.ranked(0, 2)
        dtype = DType(site.text("dtype")) if "dtype" in site.attributes else value.dtype
        return (Inferred(dtype, value.shape),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        rows, columns = x.shape
        return (np.eye(rows, columns, site.integer("k"), x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        dtype = emit.outputs[0].dtype

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            here = call("eq", ex.as_index(at[0] + site.integer("k")), ex.as_index(at[1]))
            return ex.select(here, emit.constant(1, dtype), emit.constant(0, dtype))

        emit.map(body)


@operator("Trilu", Attr("upper", 1), since=14)
class Trilu:
    """The upper or the lower triangle of matrices."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return (Inferred(site.input(0).dtype, site.ranked(0, 2, 64)),)

    @staticmethod
    def reference(site: Site, x: Tensor, k: Tensor | None = None) -> tuple[Tensor, ...]:
        shift = 0 if k is None else int(k.reshape(-1)[0])
        return (np.triu(x, shift) if site.integer("upper") else np.tril(x, shift),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        shift = 0 if site.optional(1) is None else site.needed(1, "its diagonal")[0]

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            x = operands.at(site.input(0), at)
            zero = Const(
                False if x.dtype is DType.BOOL else 0.0 if x.dtype.is_float else 0, x.dtype
            )
            row, column = ex.as_index(at[-2] + shift), ex.as_index(at[-1])
            kept = call("le" if site.integer("upper") else "ge", row, column)
            return ex.select(kept, x, zero)

        emit.map(body)
