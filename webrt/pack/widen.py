"""A pack as a device without f16 runs it: its f16 tensors are f32, its kernels their twins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from webrt.codegen import wgsl
from webrt.dtypes import DType
from webrt.errors import PackError
from webrt.kernel.widen import wide_dtype, widened
from webrt.pack.format import MANIFEST, KernelEntry, Pack

SHADER_F16 = "shader-f16"
"""The feature of a device whose kernels may load and store f16."""


def for_device(pack: Pack, features: Sequence[str]) -> tuple[Pack, str | None]:
    """The pack as a device of these features runs it, and how that is for its f16 tensors.

    `native`, or `widened` to f32; None where it has none. Raises PackError.
    """
    if all(t.dtype is not DType.F16 for t in pack.plan.tensors):
        return pack, None
    return (pack, "native") if SHADER_F16 in features else (widened_pack(pack), "widened")


def widened_pack(pack: Pack) -> Pack:
    """The pack with f32 in the place of f16; constants are widened when they are loaded.

    Raises PackError for a kernel whose code isn't of a form that can be widened.
    """
    tensors = pack.plan.tensors
    plan = replace(
        pack.plan,
        tensors=tuple(replace(t, dtype=wide_dtype(t.dtype)) for t in tensors),
        problems=tuple(widened(p) for p in pack.plan.problems),
    )
    placements = {
        index: replace(place, halves=tensors[index].dtype is DType.F16)
        for index, place in pack.placements.items()
    }
    kernels = tuple(_kernel(k) for k in pack.kernels)
    return replace(pack, plan=plan, placements=placements, kernels=kernels)


def _kernel(kernel: KernelEntry) -> KernelEntry:
    if all(b.dtype is not DType.F16 for b in kernel.bindings):
        return kernel
    bindings = tuple(replace(b, dtype=wide_dtype(b.dtype)) for b in kernel.bindings)
    try:
        text = wgsl.widened(kernel.wgsl)
    except ValueError as error:
        raise PackError(
            f"{MANIFEST}: kernel {kernel.name} can't be widened for a device without f16;"
            " pack again"
        ) from error
    return replace(kernel, bindings=bindings, wgsl=text)
