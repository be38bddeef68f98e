"""What every family of schedules shares: their JSON form, and the limits that prune a space."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """What a kernel may use of a GPU, and what is known of it: its class (`adapters.py`) and rates.

    The defaults are what every WebGPU device grants, and an adapter of which nothing is known.
    Rates come from `tune/probe.py`, 0 where nothing was measured; each says how many times faster
    something runs here: tiles of 8 × 8 than of 4 × 4, products staged in workgroup memory than not,
    rows of a Reduce shared by 32 lanes than not, four elements a lane than one.
    """

    lanes: int = 256
    workgroup_bytes: int = 16384
    adapter_class: str = "unknown"
    large_tiles: float = 0.0
    staging: float = 0.0
    sharing: float = 0.0
    quads: float = 0.0

    @property
    def unmeasured(self) -> Limits:
        """The same without rates."""
        return Limits(self.lanes, self.workgroup_bytes, self.adapter_class)


@dataclass(frozen=True, slots=True)
class CpuLimits:
    """What a wasm kernel may count on: vector registers, and bytes of cache of one core.

    The defaults are those of an x86-64 without AVX-512 in wasm's 128-bit vectors; an Arm core has
    32 registers.
    """

    registers: int = 16
    l1_bytes: int = 32768
    l2_bytes: int = 262144


def fields_to_json(schedule: object) -> dict[str, object]:
    """The fields of a schedule, all of them ints or bools."""
    return {f.name: getattr(schedule, f.name) for f in fields(schedule)}  # type: ignore[arg-type]


def fields_from_json(cls: type, data: dict[str, object]) -> dict[str, object]:
    """The fields of `cls` in `data`, checked by name and type; raises ValueError."""
    expected = {f.name: f.type for f in fields(cls)}
    if data.keys() != expected.keys():
        raise ValueError(f"a {cls.__name__} has {sorted(expected)}, found {sorted(data)}")
    for name, value in data.items():
        kind = bool if expected[name] in (bool, "bool") else int
        if type(value) is not kind:
            raise ValueError(f"{cls.__name__}.{name} is no {kind.__name__}: {value!r}")
    return data
