"""Runs ONNX's backend cases the way users do: packed, loaded, run, on devices that cases share.

`python tests/backend.py [GLOB …]` prints which cases of which operators don't pass yet, and why.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import fnmatch
import json
import shutil
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import adapters
import drivers
import numpy as np
import onnx
from onnx import TensorProto
from onnx_cases import SUITES, Case, all_cases

import webrt
from webrt.errors import ShapeError, UnsupportedOpError, WebrtError
from webrt.frontend.tensors import ELEMENT_TYPES
from webrt.ops.table import CASES
from webrt.runtime.device import Buffer, Device, DeviceInfo, Dispatch, Recording
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync

assert drivers.DRIVERS  # imported for what it does
DEVICES = {"wasm": ("wasm-1", "wasm-2", "wasm-plain-1"), "webgpu": ("llvmpipe",)}
"""By kind, the devices of `adapters` that share its cases: each case has its own, always that."""
SHORT = {TensorProto.DataType.Name(n): str(d) for n, d in ELEMENT_TYPES.items()}
"""Our names of ONNX's element types."""
ROUNDINGS = 4
"""Units in the last place of the largest element that cancelled sums may leave."""
LOANS = 300
"""A device is opened anew after so many sessions: a wasm device never forgets a module."""


class Lent:
    """A device that a session may close: what the session made goes, the device stays."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._buffers: list[Buffer] = []
        self._recordings: list[Recording] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    @property
    def info(self) -> DeviceInfo:
        return self._device.info

    def allocate(self, size: int, label: str) -> Buffer:
        self._buffers.append(self._device.allocate(size, label))
        return self._buffers[-1]

    def free(self, buffer: Buffer) -> None:
        self._buffers.remove(buffer)
        self._device.free(buffer)

    def record(self, dispatches: Sequence[Dispatch], uniform: Buffer) -> Recording:
        self._recordings.append(self._device.record(dispatches, uniform))
        return self._recordings[-1]

    def discard(self, recording: Recording) -> None:
        self._recordings.remove(recording)
        self._device.discard(recording)

    def close(self) -> None:
        for recording in self._recordings:
            self._device.discard(recording)
        for buffer in self._buffers:
            self._device.free(buffer)
        self._recordings, self._buffers = [], []


class Devices:
    """Devices by name, opened when they are first asked for."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Device, contextlib.ExitStack]] = {}
        self._loans: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def lend(self, kind: str, key: str = "") -> Iterator[Lent]:
        """One of the devices of that kind: the same for the same key."""
        names = DEVICES[kind]
        name = names[zlib.crc32(key.encode()) % len(names)]
        if name in self._open and self._loans[name] % LOANS == 0:
            self._drop(name)
        if name not in self._open:
            stack = contextlib.ExitStack()
            self._open[name] = (stack.enter_context(adapters.opened(name)), stack)
        self._loans[name] += 1
        lent = Lent(self._open[name][0])
        try:
            yield lent
        except ShapeError:
            lent.close()
            raise
        except Exception:
            self._drop(name)  # it may be lost: the next one gets another
            raise
        lent.close()

    def _drop(self, name: str) -> None:
        _, stack = self._open.pop(name)
        stack.close()

    def close(self) -> None:
        for name in list(self._open):
            self._drop(name)


@dataclass(frozen=True)
class Packed:
    """A case as a pack; `constants` are the inputs that had to be known."""

    folder: Path
    constants: tuple[str, ...]
    dispatches: int
    variant: int = 0

    @property
    def is_folded(self) -> bool:
        return self.dispatches == 0


def pack_case(case: Case, out: Path, first: int = 0) -> Packed:
    """The case as it is or, where it is refused, with the fewest small inputs as constants.

    Raises the last refusal where none of that can be packed; types are refused at once. `first` is
    the variant to begin with.
    """
    last: WebrtError | None = None
    model = out.with_suffix(".onnx")
    for number, (proto, constants) in enumerate(case.variants()):
        if number < first:
            continue
        model.write_bytes(proto.SerializeToString())
        try:
            return Packed(out, constants, webrt.pack(model, out).dispatches, number)
        except WebrtError as error:
            last = error
            if case.missing or not case.is_typed:
                break
    raise last or UnsupportedOpError(f"{case.id}: no other input may be a constant")


def run_case(case: Case, packed: Packed, lent: Lent) -> list[dict[str, Any]]:
    """The outputs by name of each of the case's data sets, through a session of its own."""
    session = run_sync(Session.open(FolderSource(packed.folder), lent))
    outputs = []
    for number in range(len(case.data)):
        feeds = case.feeds(number)
        outputs.append(session.run({i.name: feeds[i.name] for i in session.inputs}))
    session.close()
    return outputs


def check_case(case: Case, packed: Packed, lent: Lent) -> None:
    """Run the case; raises AssertionError for an answer that isn't the suite's."""
    names = [o.name for o in case.model.graph.output]
    found = run_case(case, packed, lent)
    for outputs, (_, wanted) in zip(found, case.data, strict=True):
        for name, array in zip(names, wanted, strict=False):
            assert array is not None
            assert_similar(outputs[name], array, case, name)


def assert_similar(found: Any, wanted: Any, case: Case, name: str) -> None:
    """What onnx's own runner demands: dtype, shape, |found - wanted| ≤ atol + rtol·|wanted|.

    Besides: a float16 result may be the next number, as that runner allows of bfloat16; their
    step is up to 1e-3 of the number, and the references round to float16 on their way. Where sums
    cancel (`CANCELLING`), what is left over is measured by the largest element: the references'
    own zeros are off by more than atol there.
    """
    assert found.shape == wanted.shape, f"{name}: {found.shape} for {wanted.shape}"
    assert found.dtype == wanted.dtype, f"{name}: {found.dtype} for {wanted.dtype}"
    atol: Any = case.atol
    if wanted.dtype == np.float16:
        finite = np.where(np.isfinite(wanted), wanted, 0).astype(np.float16)
        atol = atol + np.spacing(np.abs(finite)).astype(np.float64)
    if case.cancels and wanted.size:
        atol = atol + np.spacing(np.abs(wanted).max()) * ROUNDINGS
    a, b = (x.astype(np.float64) if x.dtype.kind == "f" else x for x in (found, wanted))
    if wanted.dtype.kind != "f" or np.isscalar(atol):
        np.testing.assert_allclose(a, b, rtol=case.rtol, atol=atol, err_msg=name)
        return
    kept = np.isfinite(b)
    np.testing.assert_array_equal(a[~kept], b[~kept], err_msg=name)
    off = np.abs(a[kept] - b[kept])
    bad = off > atol[kept] + case.rtol * np.abs(b[kept])
    assert not bad.any(), f"{name}: {bad.sum()} of {b.size} wrong, off by up to {off[bad].max()}"


class Shelf:
    """The pack of the case that was asked for last: its devices come one after the other."""

    def __init__(self, folder: Path) -> None:
        self._out = folder / "pack"
        self._last: tuple[str, Packed | WebrtError] | None = None

    def pack(self, case: Case, first: int = 0) -> Packed:
        """The pack, made anew from variant `first` on if that isn't 0; raises its refusal."""
        if self._last is None or self._last[0] != case.id or first:
            shutil.rmtree(self._out, ignore_errors=True)
            try:
                self._last = case.id, pack_case(case, self._out, first)
            except WebrtError as error:
                self._last = case.id, error
        found = self._last[1]
        if isinstance(found, WebrtError):
            raise found
        return found

    def check(self, case: Case, kind: str, devices: Devices) -> Packed:
        """Run the case; a run that refuses an input's values is given them as constants.

        A size that a run reads may not be negative, an integer has to fit: then the model that
        knows the values is the one to run. Raises what `check_case` does, and the refusal of the
        run where no constant helps.
        """
        packed = self.pack(case)
        refused: ShapeError | None = None
        while True:
            try:
                with devices.lend(kind, case.id) as lent:
                    check_case(case, packed, lent)
                return packed
            except ShapeError as error:
                refused = refused or error
            try:
                packed = self.pack(case, packed.variant + 1)
            except WebrtError:
                self._last = case.id, refused
                raise refused from None


@dataclass
class Tally:
    """What became of the cases on one device."""

    passed: list[Case] = field(default_factory=list)
    folded: int = 0
    constants: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


def survey(
    cases: Sequence[Case], kinds: Sequence[str], report: Callable[[str], None]
) -> dict[str, Tally]:
    """Run cases on devices and tell what doesn't pass."""
    tallies = {kind: Tally() for kind in kinds}
    devices = Devices()
    root = Path(tempfile.mkdtemp(prefix="webrt-backend-"))
    shelf = Shelf(root)
    try:
        for number, case in enumerate(cases):
            _survey_one(case, tallies, devices, shelf)
            if number % 100 == 99:
                report(f"{number + 1} of {len(cases)} cases")
    finally:
        devices.close()
        shutil.rmtree(root)
    return tallies


def _survey_one(case: Case, tallies: dict[str, Tally], devices: Devices, shelf: Shelf) -> None:
    for kind, tally in tallies.items():
        try:
            packed = shelf.check(case, kind, devices)
        except UnsupportedOpError as error:
            tally.refused[case.id] = _line(error)
            continue
        except Exception as error:
            tally.wrong[case.id] = _line(error)
            continue
        tally.passed.append(case)
        tally.folded += packed.is_folded
        tally.constants += bool(packed.constants)


def record(cases: Sequence[Case], passed: Mapping[str, Collection[str]]) -> dict[str, object]:
    """What `webrt/ops/cases.json` holds: of each operator, and of the counted node cases.

    `passed` maps a device's kind to the ids of the cases that pass there.
    """
    operators: dict[str, dict[str, Any]] = {}
    for case in cases:
        for name in case.operators:
            one = operators.setdefault(name, {"cases": 0, "passed": dict.fromkeys(passed, 0)})
            one["cases"] += 1
            one.setdefault("dtypes", set())
            for kind, ids in passed.items():
                one["passed"][kind] += case.id in ids
            if all(case.id in ids for ids in passed.values()) and len(case.operators) == 1:
                one["dtypes"] |= {SHORT[t] for t in case.types if t in SHORT}
    for one in operators.values():
        one["dtypes"] = [d for d in SHORT.values() if d in one["dtypes"]]
    counted = [c.id for c in cases if c.is_in_scope]
    counts = {kind: sum(id in ids for id in counted) for kind, ids in passed.items()}
    return {
        "onnx": onnx.__version__,
        "node_cases": {"cases": len(counted), "passed": counts},
        "operators": dict(sorted(operators.items())),
    }


def _line(error: BaseException) -> str:
    """The error as one short line, with its place where it wasn't raised on purpose."""
    place = ""
    if not isinstance(error, WebrtError | AssertionError):
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f" at {Path(last.filename).name}:{last.lineno}"
    return f"{type(error).__name__}{place}: {' '.join(str(error).split())[:220]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("globs", nargs="*", help="of suite/name, or operators' names")
    parser.add_argument("--device", nargs="+", default=list(DEVICES), choices=list(DEVICES))
    parser.add_argument("--suite", nargs="+", default=list(SUITES[:4]), choices=SUITES)
    parser.add_argument("--missing", action="store_true", help="list operators that aren't there")
    parser.add_argument("--json", type=Path, help="write passes and failures here")
    parser.add_argument("--record", action="store_true", help="renew webrt/ops/cases.json")
    arguments = parser.parse_args()
    cases = [c for c in all_cases() if c.suite in arguments.suite]
    if arguments.globs:
        cases = [c for c in cases if _is_meant(c, arguments.globs)]
    if arguments.missing:
        print_missing(cases)
        return
    start = time.perf_counter()
    tallies = survey(cases, arguments.device, lambda text: print(text, file=sys.stderr))
    for kind, tally in tallies.items():
        print_tally(kind, tally, cases)
    print(f"{len(cases)} cases in {time.perf_counter() - start:.0f} s")
    if arguments.record:
        passed = {kind: {c.id for c in t.passed} for kind, t in tallies.items()}
        CASES.write_text(json.dumps(record(cases, passed), indent=1) + "\n")
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {
                    kind: {
                        "passed": [c.id for c in t.passed],
                        "refused": t.refused,
                        "wrong": t.wrong,
                    }
                    for kind, t in tallies.items()
                }
            )
        )


def _is_meant(case: Case, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(case.id, g) or g in case.operators for g in globs)


def print_missing(cases: Sequence[Case]) -> None:
    """Operators that the registry lacks, with how many of the counted cases wait for them."""
    alone: collections.Counter[str] = collections.Counter()
    held: collections.Counter[str] = collections.Counter()
    for case in cases:
        held.update(case.missing)
        if len(case.missing) == 1 and case.is_in_scope:
            alone.update(case.missing)
    print("cases  cases of the counted ones that need it alone")
    for name, count in sorted(held.items(), key=lambda item: (-alone[item[0]], item)):
        print(f"{count:5} {alone[name]:5}  {name}")


def print_tally(kind: str, tally: Tally, cases: Sequence[Case]) -> None:
    scope = [c for c in tally.passed if c.is_in_scope]
    print(f"== {kind}: {len(tally.passed)} of {len(cases)} pass", end=" ")
    print(f"({len(scope)} of {sum(c.is_in_scope for c in cases)} counted node cases;", end=" ")
    print(f"{tally.constants} with inputs as constants, {tally.folded} folded at pack time)")
    for title, found in (("WRONG", tally.wrong), ("refused", tally.refused)):
        for name, why in sorted(found.items()):
            print(f"  {title} {name}: {why}")


if __name__ == "__main__":
    main()
