"""A schedule's code as a record may carry it: for pages, which can't make it from the schedule.

    {"wgsl": "…", "grid": [8, 4, 1]}
    {"module": "AGFzbQ…", "units": 32, "scratch": 0, "panels": [[1, 0]],
     "packers": [{"name": "packer_0", "units": 12, "scratch": 0, "reads": 4096, "bytes": 4096}]}

The first is for GPUs, the second for CPUs: a module in base64 whose entry 0 is the kernel and whose
further entries are the packers; `panels` pairs operands with packers, as a pack's manifest does.
Everything is specialised to the record's dims, so there are no symbols in it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Union

from webrt import dims
from webrt.kernel.problem import Problem
from webrt.pack.format import MAX_WGSL_BYTES, Packer
from webrt.runtime.device import WasmCode
from webrt.runtime.kernels import Candidate

MAX_MODULE_BYTES = 4 << 20
_MOST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class GpuCode:
    """WGSL and the workgroups of a dispatch."""

    wgsl: str
    grid: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class CpuCode:
    """A module, the units of work of its kernel, and the packers of its constants."""

    module: bytes
    units: int
    scratch: int
    packers: tuple[Packer, ...]
    panels: tuple[tuple[int, int], ...]


Code = Union[GpuCode, CpuCode]


def code_of(candidate: Candidate, problem: Problem) -> Code:
    """What a page needs of a candidate; `problem` has no symbols left."""
    source = candidate.code.source
    x, y, z = (dims.evaluate(extent, {}) for extent in candidate.grid)
    if isinstance(source, str):
        return GpuCode(source, (x, y, z))
    packers: dict[int, Packer] = {}
    panels = []
    for panel in candidate.panels:
        code = panel.code.source
        assert isinstance(code, WasmCode)
        operand = problem.operands[panel.operand]
        reads = dims.evaluate(operand.size, {}) * operand.dtype.storage.bytes
        made = Packer(panel.code.name, panel.units, code.scratch, reads, panel.bytes)
        packers[code.entry - 1] = made
        panels.append((panel.operand, code.entry - 1))
    ordered = tuple(packers[j] for j in sorted(packers))
    return CpuCode(source.module, x, source.scratch, ordered, tuple(panels))


def code_to_json(code: Code) -> dict[str, object]:
    if isinstance(code, GpuCode):
        return {"wgsl": code.wgsl, "grid": list(code.grid)}
    packers = [
        {"name": p.name, "units": p.units, "scratch": p.scratch, "reads": p.reads, "bytes": p.bytes}
        for p in code.packers
    ]
    return {
        "module": base64.b64encode(code.module).decode(),
        "units": code.units,
        "scratch": code.scratch,
        "packers": packers,
        "panels": [list(pair) for pair in code.panels],
    }


def code_from_json(data: Any) -> Code:
    """The inverse of `code_to_json`; raises ValueError, KeyError or TypeError for anything else."""
    if not isinstance(data, dict):
        raise ValueError("a schedule's code is no object")
    if "wgsl" in data:
        x, y, z = (_count(n) for n in data["grid"])
        return GpuCode(_text(data["wgsl"]), (x, y, z))
    try:
        module = base64.b64decode(_text(data["module"]), validate=True)
    except binascii.Error as error:
        raise ValueError(f"a schedule's module is not in base64: {error}") from error
    packers = tuple(
        Packer(_text(p["name"]), *(_count(p[n]) for n in ("units", "scratch", "reads", "bytes")))
        for p in data["packers"]
    )
    panels = [(_count(operand), _count(packer)) for operand, packer in data["panels"]]
    if any(packer >= len(packers) for _, packer in panels):
        raise ValueError("a schedule's panels name a packer that isn't there")
    return CpuCode(module, _count(data["units"]), _count(data["scratch"]), packers, tuple(panels))


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= max(MAX_WGSL_BYTES, MAX_MODULE_BYTES):
        raise ValueError("a schedule's code is malformed")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError(f"expected a count in a schedule's code, found {value!r:.60}")
    return value
