"""Operators: one OpDef each, grouped by family. This list is the registry's order of loading."""

from webrt.ops import (
    activation,
    angles,
    attention,
    bitwise,
    blocks,
    conv,
    deform,
    elementwise,
    gather,
    generate,
    heads,
    losses,
    matmul,
    movement,
    norm,
    pad,
    pool,
    qlinear,
    quantise,
    reduce,
    regions,
    rescale,
    resize,
    rotary,
    sampling,
    scatter,
    transposed,
    views,
)

FAMILIES = (
    views, elementwise, activation, movement, gather, generate, reduce, norm, matmul, conv,
    attention, blocks, pad, resize, sampling, regions, transposed, deform, pool, scatter, bitwise,
    angles, rescale, heads, losses, rotary, quantise, qlinear,
)  # fmt: skip
