"""A short look at an adapter: which forms of a kernel pay here, and what rates can be had.

Four small problems are run in two forms each (tiles of 4 × 4 and 8 × 8, products staged in
workgroup memory or not, rows shared by lanes or not, elements by fours or not), and each form is
timed in turns with the other. The ratios order the spaces of the adapter (`schedule/base.py`'s
`Limits`); the rates are ceilings that a report may draw. It takes a second or two, most of it in
the driver's compiler, and runs wherever a `Device` does.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.kernel.expr import Const, Load, Ref, call
from webrt.kernel.problem import Contract, Map, Operand, Output, Pass, Problem, Reduce
from webrt.runtime.device import Device, DeviceInfo
from webrt.schedule import Schedule
from webrt.schedule.contract import ContractSchedule
from webrt.schedule.map import MapSchedule
from webrt.schedule.reduce import ReduceSchedule
from webrt.tune.candidate import Rates, default_candidate, generate
from webrt.tune.records import device_key
from webrt.tune.trial import Trials

SIDE, DEPTH = 128, 128
"""Rows and columns, and k, of the products: 4 MFLOP, which a slow adapter does in milliseconds."""

ROWS, LENGTH = 128, 512
ELEMENTS = 1 << 18

FORMAT, VERSION = "webrt probes", 1
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Probe:
    """What was measured: see `Limits` for the ratios; `gflops` and `gbytes` are the best rates."""

    large_tiles: float
    staging: float
    sharing: float
    quads: float
    gflops: float
    gbytes: float

    @property
    def rates(self) -> Rates:
        """What orders and prunes spaces."""
        return Rates(self.large_tiles, self.staging, self.sharing, self.quads)


def product() -> Contract:
    """A product of two matrices."""
    m, n, k = symbol("m"), symbol("n"), symbol("k")
    operands = (Operand(DType.F32, SIDE * DEPTH), Operand(DType.F32, DEPTH * SIDE, True))
    a, b = Load(0, m * DEPTH + k, DType.F32), Load(1, k * SIDE + n, DType.F32)
    out = Output(DType.F32, SIDE * SIDE, m * SIDE + n, Ref("acc", DType.F32))
    return Contract((), SIDE, SIDE, DEPTH, operands, a, b, (out,))


def sums() -> Reduce:
    """The sum of each row of a matrix."""
    row, place = symbol("i0"), symbol("r0")
    value = Load(0, row * LENGTH + place, DType.F32)
    out = Output(DType.F32, ROWS, row, Ref("p0", DType.F32))
    operands = (Operand(DType.F32, ROWS * LENGTH),)
    return Reduce((ROWS,), (LENGTH,), operands, (Pass("sum", value),), (out,))


def copies() -> Map:
    """Twice each element of a row."""
    at = symbol("i0")
    twice = call("mul", Const(2.0, DType.F32), Load(0, at, DType.F32))
    out = Output(DType.F32, ELEMENTS, at, twice)
    return Map((ELEMENTS,), (Operand(DType.F32, ELEMENTS),), (out,))


async def probe(device: Device, clock: Callable[[], float] = time.perf_counter) -> Probe:
    """Measure a device. On wasm, whose spaces need no ratios, the rates only.

    Raises DeviceLostError; a form that the device refuses counts as one that doesn't pay.
    """
    wasm = device.info.kind == "wasm"
    products: list[Schedule | None] = [None]
    rows: list[Schedule | None] = [None]
    elements: list[Schedule | None] = [None]
    if not wasm:
        large = ContractSchedule(8, 8, 2, 8)
        products = [ContractSchedule(4, 4, 4, 8), large, ContractSchedule(4, 4, 4, 8, 1, 16)]
        rows = [ReduceSchedule(1, 32, 4), ReduceSchedule(32, 1, 4)]
        elements = [MapSchedule(128, 1), MapSchedule(128, 4)]
    small, *others = await _times(device, product(), products, clock)
    alone, *shared = await _times(device, sums(), rows, clock)
    single, *fours = await _times(device, copies(), elements, clock)
    return Probe(
        large_tiles=_ratio(small, others[0]) if others else 0.0,
        staging=_ratio(small, others[1]) if others else 0.0,
        sharing=_ratio(alone, shared[0]) if shared else 0.0,
        quads=_ratio(single, fours[0]) if fours else 0.0,
        gflops=2e-6 * SIDE * SIDE * DEPTH / min([small, *others[:1]]),
        gbytes=8e-6 * ELEMENTS / min([single, *fours]),
    )


async def _times(
    device: Device, problem: Problem, schedules: list[Schedule | None], clock: Callable[[], float]
) -> list[float]:
    """Milliseconds of each form; infinity where the device refuses it. None is the default."""
    info = device.info
    trials = Trials(device, problem, {}, clock=clock)
    try:
        return await trials.glance(
            [
                default_candidate(problem, info) if s is None else generate(problem, s, info)
                for s in schedules
            ]
        )
    finally:
        trials.close()


def _ratio(before: float, after: float) -> float:
    """How many times faster, within bounds: a rate of nothing or of everything orders nothing."""
    if not math.isfinite(before):
        return 1.0
    return max(0.05, min(20.0, before / after))


def to_json(found: Probe) -> dict[str, float]:
    """A probe as files and pages keep it."""
    return {name: round(value, 4) for name, value in asdict(found).items()}


def from_json(data: object) -> Probe:
    """The inverse of `to_json`; raises ValueError for anything else."""
    names = [f.name for f in fields(Probe)]
    if not isinstance(data, dict) or sorted(data) != sorted(names):
        raise ValueError(f"expected {names}, found {data!r:.100}")
    for name, value in data.items():
        if type(value) not in (int, float) or not 0 <= value < 1e9:
            raise ValueError(f"{name}: expected a rate, found {value!r:.60}")
    return Probe(**{name: float(data[name]) for name in names})


def cache_file() -> Path:
    """Where this user's probes are, natively."""
    from platformdirs import user_cache_path

    return user_cache_path("webrt") / "probes.json"


async def cached(device: Device, file: Path) -> Probe:
    """The probe of a device as `file` knows it, else measured now and kept there.

    A file that can't be read is made anew: it holds nothing that can't be measured again.
    """
    found = known(device.info, file)
    if found is None:
        found = await probe(device)
        _write(file, {**_read(file), device_key(device.info): found})
    return found


def known(info: DeviceInfo, file: Path) -> Probe | None:
    """The probe of a device that `file` holds."""
    return _read(file).get(device_key(info))


def _read(file: Path) -> dict[str, Probe]:
    try:
        if file.stat().st_size > MAX_BYTES:
            return {}
        data = json.loads(file.read_bytes())
        if data["format"] != FORMAT or data["version"] != VERSION:
            return {}
        return {str(key): from_json(value) for key, value in data["probes"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _write(file: Path, found: dict[str, Probe]) -> None:
    probes = {key: to_json(value) for key, value in found.items()}
    text = json.dumps({"format": FORMAT, "version": VERSION, "probes": probes}, indent=1)
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text + "\n")
        scratch.replace(file)
    except OSError:
        scratch.unlink(missing_ok=True)  # it is measured again next time
