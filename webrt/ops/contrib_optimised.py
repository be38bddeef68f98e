"""What ONNX Runtime's optimiser leaves in models that are saved after it."""

from __future__ import annotations

from webrt.dtypes import DType
from webrt.graph.ir import Attribute, Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT, rms_norm
from webrt.ops.registry import Attr
from webrt.ops.site import Site

_CONV = (
    Attr("auto_pad", "NOTSET"), Attr("dilations"), Attr("group", 1), Attr("kernel_shape"),
    Attr("pads"), Attr("strides"),
)  # fmt: skip


def _first(make: Make, x: Value) -> Value:
    """Channels, which come last, behind the batch."""
    rank = len(x.shape)
    return make.transpose(x, 0, rank - 1, *range(1, rank - 1))


def _last(make: Make, x: Value) -> Value:
    return make.transpose(x, 0, *range(2, len(x.shape)), 1)


def _given(site: Site, *without: str) -> dict[str, Attribute]:
    return {name: a for name, a in site.attributes.items() if name not in without}


@composite("QLinearConv", *_CONV, Attr("channels_last", 0), domain=MICROSOFT)
def qlinear_conv(site: Site, make: Make) -> tuple[Value, ...]:
    """ONNX's, in either layout; the weight as ever."""
    last = bool(site.integer("channels_last"))
    site.ranked(0, 3, 5)
    inputs = [_first(make, site.input(0)) if last else site.input(0), *site.inputs[1:]]
    (made,) = make.node("QLinearConv", inputs, _given(site, "channels_last"))
    return (_last(make, made) if last else made,)


@composite(
    "NhwcMaxPool", Attr("auto_pad", "NOTSET"), Attr("ceil_mode", 0), Attr("dilations"),
    Attr("kernel_shape"), Attr("pads"), Attr("strides"), domain=MICROSOFT,
)  # fmt: skip
def nhwc_max_pool(site: Site, make: Make) -> tuple[Value, ...]:
    """MaxPool with its channels last."""
    site.ranked(0, 3, 5)
    (made,) = make.node("MaxPool", [_first(make, site.input(0))], _given(site))
    return (_last(make, made),)


@composite(
    "ConvTransposeWithDynamicPads", Attr("auto_pad", "NOTSET"), Attr("dilations"),
    Attr("group", 1), Attr("kernel_shape"), Attr("output_padding"), Attr("strides"),
    domain=MICROSOFT,
)  # fmt: skip
def conv_transpose_with_dynamic_pads(site: Site, make: Make) -> tuple[Value, ...]:
    """ConvTranspose, whose pads are an input: a constant, or known by shapes."""
    kept = _given(site)
    if site.optional(2) is not None:
        pads = site.needed(2, "pads")
        known = tuple(p for p in pads if isinstance(p, int))
        if len(known) < len(pads):
            raise site.unsupported("its pads depend on dims")
        kept["pads"] = known
    inputs = (site.input(0), site.input(1), site.optional(3))
    return make.node("ConvTranspose", inputs, kept)


@composite("MulInteger", domain=MICROSOFT)
def mul_integer(site: Site, make: Make) -> tuple[Value, ...]:
    """(a - its zero point) · (b - its zero point), in int32."""
    sides = []
    for position in (0, 2):
        side, point = make.cast(site.input(position), DType.I32), site.optional(position + 1)
        sides.append(side if point is None else make("Sub", side, make.cast(point, DType.I32)))
    return (make("Mul", *sides),)


def _nbits(site: Site, make: Make, x: Value, first: int, columns: str) -> Value:
    """The product with the weight, scales and bias that stand from input `first` on."""
    kept = _given(site, "activation", "epsilon", "N", "Nq", "Nkv")
    kept["N"] = site.positive(columns)
    weight, scales, bias = site.input(first), site.input(first + 1), site.optional(first + 2)
    inputs = (x, weight, scales, None, None, bias)
    (made,) = make.node("MatMulNBits", inputs, kept, MICROSOFT)
    return made


def _normal(site: Site, make: Make) -> tuple[Value, Value | None]:
    """The input, normalised where there is a scale; and its sum with what is skipped."""
    x, skip, scale = site.input(0), site.optional(1), site.optional(2)
    total = None if skip is None else make("Add", x, skip)
    if scale is None:
        return x if total is None else total, total
    return rms_norm(make, x if total is None else total, scale, site.number("epsilon")), total


_BITS = (
    Attr("K"), Attr("bits", 4), Attr("block_size", 32), Attr("accuracy_level", 0),
    Attr("epsilon", 1e-5),
)  # fmt: skip


def _outputs(site: Site, made: tuple[Value, ...], total: Value | None) -> tuple[Value, ...]:
    if site.outputs > len(made) and total is None:
        raise site.shape_error("an input 1", "none")
    return made if total is None else (*made, total)


@composite("MatMulNBitsMlp", Attr("N"), Attr("activation"), *_BITS, domain=MICROSOFT)
def matmul_nbits_mlp(site: Site, make: Make) -> tuple[Value, ...]:
    """The activation of one product times another, both of the same input, perhaps normalised."""
    x, total = _normal(site, make)
    gate, up = (_nbits(site, make, x, first, "N") for first in (3, 6))
    if site.text("activation") not in ("silu", "swish"):
        raise site.unsupported(f"the activation {site.text('activation')!r} isn't run")
    return _outputs(site, (make("Mul", make("Swish", gate), up),), total)


@composite("MatMulNBitsQkv", Attr("Nq"), Attr("Nkv"), *_BITS, domain=MICROSOFT)
def matmul_nbits_qkv(site: Site, make: Make) -> tuple[Value, ...]:
    """Queries, keys and values of an input that is normalised."""
    x, total = _normal(site, make)
    places = ((3, "Nq"), (6, "Nkv"), (9, "Nkv"))
    made = tuple(_nbits(site, make, x, first, columns) for first, columns in places)
    return _outputs(site, made, total)
