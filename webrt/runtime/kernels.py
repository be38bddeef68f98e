"""Which of a pack's kernels a device runs: those in WGSL, or those of a wasm module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from webrt.dims import Dim
from webrt.errors import DeviceError
from webrt.pack.format import Pack, Packer, WasmModule
from webrt.pack.modules import check_file
from webrt.runtime.device import (
    RELAXED_SIMD,
    BindingLayout,
    Device,
    DeviceInfo,
    KernelCode,
    Pipeline,
    WasmCode,
)
from webrt.runtime.source import Source
from webrt.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Kernel:
    """A problem's kernel, compiled. `panels` maps operands to packers, by their numbers.

    `schedule` is in its JSON form: nothing but what is shown depends on it.
    """

    name: str
    pipeline: Pipeline
    grid: tuple[Dim, Dim, Dim]
    work: Dim
    panels: dict[int, int]
    schedule: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PanelCode:
    """A packer of the constant at `operand`, which writes `bytes` bytes in `units` units."""

    operand: int
    code: KernelCode
    units: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A problem under a schedule, as code: what a trial compiles, and a session swaps in."""

    schedule: Schedule
    code: KernelCode
    grid: tuple[Dim, Dim, Dim]
    panels: tuple[PanelCode, ...] = ()


@dataclass(frozen=True, slots=True)
class Kernels:
    """One kernel a problem; `packers` lays out constants while the weights are loaded.

    `scratch` is what one worker of a wasm device needs of its own memory.
    """

    problems: tuple[Kernel, ...]
    packers: tuple[Pipeline, ...]
    scratch: int
    compiled: int


async def compile_kernels(
    pack: Pack,
    source: Source,
    device: Device,
    progress: Callable[[int, int], None] | None = None,
) -> Kernels:
    """Compile what the device's kind of the pack needs, everything checked first.

    Raises PackError for a module that was altered, CompileError for what the device refuses.
    """
    if device.info.kind == "wasm":
        return await _compile_wasm(pack, source, device, progress)
    return await _compile_wgsl(pack, device, progress)


async def _compile_wgsl(
    pack: Pack, device: Device, progress: Callable[[int, int], None] | None
) -> Kernels:
    """A pipeline for every kernel; kernels of the same code and bindings share one."""
    _check_limits(pack, device.info)
    codes = [KernelCode(k.name, k.wgsl, _layouts(pack, j)) for j, k in enumerate(pack.kernels)]
    unique = list({(c.source, c.bindings): c for c in codes}.values())
    made = await device.compile(unique, progress)
    by_code = {(c.source, c.bindings): p for c, p in zip(unique, made, strict=True)}
    kernels = tuple(
        Kernel(k.name, by_code[c.source, c.bindings], k.grid, k.work, {}, k.schedule)
        for c, k in zip(codes, pack.kernels, strict=True)
    )
    return Kernels(kernels, (), 0, len(unique))


async def _compile_wasm(
    pack: Pack, source: Source, device: Device, progress: Callable[[int, int], None] | None
) -> Kernels:
    """All kernels and packers of the module that the device's engine can run."""
    part = pack.wasm
    file = module_for(pack, device.info)
    data = await source.file(file)
    check_file(file, data, source.where)
    module = bytes(data)
    listed: list[tuple[str, int, tuple[BindingLayout, ...]]] = [
        (k.name, k.scratch, _layouts(pack, j)) for j, k in enumerate(part.kernels)
    ]
    layout = (BindingLayout(writable=False), BindingLayout(writable=True))
    listed += [(p.name, p.scratch, layout) for p in part.packers]
    codes = [
        KernelCode(name, WasmCode(module, entry, scratch), bindings)
        for entry, (name, scratch, bindings) in enumerate(listed)
    ]
    made = await device.compile(codes, progress)
    kernels = tuple(
        Kernel(k.name, made[j], (k.units, 1, 1), pack.kernels[j].work, dict(k.panels), k.schedule)
        for j, k in enumerate(part.kernels)
    )
    scratch = max((size for _, size, _ in listed), default=0)
    return Kernels(kernels, tuple(made[len(kernels) :]), scratch, len(made))


def module_for(pack: Pack, info: DeviceInfo) -> WasmModule:
    """The module of the pack that a wasm device runs."""
    plain, relaxed = pack.wasm.modules
    return relaxed if RELAXED_SIMD in info.features else plain


def _layouts(pack: Pack, number: int) -> tuple[BindingLayout, ...]:
    return tuple(BindingLayout(b.writable) for b in pack.kernels[number].bindings)


def _check_limits(pack: Pack, info: DeviceInfo) -> None:
    """Hold every WGSL kernel against the device's limits; raises DeviceError."""
    limits = info.limits
    for kernel in pack.kernels:
        x, y, z = kernel.workgroup
        if x * y * z > limits.max_compute_invocations_per_workgroup or any(
            size > most
            for size, most in zip(kernel.workgroup, limits.max_compute_workgroup_size, strict=True)
        ):
            raise DeviceError(
                f"kernel {kernel.name} needs workgroups of {x} × {y} × {z} lanes,"
                f" {info.adapter} has at most {limits.max_compute_invocations_per_workgroup}"
            )
        if len(kernel.bindings) > limits.max_storage_buffers_per_shader_stage:
            raise DeviceError(
                f"kernel {kernel.name} binds {len(kernel.bindings)} buffers,"
                f" {info.adapter} has at most {limits.max_storage_buffers_per_shader_stage}"
            )


def panels_of(pack: Pack, info: DeviceInfo) -> dict[int, dict[int, Packer]]:
    """The packers that a device runs on each constant: by tensor, then by the packer's number."""
    found: dict[int, dict[int, Packer]] = {}
    if info.kind == "wasm":
        for step in pack.plan.steps:
            for operand, packer in pack.wasm.kernels[step.problem].panels:
                wanted = found.setdefault(step.inputs[operand], {})
                wanted[packer] = pack.wasm.packers[packer]
    return found


def direct_constants(pack: Pack, info: DeviceInfo) -> frozenset[int]:
    """The constants that some step reads as they are, not only in panels."""
    found: set[int] = set()
    for step in pack.plan.steps:
        panels = dict(pack.wasm.kernels[step.problem].panels) if info.kind == "wasm" else {}
        found |= {t for j, t in enumerate(step.inputs) if j not in panels}
    return frozenset(found & pack.placements.keys())
