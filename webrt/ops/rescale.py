"""Rows rescaled or marked: Hardmax, LpNormalization, LRN, MeanVarianceNormalization."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call, f32
from webrt.kernel.problem import Pass, Reduce
from webrt.ops.emit import I32_HIGH, Emitter, Operands, flat, indices
from webrt.ops.norm import centred, lower_each
from webrt.ops.reduce import Rows
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor


def _same(site: Site) -> tuple[Inferred, ...]:
    return (Inferred(site.input(0).dtype, site.input(0).shape),)


def _hardmax_axes(site: Site, rank: int) -> tuple[int, ...]:
    """One axis since opset 13; before, all axes from `axis` on are one."""
    axis = site.integer("axis")
    if site.version >= 13:
        return (site.axis(axis, rank),)
    return tuple(range(rank if axis == rank else site.axis(axis, rank), rank))


@operator("Hardmax", Attr("axis", 1, until=12), Attr("axis", -1, since=13))
class Hardmax:
    """1 where the first maximum of a row is, else 0."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        _hardmax_axes(site, len(site.input(0).shape))
        return _same(site)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        axes = _hardmax_axes(site, x.ndim)
        if len(axes) == 1:
            moved = np.moveaxis(x, axes[0], -1)
            first = np.argmax(moved, axis=-1)[..., None]
            found = (np.arange(moved.shape[-1]) == first).astype(x.dtype)
            return (np.moveaxis(found, -1, axes[0]),)
        rows = x.reshape(int(np.prod(x.shape[: x.ndim - len(axes)], dtype=int)), -1)
        found = np.arange(rows.shape[1]) == np.argmax(rows, -1)[:, None]
        return (found.reshape(x.shape).astype(x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value = site.input(0)
        axes = _hardmax_axes(site, len(value.shape))
        rows = Rows.over(value.shape, axes)
        operands = emit.operands()
        x = operands.at(value, rows.place)
        place = ex.as_index(flat([rows.place[a] for a in axes], [value.shape[a] for a in axes]))
        here = ex.select(call("eq", x, Ref("p0", x.dtype)), place, ex.i32(I32_HIGH))
        passes = (Pass("max", x), Pass("min", here))
        result = ex.select(call("eq", place, Ref("p1", DType.I32)), f32(1), f32(0))
        stored = emit.stored(emit.outputs[0], flat(rows.place, value.shape), result, each=True)
        lower_each(emit, rows, operands, passes, [stored])


@operator("LpNormalization", Attr("axis", -1), Attr("p", 2))
class LpNormalization:
    """A row over the sum of its sizes, or the root of the sum of its squares; 0 where that is 0."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        if site.integer("p") not in (1, 2):
            raise site.shape_error("p of 1 or 2", str(site.integer("p")))
        site.axis(site.integer("axis"), len(site.input(0).shape))
        return _same(site)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        axis = site.integer("axis")
        sizes = np.abs(x) if site.integer("p") == 1 else np.square(x)
        total = sizes.sum(axis=axis, keepdims=True)
        norm = total if site.integer("p") == 1 else np.sqrt(total)
        return (np.where(norm == 0, 0, x / np.where(norm == 0, 1, norm)).astype(x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value = site.input(0)
        rows = Rows.over(value.shape, [site.axis(site.integer("axis"), len(value.shape))])
        operands = emit.operands()
        x = operands.at(value, rows.place)
        total = Ref("p0", DType.F32)
        is_sum = site.integer("p") == 1
        size = call("abs", x) if is_sum else call("mul", x, x)
        norm = total if is_sum else call("sqrt", total)
        empty = call("eq", total, f32(0))
        result = ex.select(empty, f32(0), call("div", x, ex.select(empty, f32(1), norm)))
        stored = emit.stored(emit.outputs[0], flat(rows.place, value.shape), result, each=True)
        lower_each(emit, rows, operands, (Pass("sum", size),), [stored])


@operator(
    "LRN", Attr("alpha", 1e-4), Attr("beta", 0.75), Attr("bias", 1.0), Attr("size"),
)  # fmt: skip
class LRN:
    """x / (bias + alpha / size · sum of the squares of neighbouring channels)^beta."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        site.ranked(0, 2, 64)
        site.positive("size")
        return _same(site)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        size = site.integer("size")
        before = (size - 1) // 2
        pads = [(0, 0)] * x.ndim
        pads[1] = (before, size - 1 - before)
        squares = np.pad(np.square(x), pads)
        total = sum(squares[:, j : j + x.shape[1]] for j in range(size))
        scale = np.float32(site.number("alpha") / size)
        base = np.float32(site.number("bias")) + scale * total
        return (x / np.power(base, np.float32(site.number("beta"))),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value, size = site.input(0), site.integer("size")
        channels = value.shape[1]
        at = indices(len(value.shape))
        near: Dim = at[1] + dims.symbol("r0") - (size - 1) // 2
        operands = emit.operands()
        inside = dims.dim_max(dims.dim_min(near, channels - 1), 0)
        x = operands.at(value, (at[0], inside, *at[2:]))
        valid = call(
            "and",
            call("ge", ex.as_index(near), ex.i32(0)),
            call("lt", ex.as_index(near), ex.as_index(channels)),
        )
        square = ex.select(valid, call("mul", x, x), f32(0))
        scaled = call("mul", Ref("p0", DType.F32), f32(site.number("alpha") / size))
        base = call("add", scaled, f32(site.number("bias")))
        own = operands.at(value, at)
        result = call("div", own, call("pow", base, f32(site.number("beta"))))
        stored = emit.stored(emit.outputs[0], flat(at, value.shape), result)
        problem = Reduce(
            value.shape, (size,), operands.declared(), (Pass("sum", square),), (stored,)
        )
        emit.problem(problem, operands, emit.outputs)


MVN_EPSILON = 1e-9


@operator("MeanVarianceNormalization", Attr("axes", (0, 2, 3)), since=9)
class MeanVarianceNormalization:
    """(x - mean) / (deviation + 1e-9) over the axes."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        _axes(site, len(site.input(0).shape))
        return _same(site)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        axes = _axes(site, x.ndim)
        away = x - x.mean(axis=axes, keepdims=True)
        deviation = np.sqrt(np.square(away).mean(axis=axes, keepdims=True))
        return (away / (deviation + np.float32(MVN_EPSILON)),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value = site.input(0)
        rows = Rows.over(value.shape, _axes(site, len(value.shape)))
        operands = emit.operands()
        away, variance, passes = centred(operands.at(value, rows.place), rows)
        deviation = call("add", call("sqrt", variance), f32(MVN_EPSILON))
        result = call("div", away, deviation)
        stored = emit.stored(emit.outputs[0], flat(rows.place, value.shape), result, each=True)
        lower_each(emit, rows, operands, passes, [stored])


def _axes(site: Site, rank: int) -> tuple[int, ...]:
    return tuple(sorted({site.axis(a, rank) for a in site.integers("axes")}))


LARGEST_MATRIX = 4


@operator("Det", since=11)
class Det:
    """The determinant of small matrices, by cofactors."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.ranked(0, 2, 64)
        if shape[-1] != shape[-2]:
            raise site.shape_error("square matrices", f"{shape[-2]} × {shape[-1]}")
        size = shape[-1]
        if not isinstance(size, int) or not 1 <= size <= LARGEST_MATRIX:
            raise site.unsupported(f"matrices of {size} rows: at most {LARGEST_MATRIX} are run")
        return (Inferred(site.input(0).dtype, shape[:-2]),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        return (np.asarray(np.linalg.det(x), x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value = site.input(0)
        size = value.shape[-1]
        assert isinstance(size, int)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            cells = [
                [operands.at(value, (*at, row, column)) for column in range(size)]
                for row in range(size)
            ]
            return _determinant(cells)

        emit.map(body)


def _determinant(cells: list[list[Expr]]) -> Expr:
    if len(cells) == 1:
        return cells[0][0]
    total: Expr | None = None
    for column, cell in enumerate(cells[0]):
        minor = [row[:column] + row[column + 1 :] for row in cells[1:]]
        term = call("mul", cell, _determinant(minor))
        total = term if total is None else call("sub" if column % 2 else "add", total, term)
    assert total is not None
    return total
