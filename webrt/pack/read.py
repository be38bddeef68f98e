"""Read a pack, and trust nothing in it: all is checked before it is allocated or compiled."""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import re
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

from webrt import dims
from webrt.dtypes import DType
from webrt.errors import PackError
from webrt.kernel.loop import Binding
from webrt.pack.archive import Archive
from webrt.pack.field import MAX_INTEGER, Field
from webrt.pack.flow import FlowReader, check_windows
from webrt.pack.format import (
    MANIFEST,
    MAX_CONSTANT_BYTES,
    MAX_LABEL_LENGTH,
    MAX_LABELS,
    MAX_MANIFEST_BYTES,
    MAX_NAME_LENGTH,
    MAX_SHARD_BYTES,
    MAX_WGSL_BYTES,
    SEAL,
    SHARD_NAME,
    VERSION,
    KernelEntry,
    Pack,
    Placement,
    Shard,
)
from webrt.pack.modules import (
    altered,
    check_file,
    read_checks,
    read_name,
    read_records,
    read_sha256,
    read_wasm,
)
from webrt.pack.problems import check_kernel, check_wide, read_problem
from webrt.plan.plan import Home, Labels, ModelSymbol, Plan, Port, Step, Tensor, Window

MAX_RANK = 16
MAX_BINDINGS = 8
MAX_SYMBOLS = 1024
MAX_PORTS = 1024
_STORED = ("f32", "f16", "i32", "u32")
_SEAL_LENGTH = len(SEAL % (b"0" * 64))


def read_pack(folder: Path) -> Pack:
    """The manifest of a pack's folder, checked; raises PackError."""
    return parse_manifest(read_manifest(folder), str(folder / MANIFEST))


def read_manifest(folder: Path) -> bytes:
    """The bytes of the manifest of a pack: a folder, or an archive (`pack/archive.py`)."""
    if folder.is_file():
        return bytes(Archive(folder).file(MANIFEST))
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise PackError(f"{path}: is larger than {MAX_MANIFEST_BYTES} bytes")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PackError(f"{path}: no such file; make a pack with `webrt pack`") from error
    except OSError as error:
        raise PackError(f"{path}: can't be read: {error.strerror}") from error


def map_file(path: Path) -> memoryview:
    """A file's bytes, mapped into memory; raises PackError."""
    try:
        with open(path, "rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise PackError(f"{path}: no such file; the pack is incomplete") from error
    except (OSError, ValueError) as error:
        raise PackError(f"{path}: can't be read: {error}") from error


def parse_manifest(data: bytes, file: str = MANIFEST) -> Pack:
    """The Pack that a manifest's bytes describe; `file` names it in messages."""
    root = Field(_sealed_json(data, file), "", file)
    root.member("format").choice("webrt")
    version = root.member("version").integer()
    if version != VERSION:
        raise root.fail(
            f"is of format version {version}, this webrt reads version {VERSION}; pack again"
        )
    generator = root.member("generator").text(MAX_NAME_LENGTH)
    symbols = _symbols(root.member("symbols"))
    known = frozenset(s.id for s in symbols)
    shards = tuple(_shard(f, i) for i, f in enumerate(root.member("shards").items()))
    tensors, placements = _tensors(root.member("tensors"), shards, known)
    texts = root.member("problems").items()
    problems = tuple(read_problem(f.member("text")) for f in texts)
    for field, problem in zip(texts, problems, strict=True):
        check_wide(field, problem)
    fields = root.member("kernels").items(len(problems), len(problems))
    kernels = tuple(_kernel(f, known) for f in fields)
    for field, problem, kernel in zip(fields, problems, kernels, strict=True):
        check_kernel(field, problem, kernel)
    steps = _steps(root.member("steps"), tensors, kernels)
    inputs = _ports(root.member("inputs"), tensors, known, Home.INPUT)
    outputs = _ports(root.member("outputs"), tensors, known, Home.OUTPUT)
    _check_inputs(root.member("inputs"), tensors, inputs)
    plan = Plan(symbols, inputs, outputs, tensors, problems, steps)

    def check(field: Field, step: Step) -> None:
        used = (*step.inputs, *step.outputs)
        _check_bindings(field, used, tensors, kernels[step.problem])

    check_windows(root.member("tensors"), tensors)
    reader = FlowReader(root.member("steps"), steps, tensors, known, set(plan.given), check)
    plan = replace(plan, flow=reader.read(root))
    wasm = read_wasm(root.member("wasm"), kernels, plan, known)
    records = read_records(root.member("records")) if root.has("records") else None
    checks = read_checks(root.member("checks")) if root.has("checks") else None
    return Pack(plan, kernels, shards, placements, generator, wasm, records, checks)


def _sealed_json(data: bytes, file: str) -> object:
    """The JSON of a manifest whose seal (its own sha256) holds."""
    field = Field(None, "", file)
    if len(data) > MAX_MANIFEST_BYTES:
        raise field.fail(f"is larger than {MAX_MANIFEST_BYTES} bytes")
    seal = re.fullmatch(re.escape(SEAL).replace(b"%s", b"([0-9a-f]{64})"), data[-_SEAL_LENGTH:])
    if seal is None:
        raise field.fail("doesn't end in its sha256; it is cut short or no manifest")
    zeroed = data[:-_SEAL_LENGTH] + SEAL % (b"0" * 64)
    found = hashlib.sha256(zeroed).hexdigest()
    if found != seal[1].decode():
        raise altered(field, seal[1].decode(), found)
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise field.fail(f"is not JSON: {str(error) or 'nested too deep'}") from error


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")


def _symbols(field: Field) -> tuple[ModelSymbol, ...]:
    symbols: list[ModelSymbol] = []
    for index, item in enumerate(field.items(0, MAX_SYMBOLS)):
        item.member("id").choice(f"s{index}")
        name = item.member("name").text(MAX_NAME_LENGTH, 1)
        if name in [s.name for s in symbols]:
            raise item.member("name").fail(f"{name!r} names two symbols")
        most = dims.MAX_SYMBOL
        if item.has("most"):
            most = item.member("most").integer(1, dims.MAX_SYMBOL)
        empty = item.has("empty") and item.member("empty").boolean()
        multiple = 1
        if item.has("multiple"):
            multiple = item.member("multiple").integer(1, dims.MAX_SYMBOL)
        symbols.append(ModelSymbol(f"s{index}", name, most, empty, multiple))
    return tuple(symbols)


def _shard(field: Field, index: int) -> Shard:
    file = field.member("file").text(40)
    if not re.fullmatch(SHARD_NAME, file) or file != f"weights-{index:05d}.safetensors":
        raise field.member("file").expected(f"'weights-{index:05d}.safetensors'")
    size = field.member("bytes").integer(8, MAX_SHARD_BYTES)
    return Shard(file, size, read_sha256(field.member("sha256")))


def _tensors(
    field: Field, shards: tuple[Shard, ...], known: frozenset[str]
) -> tuple[tuple[Tensor, ...], dict[int, Placement]]:
    tensors = []
    placements: dict[int, Placement] = {}
    for index, item in enumerate(field.items()):
        dtype = DType(item.member("dtype").choice("bool", *_STORED))
        home = Home(item.member("home").choice(*(h.value for h in Home)))
        shape = _shape(item.member("shape"), frozenset() if home is Home.CONSTANT else known)
        window = _window(item.member("window"), known) if home is Home.WINDOW else None
        tensor = Tensor(dtype, shape, home, window)
        tensors.append(tensor)
        if home is Home.CONSTANT:
            placements[index] = _placement(item, tensor, shards)
    _check_overlap(field, placements)
    return tuple(tensors), placements


def _window(field: Field, known: frozenset[str]) -> Window:
    loop = field.member("loop")
    return Window(
        field.member("ring").integer(),
        field.member("shift").dim(known),
        None if loop.value is None else loop.integer(),
    )


def _shape(field: Field, known: frozenset[str]) -> tuple[dims.Dim, ...]:
    shape = []
    for item in field.items(0, MAX_RANK):
        dim = item.dim(known)
        if isinstance(dim, int):
            Field(dim, item.path, item.file).integer(0, 1 << 40)
        shape.append(dim)
    return tuple(shape)


def _placement(field: Field, tensor: Tensor, shards: tuple[Shard, ...]) -> Placement:
    shard = field.member("shard").integer(0, len(shards) - 1)
    size = field.member("bytes").integer(0, MAX_CONSTANT_BYTES)
    needed = dims.evaluate(tensor.bytes, {})
    if size != needed:
        raise field.member("bytes").fail(f"expected {needed} for its shape, found {size}")
    offset = field.member("offset").integer(8, shards[shard].bytes)
    if offset + size > shards[shard].bytes:
        raise field.member("offset").fail(f"{offset} + {size} bytes pass the end of the shard")
    if offset % tensor.dtype.storage.bytes:
        raise field.member("offset").fail(f"{offset} is not aligned to the dtype")
    return Placement(shard, offset, size)


def _check_overlap(field: Field, placements: dict[int, Placement]) -> None:
    order = sorted(placements.items(), key=lambda p: (p[1].shard, p[1].offset, p[1].bytes))
    for (_, before), (index, after) in itertools.pairwise(order):
        if before.shard == after.shard and before.offset + before.bytes > after.offset:
            raise Field(None, f"{field.path}[{index}].offset", field.file).fail(
                "overlaps another tensor's bytes"
            )


def _kernel(field: Field, known: frozenset[str]) -> KernelEntry:
    name = read_name(field.member("name"))
    x, y, z = (f.dim(known) for f in field.member("grid").items(3, 3))
    wx, wy, wz = (f.integer(1, 1024) for f in field.member("workgroup").items(3, 3))
    bindings = tuple(_binding(f) for f in field.member("bindings").items(1, MAX_BINDINGS))
    made = KernelEntry(
        name=name,
        schedule=field.member("schedule").json_object(),
        grid=(x, y, z),
        workgroup=(wx, wy, wz),
        bindings=bindings,
        wgsl=field.member("wgsl").text(MAX_WGSL_BYTES, 1),
        work=field.member("work").dim(known),
    )
    if field.has("cost"):  # for players: here a problem tells it itself
        cost = field.member("cost")
        cost.member("bytes").dim(known)
        cost.member("operations").dim(known)
        if cost.has("wide"):
            cost.member("wide").dim(known)
    return made


def _binding(field: Field) -> Binding:
    name = field.member("name").text(64, 1)
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
        raise field.member("name").expected("an identifier")
    dtype = DType(field.member("dtype").choice(*_STORED))
    lanes = field.member("lanes").integer(1, 4)
    if lanes not in (1, 4):
        raise field.member("lanes").expected("1 or 4")
    return Binding(name, dtype, lanes, field.member("writable").boolean())


def _steps(
    field: Field, tensors: tuple[Tensor, ...], kernels: tuple[KernelEntry, ...]
) -> tuple[Step, ...]:
    steps = []
    for item in field.items():
        problem = item.member("problem").integer(0, len(kernels) - 1)
        inputs = _step_tensors(item.member("inputs"), len(tensors))
        outputs = _step_tensors(item.member("outputs"), len(tensors))
        node = item.member("node").text(1 << 16)
        steps.append(Step(problem, inputs, outputs, node))
    return tuple(steps)


def _step_tensors(field: Field, count: int) -> tuple[int, ...]:
    return tuple(f.integer(0, count - 1) for f in field.items(0, MAX_BINDINGS))


def _check_bindings(
    field: Field, used: tuple[int, ...], tensors: tuple[Tensor, ...], kernel: KernelEntry
) -> None:
    if len(used) != len(kernel.bindings):
        raise field.fail(
            f"expected {len(kernel.bindings)} tensors for kernel {kernel.name}, found {len(used)}"
        )
    for position, (index, binding) in enumerate(zip(used, kernel.bindings, strict=True)):
        tensor = tensors[index]
        if tensor.dtype.storage is not binding.dtype:
            raise field.fail(
                f"tensor {index} is {tensor.dtype.storage}, binding {position} of kernel"
                f" {kernel.name} is {binding.dtype}"
            )
        if binding.writable is (tensor.home is Home.CONSTANT):
            kind = "writable" if binding.writable else "read-only"
            raise field.fail(
                f"tensor {index} is {tensor.home.value}, binding {position} of kernel"
                f" {kernel.name} is {kind}"
            )
        if tensor.home is not Home.CONSTANT and index in used[:position]:
            raise field.fail(f"tensor {index} stands twice in one step")


def _ports(
    field: Field, tensors: tuple[Tensor, ...], known: frozenset[str], kind: Home
) -> tuple[Port, ...]:
    ports: list[Port] = []
    for item in field.items(0, MAX_PORTS):
        name = item.member("name").text(MAX_NAME_LENGTH)
        if any(p.name == name for p in ports):
            raise item.member("name").fail(f"{name!r} names two ports")
        dtype = DType.from_onnx_name(item.member("dtype").choice(*(d.onnx_name for d in DType)))
        index = item.member("tensor").integer(0, len(tensors) - 1)
        tensor = tensors[index]
        if tensor.home in (Home.ARENA, Home.WINDOW) or (
            kind is Home.INPUT and tensor.home is not Home.INPUT
        ):
            raise item.member("tensor").fail(f"tensor {index} is {tensor.home.value}")
        if dtype.storage.computed is not tensor.dtype.storage.computed:
            raise item.member("dtype").fail(
                f"{dtype.onnx_name} doesn't fit tensor {index}, {tensor.dtype}"
            )
        shape = _shape(item.member("shape"), known)
        low, high = (
            item.member(k).integer(-MAX_INTEGER) if item.has(k) else None for k in ("low", "high")
        )
        labels = _labels(item, dtype, kind)
        ports.append(Port(name, dtype, shape, index, low, high, labels))
    return tuple(ports)


def _labels(field: Field, dtype: DType, kind: Home) -> Labels:
    """What the places or columns of an output are called."""
    texts: tuple[str, ...] = ()
    columns: tuple[str | int, ...] = ()
    if field.has("texts"):
        if dtype is not DType.I64 or kind is Home.INPUT:
            raise field.member("texts").fail("only an output of int64 has texts")
        items = field.member("texts").items(1, MAX_LABELS)
        texts = tuple(f.text(MAX_LABEL_LENGTH) for f in items)
    if field.has("columns"):
        columns = tuple(
            f.text(MAX_LABEL_LENGTH) if isinstance(f.value, str) else f.integer(-MAX_INTEGER)
            for f in field.member("columns").items(1, MAX_LABELS)
        )
    return Labels(texts, columns)


def _check_inputs(field: Field, tensors: tuple[Tensor, ...], inputs: tuple[Port, ...]) -> None:
    ports = Counter(p.tensor for p in inputs)
    for index, tensor in enumerate(tensors):
        if tensor.home is Home.INPUT and ports[index] != 1:
            raise field.fail(f"tensor {index} is an input of {ports[index]} ports, not 1")


def check_shard(pack: Pack, index: int, data: memoryview, folder: str = "") -> None:
    """Hold a shard's bytes against the manifest: length, sha256, header; raises PackError."""
    shard = pack.shards[index]
    field = check_file(shard, data, folder)
    (length,) = struct.unpack("<Q", data[:8])
    if length > shard.bytes - 8:
        raise field.fail(f"a header of {length} bytes doesn't fit the file")
    try:
        header = json.loads(bytes(data[8 : 8 + length]).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise field.fail("its header is not JSON") from error
    _check_header(Field(header, "", field.file), pack, index, 8 + length)


def _check_header(root: Field, pack: Pack, shard: int, base: int) -> None:
    for index, place in pack.placements.items():
        if place.shard != shard:
            continue
        tensor = pack.plan.tensors[index]
        entry = root.member(f"t{index}")
        stored = DType.F16 if place.halves else tensor.dtype.storage
        entry.member("dtype").choice(str(stored).upper())
        shape = tuple(f.integer() for f in entry.member("shape").items(0, MAX_RANK))
        start, end = (f.integer() for f in entry.member("data_offsets").items(2, 2))
        if shape != tensor.shape or (base + start, end - start) != (place.offset, place.bytes):
            raise entry.fail("its shape or place differs from the manifest's")
