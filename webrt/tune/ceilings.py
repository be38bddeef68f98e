"""A device's ceilings, measured: how fast it computes out of registers, and how fast it copies."""

from __future__ import annotations

from dataclasses import dataclass

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel.expr import Expr, Load, call, f32
from webrt.kernel.problem import Map, Operand, Output
from webrt.runtime.device import Device
from webrt.runtime.profile import operations, traffic
from webrt.runtime.sync import run_sync
from webrt.tune.candidate import default_candidate
from webrt.tune.trial import Trials

CHAINS, TURNS = 8, 24
"""Products and sums of an element: chains that don't wait for one another, and their length."""

COMPUTED = 1 << 16
COPIED = 1 << 23
"""Elements. 32 MiB read and as many written are more than caches hold, but for a few."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """GFLOP/s that a kernel in registers reaches, GB/s that a copy does; a GPU's and a CPU's."""

    gflops: float
    gbs: float


def measure(device: Device) -> Ceilings:
    """Measure both with the default kernels; takes about a second, nobody else on the device."""
    compute, copy = _chains(), _copy()
    return Ceilings(
        operations(compute, {}) / _milliseconds(device, compute) / 1e6,
        traffic(copy, {}) / _milliseconds(device, copy) / 1e6,
    )


def _milliseconds(device: Device, problem: Map) -> float:
    trials = Trials(device, problem, {})
    try:
        candidate = default_candidate(problem, device.info)
        run_sync(trials.set_reference(candidate))
        return run_sync(trials.attempt(candidate, None))
    finally:
        trials.close()


def _copy() -> Map:
    loaded = Load(0, symbol("i0"), DType.F32)
    out = Output(DType.F32, COPIED, symbol("i0"), call("add", loaded, f32(1.0)))
    return Map((COPIED,), (Operand(DType.F32, COPIED),), (out,))


def _chains() -> Map:
    """X becomes x · a + b over and over; operands of -1 … 1 keep every chain small."""
    x, a, b = (Load(memory, symbol("i0"), DType.F32) for memory in range(3))
    half = call("mul", a, f32(0.5))
    total: Expr = f32(0.0)
    for chain in range(CHAINS):
        value: Expr = call("add", x, f32(float(chain)))
        for _ in range(TURNS):
            value = call("add", call("mul", value, half), b)
        total = call("add", total, value)
    out = Output(DType.F32, COMPUTED, symbol("i0"), total)
    return Map((COMPUTED,), tuple(Operand(DType.F32, COMPUTED) for _ in range(3)), (out,))
