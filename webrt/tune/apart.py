"""Tuning in a process of its own: a candidate that hangs or crashes costs that candidate only.

A kernel that never ends can't be interrupted on every device, one that faults may take its device
or the whole process along. So trials run in a child (`child.py`) on a device that is its own. A
child that falls silent, dies or loses its device in a trial is ended, what it tried is recorded as
bad, and another child goes on with the records so far.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from webrt import errors
from webrt.errors import DeviceError, WebrtError
from webrt.runtime.device import RELAXED_SIMD, DeviceInfo
from webrt.tune import probe
from webrt.tune.records import Record, Records, device_key, record_from_json

PATIENCE = 20.0
"""Seconds of silence in which a trial never ends: SwiftShader compiles for up to 5 (2026-11)."""
IDLE_PATIENCE = 60.0
"""The same while nothing is tried: a process begins, opens the device, generates code."""

HUNG = "it never ended"
DIED = "it took the process with it"

Message = dict[str, Any]
_KINDS: dict[str, type[WebrtError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, WebrtError)
}


class Apart:
    """Tunes a pack on a device like `info` in child processes. One thread calls `run`.

    `tell` gets each problem's number with the record of a trial, once `records` holds it;
    `progress` gets the tuner's report so far, as JSON; `turn` is entered before each pass: where
    runs of the model hold it, trials wait for them.
    """

    def __init__(
        self,
        manifest: bytes,
        info: DeviceInfo,
        bindings: Mapping[str, int],
        records: Records,
        *,
        tell: Callable[[int, Record], None] | None = None,
        progress: Callable[[Message], None] | None = None,
        turn: Callable[[], AbstractContextManager[object]] | None = None,
        patience: float = PATIENCE,
        planted: Sequence[Message] = (),
    ) -> None:
        self._manifest = manifest
        self._info = info
        self._bindings = dict(bindings)
        self._records = records
        self._tell = tell or (lambda problem, record: None)
        self._progress = progress or (lambda report: None)
        self._turn = turn or nullcontext
        self._patience = patience
        self._planted = list(planted)
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._bad: set[str] = set()

    def cancel(self) -> None:
        """End `run` at once; the trial under way is left, and not held against its candidate."""
        with self._lock:
            self._cancelled.set()
            if self._child is not None:
                self._child.kill()

    def run(self, seconds: float) -> Message | None:
        """Tune for at most `seconds`; returns the tuner's last report, None if there was none.

        Raises DeviceError where the device can't be had again, or where defaults fail on it.
        """
        begin = time.monotonic()
        report: Message | None = None
        while not self._cancelled.is_set():
            left = seconds - (time.monotonic() - begin)
            if left <= 0:
                break
            with self._lock:
                if self._cancelled.is_set():
                    break
                self._child = _Child(self._manifest, self._request(left))
            try:
                ended, report = self._follow(self._child, report)
            finally:
                self._child.end()
            if ended:
                break
        return report

    def _request(self, seconds: float) -> Message:
        info = self._info
        device = {
            "kind": info.kind, "adapter": info.adapter, "threads": info.threads,
            "relaxed": RELAXED_SIMD in info.features, "key": device_key(info),
        }  # fmt: skip
        known = json.loads(self._records.to_json())
        probed = probe.known(info, probe.cache_file())
        return {
            "device": device, "manifest": len(self._manifest), "dims": self._bindings,
            "seconds": seconds, "records": known, "progress": True, "planted": self._planted,
            "probe": None if probed is None else probe.to_json(probed),
        }  # fmt: skip

    def _follow(self, child: _Child, report: Message | None) -> tuple[bool, Message | None]:
        """Do what a child says until it ends; whether tuning is over, and the last report."""
        trying: tuple[int, Record] | None = None
        while True:
            message = child.hear(self._patience if trying else IDLE_PATIENCE)
            if self._cancelled.is_set():
                return True, report
            match message:
                case {"type": "turn"}:
                    with self._turn():
                        pass
                    child.grant()
                case {"type": "trying"}:
                    trying = _record_of(message)
                case {"type": "tried"}:
                    trying = None
                    self._note(*_record_of(message))
                case {"type": "progress", "report": so_far}:
                    report = so_far
                    self._progress(so_far)
                case {"type": "report", "report": last}:
                    return True, last
                case {"type": "error", "kind": kind, "message": text}:
                    if trying is None or not issubclass(_KINDS[kind], DeviceError):
                        raise _KINDS[kind](text)
                    self._blame(trying, text, child)
                    return False, report
                case _:
                    silent = message == {"type": "silent"}
                    self._blame(trying, HUNG if silent else DIED, child)
                    return False, report

    def _note(self, problem: int, record: Record) -> None:
        self._records.add(record)
        self._tell(problem, record)

    def _blame(self, trying: tuple[int, Record] | None, reason: str, child: _Child) -> None:
        """Record what was being tried as bad; raises DeviceError where that is of no help."""
        if trying is None:
            raise DeviceError(
                f"tuning {self._info.adapter}: the process ended ({child.last_words()})"
            )
        problem, record = trying
        (trial,) = record.trials
        name = f"{record.key.problem} {trial.schedule}"
        if name in self._bad:  # it is tried again: a default, which everything is held to
            raise DeviceError(f"tuning {self._info.adapter}: {record.key.problem}: {reason}")
        self._bad.add(name)
        self._note(problem, replace(record, trials=(replace(trial, ms=None, failed=reason),)))


def _record_of(message: Message) -> tuple[int, Record]:
    return message["problem"], record_from_json(message["record"])


class _Child:
    """A child process, and what it says."""

    def __init__(self, manifest: bytes, request: Message) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "webrt.tune.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._write(json.dumps(request).encode() + b"\n" + manifest)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError):  # a line that was broken off
            for line in self._process.stdout:
                self._messages.put(json.loads(line))
        self._messages.put({"type": "gone"})

    def hear(self, patience: float) -> Message:
        """What the child says next; that it is silent, or gone."""
        try:
            return self._messages.get(timeout=patience)
        except Empty:
            return {"type": "silent"}

    def grant(self) -> None:
        self._write(b"\n")

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it is gone: `hear` will tell
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"status {self._process.poll()}"

    def kill(self) -> None:
        """From any thread: whoever minds it hears that it is gone, and ends it."""
        self._process.kill()

    def end(self) -> None:
        """Kill it, if it is still there: nothing that it does is worth waiting for."""
        self.kill()
        self._process.wait()
        self._listener.join()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            assert file is not None
            with suppress(OSError):
                file.close()
