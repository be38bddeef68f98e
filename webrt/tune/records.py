"""Records: what was measured of which schedule, for which problem, on which device.

A file of records is one JSON object, so that it can be looked at, merged and put on any server:

    {"format": "webrt records", "version": 1, "records": [
      {"device": "webgpu/…", "codegen": "0.1.0", "problem": "contract:3f2a…", "dims": {"s1": 128},
       "default": 1.93, "shape": [1, 128, 1152, 384],
       "trials": [{"schedule": {…}, "ms": 0.97}, {"schedule": {…}, "failed": "…"}, …]}, …]}

A record holds for one device, one version of the code generator and one problem at one shape. Its
best schedule is that of the least `ms`; a schedule that failed is never served and never tried
again. A trial may carry its schedule's `code`, for pages (`code.py`). Records come from caches and
servers: everything is checked, what doesn't fit is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from webrt.errors import RecordsError
from webrt.kernel.problem import Problem
from webrt.kernel.text import print_problem
from webrt.runtime.device import DeviceInfo
from webrt.schedule import Schedule, from_json, to_json
from webrt.tune.code import Code, code_from_json, code_to_json
from webrt.version import __version__

FORMAT, VERSION = "webrt records", 1
MAX_BYTES = 16 << 20
MAX_TRIALS = 256


@dataclass(frozen=True, slots=True)
class Trial:
    """One schedule: `ms` a dispatch, or why it can't be used; maybe with its code.

    `at` is after how many seconds of tuning it was known, where that was told.
    """

    schedule: Schedule
    ms: float | None
    failed: str | None = None
    code: Code | None = None
    at: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Key:
    """What a record holds for. `dims` are the model's symbols at which it was measured."""

    device: str
    codegen: str
    problem: str
    dims: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """The trials of one key; `default_ms` is the default schedule's time in the same session.

    `shape` is the problem's extents at these dims (`order.shape_of`), by which other problems and
    devices learn from it.
    """

    key: Key
    default_ms: float
    trials: tuple[Trial, ...]
    shape: tuple[int, ...] = ()

    @property
    def best(self) -> Trial | None:
        """The fastest trial that worked."""
        timed = [t for t in self.trials if t.ms is not None]
        return min(timed, key=lambda t: t.ms or 0.0, default=None)


def device_key(info: DeviceInfo) -> str:
    """The device as records name it: what its kernels' speed depends on, nothing personal."""
    limits = info.limits
    shape = (
        limits.max_compute_invocations_per_workgroup,
        limits.max_compute_workgroup_storage_size,
        *info.features,
    )
    digest = hashlib.sha256(repr(shape).encode()).hexdigest()[:8]
    parts = (info.kind, info.vendor, info.architecture, info.adapter, digest)
    return "/".join(part.replace("/", "_") for part in parts)


def device_file(device: str) -> str:
    """Where pages look for a device's records in a folder of them (`web/records.js`)."""
    return f"{hashlib.sha256(device.encode()).hexdigest()[:16]}.json"


def problem_key(problem: Problem) -> str:
    """The problem by family and by a hash of its text: dtypes, dims, index maps and epilogue."""
    digest = hashlib.sha256(print_problem(problem).encode()).hexdigest()[:32]
    return f"{type(problem).__name__.lower()}:{digest}"


def make_key(info: DeviceInfo, problem: Problem, dims: Mapping[str, int]) -> Key:
    """The key of `problem` on a device at these values of the symbols it depends on."""
    return Key(device_key(info), __version__, problem_key(problem), tuple(sorted(dims.items())))


def cache_file() -> Path:
    """Where this user's records are, natively."""
    from platformdirs import user_cache_path

    return user_cache_path("webrt") / "records.json"


class Records:
    """A set of records, one a key; `source` is where they were read."""

    def __init__(self, records: Iterable[Record] = (), source: str = "records") -> None:
        self.source = source
        self._by_key: dict[Key, Record] = {}
        for record in records:
            self.add(record)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: Key) -> Record | None:
        return self._by_key.get(key)

    def add(self, record: Record) -> None:
        """Add a record; trials of one that is there already stay unless they are made anew."""
        known = self._by_key.get(record.key)
        if known is not None:
            anew = {t.schedule for t in record.trials}
            kept = tuple(t for t in known.trials if t.schedule not in anew)
            record = replace(record, trials=(*kept, *record.trials)[-MAX_TRIALS:])
        self._by_key[record.key] = record

    def best(self, key: Key) -> Schedule | None:
        """The schedule to serve, where one was found."""
        record = self.get(key)
        trial = None if record is None else record.best
        return None if trial is None else trial.schedule

    def without(self, device: str | None = None) -> Records:
        """The records of all devices but one; none at all where no device is named."""
        if device is None:
            return Records()
        return Records(r for r in self if r.key.device != device)

    def write_folder(self, folder: Path) -> None:
        """A file a device, as pages ask for them. Raises RecordsError."""
        for device in dict.fromkeys(r.key.device for r in self):
            Records(r for r in self if r.key.device == device).write(folder / device_file(device))

    def to_json(self) -> str:
        records = [record_to_json(r) for r in self]
        return json.dumps({"format": FORMAT, "version": VERSION, "records": records}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Records:
        """The records in `text`; raises RecordsError naming `where` for anything else."""
        if len(text) > MAX_BYTES:
            raise RecordsError(f"{where}: {len(text)} bytes of records are more than {MAX_BYTES}")
        try:
            data = json.loads(text)
            if data["format"] != FORMAT or data["version"] != VERSION:
                raise ValueError(f"expected {FORMAT!r} version {VERSION}")
            return cls((record_from_json(r) for r in data["records"]), where)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise RecordsError(f"{where}: not webrt's records: {reason}") from error

    @classmethod
    def read(cls, path: Path) -> Records:
        """The records in a file; none where there is no file. Raises RecordsError."""
        try:
            return cls.from_json(path.read_bytes(), str(path))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise RecordsError(f"{path}: can't be read: {error.strerror}") from error

    def write(self, path: Path) -> None:
        """Replace the file by these records, whole or not at all. Raises RecordsError."""
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(self.to_json() + "\n", encoding="utf-8")
            scratch.replace(path)
        except OSError as error:
            raise RecordsError(f"{path}: can't be written: {error.strerror}") from error
        finally:
            scratch.unlink(missing_ok=True)


def record_to_json(record: Record) -> dict[str, object]:
    """A record as a file holds it."""
    key = record.key
    trials: list[dict[str, object]] = []
    for trial in record.trials:
        made: dict[str, object] = {"schedule": to_json(trial.schedule)}
        made |= {"failed": trial.failed} if trial.ms is None else {"ms": round(trial.ms, 6)}
        made |= {} if trial.at is None else {"at": round(trial.at, 3)}
        if trial.ms is not None and trial.code is not None:
            made["code"] = code_to_json(trial.code)
        trials.append(made)
    return {
        "device": key.device, "codegen": key.codegen, "problem": key.problem,
        "dims": dict(key.dims), "default": round(record.default_ms, 6),
        **({"shape": list(record.shape)} if record.shape else {}), "trials": trials,
    }  # fmt: skip


def record_from_json(data: dict[str, object]) -> Record:
    names = [_text(data[name]) for name in ("device", "codegen", "problem")]
    dims, trials = data["dims"], data["trials"]
    if not isinstance(dims, dict) or not isinstance(trials, list) or len(trials) > MAX_TRIALS:
        raise ValueError("a record's dims or trials are malformed")
    pairs = [(_text(name), _count(value)) for name, value in dims.items()]
    made = tuple(_trials_from_json(trials, names[1]))
    key = Key(names[0], names[1], names[2], tuple(sorted(pairs)))
    shape = data.get("shape", [])
    if not isinstance(shape, list) or len(shape) > 8:
        raise ValueError("a record's shape is malformed")
    return Record(key, _time(data["default"]), made, tuple(_count(extent) for extent in shape))


def _trials_from_json(listed: list[dict[str, object]], codegen: str) -> Iterator[Trial]:
    """Another version's schedules may have knobs that this one hasn't: those are left out."""
    for data in listed:
        try:
            schedule = from_json(data["schedule"])
        except ValueError:
            if codegen == __version__:
                raise
            continue
        yield _trial_from_json(data, schedule)


def _trial_from_json(data: dict[str, object], schedule: Schedule) -> Trial:
    at = _time(data["at"]) if "at" in data else None
    if "failed" in data:
        return Trial(schedule, None, _text(data["failed"]), at=at)
    code = code_from_json(data["code"]) if "code" in data else None
    return Trial(schedule, _time(data["ms"]), code=code, at=at)


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 1000:
        raise ValueError(f"expected a short text, found {value!r:.60}")
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"expected a dim, found {value!r:.60}")
    return value


def _time(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type,operator]
        raise ValueError(f"expected a time, found {value!r:.60}")
    return float(value)  # type: ignore[arg-type]
