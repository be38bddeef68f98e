"""Rotary position embeddings, and tensors written into caches."""

from __future__ import annotations

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, call
from webrt.ops.compose import Make, composite
from webrt.ops.emit import Emitter, Operands
from webrt.ops.gather import row_index
from webrt.ops.heads import join_heads, split_heads
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, hold_equal, hold_shape, shape_text


@operator("RotaryEmbedding", Attr("interleaved", 0), domain="webrt")
class Rotary:
    """Pairs of x [B, H, S, D] turned by angles, in its first 2·R columns.

    cos and sin are [positions, R], looked up by positions [B or 1, S], or [B, S, R].
    """

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.ranked(0, 4)
        rank = 2 if site.optional(3) is not None else 3
        width = site.ranked(1, rank)[-1]
        hold_shape(site, 2, site.input(1).shape)
        literal = isinstance(width, int) and isinstance(shape[-1], int)
        if literal and 2 * width > shape[-1]:  # type: ignore[operator]
            raise site.shape_error(f"at most {shape[-1]} columns to turn", str(2 * width))
        return (Inferred(site.input(0).dtype, shape),)

    @staticmethod
    def reference(
        site: Site, x: Tensor, cos: Tensor, sin: Tensor, at: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if at is not None:
            cos, sin = cos[at], sin[at]
        cos, sin = cos[:, None], sin[:, None]
        half = cos.shape[-1]
        turned = x[..., : 2 * half]
        if site.integer("interleaved"):
            first, second = turned[..., 0::2], turned[..., 1::2]
        else:
            first, second = turned[..., :half], turned[..., half:]
        pair = (first * cos - second * sin, first * sin + second * cos)
        if site.integer("interleaved"):
            made = np.stack(pair, -1).reshape(turned.shape)
        else:
            made = np.concatenate(pair, -1)
        return (np.concatenate([made, x[..., 2 * half :]], -1),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, cos, sin = (site.input(j) for j in range(3))
        at, half = site.optional(3), cos.shape[-1]
        together = bool(site.integer("interleaved"))

        def body(operands: Operands, place: tuple[Dim, ...]) -> Expr:
            batch, head, row, column = place
            if together:
                partner = column + 1 - dims.modulo(column, 2) * 2
                angle = dims.modulo(dims.floor_div(column, 2), half)
                is_first = call("eq", ex.as_index(dims.modulo(column, 2)), ex.i32(0))
            else:
                partner = dims.modulo(column + half, half * 2)
                angle = dims.modulo(column, half)
                is_first = call("lt", ex.as_index(column), ex.as_index(half))
            if at is not None:
                offset = (0 if at.shape[0] == 1 else batch * at.shape[1]) + row
                entry: tuple[Dim, ...] = (
                    row_index(emit, operands, at, offset, cos.shape[0]), angle,
                )  # fmt: skip
            else:
                entry = (batch, row, angle)
            own = operands.at(x, place)
            if 2 * half != x.shape[-1]:
                partner = dims.dim_min(partner, x.shape[-1] - 1)
            other = operands.at(x, (batch, head, row, partner))
            across = call("mul", other, operands.at(sin, entry))
            signed = ex.select(is_first, call("neg", across), across)
            turned = call("add", call("mul", own, operands.at(cos, entry)), signed)
            if 2 * half == x.shape[-1]:
                return turned
            return ex.select(call("lt", ex.as_index(column), ex.as_index(half * 2)), turned, own)

        emit.map(body)


def rotate(
    make: Make, x: Value, cos: Value, sin: Value, at: Value | None, interleaved: bool, heads: int
) -> Value:
    """X [B, H, S, D], or [B, S, heads·D], turned."""
    wide = split_heads(make, x, heads) if len(x.shape) == 3 else x
    made = make("RotaryEmbedding", wide, cos, sin, at, domain="webrt", interleaved=int(interleaved))
    return join_heads(make, made) if len(x.shape) == 3 else made


@composite(
    "RotaryEmbedding", Attr("interleaved", 0), Attr("num_heads"), Attr("rotary_embedding_dim", 0),
    since=23,
)  # fmt: skip
def rotary_embedding(site: Site, make: Make) -> tuple[Value, ...]:
    """X, cos, sin, and perhaps positions."""
    rank = len(site.ranked(0, 3, 4))
    heads = site.positive("num_heads") if rank == 3 else 1
    check_width(site, site.input(1))
    tables = site.input(1), site.input(2)
    together = bool(site.integer("interleaved"))
    return (rotate(make, site.input(0), *tables, site.optional(3), together, heads),)


def check_width(site: Site, cos: Value) -> None:
    """The table of angles must be of rotary_embedding_dim / 2 columns, where that is given."""
    width = site.integer("rotary_embedding_dim")
    if width:
        error = site.shape_error(f"{width // 2} angles", shape_text(cos.shape))
        hold_equal(site, error, cos.shape[-1], width // 2)


@operator("TensorScatter", Attr("axis", -2), Attr("mode", "linear"), since=24)
class TensorScatter:
    """A cache with rows overwritten by an update, from an index of each sample on."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        past = site.ranked(0, 2, 64)
        axis = site.axis(site.integer("axis"), len(past))
        if axis == 0:
            raise site.shape_error("an axis other than that of the batch", "0")
        hold_shape(site, 1, past, axis)
        if site.text("mode") not in ("linear", "circular"):
            raise site.unsupported(f"mode {site.text('mode')!r} isn't run")
        return (Inferred(site.input(0).dtype, past),)

    @staticmethod
    def reference(
        site: Site, past: Tensor, update: Tensor, starts: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        axis = site.axis(site.integer("axis"), past.ndim)
        result = past.copy()
        for sample in range(past.shape[0]):
            rows = np.arange(update.shape[axis]) + (0 if starts is None else int(starts[sample]))
            if site.text("mode") == "circular":
                rows = rows % past.shape[axis]
            kept = rows < past.shape[axis]
            place = [slice(None)] * (past.ndim - 1)
            result[sample][(*place[: axis - 1], rows[kept])] = update[sample][
                (*place[: axis - 1], np.flatnonzero(kept))
            ]
        return (result,)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        past, update, starts = site.input(0), site.input(1), site.optional(2)
        axis = site.axis(site.integer("axis"), len(past.shape))
        rows, extent = update.shape[axis], past.shape[axis]

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            start: Expr = ex.i32(0) if starts is None else operands.load(starts, at[0])
            row = call("sub", ex.as_index(at[axis]), ex.cast(start, DType.I32))
            if site.text("mode") == "circular":
                row = call("mod", row, ex.as_index(extent))
            inside = call("and", call("ge", row, ex.i32(0)), call("lt", row, ex.as_index(rows)))
            kept = call("min", call("max", row, ex.i32(0)), ex.as_index(rows - 1))
            place = (*at[:axis], ex.as_dim(kept), *at[axis + 1 :])
            return ex.select(inside, operands.at(update, place), operands.at(past, at))

        emit.map(body)
