"""The pack's format: what stands in `manifest.json`, as typed data.

    DIR/manifest.json                 everything but weights; ends in its own sha256
    DIR/weights-00000.safetensors     weight shards in the safetensors format, about 16 MiB,
                                      at most 64 where a constant is larger
    DIR/kernels.wasm                  every kernel for CPUs, in one module (codegen/abi.py)
    DIR/kernels-relaxed.wasm          the same with relaxed SIMD
    DIR/records.json                  maybe: tuning records that travel along (tune/records.py)
    DIR/checks.bin                    maybe: inputs with the outputs they should give (checks.py)

manifest.json is one JSON object, UTF-8:

    format      "webrt"
    version     1
    generator   "webrt 0.1.0"
    symbols     [{"id": "s0", "name": "batch_size", "most"?: the largest value,
                  "empty"?: true where the dim is one less, and may be 0,
                  "multiple"?: what the dim is a multiple of, the symbol counts those}, …]
    inputs      [{"name", "dtype": "int64", "shape": [Dim…], "tensor": 0, "low"?, "high"?}, …]
    outputs     the same, without low and high, but perhaps "texts": the strings that an int64
                  output's elements are places among, and that a run answers with; or
                  "columns": what the columns of a matrix belong to, strings or integers
    tensors     [{"dtype": "f32", "shape": [Dim…], "home": "input|output|arena|constant|window",
                  "shard"?: 0, "offset"?: byte offset in the shard file, "bytes"?: n,
                  "window"?: {"ring": tensor, "shift": Dim, "loop": number or null}}, …]
    problems    [{"text": the problem's text form, "wide"?: the same with f32 for f16}, …]
    kernels     one a problem: [{"name", "schedule": {…}, "grid": [Dim, Dim, Dim],
                  "workgroup": [x, y, z], "work": Dim, "wgsl": "…",
                  "bindings": [{"name", "dtype", "lanes", "writable"}…],
                  "cost"?: {"operations": Dim, "bytes": Dim, "wide"?: bytes with f32 for f16}}, …]
    steps       [{"problem": 0, "inputs": [tensor…], "outputs": [tensor…], "node": "…"}, …]
    flow?       how steps follow one another, where it isn't one after the other (pack/flow.py)
    wasm        {"modules": [{"file": "kernels.wasm", "bytes": n, "sha256": "…", "relaxed": false},
                             {"file": "kernels-relaxed.wasm", …, "relaxed": true}],
                 "kernels": one a problem: [{"name", "schedule": {…}, "units": Dim,
                   "scratch": bytes, "panels": [[operand, packer], …]}, …],
                 "packers": [{"name", "units": n, "scratch": bytes, "reads": n, "bytes": n}, …]}
    records?    {"file": "records.json", "bytes": n, "sha256": "…"}: what tuning found elsewhere
    checks?     {"file": "checks.bin", "bytes": n, "sha256": "…"}: what `session.verify` runs
    shards      [{"file": "weights-00000.safetensors", "bytes": n, "sha256": "…"}, …]
    sha256      of this file's bytes with these 64 hex digits replaced by zeros; the file ends in
                `"sha256":"<64 hex digits>"}` and a newline

The sha256 of a file of more than 512 KiB is that of the digests of its blocks (pack/digest.py).

A Dim is `dims.to_json`'s prefix form. In a shard, the tensor of plan tensor 12 is named `t12`; its
bytes are its elements in device storage types, little-endian, so that a player uploads them as
they are; but f16 on a device without it, a CPU for one, where f32 takes its place in all of the
pack (`pack/widen.py`). The code of a kernel that stores f16 begins `enable f16;`, an empty line,
`alias half = f16;`, and names the type `half`; its twin begins `alias half = f32;` instead.
A constant of more than `MAX_CONSTANT_BYTES` is split by the builder into several tensors.
Bindings: group 0, binding j is the step's j-th tensor (inputs, then outputs); binding
`len(bindings)` is the uniform of symbols: `s<j>` is the i32 at byte 4·j. The entry point is `main`.

In `wasm`, kernel j is entry j of the module's table, packer j entry `len(kernels) + j`. A packer
reads a constant of `reads` bytes and writes the `bytes` that a kernel reads in its place: where
`panels` names an operand (the number of its binding), every step of the problem gives the kernel
what that packer makes of the step's constant. Packers run once, while the weights are loaded.
`scratch` is what a worker needs besides.
`work` counts the kernel's scalar operations: submissions are cut by it. `cost` is for profiles
(`kernel/costs.py`), and is left out where its dims would be long.

What a reader holds a manifest to, besides types and ranges (`tests/vectors/pack/` has a case of
each, for every reader): symbol j is `s<j>`; a Dim is a sum of products of atoms; a step's tensors
match its kernel's bindings in number and storage type, and a binding is read-only exactly where the
tensor is a constant; a tensor is written once, by a step, before it is read; no tensor but a
constant stands twice in a step (WebGPU forbids it); every input tensor has one port; an operand in
`panels` is read-only, stands there once, and is a tensor of `reads` bytes in every step.
"""

from __future__ import annotations

from dataclasses import dataclass

from webrt.dims import Dim
from webrt.kernel.loop import Binding
from webrt.plan.plan import Plan

VERSION = 2
MANIFEST = "manifest.json"
SHARD_NAME = r"weights-\d{5}\.safetensors"
SEAL = b'"sha256":"%s"}\n'
"""How a manifest ends."""
MAX_SHARD_BYTES = 64 << 20
SHARD_BYTES = 16 << 20
"""About what a shard has where its constants are smaller: one is verified and laid out while the
next ones arrive."""
MAX_CONSTANT_BYTES = MAX_SHARD_BYTES - (64 << 10)
"""A constant fits a shard beside its header, and WebGPU's default binding limit of 128 MiB."""
MAX_MANIFEST_BYTES = 64 << 20
MAX_WGSL_BYTES = 1 << 20
MODULES = ("kernels.wasm", "kernels-relaxed.wasm")
"""The files of `wasm.modules`, in this order: without relaxed SIMD and with it."""
MAX_MODULE_BYTES = 64 << 20
RECORDS = "records.json"
MAX_RECORDS_BYTES = 16 << 20
CHECKS = "checks.bin"
MAX_CHECKS_BYTES = 64 << 20
MAX_UNITS = (1 << 31) - 1
MAX_SCRATCH_BYTES = 16 << 20
MAX_PANEL_BYTES = 1 << 30
"""Panels are padded to whole tiles, which adds little to a large constant."""
MAX_NAME_LENGTH = 1000
MAX_LABELS, MAX_LABEL_LENGTH = 1 << 16, 1 << 16


@dataclass(frozen=True, slots=True)
class KernelEntry:
    """A problem's default kernel as it stands in the manifest; `schedule` is its JSON form."""

    name: str
    schedule: dict[str, object]
    grid: tuple[Dim, Dim, Dim]
    workgroup: tuple[int, int, int]
    bindings: tuple[Binding, ...]
    wgsl: str
    work: Dim


@dataclass(frozen=True, slots=True)
class WasmModule:
    """One file of wasm; `relaxed` tells that it needs relaxed SIMD."""

    file: str
    bytes: int
    sha256: str
    relaxed: bool


@dataclass(frozen=True, slots=True)
class WasmKernel:
    """A problem's default kernel for CPUs; `panels` pairs operand positions with packers."""

    name: str
    schedule: dict[str, object]
    units: Dim
    scratch: int
    panels: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Packer:
    """A kernel of one constant operand of `reads` bytes that lays it out anew, in `bytes` bytes."""

    name: str
    units: int
    scratch: int
    reads: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WasmPart:
    """What a CPU runs: both modules hold the same kernels, then the same packers."""

    modules: tuple[WasmModule, ...]
    kernels: tuple[WasmKernel, ...]
    packers: tuple[Packer, ...]


@dataclass(frozen=True, slots=True)
class Shard:
    """One weight file."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RecordsFile:
    """The file of tuning records."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ChecksFile:
    """The file of check vectors."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a constant's bytes stand: `offset` counts from the start of the shard's file.

    `halves` tells that they are f16 and that the session's tensor is f32 (`pack/widen.py`).
    """

    shard: int
    offset: int
    bytes: int
    halves: bool = False

    @property
    def held(self) -> int:
        """Bytes on a device."""
        return 2 * self.bytes if self.halves else self.bytes


@dataclass(frozen=True, slots=True)
class Pack:
    """A manifest, checked. `placements` holds every constant tensor of the plan."""

    plan: Plan
    kernels: tuple[KernelEntry, ...]
    shards: tuple[Shard, ...]
    placements: dict[int, Placement]
    generator: str
    wasm: WasmPart
    records: RecordsFile | None = None
    checks: ChecksFile | None = None


def weights_by_dtype(pack: Pack) -> dict[str, int]:
    """Bytes of the constants, by the type that they are stored in."""
    found: dict[str, int] = {}
    for index, placed in sorted(pack.placements.items()):
        name = pack.plan.tensors[index].dtype.storage.onnx_name
        found[name] = found.get(name, 0) + placed.bytes
    return found
