"""Tuning of a session: what records know is swapped in, trials run on its device between runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from webrt.errors import CompileError
from webrt.kernel.problem import specialise, symbols
from webrt.pack.modules import check_file
from webrt.runtime.explain import Origin
from webrt.runtime.kernels import Candidate
from webrt.runtime.session import Session
from webrt.runtime.source import Source
from webrt.tune.candidate import Rates, candidates, generate, may_serve
from webrt.tune.records import Key, Record, Records, device_key, make_key
from webrt.tune.tuner import Progress, Tuner, TuneReport


async def tune(
    session: Session,
    bindings: Mapping[str, int],
    seconds: float,
    records: Records,
    progress: Progress | None = None,
    begun: Callable[[Tuner], None] | None = None,
    rates: Rates | None = None,
) -> TuneReport:
    """Tune a session's kernels at these values of its symbols for at most `seconds`.

    What is found serves from the next run on and is added to `records`. `begun` gets the tuner
    before the first trial, so that it can be cancelled. `rates` are a probe's. Raises DeviceError,
    DeviceLostError.
    """
    await apply(session, bindings, records)

    async def found(problem: int, candidate: Candidate) -> None:
        await session.swap(bindings, problem, candidate)

    plan, turn = session.pack.plan, session.lock
    tuner = Tuner(session.device, plan, bindings, records, turn=turn, rates=rates)
    if begun is not None:
        begun(tuner)
    return await tuner.run(seconds, progress, found)


async def apply(
    session: Session,
    bindings: Mapping[str, int],
    records: Records,
    sources: Sequence[Records] = (),
) -> int:
    """Swap in what `records` hold for this device, model and shape; returns for how many problems.

    A schedule that isn't legal any more, or that doesn't compile, is left out. Of `sources`, the
    last one that knows a problem is told as the kernel's origin.
    """
    info = session.device_info
    swapped = 0
    for index, problem in enumerate(session.pack.plan.problems):
        used = {name: bindings[name] for name in symbols(problem)}
        key = make_key(info, problem, used)
        schedule = records.best(key)
        here = specialise(problem, used)
        if schedule is None or schedule == candidates(here, info)[0]:
            continue
        if not may_serve(here, schedule, info):
            continue
        try:
            code = generate(here, schedule, info)
            await session.swap(bindings, index, code, origin=_origin(key, records, sources))
        except CompileError:
            continue
        swapped += 1
    return swapped


def _origin(key: Key, records: Records, sources: Sequence[Records]) -> Origin:
    record = records.get(key)
    best = None if record is None else record.best
    source = next((s.source for s in reversed(sources) if s.get(key)), records.source)
    return Origin(source, best.ms if best else None, record.default_ms if record else None)


async def shipped(session: Session, source: Source) -> Records:
    """The pack's own records; raises PackError where they were altered."""
    part = session.pack.records
    if part is None:
        return Records()
    data = await source.file(part)
    check_file(part, data, source.where)
    return Records.from_json(bytes(data), f"{source.where}/{part.file}")


async def serve(session: Session, known: Sequence[Records]) -> Records:
    """Serve what is `known` of this device, at every shape of the model that was tuned.

    Of two results the later one counts. Returns all of them: other devices' order what is tried on
    this one.
    """
    every = Records(record for records in known for record in records)
    for bindings in shapes(session, every):
        await apply(session, bindings, every, known)
    return every


def shapes(session: Session, records: Records) -> list[dict[str, int]]:
    """The shapes of this model at which `records` hold something for this device."""
    device = device_key(session.device_info)
    plan = session.pack.plan
    known = {r.key.problem for r in records if r.key.device == device}
    if not known:
        return []
    keys = {make_key(session.device_info, p, {}).problem: symbols(p) for p in plan.problems}
    whole = [r for r in records if _binds_all(r, device, keys, [s.id for s in plan.symbols])]
    return [dict(dims) for dims in dict.fromkeys(r.key.dims for r in whole)]


def _binds_all(
    record: Record, device: str, keys: Mapping[str, tuple[str, ...]], names: list[str]
) -> bool:
    key = record.key
    return key.device == device and key.problem in keys and [n for n, _ in key.dims] == names
