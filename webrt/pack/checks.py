"""Check vectors of a pack: `checks.bin`, inputs with the outputs that a right run gives.

    8 bytes     the header's length, little-endian
    header      {"format": "webrt checks", "version": 1, "vectors": [vector, …]}, JSON, then spaces
    data        of the vectors, one after the other, each part padded with zeros to 8 bytes

A vector: `dims` are the values of the symbols that inputs give, by id. `inputs` has the shape of
each input; their elements follow in the model's dtypes, little-endian. `outputs` has the same of
each output, and a `stride`: only elements 0, stride, 2·stride … are there, so that large outputs
stay small. `steps` tells what the plan's steps write, in the order in which they run first, as
[step, elements of its first output, of its second …]; of each output there is a digest.

A digest is DIGEST numbers of 8 bytes (`runtime/digest.py`): SAMPLES elements, then of each of
BLOCKS equal parts the mean, the root of the mean square, the least, the greatest, how many are
NaN, and the sum with signs that change as if by chance, which a single wrong element moves. They
needn't tell whether a run is right, only which step goes wrong first where one isn't.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from webrt.errors import PackError
from webrt.pack.field import Field
from webrt.pack.format import CHECKS, MAX_CHECKS_BYTES
from webrt.plan.plan import Plan, Port

FORMAT, VERSION = "webrt checks", 1
SAMPLES, BLOCKS, FIGURES = 32, 8, 6
DIGEST = SAMPLES + BLOCKS * FIGURES
MOST_OUTPUT = 1 << 16
"""Elements of an output that are stored, about: of larger ones every so many-th."""
MAX_VECTORS = 64
_MAX_RANK = 16
_MAX_STEPS = 1 << 20
_UNIT = 8


@dataclass(frozen=True, slots=True)
class Values:
    """Every `stride`th element of a tensor of the model, in the model's dtype."""

    shape: tuple[int, ...]
    data: memoryview
    stride: int = 1


@dataclass(frozen=True, slots=True)
class StepDigests:
    """What a step of the plan writes: of each output its elements' number and their digest."""

    step: int
    outputs: tuple[tuple[int, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class Vector:
    """Inputs, in the plan's order, and what a right run makes of them. `dims` are by ids."""

    dims: Mapping[str, int]
    inputs: tuple[Values, ...]
    outputs: tuple[Values, ...]
    steps: tuple[StepDigests, ...]


def stride_of(elements: int) -> int:
    """The stride that an output of so many elements is stored with: odd, so that it meets every
    column of a matrix of even width.
    """
    return 1 if elements <= MOST_OUTPUT else -(-elements // MOST_OUTPUT) | 1


def write_checks(vectors: Sequence[Vector]) -> bytes:
    """The file's bytes; raises PackError where they are more than a pack may hold of them."""
    entries = [
        {
            "dims": dict(v.dims),
            "inputs": [list(i.shape) for i in v.inputs],
            "outputs": [{"shape": list(o.shape), "stride": o.stride} for o in v.outputs],
            "steps": [[s.step, *(count for count, _ in s.outputs)] for s in v.steps],
        }
        for v in vectors
    ]
    header = {"format": FORMAT, "version": VERSION, "vectors": entries}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _UNIT)
    parts = (part for vector in vectors for part in _parts(vector))
    data = b"".join([struct.pack("<Q", len(text)), text, *parts])
    if len(data) > MAX_CHECKS_BYTES:
        raise PackError(
            f"check vectors of {len(data):,} bytes pass the {MAX_CHECKS_BYTES:,} that a pack may"
            " hold of them: ask for fewer, or for smaller dims"
        )
    return data


def _parts(vector: Vector) -> Iterator[bytes]:
    for values in (*vector.inputs, *vector.outputs):
        yield bytes(values.data) + bytes(-values.data.nbytes % _UNIT)
    for step in vector.steps:
        for _, digest in step.outputs:
            yield struct.pack(f"<{DIGEST}d", *digest)


def read_checks(data: memoryview, plan: Plan, file: str = CHECKS) -> tuple[Vector, ...]:
    """The vectors of a file for a plan, everything checked; raises PackError."""
    root, start = _header(data, file)
    root.member("format").choice(FORMAT)
    if root.member("version").integer() != VERSION:
        raise root.member("version").expected(str(VERSION))
    reader = _Reader(data[start:], plan, file)
    vectors = root.member("vectors").items(1, MAX_VECTORS)
    found = tuple(reader.vector(field) for field in vectors)
    if reader.at != data.nbytes - start:
        raise root.fail(f"holds {data.nbytes - start} bytes of data, not {reader.at}")
    return found


def _header(data: memoryview, file: str) -> tuple[Field, int]:
    field = Field(None, "", file)
    if data.nbytes < _UNIT:
        raise field.fail("is cut short")
    (length,) = struct.unpack("<Q", data[:_UNIT])
    if length > data.nbytes - _UNIT or length % _UNIT:
        raise field.fail(f"a header of {length} bytes doesn't fit the file")
    try:
        header = json.loads(bytes(data[_UNIT : _UNIT + length]).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise field.fail("its header is not JSON") from error
    return Field(header, "", file), _UNIT + length


class _Reader:
    """Takes the parts of the data one after the other."""

    def __init__(self, data: memoryview, plan: Plan, file: str) -> None:
        self.data = data
        self.plan = plan
        self.file = file
        self.at = 0

    def vector(self, field: Field) -> Vector:
        plan = self.plan
        named = field.member("dims")
        most = {s.id: s.most for s in plan.symbols}
        dims = {name: named.member(name).integer(1, most[name]) for name in plan.given}
        inputs = field.member("inputs").items(len(plan.inputs), len(plan.inputs))
        outputs = field.member("outputs").items(len(plan.outputs), len(plan.outputs))
        return Vector(
            dims,
            tuple(self.values(f, p, 1) for f, p in zip(inputs, plan.inputs, strict=True)),
            tuple(
                self.values(f.member("shape"), p, f.member("stride").integer(1))
                for f, p in zip(outputs, plan.outputs, strict=True)
            ),
            tuple(self.step(f) for f in field.member("steps").items(0, _MAX_STEPS)),
        )

    def values(self, field: Field, port: Port, stride: int) -> Values:
        shape = tuple(f.integer(0, 1 << 40) for f in field.items(0, _MAX_RANK))
        if len(shape) != len(port.shape):
            raise field.fail(f"expected {len(port.shape)} dims, found {len(shape)}")
        count = -(-math.prod(shape) // stride)
        return Values(shape, self.take(field, count * port.dtype.bytes), stride)

    def step(self, field: Field) -> StepDigests:
        number, *counts = field.items(1)
        step = number.integer(0, len(self.plan.steps) - 1)
        if len(counts) != len(self.plan.steps[step].outputs):
            raise field.fail(f"step {step} has {len(self.plan.steps[step].outputs)} outputs")
        return StepDigests(
            step,
            tuple((f.integer(), self._digest(f)) for f in counts),
        )

    def _digest(self, field: Field) -> tuple[float, ...]:
        return struct.unpack(f"<{DIGEST}d", self.take(field, 8 * DIGEST))

    def take(self, field: Field, size: int) -> memoryview:
        if size > self.data.nbytes - self.at:
            raise field.fail(f"{size} bytes from {self.at} pass the end of the file")
        part = self.data[self.at : self.at + size]
        self.at += -(-size // _UNIT) * _UNIT
        return part
