"""The CPU's part of a manifest, and its modules: read like all of a pack, trusting nothing."""

from __future__ import annotations

import re

from webrt import dims
from webrt.errors import PackError
from webrt.kernel.widen import wide_dtype
from webrt.pack.digest import file_hash
from webrt.pack.field import Field
from webrt.pack.format import (
    CHECKS,
    MAX_CHECKS_BYTES,
    MAX_CONSTANT_BYTES,
    MAX_MODULE_BYTES,
    MAX_PANEL_BYTES,
    MAX_RECORDS_BYTES,
    MAX_SCRATCH_BYTES,
    MAX_UNITS,
    MODULES,
    RECORDS,
    ChecksFile,
    KernelEntry,
    Packer,
    RecordsFile,
    Shard,
    WasmKernel,
    WasmModule,
    WasmPart,
)
from webrt.plan.plan import Home, Plan, Step, Tensor

_HEADER_BYTES = 8
"""A module without any section: the magic number and the version."""


def read_wasm(
    field: Field, kernels: tuple[KernelEntry, ...], plan: Plan, known: frozenset[str]
) -> WasmPart:
    """The member `wasm`, held against the kernels for GPUs and the plan; raises PackError."""
    modules = field.member("modules").items(len(MODULES), len(MODULES))
    packers = tuple(_packer(f) for f in field.member("packers").items(0, 1 << 16))
    entries = field.member("kernels").items(len(kernels), len(kernels))
    part = WasmPart(
        tuple(_module(f, index) for index, f in enumerate(modules)),
        tuple(_kernel(f, k, packers, known) for f, k in zip(entries, kernels, strict=True)),
        packers,
    )
    for step in plan.steps:
        _check_step(entries[step.problem].member("panels"), step, plan.tensors, part)
    return part


def _module(field: Field, index: int) -> WasmModule:
    relaxed = field.member("relaxed").boolean()
    if relaxed is not bool(index):
        raise field.member("relaxed").expected("true" if index else "false")
    return WasmModule(
        field.member("file").choice(MODULES[index]),
        field.member("bytes").integer(_HEADER_BYTES, MAX_MODULE_BYTES),
        read_sha256(field.member("sha256")),
        relaxed,
    )


def read_sha256(field: Field) -> str:
    text = field.text(64, 64)
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise field.expected("64 hex digits")
    return text


def read_name(field: Field) -> str:
    """A kernel's name."""
    name = field.text(64, 1)
    if not re.fullmatch("[A-Za-z0-9_]+", name):
        raise field.expected("letters, digits and _")
    return name


def _kernel(
    field: Field, kernel: KernelEntry, packers: tuple[Packer, ...], known: frozenset[str]
) -> WasmKernel:
    panels: list[tuple[int, int]] = []
    for item in field.member("panels").items(0, len(kernel.bindings)):
        first, second = item.items(2, 2)
        operand = first.integer(0, len(kernel.bindings) - 1)
        if kernel.bindings[operand].writable:
            raise first.fail(f"binding {operand} of kernel {kernel.name} is no constant")
        if any(operand == other for other, _ in panels):
            raise first.fail(f"binding {operand} stands twice")
        panels.append((operand, second.integer(0, len(packers) - 1)))
    return WasmKernel(
        name=read_name(field.member("name")),
        schedule=field.member("schedule").json_object(),
        units=field.member("units").dim(known),
        scratch=field.member("scratch").integer(0, MAX_SCRATCH_BYTES),
        panels=tuple(panels),
    )


def _packer(field: Field) -> Packer:
    return Packer(
        name=read_name(field.member("name")),
        units=field.member("units").integer(1, MAX_UNITS),
        scratch=field.member("scratch").integer(0, MAX_SCRATCH_BYTES),
        reads=field.member("reads").integer(1, 2 * MAX_CONSTANT_BYTES),  # of f32, if widened
        bytes=field.member("bytes").integer(1, MAX_PANEL_BYTES),
    )


def _check_step(field: Field, step: Step, tensors: tuple[Tensor, ...], part: WasmPart) -> None:
    """What packers read in a step is a constant of their size (`read.py` holds it read-only)."""
    for position, (operand, packer) in enumerate(part.kernels[step.problem].panels):
        tensor = step.inputs[operand]
        assert tensors[tensor].home is Home.CONSTANT
        reads = part.packers[packer].reads
        size = dims.product(tensors[tensor].shape) * wide_dtype(tensors[tensor].dtype).storage.bytes
        if size != reads:
            raise field.items()[position].fail(
                f"packer {packer} reads {reads} bytes, tensor {tensor} has {size}"
            )


def read_records(field: Field) -> RecordsFile:
    """The file of records that the pack ships; what is in it is checked where it is used."""
    file = field.member("file").choice(RECORDS)
    size = field.member("bytes").integer(1, MAX_RECORDS_BYTES)
    return RecordsFile(file, size, read_sha256(field.member("sha256")))


def read_checks(field: Field) -> ChecksFile:
    """The file of check vectors; what is in it is checked where it is used (`checks.py`)."""
    file = field.member("file").choice(CHECKS)
    size = field.member("bytes").integer(1, MAX_CHECKS_BYTES)
    return ChecksFile(file, size, read_sha256(field.member("sha256")))


def check_file(
    part: Shard | WasmModule | RecordsFile | ChecksFile, data: memoryview, folder: str = ""
) -> Field:
    """Hold a file's bytes against the manifest: length and sha256; raises PackError."""
    field = Field(None, "", f"{folder}/{part.file}" if folder else part.file)
    if data.nbytes != part.bytes:
        raise field.fail(f"expected {part.bytes} bytes, found {data.nbytes}; copy the pack again")
    found = file_hash(data)
    if found != part.sha256:
        raise altered(field, part.sha256, found)
    return field


def altered(field: Field, expected: str, found: str) -> PackError:
    return field.fail(
        f"was altered: sha256 {expected[:12]}… expected, {found[:12]}… found; copy the pack again"
    )
