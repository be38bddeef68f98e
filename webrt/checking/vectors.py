"""Makes a pack's check vectors: random inputs, ONNX Runtime's outputs, digests of every step.

The digests come from the pack itself, run step by step on the CPU, after its outputs have been held
to ONNX Runtime's: they are laid out as the plan lays tensors out, which no other runtime does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from webrt.checking import oracle
from webrt.checking.feeds import Feeds, random_feeds
from webrt.errors import ModelError, PackError, ShapeError, UsageError
from webrt.pack.checks import MAX_VECTORS, Values, Vector, stride_of, write_checks
from webrt.plan.example import BATCH, example_bindings
from webrt.plan.plan import Plan, Port
from webrt.runtime import arrays
from webrt.runtime.bind import bind
from webrt.runtime.devices import wasmtime
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.runtime.verify import Verdict, feeds_of, record_steps, verify

BATCHES = (2, 3, 4, 1)
LENGTHS = (37, 61, 19, 83, 11, 101)
"""Dynamic dims of the second vector and the following ones: primes leave a rest in every tile."""
COMMON = (64, 96, 160)
"""What they are where the model has no such shape: many models of images want whole 32s."""

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which vectors: `count` random ones, of which `dims` and `inputs` fix a part, or `feeds`.

    Raises UsageError where they can't be made here: so it is known before a model is packed.
    """

    count: int
    dims: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    feeds: tuple[Feeds, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_VECTORS:
            raise UsageError(f"--check-inputs {self.count}: expected 1 to {MAX_VECTORS}")
        oracle.require()


def maker(
    model: Path, wanted: Wanted, progress: Callable[[str, int, int], None] | None
) -> Callable[[Path], bytes]:
    """`make`, for whoever writes a pack."""

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("checks", done, total)

    return lambda folder: make(model, folder, wanted, report)


def make(model: Path, folder: Path, wanted: Wanted, report: Report) -> bytes:
    """The file of vectors of the pack in `folder`.

    The first random one is at the dims that `webrt check`, `bench` and `tune` take by default:
    what is tuned without further ado is verified by it. Raises PackError where the pack itself
    gives something else than ONNX Runtime, ModelError where that refuses all that was tried.
    """
    with run_sync(Session.open(FolderSource(folder), run_sync(wasmtime.open_device()))) as session:
        vectors = []
        for number in range(wanted.count):
            report(number, wanted.count)
            if wanted.feeds:
                vectors.append(_filled(session, model, wanted.feeds[number]))
            else:
                vectors.append(_random(model, session, number, wanted))
        report(wanted.count, wanted.count)
        verdict = run_sync(verify(session.subject, vectors))
        if not verdict.ok:
            raise _disagreement(model, session, vectors, verdict)
    return write_checks(vectors)


def settings(plan: Plan, number: int, given: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Values of the symbols for a vector, by id; the first that the model can run is taken."""
    example = example_bindings(plan, given)
    turn = number - 1
    lengths = (LENGTHS[turn % len(LENGTHS)], COMMON[turn % len(COMMON)]) if number else ()
    for length in lengths:
        found = {}
        for symbol in plan.symbols:
            fixed = symbol.name in given or symbol.id not in plan.given
            other = BATCHES[turn % len(BATCHES)] if example[symbol.id] == BATCH else length
            found[symbol.id] = example[symbol.id] if fixed else min(other, symbol.most)
        yield found
        yield {k: example[k] if example[k] == BATCH else v for k, v in found.items()}
    yield example


def _random(model: Path, session: Session, number: int, wanted: Wanted) -> Vector:
    plan = session.pack.plan
    refused: ModelError | ShapeError | None = None
    for small in (False, True):
        for bindings in settings(plan, number, wanted.dims):
            feeds = random_feeds(plan, bindings, number, dict(wanted.inputs))
            try:
                return _filled(session, model, _small(plan, feeds) if small else feeds)
            except (ModelError, ShapeError) as error:
                refused = refused or error
    assert refused is not None
    raise type(refused)(f"{refused} (random inputs: --input gives one, --dim a size)") from refused


def _small(plan: Plan, feeds: Feeds) -> Feeds:
    """Integers of no known range as 0 and 1: they may be lengths, counts or axes."""
    free = {p.name for p in plan.inputs if p.dtype.is_integer and p.low is None and p.high is None}
    return {name: value % 2 if name in free else value for name, value in feeds.items()}


def _filled(session: Session, model: Path, feeds: Feeds) -> Vector:
    """The vector of these feeds; raises ModelError or ShapeError for those that don't fit."""
    plan = session.pack.plan
    drawn = oracle.drawn(model) & {port.name for port in plan.outputs}
    if drawn:
        raise PackError(f"{model}: output {min(drawn)!r} draws numbers, which no vector can hold")
    values, _ = bind(plan, feeds)
    outputs = oracle.expected_outputs(model, feeds)
    missing = sorted(set(outputs) ^ {p.name for p in plan.outputs})
    if missing:
        raise PackError(f"{model}: ONNX Runtime and the pack differ in output {missing[0]!r}")
    dims = dict(zip(plan.given, values, strict=True))
    vector = Vector(
        dims,
        tuple(_values(p, feeds, whole=True) for p in plan.inputs),
        tuple(_values(p, outputs, whole=False) for p in plan.outputs),
        (),
    )
    steps = run_sync(record_steps(session.subject, tuple(dims.values()), feeds_of(plan, vector)))
    return Vector(vector.dims, vector.inputs, vector.outputs, steps)


def _values(port: Port, feeds: Feeds, whole: bool) -> Values:
    array = np.asarray(feeds[port.name])
    if port.labels.texts:  # a run makes places among them
        number = {text: place for place, text in reversed([*enumerate(port.labels.texts)])}
        array = np.array([number[t] for t in array.ravel()], np.int64).reshape(array.shape)
    if array.dtype != np.dtype(port.dtype.onnx_name):
        raise PackError(f"{port.name!r}: expected {port.dtype.onnx_name}, found {array.dtype}")
    stride = 1 if whole else stride_of(array.size)
    kept = np.ascontiguousarray(array.ravel()[::stride])
    return Values(array.shape, arrays.from_host(kept, port.dtype).data, stride)


def _disagreement(
    model: Path, session: Session, vectors: Sequence[Vector], verdict: Verdict
) -> PackError:
    """Names the first node whose value differs from ONNX Runtime's, as `webrt check` does."""
    plan = session.pack.plan
    number = next(j for j, v in enumerate(verdict.vectors) if not v.ok)
    feeds = {
        port.name: np.frombuffer(values.data, port.dtype.onnx_name).reshape(values.shape)
        for port, values in zip(plan.inputs, vectors[number].inputs, strict=True)
    }
    half = session.float16 is not None
    reason = verdict.vectors[number].error
    if reason is None:
        wrong = oracle.first_divergence(model, plan, feeds, session.trace(feeds), half)
        reason = f"first wrong node: {wrong.node}" if wrong else "no node stands out"
    return PackError(
        f"{model}: on the CPU the pack doesn't give ONNX Runtime's outputs"
        f" (max |diff| {verdict.max_abs:.3g}); {reason}; pack without --check-inputs, and see"
        " `webrt check`"
    )
