"""Says where a session runs and why, what it does without there, and what memory it takes.

`web/insight-explain.js` is this file in JavaScript.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from webrt.pack.format import Pack
from webrt.plan.flow import stops_of
from webrt.plan.plan import Home
from webrt.runtime.device import RELAXED_SIMD, DeviceInfo
from webrt.runtime.kernels import Kernel
from webrt.runtime.memory import Memory, Weights


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tuned kernel comes from, and what it took then: milliseconds, and the default's."""

    source: str
    ms: float | None = None
    default_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """`what` is done in another way than it could be elsewhere: `software`, `relaxed-simd`,
    `float16`, `host-steps` or `device`.
    """

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes on the device: `weights` as kernels read them, `arena` holds the activations, `other`
    is what workers need of their own. `limit` is None where the device tells none.
    """

    weights: int
    arena: int
    inputs: int
    outputs: int
    other: int
    limit: int | None

    @property
    def total(self) -> int:
        return self.weights + self.arena + self.inputs + self.outputs + self.other


@dataclass(frozen=True, slots=True)
class TunedKernel:
    """A kernel that tuning put in the place of the pack's, at `dims` by the model's names."""

    name: str
    dims: Mapping[str, int]
    schedule: Mapping[str, object]
    ms: float | None
    default_ms: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `Session.explain` tells; `str` of it is for people, `to_json` for programs."""

    kind: str
    adapter: str
    adapter_class: str
    threads: int
    features: tuple[str, ...]
    why: str
    float16: str | None
    fallbacks: tuple[Fallback, ...]
    memory: Held
    problems: int
    steps: int
    compiled: int
    default: int
    tuned: tuple[TunedKernel, ...]
    checks: bool

    def to_json(self) -> dict[str, object]:
        """Plain data, in the shape of the page's `session.explain()`."""
        return {
            "device": {
                "kind": self.kind, "adapter": self.adapter, "class": self.adapter_class,
                "threads": self.threads, "features": list(self.features), "why": self.why,
            },
            "float16": self.float16,
            "fallbacks": [asdict(f) for f in self.fallbacks],
            "memory": {**asdict(self.memory), "total": self.memory.total},
            "kernels": {
                "problems": self.problems, "steps": self.steps, "compiled": self.compiled,
                "default": self.default,
                "tuned": [
                    {
                        "name": t.name, "dims": dict(t.dims), "schedule": dict(t.schedule),
                        "ms": t.ms, "default_ms": t.default_ms, "from": t.source,
                    }
                    for t in self.tuned
                ],
            },
            "checks": self.checks,
            "text": str(self),
        }  # fmt: skip

    def __str__(self) -> str:
        mode = f", float16 {self.float16}" if self.float16 else ""
        parts = {n: b for n, b in asdict(self.memory).items() if n != "limit" and b}
        sizes = ", ".join(f"{name} {_shown(size)}" for name, size in parts.items())
        limit = f" of {_shown(self.memory.limit)}" if self.memory.limit else ""
        sources = "; ".join(dict.fromkeys(t.source for t in self.tuned))
        tuned = f", {len(self.tuned)} tuned ({sources})" if self.tuned else ", none tuned"
        return "\n".join(
            [
                f"runs on {self.kind}: {self.adapter}{mode} ({self.why})",
                *(f"{f.what}: {f.why}" for f in self.fallbacks),
                f"memory: {_shown(self.memory.total)}{limit}: {sizes}",
                f"kernels: {self.problems} for {self.steps} steps, {self.default} of them the"
                f" pack's own{tuned}",
                "check vectors: "
                + ("session.verify() runs them" if self.checks else "none in this pack"),
            ]
        )


def _shown(size: int) -> str:
    return f"{size / 1024:.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"


def explain(
    pack: Pack,
    info: DeviceInfo,
    asked: str | None,
    float16: str | None,
    memory: Held,
    compiled: int,
    tuned: tuple[TunedKernel, ...],
    changed: frozenset[int],
) -> Explanation:
    """`asked` is the device that was asked for; `changed` are the problems with tuned kernels."""
    problems = len(pack.plan.problems)
    return Explanation(
        kind=info.kind,
        adapter=info.adapter,
        adapter_class=info.adapter_class,
        threads=info.threads,
        features=info.features,
        why=_why(info.kind, asked),
        float16=float16,
        fallbacks=tuple(_fallbacks(pack, info, asked, float16)),
        memory=memory,
        problems=problems,
        steps=len(pack.plan.steps),
        compiled=compiled,
        default=problems - len(changed),
        tuned=tuned,
        checks=pack.checks is not None,
    )


def _why(kind: str, asked: str | None) -> str:
    if asked is None:
        return "the device was handed over"
    if asked == kind:
        return f"{kind} is what was asked for"
    found = "there is a hardware GPU" if kind == "webgpu" else "no hardware GPU was found"
    return f"auto: {found}"


def _fallbacks(
    pack: Pack, info: DeviceInfo, asked: str | None, float16: str | None
) -> Iterator[Fallback]:
    if asked == "auto" and info.kind == "wasm":
        yield Fallback("device", _why(info.kind, asked))
    if info.kind == "webgpu" and info.is_software:
        yield Fallback(
            "software", f'{info.adapter} computes on the CPU; device="wasm" needs no driver for it'
        )
    if info.kind == "wasm" and RELAXED_SIMD not in info.features:
        yield Fallback("relaxed-simd", "without it, products are rounded twice and take longer")
    if float16 == "widened":
        reason = "CPUs have none" if info.kind == "wasm" else "the adapter has no shader-f16"
        text = f"the model's float16 is float32 here, in twice the memory: {reason}"
        yield Fallback("float16", text)
    stops = Counter(what for what, _ in stops_of(pack.plan))
    if stops:
        kinds = ", ".join(f"{count} {what}" for what, count in stops.items())
        text = f"a run waits for the device in its middle, for data to decide: {kinds}"
        yield Fallback("host-steps", text)


def held(pack: Pack, weights: Weights, memory: Memory, info: DeviceInfo, scratch: int) -> Held:
    """What a session holds on its device now."""
    sizes: Counter[Home] = Counter()
    for index, buffer in memory.buffers.items():
        sizes[pack.plan.tensors[index].home] += buffer.size
    arenas = sum(buffer.size for buffer in memory.arenas.values())
    other = scratch * info.threads if info.kind == "wasm" else 0
    return Held(
        weights=weights.total - other,
        arena=arenas + sizes[Home.ARENA],
        inputs=sizes[Home.INPUT],
        outputs=sizes[Home.OUTPUT],
        other=other,
        limit=info.limits.max_total_size,
    )


def tuned_kernels(
    pack: Pack,
    tuned: Mapping[tuple[int, ...], Mapping[int, Kernel]],
    origins: Mapping[tuple[tuple[int, ...], int], Origin],
) -> tuple[TunedKernel, ...]:
    """Every kernel that was swapped in, by the values of the symbols that it serves at."""
    symbols = {s.id: s for s in pack.plan.symbols}
    given = [symbols[i] for i in pack.plan.given]
    found = []
    for values, kernels in tuned.items():
        for problem, kernel in kernels.items():
            origin = origins[values, problem]
            found.append(
                TunedKernel(
                    name=pack.kernels[problem].name,
                    dims={s.name: s.size(value) for s, value in zip(given, values, strict=True)},
                    schedule=kernel.schedule,
                    ms=origin.ms,
                    default_ms=origin.default_ms,
                    source=origin.source,
                )
            )
    return tuple(found)
