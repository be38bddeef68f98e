"""Tuning for a page: the worker's side. It tries, the page keeps what was found and serves it.

`web/tune-worker.js` calls `serve` in Pyodide, with a device of the page's kind that is the worker's
own. What a worker says is one JSON object a message:

    {"type": "trying", "problem": 3, "record": {…}}    before each trial: the schedule has no result
    {"type": "tried", "problem": 3, "record": {…}}     after it: one trial, with code if it leads
    {"type": "progress", "report": {…}}                how things stand, where that was asked for

A worker that falls silent after `trying` is ended by the page, which notes that schedule as one
that failed and starts another worker with the records so far. Trials go on only when the page has
nothing to run: the worker asks for its turn before each pass.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from webrt.pack.read import parse_manifest
from webrt.pack.widen import for_device
from webrt.plan.plan import Plan
from webrt.runtime.device import (
    BindingLayout,
    Buffer,
    Device,
    DeviceInfo,
    Dispatch,
    KernelCode,
    Pipeline,
    Recording,
    WasmCode,
)
from webrt.runtime.kernels import Candidate, PanelCode
from webrt.schedule import Schedule, to_json
from webrt.tune import probe
from webrt.tune.candidate import Rates, candidates
from webrt.tune.code import Code, CpuCode, code_from_json, code_of
from webrt.tune.records import Record, Records, Trial, record_to_json
from webrt.tune.tuner import Tuner, TuneReport, Work

NEVER_ENDED = "it never ended, or the device went away with it"

TURN_SECONDS = 0.02
"""How long a worker goes on before it asks the page again."""


class Page(Protocol):
    """The page that a worker tunes for."""

    def turn(self) -> Awaitable[object]:
        """Settles when the page has nothing to run."""

    def say(self, message: str) -> object: ...


async def serve(request: str, manifest: bytes, device: Device, page: Page) -> str:
    """Tune the pack of `manifest` as `request` asks; returns the report, as JSON.

    The request is a JSON object of `dims` (the values of the plan's symbols), `seconds`, `records`
    (what is known so far), `probe` (as `probe.to_json` makes it, or null), `planted` (see
    `_PageTuner`) and `progress`: whether to say how things stand after each trial. Raises
    RecordsError, PackError, DeviceError, DeviceLostError.
    """
    asked = json.loads(request)
    pack, _ = for_device(parse_manifest(manifest), device.info.features)
    known = _Told(Records.from_json(json.dumps(asked["records"]), "records"))
    polite = _PoliteDevice(device, page)
    probed = asked.get("probe")
    rates = None if probed is None else probe.from_json(probed).rates
    tuner = _PageTuner(polite, pack.plan, asked["dims"], known, page, rates)
    tuner.plant(asked.get("planted", []))
    tuner.tells_progress = asked.get("progress", False)
    report = await tuner.run(asked["seconds"])
    return json.dumps(_describe(report))


class _Told(Records):
    """Records that pass on what is added to them."""

    tell: Callable[[Record], None] | None = None

    def add(self, record: Record) -> None:
        super().add(record)
        if self.tell is not None:
            self.tell(record)


class _PageTuner(Tuner):
    """A tuner that says what it tries.

    For tests, `plant` puts code in place of that of a problem's schedules: kernels that are wrong,
    that don't compile or that never end.
    """

    def __init__(
        self,
        device: _PoliteDevice,
        plan: Plan,
        bindings: Mapping[str, int],
        known: _Told,
        page: Page,
        rates: Rates | None,
    ) -> None:
        # What is waited for the page isn't time that was spent on trials.
        super().__init__(
            device, plan, bindings, known, lambda: time.monotonic() - device.waited, rates=rates
        )
        self._info = device.info
        self._rates = rates
        self._known = known
        self._page = page
        self._made: tuple[Work, Candidate] | None = None
        self._planted: dict[tuple[int, int], Code] = {}
        self.tells_progress = False
        known.tell = self._tried

    def plant(self, planted: Sequence[Any]) -> None:
        for item in planted:
            place = item["problem"], item["position"]
            self._planted[place] = code_from_json(item["code"])

    def make(self, work: Work, schedule: Schedule) -> Candidate:
        failed = Trial(schedule, None, NEVER_ENDED)
        self._say("trying", work, Record(self.key(work), work.default_ms or 1.0, (failed,)))
        made = super().make(work, schedule)
        if self._planted:
            position = candidates(work.problem, self._info, self._rates).index(schedule)
            code = self._planted.get((work.index, position))
            made = made if code is None else _planted(made, code)
        self._made = work, made
        return made

    def _tried(self, record: Record) -> None:
        """Pass a result on, with code where the page may want to serve it."""
        assert self._made is not None
        work, made = self._made
        (trial,) = record.trials
        known = self._known.get(record.key)
        assert known is not None
        if known.best is not None and known.best.schedule == trial.schedule:
            trial = replace(trial, code=code_of(made, work.problem))
        self._say("tried", work, replace(record, trials=(trial,)))
        if self.tells_progress:
            report = _describe(self.report(0.0))
            self._page.say(json.dumps({"type": "progress", "report": report}))

    def _say(self, kind: str, work: Work, record: Record) -> None:
        self._page.say(
            json.dumps({"type": kind, "problem": work.index, "record": record_to_json(record)})
        )


def _planted(candidate: Candidate, code: Code) -> Candidate:
    """The candidate with other code; its panels stay those of its schedule."""
    if not isinstance(code, CpuCode):
        return replace(candidate, code=replace(candidate.code, source=code.wgsl))
    source = WasmCode(code.module, 0, code.scratch)
    panels = tuple(
        PanelCode(
            operand,
            KernelCode(
                code.packers[packer].name,
                WasmCode(code.module, 1 + packer, code.packers[packer].scratch),
                (BindingLayout(False), BindingLayout(True)),
            ),
            code.packers[packer].units,
            code.packers[packer].bytes,
        )
        for operand, packer in code.panels
    )
    grid = (code.units, 1, 1)
    return replace(candidate, code=replace(candidate.code, source=source), grid=grid, panels=panels)


def _describe(report: TuneReport) -> dict[str, object]:
    problems = [
        {
            "id": p.id, "count": p.count, "space": p.space, "trials": p.trials,
            "rejected": p.rejected, "default_ms": p.default_ms, "best_ms": p.best_ms,
            "speedup": p.speedup, "schedule": to_json(p.schedule),
        }
        for p in report.problems
    ]  # fmt: skip
    return {
        "trials": report.trials, "seconds": report.seconds, "before_ms": report.before_ms,
        "after_ms": report.after_ms, "problems": problems,
    }  # fmt: skip


class _PoliteDevice:
    """A device that lets the page go first: before a compilation, and before a pass is timed.

    A read with nothing replayed since the one before is how a pass begins, so what is waited for
    there isn't measured. A turn lasts for a while, which the reads around an empty pass fall into.
    """

    def __init__(self, device: Device, page: Page) -> None:
        self._device = device
        self._page = page
        self._replayed = False
        self._until = 0.0
        self.waited = 0.0

    @property
    def info(self) -> DeviceInfo:
        return self._device.info

    async def _turn(self) -> None:
        start = time.monotonic()
        await self._page.turn()
        now = time.monotonic()
        self.waited += now - start
        self._until = now + TURN_SECONDS

    async def compile(
        self, kernels: Sequence[KernelCode], progress: Callable[[int, int], None] | None = None
    ) -> list[Pipeline]:
        await self._turn()
        return await self._device.compile(kernels, progress)

    async def read_many(self, requests: Sequence[tuple[Buffer, int]]) -> list[bytes]:
        if not self._replayed and time.monotonic() > self._until:
            await self._turn()
        self._replayed = False
        return await self._device.read_many(requests)

    async def read(self, buffer: Buffer, size: int) -> bytes:
        return (await self.read_many([(buffer, size)]))[0]

    def replay(self, recording: Recording) -> None:
        self._replayed = True
        self._device.replay(recording)

    def allocate(self, size: int, label: str) -> Buffer:
        return self._device.allocate(size, label)

    def upload(self, buffer: Buffer, offset: int, data: memoryview) -> None:
        self._device.upload(buffer, offset, data)

    def record(self, dispatches: Sequence[Dispatch], uniform: Buffer) -> Recording:
        return self._device.record(dispatches, uniform)

    def discard(self, recording: Recording) -> None:
        self._device.discard(recording)

    def free(self, buffer: Buffer) -> None:
        self._device.free(buffer)

    def close(self) -> None:
        self._device.close()
