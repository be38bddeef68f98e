"""Tuning of a session while it serves: a thread that minds the trials and swaps winners in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webrt.errors import CompileError, RecordsError, WebrtError
from webrt.kernel.problem import specialise
from webrt.runtime.bind import bind
from webrt.runtime.device import Pipeline
from webrt.runtime.kernels import Candidate
from webrt.runtime.session import Session
from webrt.runtime.sync import run_sync
from webrt.tune import spent
from webrt.tune.apart import PATIENCE, Apart
from webrt.tune.candidate import generate, may_serve
from webrt.tune.records import Record, Records
from webrt.tune.tuner import LEAST_GAIN

_log = logging.getLogger("webrt")


@dataclass(frozen=True, slots=True)
class TuneProgress:
    """How tuning stands. `before_ms` and `after_ms` add up the kernels of a run.

    `problems` are those of `webrt tune --json`.
    """

    trials: int
    before_ms: float
    after_ms: float
    problems: tuple[Mapping[str, Any], ...]


class Tuning:
    """Tunes a session in a process apart (`apart.py`), at one shape, and swaps in what is faster.

    What was found is in `records`, and in `file`, where one is given, once tuning is over.
    `cancel` ends it at once; `wait` returns when it is over.
    """

    def __init__(
        self,
        session: Session,
        manifest: bytes,
        bindings: Mapping[str, int],
        seconds: float,
        records: Records,
        *,
        file: Path | None = None,
        progress: Callable[[TuneProgress], None] | None = None,
        patience: float = PATIENCE,
        planted: list[dict[str, Any]] | None = None,
    ) -> None:
        self.records = records
        self.report: TuneProgress | None = None
        self.error: WebrtError | None = None
        self._session = session
        self._info = session.device_info
        self._bindings = dict(bindings)
        self._seconds = seconds
        self._file = file
        self._listener = progress
        self._cancelled = False
        self._served: dict[int, float] = {}
        self._found: list[Record] = []
        self._apart = Apart(
            manifest, session.device_info, bindings, records,
            tell=self._told, progress=self._progressed, turn=lambda: session.lock,
            patience=patience, planted=planted or (),
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="webrt tuning", daemon=True)

    def listen(self, progress: Callable[[TuneProgress], None]) -> None:
        """Hear how tuning stands after every trial, from now on."""
        self._listener = progress

    def start(self) -> None:
        self._thread.start()

    def run(self) -> TuneProgress | None:
        """Tune on the caller's thread; raises what `error` would hold."""
        begin = time.monotonic()
        whole = False
        try:
            report = self._apart.run(self._seconds)
            if report is not None:
                self._progressed(report)
            # What came to its end by itself has nothing more to do in that time.
            whole = not self._cancelled
        finally:
            self._keep(self._seconds if whole else time.monotonic() - begin)
        return self.report

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def cancel(self) -> None:
        """End it; what was found until now stays."""
        self._cancelled = True
        self._apart.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether tuning is over, after at most `timeout` seconds."""
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.run()
        except WebrtError as error:
            self.error = error
            _log.warning("tuning ended: %s", error)

    def _progressed(self, report: Mapping[str, Any]) -> None:
        self.report = TuneProgress(
            report["trials"], report["before_ms"], report["after_ms"], tuple(report["problems"])
        )
        if self._listener is not None:
            self._listener(self.report)

    def _told(self, problem: int, record: Record) -> None:
        """Swap in what is faster than what serves, by more than noise."""
        self._found.append(record)
        (trial,) = record.trials
        known = self.records.get(record.key)
        assert known is not None
        others = [t.ms for t in known.trials if t.ms is not None and t.schedule != trial.schedule]
        serving = self._served.setdefault(problem, min([record.default_ms, *others]))
        if trial.ms is None or trial.ms >= serving * (1 - LEAST_GAIN):
            return
        session = self._session
        if session.device_info != self._info:
            return  # it was lost, and another one serves
        here = specialise(session.pack.plan.problems[problem], self._bindings)
        if not may_serve(here, trial.schedule, session.device_info):
            return  # what another process says is checked
        try:
            self._swap(problem, generate(here, trial.schedule, session.device_info))
        except CompileError as error:
            _log.warning("tuning: %s", error)
            return
        self._served[problem] = trial.ms

    def _swap(self, problem: int, candidate: Candidate) -> None:
        """Between two runs; what a GPU's driver compiles, it compiles while they go on."""
        session, device = self._session, self._session.device
        compiled: list[Pipeline] = []
        if session.device_info.kind == "webgpu":
            codes = [candidate.code, *(p.code for p in candidate.panels)]
            compiled = run_sync(device.compile(codes))
        with session.lock:
            if session.device is not device:
                return  # another one serves since the device was lost
            run_sync(session.swap(self._bindings, problem, candidate, compiled))

    def _keep(self, seconds: float) -> None:
        """Add what was found to the file; another process may have written to it meanwhile."""
        if self._file is None:
            return
        spent.add(self._file, spent.key_of(self._session, self._bindings), seconds)
        if not self._found:
            return
        try:
            merged = Records.read(self._file)
            for record in self._found:
                merged.add(record)
            merged.write(self._file)
        except RecordsError as error:
            _log.warning("%s", error)


class HotShape:
    """Tunes a session at the shape that it runs first, from then on: the first run never waits.

    Time that this shape was tuned for before, on this device, counts: a second visit runs no trial.
    Other shapes keep the kernels that they have.
    """

    def __init__(
        self,
        session: Session,
        manifest: bytes,
        seconds: float,
        records: Records,
        file: Path | None,
        progress: Callable[[TuneProgress], None] | None,
    ) -> None:
        def make(bindings: Mapping[str, int]) -> Tuning | None:
            left = seconds
            if file is not None:
                left -= spent.seconds_of(file, spent.key_of(session, bindings))
            if left <= 0:
                return None
            return Tuning(session, manifest, bindings, left, records, file=file, progress=progress)

        self._make = make
        self._plan = session.pack.plan
        self._over = False
        self.tuning: Tuning | None = None

    def ran(self, feeds: Mapping[str, object]) -> None:
        """Begin, unless that has happened, or the shape is one that only a run tells."""
        if self.tuning is not None or self._over:
            return
        values, _ = bind(self._plan, feeds)
        if len(values) == len(self._plan.symbols):
            bindings = {s.id: v for s, v in zip(self._plan.symbols, values, strict=True)}
            self.tuning = self._make(bindings)
            self._over = True
            if self.tuning is not None:
                self.tuning.start()

    @property
    def report(self) -> TuneProgress | None:
        """How tuning stands; None before its first trial."""
        return None if self.tuning is None else self.tuning.report

    def cancel(self) -> None:
        """End tuning, or don't begin; what was found stays."""
        self._over = True
        if self.tuning is not None:
            self.tuning.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether tuning is over, after at most `timeout` seconds."""
        return self.tuning is None or self.tuning.wait(timeout)

    def close(self) -> None:
        self.cancel()
        self.wait()
