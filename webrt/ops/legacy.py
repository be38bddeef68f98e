"""Operators that ONNX had on trial before opset 10, and that converters of images wrote."""

from __future__ import annotations

import numpy as np

from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.registry import Attr
from webrt.ops.site import Site

LAST = 9
"""The opset that they were last of."""


def _scaled(site: Site, make: Make, x: Value, name: str) -> Value:
    return make("Mul", x, make.number(site.number(name), x))


@composite("Affine", Attr("alpha", 1.0), Attr("beta", 0.0), until=LAST)
def affine(site: Site, make: Make) -> tuple[Value, ...]:
    """Alpha · x + beta."""
    x = site.input(0)
    return (make("Add", _scaled(site, make, x, "alpha"), make.number(site.number("beta"), x)),)


@composite("Scale", Attr("scale", 1.0), until=LAST)
def scale(site: Site, make: Make) -> tuple[Value, ...]:
    """Scale · x."""
    return (_scaled(site, make, site.input(0), "scale"),)


@composite("ScaledTanh", Attr("alpha"), Attr("beta"), until=LAST)
def scaled_tanh(site: Site, make: Make) -> tuple[Value, ...]:
    """Alpha · tanh(beta · x)."""
    inner = make("Tanh", _scaled(site, make, site.input(0), "beta"))
    return (_scaled(site, make, inner, "alpha"),)


@composite("ParametricSoftplus", Attr("alpha"), Attr("beta"), until=LAST)
def parametric_softplus(site: Site, make: Make) -> tuple[Value, ...]:
    """Alpha · ln(exp(beta · x) + 1)."""
    inner = make("Softplus", _scaled(site, make, site.input(0), "beta"))
    return (_scaled(site, make, inner, "alpha"),)


@composite("ImageScaler", Attr("bias"), Attr("scale", 1.0), until=LAST)
def image_scaler(site: Site, make: Make) -> tuple[Value, ...]:
    """Scale · x + the bias of each channel."""
    x = site.input(0)
    site.ranked(0, 4)
    bias = np.array(site.attributes.get("bias", ()), np.float32)
    column = make.constant(bias.reshape(1, -1, 1, 1))
    return (make("Add", _scaled(site, make, x, "scale"), make.cast(column, x.dtype)),)


@composite("Crop", Attr("border"), Attr("scale"), until=LAST)
def crop(site: Site, make: Make) -> tuple[Value, ...]:
    """An image without its left, top, right and bottom border, or of a size from there on."""
    x = site.input(0)
    height, width = site.ranked(0, 4)[2:]
    border = site.integers("border")
    if len(border) != 4:
        raise site.shape_error("a border of 4 numbers", str(border))
    left, top, right, bottom = border
    ends = height - bottom, width - right
    if site.attributes.get("scale"):
        rows, columns = site.integers("scale")
        ends = top + rows, left + columns
    return (make.part(make.part(x, 2, top, ends[0]), 3, left, ends[1]),)
