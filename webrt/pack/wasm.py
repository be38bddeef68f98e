"""The CPU's half of a plan: a kernel for every problem, packers of constants, modules of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from webrt import dims
from webrt.codegen import wasm
from webrt.kernel.loop import Kernel
from webrt.kernel.problem import Map, Operand, Output, Problem
from webrt.lower import lower
from webrt.lower.cpu.panels import repack
from webrt.pack.format import Packer, WasmKernel
from webrt.schedule import CpuLimits, Schedule, default, to_json


@dataclass(frozen=True, slots=True)
class WasmPlan:
    """Kernels and packers as the pack describes them, and their loop IR in the table's order."""

    kernels: tuple[WasmKernel, ...]
    packers: tuple[Packer, ...]
    code: tuple[Kernel, ...]

    def module(self, relaxed: bool) -> bytes:
        """The bytes of the module that holds all of them."""
        return wasm.module(self.code, relaxed)


def plan_wasm(problems: Sequence[Problem], schedules: Sequence[Schedule] | None = None) -> WasmPlan:
    """Lower every problem for CPUs, under its default schedule where none is given."""
    if schedules is None:
        schedules = [default(problem, CpuLimits()) for problem in problems]
    kernels: list[WasmKernel] = []
    code: list[Kernel] = []
    maps: dict[Map, int] = {}  # packers, in order: problems that lay out alike share one
    for index, (problem, schedule) in enumerate(zip(problems, schedules, strict=True)):
        name = f"{type(problem).__name__.lower()}_{index}"
        repacked, panels = repack(problem, schedule)
        kernel = lower(repacked, schedule, name)
        pairs = tuple((p.operand, maps.setdefault(p.problem, len(maps))) for p in panels)
        units, scratch = kernel.grid[0], wasm.scratch_bytes(kernel)
        kernels.append(WasmKernel(name, to_json(schedule), units, scratch, pairs))
        code.append(kernel)
    packers: list[Packer] = []
    for index, packing in enumerate(maps):
        kernel = _packer(packing, f"packer_{index}")
        units = dims.evaluate(kernel.grid[0], {})
        scratch = wasm.scratch_bytes(kernel)
        reads, size = _bytes(packing.operands[0]), _bytes(packing.outputs[0])
        packers.append(Packer(kernel.name, units, scratch, reads, size))
        code.append(kernel)
    return WasmPlan(tuple(kernels), tuple(packers), tuple(code))


@lru_cache(256)
def _packer(packing: Map, name: str) -> Kernel:
    """Many candidates of a problem lay its constants out alike."""
    return lower(packing, default(packing, CpuLimits()), name)


def _bytes(memory: Operand | Output) -> int:
    return dims.evaluate(memory.size, {}) * memory.dtype.storage.bytes
