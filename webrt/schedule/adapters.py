"""What is known of classes of adapters before anything was measured on one: a dated table.

WebGPU tells an adapter's class and limits, nothing of its registers or caches. These are set so
that what a class never wants isn't tried; the probe (`tune/probe.py`) then measures the adapter at
hand. No name of a vendor decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from webrt.schedule.base import Limits


@dataclass(frozen=True, slots=True)
class GpuClass:
    """What pays on a class of adapters.

    `registers` is how many 32-bit values a lane's tile may take, `least` how many lanes a workgroup
    has at least, `busy` how many workgroups keep the adapter busy. `loads` says what the loads of a
    tile weigh beside its products: the larger, the more a larger tile gains. `alike` is how many
    shapes of a workgroup are tried with a tile.
    """

    registers: int
    least: int
    busy: int
    loads: float
    alike: int


GPUS = {
    # A lane has up to 255 registers, of which indices and loads take some; from 128 on, fewer
    # lanes hide less latency. From vendors' programming guides, 2026-11; not measured here.
    "discrete": GpuClass(registers=160, least=32, busy=64, loads=6.0, alike=4),
    # 128 registers a lane are the most on many.
    "integrated": GpuClass(registers=120, least=16, busy=16, loads=6.0, alike=4),
    # Registers are the first cache, so that loads are what costs: 128 × 1152 × 384 takes lavapipe
    # 104, 82, 65 and 58 ms with 8 × 8, 16 × 8, 16 × 12 and 16 × 16, SwiftShader 69, 59, 52 and 49
    # (of CPU time, 2026-11-21). The time is as 1 + loads / rows + loads / columns, with 32 on
    # lavapipe and 5 on SwiftShader. Still larger tiles gain up to a third more on lavapipe, none on
    # SwiftShader, and take lavapipe 4 to 12 s to compile, where 16 × 16 takes 2.
    "cpu": GpuClass(registers=288, least=1, busy=2, loads=10.0, alike=2),
}
UNKNOWN_GPU = GpuClass(registers=160, least=8, busy=8, loads=6.0, alike=4)


@dataclass(frozen=True, slots=True)
class CpuClass:
    """Vector registers of 128 bits that wasm's engine uses, and bytes of cache of one core."""

    registers: int
    l1_bytes: int
    l2_bytes: int


CPUS = {
    # AVX-512 has 32 registers, wasm's engines use 16 of them for 128-bit vectors (V8 and Cranelift,
    # 2026-11). The caches are the least that x86-64 cores of the last ten years have.
    "x86_64": CpuClass(registers=16, l1_bytes=32 << 10, l2_bytes=256 << 10),
    # Cortex-A76 and later, Apple's M and A cores have more.
    "aarch64": CpuClass(registers=32, l1_bytes=64 << 10, l2_bytes=512 << 10),
}
UNKNOWN_CPU = CpuClass(registers=16, l1_bytes=32 << 10, l2_bytes=256 << 10)
"""A page isn't told the processor: tiles for 16 registers run well on those that have 32."""

_SPELLINGS = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


def gpu_class(adapter_class: str) -> GpuClass:
    """What the table says of `DeviceInfo.adapter_class`."""
    return GPUS.get(adapter_class, UNKNOWN_GPU)


def tile_cost(rows: int, columns: int, limits: Limits) -> float:
    """What a tile's products take, each with its share of the loads: 1 where loads are free.

    The time is as 1 + loads (1 / rows + 1 / columns), `loads` from how much faster tiles of 8 × 8
    were than of 4 × 4; where they were slower, it is taken to grow with the tile.
    """
    gain = limits.large_tiles
    if 0.0 < gain < 1.0:
        growth = (1 / gain - 1) / max(0.05, 1 - 0.25 / gain)
        return 1 + growth * rows * columns / 64
    loads = gpu_class(limits.adapter_class).loads
    if gain:
        loads = min(32.0, (gain - 1) / max(0.01, 0.5 - 0.25 * gain))
    return 1 + loads * (1 / rows + 1 / columns)


def cpu_class(architecture: str) -> CpuClass:
    """What the table says of a processor as `platform.machine` names it."""
    name = architecture.lower()
    return CPUS.get(_SPELLINGS.get(name, name), UNKNOWN_CPU)
