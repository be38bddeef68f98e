"""Makes schedules into code for a device: what trials compile, and a session swaps in."""

from __future__ import annotations

from typing import assert_never

from webrt.codegen import wgsl
from webrt.kernel.problem import Attention, Contract, Map, Problem, Reduce
from webrt.lower import lower
from webrt.pack.wasm import plan_wasm
from webrt.runtime.device import RELAXED_SIMD, BindingLayout, DeviceInfo, KernelCode, WasmCode
from webrt.runtime.kernels import Candidate, PanelCode
from webrt.schedule import CpuLimits, Limits, Schedule, default, space
from webrt.schedule.attention import AttentionSchedule
from webrt.schedule.contract import ContractSchedule
from webrt.schedule.map import MapSchedule
from webrt.schedule.reduce import ReduceSchedule


def limits_of(info: DeviceInfo) -> Limits | CpuLimits:
    """What prunes the spaces of a device."""
    if info.kind == "wasm":
        return CpuLimits()
    return Limits(
        info.limits.max_compute_invocations_per_workgroup,
        info.limits.max_compute_workgroup_storage_size,
    )


def candidates(problem: Problem, info: DeviceInfo) -> tuple[Schedule, ...]:
    """The space of `problem` on a device, its default first."""
    return space(problem, limits_of(info))


def default_candidate(problem: Problem, info: DeviceInfo) -> Candidate:
    """The code under the default schedule."""
    return generate(problem, default(problem, limits_of(info)), info)


def reference(problem: Problem, info: DeviceInfo) -> Candidate:
    """The plainest code of `problem`: what the default itself is held to, at a small shape."""
    return generate(problem, _plainest(problem, info), info)


def _plainest(problem: Problem, info: DeviceInfo) -> Schedule:
    """The schedule with the least in it: small tiles, no sharing between lanes."""
    if info.kind == "wasm":
        return space(problem, limits_of(info))[-1]
    match problem:
        case Map():
            return MapSchedule(32, 1, 1, True)
        case Reduce():
            return ReduceSchedule(1, 16, 1)
        case Contract():
            return ContractSchedule(1, 4, 1, 8)
        case Attention():
            return AttentionSchedule(1, 4, 4, 8, False)
        case _:
            assert_never(problem)


def generate(problem: Problem, schedule: Schedule, info: DeviceInfo) -> Candidate:
    """The code of `problem` under `schedule` for the kind of device that `info` describes."""
    if info.kind == "wasm":
        return _generate_wasm(problem, schedule, RELAXED_SIMD in info.features)
    name = type(problem).__name__.lower()
    kernel = lower(problem, schedule, name)
    code = KernelCode(name, wgsl.generate(kernel), _layouts(problem))
    return Candidate(schedule, code, kernel.grid)


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
