"""Operators that trade channels for pixels in blocks."""

from __future__ import annotations

from webrt import dims
from webrt.dims import Dim
from webrt.kernel.expr import Expr
from webrt.ops.emit import Emitter, Operands
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, shape_text


@operator("DepthToSpace", Attr("blocksize"), Attr("mode", "DCR", since=11))
class DepthToSpace:
    """Channels to blocks of pixels."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        n, c, h, w = _four(site)
        b = site.positive("blocksize")
        return (Inferred(site.input(0).dtype, (n, dims.floor_div(c, b * b), h * b, w * b)),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        n, c, h, w = x.shape
        b = site.integer("blocksize")
        if _is_dcr(site):
            moved = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
        else:
            moved = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
        return (moved.reshape(n, c // (b * b), h * b, w * b),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        b = site.integer("blocksize")
        channels = emit.outputs[0].shape[1]
        dcr = _is_dcr(site)

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            block = dims.modulo(at[2], b) * b + dims.modulo(at[3], b)
            channel = block * channels + at[1] if dcr else at[1] * (b * b) + block
            place = (at[0], channel, dims.floor_div(at[2], b), dims.floor_div(at[3], b))
            return operands.at(site.input(0), place)

        emit.map(body)


@operator("SpaceToDepth", Attr("blocksize"), Attr("mode", "DCR", since=28))
class SpaceToDepth:
    """Blocks of pixels to channels."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        n, c, h, w = _four(site)
        b = site.positive("blocksize")
        shape = (n, c * (b * b), dims.floor_div(h, b), dims.floor_div(w, b))
        return (Inferred(site.input(0).dtype, shape),)

    @staticmethod
    def reference(site: Site, x: Tensor) -> tuple[Tensor, ...]:
        n, c, h, w = x.shape
        b = site.integer("blocksize")
        order = (0, 3, 5, 1, 2, 4) if _is_dcr(site) else (0, 1, 3, 5, 2, 4)
        moved = x.reshape(n, c, h // b, b, w // b, b).transpose(order)
        return (moved.reshape(n, c * b * b, h // b, w // b),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        b = site.integer("blocksize")
        channels = site.input(0).shape[1]

        def body(operands: Operands, at: tuple[Dim, ...]) -> Expr:
            inner = channels if _is_dcr(site) else b * b
            high, low = dims.floor_div(at[1], inner), dims.modulo(at[1], inner)
            block, channel = (high, low) if _is_dcr(site) else (low, high)
            row = at[2] * b + dims.floor_div(block, b)
            return operands.at(
                site.input(0), (at[0], channel, row, at[3] * b + dims.modulo(block, b))
            )

        emit.map(body)


def _is_dcr(site: Site) -> bool:
    """Whether the block's place is the high part of the channel's number."""
    return site.attributes.get("mode", "DCR") == "DCR"


def _four(site: Site) -> tuple[Dim, Dim, Dim, Dim]:
    shape = site.input(0).shape
    if len(shape) != 4:
        raise site.shape_error("4 dims", shape_text(shape))
    return shape[0], shape[1], shape[2], shape[3]
