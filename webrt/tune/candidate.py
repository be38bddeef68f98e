"""Makes schedules into code for a device: what trials compile, and a session swaps in."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import assert_never

from webrt.codegen import wgsl
from webrt.kernel.problem import Attention, Contract, Fold, Map, Problem, Reduce
from webrt.lower import lower
from webrt.pack.wasm import plan_wasm
from webrt.runtime.device import RELAXED_SIMD, BindingLayout, DeviceInfo, KernelCode, WasmCode
from webrt.runtime.kernels import Candidate, PanelCode
from webrt.schedule import CpuLimits, Limits, Schedule, allows, default, space
from webrt.schedule.adapters import cpu_class
from webrt.schedule.attention import AttentionSchedule
from webrt.schedule.contract import ContractSchedule
from webrt.schedule.cpu.attention import CpuAttentionSchedule
from webrt.schedule.cpu.contract import CpuContractSchedule
from webrt.schedule.cpu.fold import CpuFoldSchedule
from webrt.schedule.cpu.map import CpuMapSchedule
from webrt.schedule.cpu.reduce import CpuReduceSchedule
from webrt.schedule.fold import FoldSchedule
from webrt.schedule.map import MapSchedule
from webrt.schedule.reduce import ReduceSchedule


@dataclass(frozen=True, slots=True)
class Rates:
    """What a probe of a GPU found, as `schedule.Limits` says it; 0 is not known."""

    large_tiles: float = 0.0
    staging: float = 0.0
    sharing: float = 0.0
    quads: float = 0.0


def limits_of(info: DeviceInfo, rates: Rates | None = None) -> Limits | CpuLimits:
    """What prunes and orders the spaces of a device."""
    if info.kind == "wasm":
        known = cpu_class(info.architecture)
        return CpuLimits(known.registers, known.l1_bytes, known.l2_bytes)
    return Limits(
        info.limits.max_compute_invocations_per_workgroup,
        info.limits.max_compute_workgroup_storage_size,
        info.adapter_class,
        **({} if rates is None else asdict(rates)),
    )


def candidates(
    problem: Problem, info: DeviceInfo, rates: Rates | None = None
) -> tuple[Schedule, ...]:
    """The space of `problem` on a device, its default first."""
    return space(problem, limits_of(info, rates))


def may_serve(problem: Problem, schedule: Schedule, info: DeviceInfo) -> bool:
    """Whether a schedule, of a record perhaps, is legal for `problem` on a device."""
    return allows(problem, schedule, limits_of(info))


def default_candidate(problem: Problem, info: DeviceInfo) -> Candidate:
    """The code under the default schedule."""
    return generate(problem, default(problem, limits_of(info)), info)


def reference(problem: Problem, info: DeviceInfo) -> Candidate:
    """The plainest code of `problem`: what the default itself is held to, at a small shape."""
    return generate(problem, _plainest(problem, info), info)


def _plainest(problem: Problem, info: DeviceInfo) -> Schedule:
    """The schedule with the least in it: small tiles, nothing shared, packed or unrolled."""
    wasm = info.kind == "wasm"
    match problem:
        case Map():
            return CpuMapSchedule(4096, 1, 1) if wasm else MapSchedule(32, 1, 1, True)
        case Reduce():
            return CpuReduceSchedule(4096, 1, 1) if wasm else ReduceSchedule(1, 16, 1)
        case Contract():
            return _plainest_cpu(problem) if wasm else ContractSchedule(1, 4, 1, 8)
        case Attention():
            if wasm:
                width = -(-min(problem.e if isinstance(problem.e, int) else 64, 256) // 4) * 4
                return CpuAttentionSchedule(1, 4, 1, 1, 8, width, 1)
            return AttentionSchedule(1, 4, 4, 8, False)
        case Fold():
            return CpuFoldSchedule(1024, 1, 1) if wasm else FoldSchedule(32, 1)
        case _:
            assert_never(problem)


def _plainest_cpu(problem: Contract) -> CpuContractSchedule:
    """One row by four columns a tile, both operands where they lie."""
    return CpuContractSchedule(1, 4, 1, 4, 4, 0, False, False, False)


def generate(problem: Problem, schedule: Schedule, info: DeviceInfo) -> Candidate:
    """The code of `problem` under `schedule` for the kind of device that `info` describes."""
    if info.kind == "wasm":
        return _generate_wasm(problem, schedule, RELAXED_SIMD in info.features)
    name = type(problem).__name__.lower()
    kernel = lower(problem, schedule, name)
    code = KernelCode(name, wgsl.generate(kernel), _layouts(problem))
    return Candidate(schedule, code, kernel.grid)


def printed(candidate: Candidate) -> Hashable:
    """What is the same for candidates whose code is the same: one trial is enough for them."""
    source = candidate.code.source
    code = source if isinstance(source, str) else (source.module, source.scratch)
    return code, candidate.grid


def _generate_wasm(problem: Problem, schedule: Schedule, relaxed: bool) -> Candidate:
    """The same for a CPU: a module of the kernel and the packers of its constants."""
    plan = plan_wasm([problem], [schedule])
    module = plan.module(relaxed)
    (kernel,) = plan.kernels
    both = (BindingLayout(False), BindingLayout(True))
    packers = [
        KernelCode(p.name, WasmCode(module, 1 + j, p.scratch), both)
        for j, p in enumerate(plan.packers)
    ]
    panels = tuple(
        PanelCode(operand, packers[j], plan.packers[j].units, plan.packers[j].bytes)
        for operand, j in kernel.panels
    )
    code = KernelCode(kernel.name, WasmCode(module, 0, kernel.scratch), _layouts(problem))
    return Candidate(schedule, code, (kernel.units, 1, 1), panels)


def _layouts(problem: Problem) -> tuple[BindingLayout, ...]:
    operands = [BindingLayout(not operand.constant) for operand in problem.operands]
    return (*operands, *(BindingLayout(True) for _ in problem.outputs))
