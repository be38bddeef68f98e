"""How long each model was tuned at each shape on each device: a second visit runs no trial.

A small JSON object beside the user's records, seconds by key. Nothing depends on it but time: what
isn't in form counts as nothing, and whoever deletes it tunes again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from webrt.runtime.session import Session
from webrt.tune.records import device_key, problem_key
from webrt.version import __version__

MAX_BYTES = 1 << 20
MAX_KEYS = 4096


def key_of(session: Session, bindings: Mapping[str, int]) -> str:
    """The model by its problems, the device, the code generator and the shape."""
    problems = sorted(problem_key(p) for p in session.pack.plan.problems)
    parts = (device_key(session.device_info), __version__, problems, sorted(bindings.items()))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def seconds_of(records: Path, key: str) -> float:
    """Seconds of tuning so far; `records` is the file of records that this one stands beside."""
    return _read(_beside(records)).get(key, 0.0)


def add(records: Path, key: str, seconds: float) -> None:
    """Note some seconds more; where nothing can be written, nothing is."""
    file = _beside(records)
    known = _read(file)
    known[key] = known.pop(key, 0.0) + round(seconds, 1)
    latest = dict(list(known.items())[-MAX_KEYS:])
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(OSError):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(latest))
            scratch.replace(file)
        finally:
            scratch.unlink(missing_ok=True)


def _beside(records: Path) -> Path:
    return records.with_name("tuned.json")


def _read(file: Path) -> dict[str, float]:
    try:
        if file.stat().st_size > MAX_BYTES:
            return {}
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        key: float(value)
        for key, value in found.items()
        if type(value) in (int, float) and math.isfinite(value) and value > 0
    }
