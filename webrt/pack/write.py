"""Write a pack: manifest, shards and modules; all or nothing, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

from webrt import dims
from webrt.dtypes import DType
from webrt.errors import PackError
from webrt.kernel import costs
from webrt.kernel.loop import Binding
from webrt.kernel.problem import Problem
from webrt.kernel.text import print_problem
from webrt.kernel.widen import stores_f16, widened
from webrt.pack import archive
from webrt.pack.digest import FileHash, file_hash
from webrt.pack.flow import flow_json
from webrt.pack.format import (
    CHECKS,
    MANIFEST,
    MAX_SHARD_BYTES,
    MODULES,
    RECORDS,
    SEAL,
    SHARD_BYTES,
    SHARD_NAME,
    VERSION,
    ChecksFile,
    KernelEntry,
    Pack,
    Placement,
    RecordsFile,
    Shard,
    WasmKernel,
    WasmModule,
    WasmPart,
)
from webrt.pack.read import parse_manifest
from webrt.pack.wasm import WasmPlan
from webrt.plan.plan import Home, ModelSymbol, Plan, Port
from webrt.version import __version__

SAFETENSORS_DTYPE = {DType.F32: "F32", DType.F16: "F16", DType.I32: "I32", DType.U32: "U32"}
MAX_COST = 2000
"""Characters of a kernel's `cost` at most: it is there to be shown."""
_ENTRY_SLACK = 40  # two offsets, a comma, quotes: more than a header entry's varying part can take


def write_pack(
    target: Path,
    plan: Plan,
    kernels: Sequence[KernelEntry],
    wasm: WasmPlan,
    constants: Mapping[int, object],
    progress: Callable[[int, int], None] | None = None,
    records: bytes | None = None,
    checks: Callable[[Path], bytes] | None = None,
) -> Pack:
    """Write the folder `target`; `constants` maps a tensor's index to its bytes (a buffer).

    A `target` that ends in `.webrt` is one file instead (`archive.py`).

    `records` are tuning records that travel along, in the form of a file; `checks` makes check
    vectors of the folder, when all else is in it.

    The folder appears when it is complete: everything is written beside it and renamed. A folder
    in its place is replaced only if it is a pack or empty; raises PackError otherwise.
    """
    target = target.absolute()  # "." has no name to write a folder beside it
    check_target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        groups = _group(plan, constants)
        shards, placements = [], {}
        for number, group in enumerate(groups):
            shard, placed = _write_shard(scratch, number, plan, group, constants)
            shards.append(shard)
            placements.update(placed)
            if progress is not None:
                progress(number + 1, len(groups))
        generator = f"webrt {__version__}"
        part = WasmPart(_write_modules(scratch, wasm), wasm.kernels, wasm.packers)
        shipped = None if records is None else _write_records(scratch, records)
        pack = Pack(plan, tuple(kernels), tuple(shards), placements, generator, part, shipped)
        _write_manifest(scratch, pack)
        if checks is not None:
            pack = replace(pack, checks=_write_checks(scratch, checks(scratch)))
            _write_manifest(scratch, pack)
        os.chmod(scratch, 0o755)  # mkdtemp makes it private; a pack is for a web server to read
        if target.suffix == archive.SUFFIX:
            archive.write_archive(scratch, target)
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            _move(scratch, target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return pack


def _write_records(folder: Path, records: bytes) -> RecordsFile:
    (folder / RECORDS).write_bytes(records)
    return RecordsFile(RECORDS, len(records), file_hash(records))


def _write_checks(folder: Path, checks: bytes) -> ChecksFile:
    (folder / CHECKS).write_bytes(checks)
    return ChecksFile(CHECKS, len(checks), file_hash(checks))


def _write_manifest(folder: Path, pack: Pack) -> None:
    manifest = manifest_bytes(pack)
    parse_manifest(manifest, MANIFEST)  # what no reader would take is not written
    (folder / MANIFEST).write_bytes(manifest)


def check_target(target: Path) -> None:
    """Refuse to replace anything but a pack or an empty folder; raises PackError."""
    if target.suffix == archive.SUFFIX:
        archive.check_target(target)
        return
    if not target.exists() and not target.is_symlink():
        return
    if target.is_symlink() or not target.is_dir():
        raise PackError(f"{target}: is not a folder; name another output folder")
    names = sorted(entry.name for entry in target.iterdir())
    known = (MANIFEST, *MODULES, RECORDS, CHECKS)
    strange = [n for n in names if n not in known and not re.fullmatch(SHARD_NAME, n)]
    if strange:
        raise PackError(
            f"{target}: holds {strange[0]!r}, which is no part of a pack; name another folder"
        )
    if names and MANIFEST not in names:
        raise PackError(f"{target}: is not a pack (no {MANIFEST}); name another folder")


def _move(scratch: Path, target: Path) -> None:
    """Put `scratch` where `target` is; the old pack goes only when the new one stands."""
    if not target.exists():
        scratch.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / "pack")
    try:
        scratch.rename(target)
    except OSError:
        (old / "pack").rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _group(plan: Plan, constants: Mapping[int, object]) -> list[list[int]]:
    """Constants in the order of the plan's tensors, cut into shards; f16 come last in each.

    A 2-byte tensor of odd length would leave the 4-byte ones after it unaligned.
    """
    groups: list[list[int]] = []
    room = 0
    for index, tensor in enumerate(plan.tensors):
        if tensor.home is not Home.CONSTANT:
            continue
        size = dims.evaluate(tensor.bytes, {})
        given = _bytes(constants[index]).nbytes
        if given != size:
            raise PackError(f"tensor {index}: {given} bytes given for one of {size}")
        size += len(f"t{index}{list(tensor.shape)}") + _ENTRY_SLACK + 32
        if size > MAX_SHARD_BYTES - 16:
            raise PackError(f"tensor {index}: {size} bytes don't fit a shard; split it")
        if size > room:
            groups.append([])
            room = max(SHARD_BYTES - 16, size)
        groups[-1].append(index)
        room -= size
    return [sorted(g, key=lambda i: plan.tensors[i].dtype is DType.F16) for g in groups]


def _write_shard(
    folder: Path, number: int, plan: Plan, group: list[int], constants: Mapping[int, object]
) -> tuple[Shard, dict[int, Placement]]:
    header: dict[str, object] = {}
    spans: list[tuple[int, int, int]] = []
    end = 0
    for index in group:
        tensor = plan.tensors[index]
        start, end = end, end + _bytes(constants[index]).nbytes
        spans.append((index, start, end - start))
        header[f"t{index}"] = {
            "dtype": SAFETENSORS_DTYPE[tensor.dtype.storage],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    base = 8 + len(text)
    name = f"weights-{number:05d}.safetensors"
    with open(folder / name, "wb") as file:
        digest = _Digest(file)
        digest.write(struct.pack("<Q", len(text)) + text)
        for index in group:
            digest.write(_bytes(constants[index]))
    placements = {index: Placement(number, base + start, size) for index, start, size in spans}
    return Shard(name, base + end, digest.hash.hexdigest()), placements


def _write_modules(folder: Path, plan: WasmPlan) -> tuple[WasmModule, ...]:
    modules = []
    for name, relaxed in zip(MODULES, (False, True), strict=True):
        data = plan.module(relaxed)
        (folder / name).write_bytes(data)
        modules.append(WasmModule(name, len(data), file_hash(data), relaxed))
    return tuple(modules)


class _Digest:
    """A file and the hash of what went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.hash = FileHash()

    def write(self, data: bytes | memoryview) -> None:
        self.file.write(data)
        self.hash.update(data)


def _bytes(data: object) -> memoryview:
    view = memoryview(data)  # type: ignore[arg-type]  # typing has no buffer protocol before 3.12
    return view.cast("B") if view.nbytes else memoryview(b"")


def manifest_bytes(pack: Pack) -> bytes:
    """The bytes of `manifest.json`, its seal included."""
    plan = pack.plan
    tensors = []
    for index, tensor in enumerate(plan.tensors):
        entry: dict[str, object] = {
            "dtype": tensor.dtype.value,
            "shape": _dims(tensor.shape),
            "home": tensor.home.value,
        }
        if tensor.window is not None:
            entry["window"] = {
                "ring": tensor.window.ring,
                "shift": dims.to_json(tensor.window.shift),
                "loop": tensor.window.loop,
            }
        if index in pack.placements:
            place = pack.placements[index]
            entry |= {"shard": place.shard, "offset": place.offset, "bytes": place.bytes}
        tensors.append(entry)
    body = {
        "format": "webrt",
        "version": VERSION,
        "generator": pack.generator,
        "symbols": [_symbol(s) for s in plan.symbols],
        "inputs": [_port(p) for p in plan.inputs],
        "outputs": [_port(p) for p in plan.outputs],
        "tensors": tensors,
        "problems": [_problem(p) for p in plan.problems],
        "kernels": [_kernel(k, p) for k, p in zip(pack.kernels, plan.problems, strict=True)],
        "steps": [
            {
                "problem": s.problem,
                "inputs": list(s.inputs),
                "outputs": list(s.outputs),
                "node": s.node,
            }
            for s in plan.steps
        ],
        **({"flow": flow_json(plan.flow)} if plan.flow else {}),
        "wasm": {
            "modules": [asdict(m) for m in pack.wasm.modules],
            "kernels": [_wasm_kernel(k) for k in pack.wasm.kernels],
            "packers": [asdict(p) for p in pack.wasm.packers],
        },
        **({} if pack.records is None else {"records": asdict(pack.records)}),
        **({} if pack.checks is None else {"checks": asdict(pack.checks)}),
        "shards": [{"file": s.file, "bytes": s.bytes, "sha256": s.sha256} for s in pack.shards],
    }
    return seal(body)


def seal(body: Mapping[str, object]) -> bytes:
    """`body` as JSON with its own sha256 as the last member."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    head = text[:-1].encode() + b","
    digest = hashlib.sha256(head + SEAL % (b"0" * 64)).hexdigest()
    return head + SEAL % digest.encode()


def _problem(problem: Problem) -> dict[str, object]:
    entry: dict[str, object] = {"text": print_problem(problem)}
    if stores_f16(problem):
        entry["wide"] = print_problem(widened(problem))
    return entry


def _dims(shape: Sequence[dims.Dim]) -> list[dims.Json]:
    return [dims.to_json(d) for d in shape]


def _symbol(symbol: ModelSymbol) -> dict[str, object]:
    entry: dict[str, object] = {"id": symbol.id, "name": symbol.name}
    if symbol.most != dims.MAX_SYMBOL:
        entry["most"] = symbol.most
    if symbol.empty:
        entry["empty"] = True
    if symbol.multiple != 1:
        entry["multiple"] = symbol.multiple
    return entry


def _port(port: Port) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": port.name,
        "dtype": port.dtype.onnx_name,
        "shape": _dims(port.shape),
        "tensor": port.tensor,
    }
    if port.low is not None:
        entry["low"] = port.low
    if port.high is not None:
        entry["high"] = port.high
    if port.labels.texts:
        entry["texts"] = list(port.labels.texts)
    if port.labels.columns:
        entry["columns"] = list(port.labels.columns)
    return entry


def _kernel(kernel: KernelEntry, problem: Problem) -> dict[str, object]:
    return {
        "name": kernel.name,
        "schedule": kernel.schedule,
        "grid": _dims(kernel.grid),
        "workgroup": list(kernel.workgroup),
        "work": dims.to_json(kernel.work),
        "bindings": [_binding(b) for b in kernel.bindings],
        "wgsl": kernel.wgsl,
        **_cost(problem),
    }


def _cost(problem: Problem) -> dict[str, object]:
    """What the problem costs, for players, who can't read it; nothing where that takes long."""
    found = {"operations": costs.operations(problem), "bytes": costs.traffic(problem)}
    if stores_f16(problem):
        found["wide"] = costs.traffic(widened(problem))
    entry = {name: dims.to_json(dim) for name, dim in found.items()}
    return {"cost": entry} if len(json.dumps(entry)) <= MAX_COST else {}


def _wasm_kernel(kernel: WasmKernel) -> dict[str, object]:
    return {
        "name": kernel.name,
        "schedule": kernel.schedule,
        "units": dims.to_json(kernel.units),
        "scratch": kernel.scratch,
        "panels": [list(pair) for pair in kernel.panels],
    }


def _binding(binding: Binding) -> dict[str, object]:
    return {
        "name": binding.name,
        "dtype": binding.dtype.value,
        "lanes": binding.lanes,
        "writable": binding.writable,
    }
