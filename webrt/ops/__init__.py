"""Operators: one OpDef each, grouped by family. This list is the registry's order of loading."""

from webrt.ops import (
    activation,
    attention,
    blocks,
    conv,
    elementwise,
    gather,
    generate,
    matmul,
    movement,
    norm,
    pad,
    reduce,
    regions,
    resize,
    sampling,
    views,
)

FAMILIES = (
    views, elementwise, activation, movement, gather, generate, reduce, norm, matmul, conv,
    attention, blocks, pad, resize, sampling, regions,
)  # fmt: skip
