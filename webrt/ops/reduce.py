"""Reductions: sums, means, extremes and their kin over axes, arg-max, softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call
from webrt.kernel.problem import Pass, Reduce
from webrt.ops import symbolic
from webrt.ops.emit import Emitter, Operands, device_dtype, flat, index
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, Undecided


@dataclass(frozen=True, slots=True)
class Rows:
    """A tensor in rows: kept axes are i0 …, reduced ones r0 …; `place` is the multi-index."""

    axes: tuple[Dim, ...]
    reduced: tuple[Dim, ...]
    place: tuple[Dim, ...]

    @classmethod
    def over(cls, shape: Sequence[Dim], gone: Sequence[int]) -> Rows:
        kept = [j for j in range(len(shape)) if j not in gone]
        place: list[Dim] = [0] * len(shape)
        for position, axis in enumerate(kept):
            place[axis] = index(position)
        for position, axis in enumerate(sorted(gone)):
            place[axis] = dims.symbol(f"r{position}")
        reduced = tuple(shape[j] for j in sorted(gone))
        return cls(tuple(shape[j] for j in kept), reduced, tuple(place))

    @property
    def row(self) -> Dim:
        """The row's number: the offset in a tensor of the kept axes."""
        return flat([index(j) for j in range(len(self.axes))], self.axes)

    @property
    def count(self) -> Expr:
        """The length of a row, as f32."""
        return ex.cast(ex.as_index(dims.product(self.reduced)), DType.F32)


def reduced_axes(site: Site, rank: int) -> tuple[int, ...]:
    """The axes of a reduction; none given means all, or none where it is told to do nothing."""
    axes = site.axes(1)
    if not axes:
        return () if site.attributes.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted({site.axis(a, rank) for a in axes}))


def _reduced_shape(site: Site) -> tuple[Inferred, ...]:
    value = site.input(0)
    gone = reduced_axes(site, len(value.shape))
    kept = [j for j in range(len(value.shape)) if site.integer("keepdims") or j not in gone]
    return (Inferred(value.dtype, tuple(1 if j in gone else value.shape[j] for j in kept)),)


Formula = Callable[[Expr], Expr]
Finish = Callable[[Expr, Rows], Expr]


def reduction(
    name: str,
    combine: str,
    reference: Callable[[Tensor, tuple[int, ...], bool], Tensor],
    before: Formula = lambda x: x,
    after: Finish = lambda total, rows: total,
    axes_until: int = 17,
    content: np.ufunc | None = None,
) -> None:
    """Register after(combine(before(x))); axes are an attribute up to opset `axes_until`."""

    class Reduction:
        @staticmethod
        def infer(site: Site) -> tuple[Inferred, ...]:
            return _reduced_shape(site)

        @staticmethod
        def reference(site: Site, x: Tensor, _: Tensor | None = None) -> tuple[Tensor, ...]:
            gone = reduced_axes(site, x.ndim)
            return (reference(x, gone, bool(site.integer("keepdims"))),)

        @staticmethod
        def symbolic(site: Site, x: Tensor, _: Tensor | None = None) -> tuple[Tensor, ...]:
            gone = reduced_axes(site, x.ndim)
            if content is None or len(gone) != 1 or not x.shape[gone[0]]:
                raise Undecided
            found = content.reduce(x, gone[0], keepdims=bool(site.integer("keepdims")))
            return (np.asarray(found, object),)

        @staticmethod
        def lower(site: Site, emit: Emitter) -> None:
            value = site.input(0)
            gone = reduced_axes(site, len(value.shape))
            rows = Rows.over(value.shape, gone)
            if not gone:
                emit.map(lambda operands, at: after(before(operands.at(value, at)), rows))
                return
            operands = emit.operands()
            found = before(operands.at(value, rows.place))
            result = after(Ref("p0", found.dtype), rows)
            result = ex.cast(result, device_dtype(value.dtype))
            lower_rows(emit, rows, operands, [Pass(combine, found)], [(0, result)])

    operator(
        name,
        Attr("axes", None, until=axes_until),
        Attr("keepdims", 1),
        Attr("noop_with_empty_axes", 0, since=axes_until + 1),
    )(Reduction)


def lower_rows(
    emit: Emitter,
    rows: Rows,
    operands: Operands,
    passes: Sequence[Pass],
    results: Sequence[tuple[int, Expr]],
) -> None:
    """A Reduce whose results are stored once a row, each in the order of the kept axes."""
    stored = tuple(emit.stored(emit.outputs[j], rows.row, e) for j, e in results)
    problem = Reduce(rows.axes, rows.reduced, operands.declared(), tuple(passes), stored)
    emit.problem(problem, operands, [emit.outputs[j] for j, _ in results])


def _numpy(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A reduction over axes; over none, nothing is done."""

    def over(x: Tensor, axes: tuple[int, ...], keep: bool, **more: Any) -> Tensor:
        return function(x, axis=axes, keepdims=keep, **more) if axes else x

    return over


def _square(x: Expr) -> Expr:
    return call("mul", x, x)


def _mean(total: Expr, rows: Rows) -> Expr:
    if not total.dtype.is_float:
        return call("div", total, ex.as_index(dims.product(rows.reduced)))
    return call("div", total, rows.count)


def _np_mean(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    if x.dtype.kind != "f":
        count = int(np.prod([x.shape[a] for a in axes], dtype=int))
        total = np.sum(x, axis=axes, keepdims=keep)
        return np.asarray(np.sign(total) * (np.abs(total) // max(count, 1)), x.dtype)
    return np.asarray(np.mean(x, axis=axes, keepdims=keep, dtype=x.dtype))


def _log_sum_exp(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    return np.asarray(np.log(np.sum(np.exp(x.astype(np.float64)), axis=axes, keepdims=keep)))


def _logarithm(total: Expr, _: Rows) -> Expr:
    return call("log", total)


def _root(total: Expr, _: Rows) -> Expr:
    return call("sqrt", total) if total.dtype.is_float else ex.cast(
        call("sqrt", ex.cast(total, DType.F32)), total.dtype
    )  # fmt: skip


reduction("ReduceSum", "sum", _numpy(np.sum), axes_until=12, content=np.add)
reduction("ReduceMean", "sum", _np_mean, after=_mean)
reduction("ReduceProd", "prod", _numpy(np.prod), content=np.multiply)
reduction(
    "ReduceSumSquare",
    "sum",
    lambda x, axes, keep: np.sum(np.square(x), axis=axes, keepdims=keep),
    _square,
)
reduction(
    "ReduceL1",
    "sum",
    lambda x, axes, keep: np.sum(np.abs(x), axis=axes, keepdims=keep),
    lambda x: call("abs", x),
)
reduction(
    "ReduceL2",
    "sum",
    lambda x, axes, keep: np.sqrt(np.sum(np.square(x), axis=axes, keepdims=keep)),
    _square,
    _root,
)
reduction(
    "ReduceLogSum",
    "sum",
    lambda x, axes, keep: np.log(np.sum(x, axis=axes, keepdims=keep)),
    after=_logarithm,
)


def _bool_as_int(x: Expr) -> Expr:
    """As u32: the extremes of nothing are 0 and what isn't 0."""
    return ex.cast(x, DType.U32) if x.dtype is DType.BOOL else x


def _extreme_after(total: Expr, _: Rows) -> Expr:
    return total


def _extreme(name: str, combine: str, function: Callable[..., Tensor], content: np.ufunc) -> None:
    def reference(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
        if x.size or not axes:
            return _numpy(function)(x, axes, keep)
        return _numpy(function)(x, axes, keep, initial=_least(x.dtype, combine == "max"))

    reduction(name, combine, reference, _bool_as_int, _extreme_after, content=content)


def _least(dtype: np.dtype[Any], largest: bool) -> Any:
    """The extreme of nothing: what every element is beyond."""
    if dtype.kind == "b":
        return not largest
    if dtype.kind == "f":
        return -np.inf if largest else np.inf
    limits = np.iinfo(dtype)
    return limits.min if largest else limits.max


_extreme("ReduceMax", "max", np.max, symbolic.MAXIMUM)
_extreme("ReduceMin", "min", np.min, symbolic.MINIMUM)


@operator(
    "ReduceLogSumExp",
    Attr("axes", None, until=17),
    Attr("keepdims", 1),
    Attr("noop_with_empty_axes", 0, since=18),
)
class ReduceLogSumExp:
    """The maximum is taken out first: no overflow."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        return _reduced_shape(site)

    @staticmethod
    def reference(site: Site, x: Tensor, _: Tensor | None = None) -> tuple[Tensor, ...]:
        gone = reduced_axes(site, x.ndim)
        return (_log_sum_exp(x, gone, bool(site.integer("keepdims"))),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        value = site.input(0)
        gone = reduced_axes(site, len(value.shape))
        if not gone:
            emit.view(value)
            return
        rows = Rows.over(value.shape, gone)
        operands = emit.operands()
        x = operands.at(value, rows.place)
        top, total = Ref("p0", DType.F32), Ref("p1", DType.F32)
        passes = [Pass("max", x), Pass("sum", call("exp", call("sub", x, top)))]
        lower_rows(emit, rows, operands, passes, [(0, call("add", call("log", total), top))])


def _arg(name: str, combine: str, function: Callable[..., Tensor]) -> None:
    """Two passes: the extreme, then the first (or last) index that holds it."""

    class Arg:
        @staticmethod
        def infer(site: Site) -> tuple[Inferred, ...]:
            shape = list(site.input(0).shape)
            axis = site.axis(site.integer("axis"), len(shape))
            shape[axis : axis + 1] = [1] if site.integer("keepdims") else []
            return (Inferred(DType.I64, tuple(shape)),)

        @staticmethod
        def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
            axis = site.axis(site.integer("axis"), x.ndim)
            if site.attributes.get("select_last_index", 0):
                found = x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis)
            else:
                found = function(x, axis=axis)
            return (np.expand_dims(found, axis) if site.integer("keepdims") else found,)

        @staticmethod
        def lower(site: Site, emit: Emitter) -> None:
            value = site.input(0)
            axis = site.axis(site.integer("axis"), len(value.shape))
            rows = Rows.over(value.shape, [axis])
            operands = emit.operands()
            x = operands.at(value, rows.place)
            last = bool(site.attributes.get("select_last_index", 0))
            here = call("eq", x, Ref("p0", x.dtype))
            place = ex.as_index(dims.symbol("r0"))
            # What no element equals (NaN) gets an index that there is.
            other = ex.i32(0) if last else ex.as_index(value.shape[axis] - 1)
            found = ex.select(here, place, other)
            passes = [Pass(combine, x), Pass("max" if last else "min", found)]
            lower_rows(emit, rows, operands, passes, [(0, Ref("p1", DType.I32))])

    operator(
        name, Attr("axis", 0), Attr("keepdims", 1), Attr("select_last_index", 0, since=12)
    )(Arg)  # fmt: skip


_arg("ArgMax", "max", np.argmax)
_arg("ArgMin", "min", np.argmin)


def _softmax_axes(site: Site, rank: int) -> tuple[int, ...]:
    """One axis since opset 13; before, all axes from `axis` on are one."""
    axis = site.integer("axis")
    if site.version >= 13:
        return (site.axis(axis, rank),)
    return tuple(range(site.axis(axis, rank) if axis < rank else rank, rank))


def _softmax(name: str, logarithm: bool) -> None:
    class Softmax:
        @staticmethod
        def infer(site: Site) -> tuple[Inferred, ...]:
            _softmax_axes(site, len(site.input(0).shape))
            return (Inferred(site.input(0).dtype, site.input(0).shape),)

        @staticmethod
        def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
            axes = _softmax_axes(site, x.ndim)
            shifted = x - np.max(x, axis=axes, keepdims=True, initial=-np.inf)
            total = np.sum(np.exp(shifted), axis=axes, keepdims=True)
            return (shifted - np.log(total) if logarithm else np.exp(shifted) / total,)

        @staticmethod
        def lower(site: Site, emit: Emitter) -> None:
            value = site.input(0)
            rows = Rows.over(value.shape, _softmax_axes(site, len(value.shape)))
            operands = emit.operands()
            x = operands.at(value, rows.place)
            shifted = call("sub", x, Ref("p0", DType.F32))
            total = Ref("p1", DType.F32)
            passes = (Pass("max", x), Pass("sum", call("exp", shifted)))
            result = (
                call("sub", shifted, call("log", total))
                if logarithm
                else call("div", call("exp", shifted), total)
            )
            stored = emit.stored(emit.outputs[0], flat(rows.place, value.shape), result, each=True)
            problem = Reduce(rows.axes, rows.reduced, operands.declared(), passes, (stored,))
            emit.problem(problem, operands, emit.outputs)

    operator(name, Attr("axis", 1, until=12), Attr("axis", -1, since=13))(Softmax)


_softmax("Softmax", False)
_softmax("LogSoftmax", True)
