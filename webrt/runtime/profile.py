"""Where a run's time goes: every kernel timed on its own, with its operations and its traffic."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from webrt import dims
from webrt.kernel import costs
from webrt.kernel.problem import Problem
from webrt.kernel.text import print_problem
from webrt.pack.format import Pack
from webrt.plan.plan import Home, Plan, Step
from webrt.runtime.device import Buffer, Device, Dispatch, Slice
from webrt.runtime.kernels import Kernel, Kernels
from webrt.runtime.memory import Weights, aligned, binding_size
from webrt.runtime.timing import Timer


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One kernel of a run; `ms`, `operations` and `bytes` are those of one of `count` dispatches.

    `number` is its problem's in the plan, `problem` the text form; `tuned` tells that the kernel is
    not the pack's own.

    `operations` counts floating-point operations as one reads them off the problem; `bytes` counts
    every element that is read or written once: what must move, not what a cache lets move again.
    """

    number: int
    name: str
    family: str
    node: str
    problem: str
    schedule: Mapping[str, object]
    tuned: bool
    count: int
    ms: float
    operations: int
    bytes: int

    @property
    def total_ms(self) -> float:
        """Its part of a run."""
        return self.count * self.ms

    @property
    def gflops(self) -> float:
        return self.operations / self.ms / 1e6

    @property
    def gbs(self) -> float:
        """Gigabytes a second."""
        return self.bytes / self.ms / 1e6

    @property
    def intensity(self) -> float:
        """Operations a byte: where the kernel stands on a roofline."""
        return self.operations / max(self.bytes, 1)


async def measure(
    pack: Pack,
    device: Device,
    weights: Weights,
    kernels: Kernels,
    bindings: Mapping[str, int],
    tuned: Collection[int] = (),
) -> tuple[KernelTime, ...]:
    """Time each kernel that the plan dispatches, by itself, on operands of zeros; longest first.

    Constants are the model's own, in the layout that the kernel reads. A kernel of no elements at
    these values of the symbols is left out. `tuned` are the problems that tuning has kernels for.
    """
    plan = pack.plan
    counts = Counter(step.problem for step in plan.steps)
    uniform = device.allocate(max(16, aligned(4 * len(plan.symbols))), "symbols")
    values = [bindings[s.id] for s in plan.symbols]
    device.upload(uniform, 0, memoryview(struct.pack(f"<{len(values)}i", *values).ljust(16, b"\0")))
    timer = Timer(device, uniform)
    found = []
    try:
        for number, count in counts.items():
            step = next(s for s in plan.steps if s.problem == number)
            kernel, problem = kernels.problems[number], plan.problems[number]
            x, y, z = (dims.evaluate(extent, bindings) for extent in kernel.grid)
            if 0 in (x, y, z):
                continue
            with _operands(plan, device, weights, kernel, step, bindings) as slices:
                dispatch = Dispatch(kernel.pipeline, slices, (x, y, z), outputs=len(step.outputs))
                ms = await timer.dispatch(dispatch)
            found.append(
                KernelTime(
                    number=number,
                    name=kernel.name,
                    family=type(problem).__name__,
                    node=step.node,
                    problem=print_problem(problem),
                    schedule=kernel.schedule,
                    tuned=number in tuned,
                    count=count,
                    ms=ms,
                    operations=operations(problem, bindings),
                    bytes=traffic(problem, bindings),
                )
            )
    finally:
        device.free(uniform)
    return tuple(sorted(found, key=lambda k: -k.total_ms))


@contextmanager
def _operands(
    plan: Plan,
    device: Device,
    weights: Weights,
    kernel: Kernel,
    step: Step,
    bindings: Mapping[str, int],
) -> Iterator[tuple[Slice, ...]]:
    """What a step reads and writes, in memory of its own but for the constants."""
    made: list[Buffer] = []
    slices = []
    try:
        for place, index in enumerate((*step.inputs, *step.outputs)):
            tensor = plan.tensors[index]
            if tensor.home is Home.CONSTANT:
                slices.append(weights.of(index, kernel.panels.get(place)))
                continue
            size = dims.evaluate(tensor.bytes, bindings)
            made.append(device.allocate(aligned(binding_size(size)), "a profile"))
            slices.append(Slice(made[-1], 0, binding_size(size)))
        yield tuple(slices)
    finally:
        for buffer in made:
            device.free(buffer)


def operations(problem: Problem, bindings: Mapping[str, int]) -> int:
    """Floating-point operations of a problem (`kernel/costs.py`)."""
    return dims.evaluate(costs.operations(problem), bindings)


def traffic(problem: Problem, bindings: Mapping[str, int]) -> int:
    """Bytes that a problem must read and write (`kernel/costs.py`)."""
    return dims.evaluate(costs.traffic(problem), bindings)
