"""Runs a pack's check vectors on a session's device; where one is wrong, finds the first step.

The outputs are held to the vectors' whole; steps are looked at only where that fails, one by one,
each by the digest of what it writes the first time (`pack/checks.py`). `web/insight-verify.js` is
this file in JavaScript.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from webrt.errors import ShapeError
from webrt.pack.checks import StepDigests, Values, Vector
from webrt.pack.format import Pack
from webrt.plan.plan import Plan, Port
from webrt.runtime import arrays
from webrt.runtime.arrays import HostTensor
from webrt.runtime.bind import evaluate_shape
from webrt.runtime.device import Device
from webrt.runtime.digest import Distance, differs, digest, distance
from webrt.runtime.flow import Observer, Runner
from webrt.runtime.kernels import Kernels
from webrt.runtime.memory import Weights
from webrt.runtime.shape import Placed

Run = Callable[[Mapping[str, HostTensor]], Awaitable[Mapping[str, HostTensor]]]


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first step that writes something wrong: `what` of it is `found` and not `expected`.

    `node` is the model's, `kernel` the pack's; `tuned` tells that tuning put it there. An output
    that no step writes has its name for a node, and neither step nor kernel.
    """

    node: str
    kernel: str | None
    step: int | None
    tuned: bool
    what: str
    expected: float
    found: float
    vector: int


@dataclass(frozen=True, slots=True)
class VectorVerdict:
    """One vector: `dims` by the model's names, how far each output is off; how many kernels of the
    run were tuned ones. `error` is what the run ended with, where it gave no outputs.
    """

    ok: bool
    dims: Mapping[str, int]
    outputs: Mapping[str, Distance]
    tuned: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `session.verify` found; the figures are the worst of all vectors' outputs."""

    ok: bool
    max_abs: float
    max_rel: float
    cosine: float
    vectors: tuple[VectorVerdict, ...]
    diverges: Divergence | None


@dataclass(frozen=True, slots=True)
class Subject:
    """A session as it is verified; `run` is its own."""

    pack: Pack
    device: Device
    weights: Weights
    half: bool
    run: Run
    kernels_at: Callable[[tuple[int, ...]], Kernels]
    tuned_at: Callable[[tuple[int, ...]], Sequence[int]]


async def verify(subject: Subject, vectors: Sequence[Vector]) -> Verdict:
    """Run every vector; of the first one that is wrong, the first wrong step is told."""
    found: list[VectorVerdict] = []
    diverges: Divergence | None = None
    for number, vector in enumerate(vectors):
        outputs, verdict = await _outputs(subject, vector)
        found.append(verdict)
        if not verdict.ok and diverges is None:
            diverges = await _locate(subject, vector, number, outputs, verdict)
    distances = [d for v in found for d in v.outputs.values()]
    failed = any(v.error is not None for v in found)
    return Verdict(
        all(v.ok for v in found),
        math.inf if failed else max((d.max_abs for d in distances), default=0.0),
        math.inf if failed else max((d.max_rel for d in distances), default=0.0),
        0.0 if failed else min((d.cosine for d in distances), default=1.0),
        tuple(found),
        diverges,
    )


def feeds_of(plan: Plan, vector: Vector) -> dict[str, HostTensor]:
    pairs = zip(plan.inputs, vector.inputs, strict=True)
    return {port.name: HostTensor(port.dtype, v.shape, v.data) for port, v in pairs}


def _values(plan: Plan, vector: Vector) -> tuple[int, ...]:
    return tuple(vector.dims[name] for name in plan.given)


async def _outputs(
    subject: Subject, vector: Vector
) -> tuple[Mapping[str, HostTensor], VectorVerdict]:
    plan = subject.pack.plan
    symbols = {s.id: s for s in plan.symbols}
    shown = {symbols[i].name: symbols[i].size(value) for i, value in vector.dims.items()}
    tuned = len(subject.tuned_at(_values(plan, vector)))
    try:
        outputs = await subject.run(feeds_of(plan, vector))
    except ShapeError as error:  # wrong data may ask for sizes that there aren't
        return {}, VectorVerdict(False, shown, {}, tuned, str(error))
    parts = {
        port.name: _distance(port, outputs[port.name], values, subject.half)
        for port, values in zip(plan.outputs, vector.outputs, strict=True)
    }
    return outputs, VectorVerdict(all(p.ok for p in parts.values()), shown, parts, tuned)


def _distance(port: Port, found: HostTensor, expected: Values, half: bool) -> Distance:
    if found.shape != expected.shape:
        return Distance(math.inf, math.inf, 0.0, ok=False)
    wanted = HostTensor(port.dtype, (_count(expected),), expected.data)
    return distance(strided(found, expected.stride), wanted, half)


def _count(values: Values) -> int:
    return -(-math.prod(values.shape) // values.stride)


def strided(tensor: HostTensor, stride: int) -> HostTensor:
    """Every `stride`th element, flat."""
    size = tensor.dtype.bytes
    if stride == 1:
        return HostTensor(tensor.dtype, (tensor.data.nbytes // size,), tensor.data)
    data = bytes(tensor.data)
    kept = b"".join(data[j : j + size] for j in range(0, len(data), stride * size))
    return HostTensor(tensor.dtype, (len(kept) // size,), memoryview(kept))


class _FoundError(Exception):
    """Ends a run step by step where the first wrong step was seen."""


@dataclass(slots=True)
class _Watch:
    """Sees every step of a run the first time."""

    subject: Subject
    known: Mapping[int, StepDigests]
    tuned: Sequence[int]
    vector: int
    seen: set[int] = field(default_factory=set)
    found: Divergence | None = None

    async def __call__(self, step: int, placed: Placed) -> None:
        if step in self.seen or step not in self.known:
            return
        self.seen.add(step)
        device, plan = self.subject.device, self.subject.pack.plan
        made = await written(device, plan, placed, plan.steps[step].outputs)
        for tensor, (count, expected) in zip(made, self.known[step].outputs, strict=True):
            elements = math.prod(tensor.shape)
            if elements != count:
                self.found = self._divergence(step, "the number of elements", count, elements)
                raise _FoundError
            wrong = differs(digest(tensor), expected, count, tensor.dtype, self.subject.half)
            if wrong is not None:
                self.found = self._divergence(step, wrong.what, wrong.expected, wrong.found)
                raise _FoundError

    def _divergence(self, step: int, what: str, expected: float, found: float) -> Divergence:
        pack = self.subject.pack
        return divergence(pack, step, self.tuned, what, expected, found, self.vector)


def divergence(
    pack: Pack,
    step: int,
    tuned: Sequence[int],
    what: str,
    expected: float,
    found: float,
    vector: int,
) -> Divergence:
    entry = pack.plan.steps[step]
    kernel, by_tuning = pack.kernels[entry.problem].name, entry.problem in tuned
    return Divergence(entry.node, kernel, step, by_tuning, what, expected, found, vector)


async def written(
    device: Device, plan: Plan, placed: Placed, tensors: Sequence[int]
) -> list[HostTensor]:
    """What a step has just written, in storage dtypes."""
    places = [placed.where(t) for t in tensors]
    shapes = [evaluate_shape(plan.tensors[t].shape, placed.bindings) for t in tensors]
    raw = await device.read_many([(p.buffer, p.offset + p.size) for p in places])
    return [
        arrays.from_storage(plan.tensors[t].dtype, shape, memoryview(data)[place.offset :])
        for t, shape, data, place in zip(tensors, shapes, raw, places, strict=True)
    ]


async def record_steps(
    subject: Subject, values: tuple[int, ...], feeds: Mapping[str, HostTensor]
) -> tuple[StepDigests, ...]:
    """What each step writes the first time, in the order in which they run."""
    plan = subject.pack.plan
    found: dict[int, StepDigests] = {}

    async def see(step: int, placed: Placed) -> None:
        if step not in found:
            made = await written(subject.device, plan, placed, plan.steps[step].outputs)
            digests = tuple((math.prod(t.shape), digest(t)) for t in made)
            found[step] = StepDigests(step, digests)

    await _step_by_step(subject, values, feeds, see)
    return tuple(found.values())


async def _step_by_step(
    subject: Subject, values: tuple[int, ...], feeds: Mapping[str, HostTensor], observe: Observer
) -> None:
    plan = subject.pack.plan
    runner = Runner(subject.pack, subject.device, subject.weights, share=False, observe=observe)
    inputs = {
        p.tensor: arrays.to_storage(feeds[p.name], plan.tensors[p.tensor].dtype.storage)
        for p in plan.inputs
    }
    try:
        await runner.run(values, subject.kernels_at(values), inputs)
    finally:
        runner.free()


async def _locate(
    subject: Subject,
    vector: Vector,
    number: int,
    outputs: Mapping[str, HostTensor],
    verdict: VectorVerdict,
) -> Divergence | None:
    """Run once more, step by step, until one writes what it shouldn't."""
    plan = subject.pack.plan
    values = _values(plan, vector)
    tuned = subject.tuned_at(values)
    watch = _Watch(subject, {s.step: s for s in vector.steps}, tuned, number)
    try:
        await _step_by_step(subject, values, feeds_of(plan, vector), watch)
    except _FoundError:
        return watch.found
    except ShapeError:
        return None  # nothing was wrong before it: the verdict has the error
    return _worst_output(subject, vector, number, outputs, verdict, tuned)


def _worst_output(
    subject: Subject,
    vector: Vector,
    number: int,
    outputs: Mapping[str, HostTensor],
    verdict: VectorVerdict,
    tuned: Sequence[int],
) -> Divergence | None:
    """No step stands out: the wrong output's own, by its worst element."""
    plan = subject.pack.plan
    for port, values in zip(plan.outputs, vector.outputs, strict=True):
        distance = verdict.outputs.get(port.name)
        if distance is None or distance.ok:
            continue
        what, found = "the number of elements", 0.0
        expected = float(math.prod(values.shape))
        given = outputs[port.name]
        if given.shape == values.shape:
            stored = HostTensor(port.dtype, (_count(values),), values.data)
            what, expected = "an element", float(stored.elements[distance.worst])
            found = float(strided(given, values.stride).elements[distance.worst])
        else:
            found = float(math.prod(given.shape))
        writers = [j for j, s in enumerate(plan.steps) if port.tensor in s.outputs]
        if writers:
            return divergence(subject.pack, writers[-1], tuned, what, expected, found, number)
        node = f"output {port.name!r}"
        return Divergence(node, None, None, False, what, expected, found, number)
    return None
