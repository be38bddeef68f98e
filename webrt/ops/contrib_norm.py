"""What ONNX Runtime fuses around normalisations, softmax, gates and products."""

from __future__ import annotations

from webrt import dims
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.contrib import MICROSOFT, activated, fused_matmul, rms_norm
from webrt.ops.draw import dropped
from webrt.ops.registry import Attr
from webrt.ops.site import Site, shape_text


def _group_norm(site: Site, make: Make, x: Value) -> Value:
    """Over groups of channels, which are the last axis or the second; perhaps SiLU of it."""
    rank, groups = len(x.shape), site.positive("groups")
    last = bool(site.integer("channels_last"))
    first = make.transpose(x, 0, rank - 1, *range(1, rank - 1)) if last else x
    made = make(
        "GroupNormalization", first, site.input(1), site.input(2), num_groups=groups,
        epsilon=site.number("epsilon"),
    )  # fmt: skip
    if site.integer("activation") == 1:
        made = make("Swish", made)
    elif site.integer("activation"):
        raise site.unsupported("an activation other than 0 and 1 isn't run")
    return make.transpose(made, 0, *range(2, rank), 1) if last else made


_GROUPS = Attr("activation", 0), Attr("channels_last", 1), Attr("epsilon", 1e-5), Attr("groups")


@composite("GroupNorm", *_GROUPS, domain=MICROSOFT)
def group_norm(site: Site, make: Make) -> tuple[Value, ...]:
    """GroupNormalization in either layout, and an activation."""
    site.ranked(0, 3, 5)
    return (_group_norm(site, make, site.input(0)),)


@composite("SkipGroupNorm", *_GROUPS, domain=MICROSOFT)
def skip_group_norm(site: Site, make: Make) -> tuple[Value, ...]:
    """Of x + skip + bias, which is the second output; skip may be one number a channel."""
    shape = site.ranked(0, 4)
    last = bool(site.integer("channels_last"))
    skip, bias = site.input(3), site.optional(4)
    sides = []
    for value in (skip, bias):
        if value is not None and len(value.shape) < 4:
            batch = value.shape[0] if len(value.shape) == 2 else 1
            ones = (1, 1, value.shape[-1]) if last else (value.shape[-1], 1, 1)
            value = make.reshape(value, batch, *ones)
        sides.append(value)
    total = site.input(0)
    for value in sides:
        total = total if value is None else make("Add", total, value)
    if total.shape != shape:
        raise site.shape_error(f"a sum of {shape_text(shape)}", shape_text(total.shape))
    return _group_norm(site, make, total), total


@composite("GatedRMSNorm", Attr("activation", "silu"), Attr("epsilon", 1e-5), domain=MICROSOFT)
def gated_rms_norm(site: Site, make: Make) -> tuple[Value, ...]:
    """Each part as long as the scale is normalised, then multiplied by a gate."""
    x, scale, gate = (site.input(j) for j in range(3))
    (width,) = site.ranked(1, 1)
    heads = dims.floor_div(x.shape[-1], width)
    parts = make.reshape(x, *x.shape[:-1], heads, width)
    normal = rms_norm(make, parts, scale, site.number("epsilon"))
    names = {"silu": "Swish", "swish": "Swish", "sigmoid": "Sigmoid"}
    name = names.get(site.text("activation"))
    if name is None:
        raise site.unsupported(f"the activation {site.text('activation')!r} isn't run")
    return (make("Mul", make.reshape(normal, *x.shape), make(name, gate)),)


@composite("BiasSoftmax", Attr("axis", 1), Attr("is_inner_broadcast"), domain=MICROSOFT)
def bias_softmax(site: Site, make: Make) -> tuple[Value, ...]:
    """softmax(data + bias), over all axes from `axis` on."""
    x, bias = site.input(0), site.input(1)
    axis = site.axis(site.integer("axis"), len(x.shape))
    missing = len(x.shape) - len(bias.shape)
    if site.integer("is_inner_broadcast") and missing > 0:
        # The axes that the bias lacks lie before `axis`, not in front of all others.
        lead = bias.shape[: axis - missing]
        bias = make.reshape(bias, *lead, *[1] * missing, *bias.shape[axis - missing :])
    total = make("Add", x, bias)
    if total.shape != x.shape:
        raise site.shape_error(f"a bias for {shape_text(x.shape)}", shape_text(bias.shape))
    rows = make.reshape(total, *x.shape[:axis], dims.product(x.shape[axis:]))
    return (make.reshape(make("Softmax", rows, axis=-1), *x.shape),)


@composite("BiasDropout", Attr("seed"), domain=MICROSOFT)
def bias_dropout(site: Site, make: Make) -> tuple[Value, ...]:
    """Dropout of data + bias, and a residual. At inference the mask is all true."""
    x = make("Add", site.input(0), site.input(1))
    if "keys" in site.attributes:
        kept, *mask = dropped(site, make, x)
    else:
        kept, *mask = make.several(2, "Dropout", x)
    residual = site.optional(2)
    return (kept if residual is None else make("Add", kept, residual), *mask)


@composite("BitmaskDropout", Attr("seed"), domain=MICROSOFT)
def bitmask_dropout(site: Site, make: Make) -> tuple[Value, ...]:
    """Dropout; its mask, 32 elements a word, isn't run."""
    if site.outputs > 1:
        raise site.unsupported("a mask of bits isn't run")
    return dropped(site, make, site.input(0)) if "keys" in site.attributes else (site.input(0),)


@composite(
    "TransposeMatMul", Attr("alpha", 1.0), Attr("transA", 0), Attr("transB", 0), domain=MICROSOFT
)
def transpose_matmul(site: Site, make: Make) -> tuple[Value, ...]:
    """FusedMatMul's older name."""
    site.attributes.update(transBatchA=0, transBatchB=0)
    return fused_matmul(site, make)


@composite(
    "FusedMatMulActivation", Attr("alpha", 1.0), Attr("transA", 0), Attr("transB", 0),
    Attr("transBatchA", 0), Attr("transBatchB", 0), Attr("activation"), Attr("activation_alpha"),
    Attr("activation_beta"), Attr("activation_gamma"), Attr("activation_axis"), domain=MICROSOFT,
)  # fmt: skip
def fused_matmul_activation(site: Site, make: Make) -> tuple[Value, ...]:
    """FusedMatMul, and an activation."""
    (product,) = fused_matmul(site, make)
    if site.attributes.get("activation") == "Softmax":
        axis = site.attributes.get("activation_axis", -1)
        return (make("Softmax", product, axis=axis),)
    return (activated(site, make, product),)


@composite("GemmFastGelu", domain=MICROSOFT)
def gemm_fast_gelu(site: Site, make: Make) -> tuple[Value, ...]:
    """gelu(x · w + bias), with the hyperbolic tangent."""
    product = make("MatMul", site.input(0), site.input(1))
    if site.optional(2) is not None:
        product = make("Add", product, site.input(2))
    return (make("Gelu", product, approximate="tanh"),)


@composite("ScaledSiLU", Attr("alpha", 1.0), domain=MICROSOFT)
def scaled_silu(site: Site, make: Make) -> tuple[Value, ...]:
    """Z · sigmoid(z) of z = scale · x."""
    x = site.input(0)
    scale = site.optional(1)
    scale = make.number(site.number("alpha"), x) if scale is None else make.cast(scale, x.dtype)
    return (make("Swish", make("Mul", x, make.reshape(scale))),)


@composite("GatedAdd", domain=MICROSOFT)
def gated_add(site: Site, make: Make) -> tuple[Value, ...]:
    """X + y · gate, a gate a row."""
    return (make("Add", site.input(0), make("Mul", site.input(1), site.input(2))),)
