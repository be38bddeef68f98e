"""DFT and STFT: contractions with a matrix of roots of unity, in stages where the length is long.

A transform of P·Q elements is Q transforms of P, a factor for each element, and P transforms of Q
(Cooley and Tukey, 1965). Short or prime lengths are one contraction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.kernel.expr import Expr, Ref, call, f32
from webrt.kernel.problem import Contract, Map
from webrt.ops.conv import digits
from webrt.ops.emit import Emitter, Operands, flat, indices
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor, compare, shape_text

DIRECT = 512
"""Up to this length a transform is one contraction."""

MATRIX = 1024
"""Up to this length the matrix is a constant; beyond, a table of the roots makes it up."""

M, N, K = dims.symbol("m"), dims.symbol("n"), dims.symbol("k")


@dataclass(frozen=True, slots=True)
class Wave:
    """A transform of `length`: from `taken` elements of `parts` numbers to `given` of `made`."""

    length: Dim
    taken: Dim
    parts: int
    given: Dim
    made: int
    inverse: bool = False

    def root(self, turn: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The number that part `row` adds to part `column`, at `turn` turns of the circle."""
        angle = 2 * math.pi * (turn if self.inverse else -turn)
        real, imaginary = np.cos(angle), np.sin(angle)
        across = np.where(row == 0, imaginary, -imaginary)
        return np.where(row == column, real, across)

    def matrix(self) -> Tensor:
        """[taken · parts, given · made]."""
        length, taken, given = (dims.evaluate(d, {}) for d in (self.length, self.taken, self.given))
        j = np.arange(taken).reshape(-1, 1, 1, 1)
        row = np.arange(self.parts).reshape(1, -1, 1, 1)
        f = np.arange(given).reshape(1, 1, -1, 1)
        column = np.arange(self.made).reshape(1, 1, 1, -1)
        found = self.root((j * f % length) / length, row, column)
        if self.inverse:
            found = found * self.share(j, length) / length
        return found.reshape(taken * self.parts, given * self.made).astype(np.float32)

    def share(self, j: Tensor, length: int) -> Tensor:
        """How often an element of half a spectrum stands in the whole one."""
        if self.made == 2:
            return np.ones_like(j)
        return np.where((j == 0) | (2 * j == length), 1, 2)


# DFT


def _axis(site: Site) -> int:
    rank = len(site.input(0).shape)
    given = site.attributes.get("axis")
    if given is None:
        value = site.optional(2)
        given = -2 if value is None else int(site.constant(2, "its axis").reshape(-1)[0])
    assert isinstance(given, int)
    axis = site.axis(given, rank)
    if axis == rank - 1:
        raise site.shape_error("an axis before the last", str(given))
    return axis


def _wave(site: Site) -> Wave:
    shape = site.ranked(0, 2, 64)
    parts, extent = shape[-1], shape[_axis(site)]
    if parts not in (1, 2):
        raise site.shape_error("one or two numbers in the last dim", shape_text(shape))
    assert isinstance(parts, int)
    inverse, half = bool(site.integer("inverse")), bool(site.integer("onesided"))
    given = site.optional(1)
    if given is not None:
        length = site.scalar(1, "its length")
    else:
        length = (extent - 1) * 2 if inverse and half else extent
    if compare(length, 1) == -1:
        raise site.shape_error("a length of at least 1", str(length))
    spectrum = dims.floor_div(length, 2) + 1
    entries = spectrum if inverse and half else length
    taken = extent if compare(extent, entries) in (0, -1) else entries
    if compare(extent, entries) is None:
        taken = dims.dim_min(extent, entries)
    out = spectrum if half and not inverse else length
    return Wave(length, taken, parts, out, 1 if inverse and half else 2, inverse)


@operator(
    "DFT",
    Attr("axis", 1, until=19),
    Attr("inverse", 0),
    Attr("onesided", 0),
    since=17,
)
class DFT:
    """Complex numbers are pairs in the last dim; `onesided` leaves out what is conjugate."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        wave, axis = _wave(site), _axis(site)
        shape = list(site.input(0).shape)
        shape[axis], shape[-1] = wave.given, wave.made
        return (Inferred(site.input(0).dtype, tuple(shape)),)

    @staticmethod
    def reference(site: Site, x: Tensor, *others: Tensor | None) -> tuple[Tensor, ...]:
        axis = _axis(site)
        inverse, half = bool(site.integer("inverse")), bool(site.integer("onesided"))
        length = None if not others or others[0] is None else int(others[0].reshape(-1)[0])
        signal = x[..., 0] + 1j * x[..., 1] if x.shape[-1] == 2 else x[..., 0]
        if inverse and half:
            return (np.fft.irfft(signal, length, axis)[..., None].astype(x.dtype),)
        found = (np.fft.ifft if inverse else np.fft.fft)(signal, length, axis)
        if half:
            found = np.take(found, np.arange(found.shape[axis] // 2 + 1), axis)
        return (np.stack([found.real, found.imag], -1).astype(x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, axis, wave = site.input(0), _axis(site), _wave(site)
        outer, inner = dims.product(x.shape[:axis]), dims.product(x.shape[axis + 1 : -1])
        shape = (outer, x.shape[axis], inner, x.shape[-1])
        if _split(wave) is None:
            _transform(emit, x, shape, wave, emit.outputs[0])
        else:
            _staged(emit, x, shape, wave)


def _split(wave: Wave) -> int | None:
    """The largest divisor up to the root of a long length; None: one contraction."""
    length = wave.length
    if not isinstance(length, int) or length <= DIRECT or wave.made == 1:
        return None
    best = max(d for d in range(1, math.isqrt(length) + 1) if length % d == 0)
    return best if best > 1 else None


def _transform(emit: Emitter, x: Value, shape: tuple[Dim, ...], wave: Wave, made: Value) -> None:
    """Along axis 1 of x [outer, n, inner, parts], as one contraction."""
    outer, extent, inner, _ = shape
    operands = emit.operands()
    o, i = digits(M, (outer, inner))
    j, part = digits(K, (wave.taken, wave.parts))
    f, column = digits(N, (wave.given, wave.made))
    a = operands.load(x, ((o * extent + j) * inner + i) * wave.parts + part)
    b = root(operands, wave, (j, part), (f, column))
    offset = ((o * wave.given + f) * inner + i) * wave.made + column
    stored = emit.stored(made, offset, Ref("acc", DType.F32))
    space = (outer * inner, wave.given * wave.made, wave.taken * wave.parts)
    problem = Contract((), *space, operands.declared(), a, b, (stored,))
    emit.problem(problem, operands, [made])


def root(operands: Operands, wave: Wave, row: tuple[Dim, Dim], column: tuple[Dim, Dim]) -> Expr:
    """The entry of the transform's matrix."""
    (j, part), (f, made) = row, column
    sizes = (wave.length, wave.taken, wave.given)
    if all(isinstance(d, int) for d in sizes) and dims.evaluate(wave.length, {}) <= MATRIX:
        matrix = wave.matrix()
        value = Value("roots", DType.F32, matrix.shape, matrix)
        return operands.load(
            value, (j * wave.parts + part) * matrix.shape[1] + f * wave.made + made
        )
    turn = dims.modulo(j * f, wave.length)
    length = ex.cast(ex.as_index(wave.length), DType.F32)
    if isinstance(wave.length, int):
        angles = 2 * np.pi * np.arange(wave.length) / wave.length
        table = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
        value = Value("turns", DType.F32, table.shape, table)
        real, imaginary = (operands.load(value, turn * 2 + c) for c in (0, 1))
    else:
        real, imaginary = _circle(turn, wave.length)
    negative = call("eq", ex.as_index(part), ex.i32(1 if wave.inverse else 0))
    across = ex.select(negative, call("neg", imaginary), imaginary)
    found = ex.select(call("eq", ex.as_index(part), ex.as_index(made)), real, across)
    if not wave.inverse:
        return found
    if wave.made == 1:
        ends = call("eq", ex.as_index(dims.modulo(j * 2, wave.length)), ex.i32(0))
        found = ex.select(ends, found, call("mul", found, f32(2)))
    return call("div", found, length)


def _circle(turn: Dim, length: Dim) -> tuple[Expr, Expr]:
    """Cosine and sine of turn / length of a circle: whole numbers bring the angle near to 0."""
    near = dims.dim_min(turn, length - turn)
    quarter = call("div", f32(math.pi / 2), ex.cast(ex.as_index(length), DType.F32))
    real, imaginary = (
        call("sin", call("mul", ex.cast(ex.as_index(place), DType.F32), quarter))
        for place in (length - near * 4, dims.dim_min(near * 4, length * 2 - near * 4))
    )
    lower = call("gt", ex.as_index(turn * 2), ex.as_index(length))
    return real, ex.select(lower, call("neg", imaginary), imaginary)


def _staged(emit: Emitter, x: Value, shape: tuple[Dim, ...], wave: Wave) -> None:
    """A long transform: the whole spectrum in stages, then what is asked for of it."""
    outer, extent, inner, parts = shape
    length = wave.length
    assert isinstance(length, int)
    if wave.taken != length or extent != length:
        padded = emit.temporary("padded", DType.F32, (outer, length, inner, parts))
        at = indices(4)
        operands = emit.operands()
        place = dims.dim_min(at[1], wave.taken - 1)
        found = operands.load(x, flat((at[0], place, *at[2:]), shape))
        there = call("lt", ex.as_index(at[1]), ex.as_index(wave.taken))
        stored = emit.stored(padded, flat(at, padded.shape), ex.select(there, found, f32(0)))
        problem = Map(padded.shape, operands.declared(), (stored,))
        emit.problem(problem, operands, [padded])
        x = padded
    whole = _stages(emit, x, (outer, length, inner, parts), wave.inverse)
    at = indices(4)
    made = (outer, wave.given, inner, 2)
    operands = emit.operands()
    found = operands.load(whole, flat(at, (outer, length, inner, 2)))
    stored = emit.stored(emit.outputs[0], flat(at, made), found)
    emit.problem(Map(made, operands.declared(), (stored,)), operands, [emit.outputs[0]])


def _stages(emit: Emitter, x: Value, shape: tuple[Dim, ...], inverse: bool) -> Value:
    """The transform along axis 1 of x [outer, n, inner, parts]: [outer, n, inner, 2]."""
    outer, length, inner, parts = shape
    assert isinstance(length, int)
    assert isinstance(parts, int)
    wave = Wave(length, length, parts, length, 2, inverse)
    one = _split(wave)
    number = len(emit.nodes)
    if one is None:
        made = emit.temporary(f"wave{number}", DType.F32, (outer, length, inner, 2))
        _transform(emit, x, shape, wave, made)
        return made
    two = length // one
    # x[two·j1 + j2]: transforms of `one` over j1, for every j2
    first = _stages(emit, x, (outer, one, two * inner, parts), inverse)
    turned = _twisted(emit, first, (outer, one, two, inner), inverse)
    second = _stages(emit, turned, (outer * one, two, inner, 2), inverse)
    made = emit.temporary(f"spectrum{number}", DType.F32, (outer, length, inner, 2))
    o, f, i, c = indices(4)
    operands = emit.operands()
    place = (o, dims.modulo(f, one), dims.floor_div(f, one), i, c)
    found = operands.load(second, flat(place, (outer, one, two, inner, 2)))
    stored = emit.stored(made, flat((o, f, i, c), made.shape), found)
    emit.problem(Map(made.shape, operands.declared(), (stored,)), operands, [made])
    return made


def _twisted(emit: Emitter, x: Value, shape: tuple[Dim, ...], inverse: bool) -> Value:
    """x[o, f1, j2, i] turned by f1·j2 parts of the whole circle."""
    one, two = shape[1:3]
    assert isinstance(one, int)
    assert isinstance(two, int)
    turns = np.outer(np.arange(one), np.arange(two)) / (one * two)
    angles = 2 * np.pi * (turns if inverse else -turns)
    table = np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32)
    value = Value("turns", DType.F32, table.shape, table)
    made = emit.temporary(f"turned{len(emit.nodes)}", DType.F32, (*shape, 2))
    o, f, j, i, c = indices(5)
    operands = emit.operands()
    offset = flat((o, f, j, i, 0), made.shape)
    real, imaginary = (operands.load(x, offset + part) for part in (0, 1))
    cosine, sine = (operands.load(value, (f * two + j) * 2 + part) for part in (0, 1))
    along = call("sub", call("mul", real, cosine), call("mul", imaginary, sine))
    across = call("add", call("mul", real, sine), call("mul", imaginary, cosine))
    found = ex.select(call("eq", ex.as_index(c), ex.i32(0)), along, across)
    stored = emit.stored(made, flat((o, f, j, i, c), made.shape), found)
    emit.problem(Map(made.shape, operands.declared(), (stored,)), operands, [made])
    return made


# STFT


def _frames(site: Site) -> tuple[Dim, Dim, Dim]:
    """(step from frame to frame, length of a frame, number of frames)."""
    shape, step = site.ranked(0, 2, 3), site.scalar(1, "its step")
    window, given = site.optional(2), site.optional(3)
    length: Dim
    if given is not None:
        length = site.scalar(3, "its frame length")
    elif window is not None:
        length = window.shape[0]
    else:
        raise site.shape_error("a window or a frame length", "neither")
    if compare(step, 1) == -1 or compare(length, 1) == -1 or compare(length, shape[1]) == 1:
        raise site.shape_error("frames within the signal", f"{length} each {step} of {shape[1]}")
    if window is not None and compare(window.shape[0], length) not in (0, None):
        raise site.shape_error(f"a window of {length}", shape_text(window.shape))
    return step, length, dims.floor_div(shape[1] - length, step) + 1


@operator("STFT", Attr("onesided", 1), since=17)
class STFT:
    """Frames of the signal, each under the window, transformed."""

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        x = site.input(0)
        if len(x.shape) == 3 and x.shape[2] not in (1, 2):
            raise site.shape_error("one or two numbers in the last dim", shape_text(x.shape))
        _, length, count = _frames(site)
        out = dims.floor_div(length, 2) + 1 if site.integer("onesided") else length
        return (Inferred(x.dtype, (x.shape[0], count, out, 2)),)

    @staticmethod
    def reference(
        site: Site,
        x: Tensor,
        step: Tensor,
        window: Tensor | None = None,
        length: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        size = int(length.reshape(-1)[0]) if length is not None else len(window)  # type: ignore[arg-type]
        hop = int(step.reshape(-1)[0])
        signal = x if x.ndim == 2 else x[..., 0]
        signal = signal + 1j * x[..., 1] if x.ndim == 3 and x.shape[2] == 2 else signal
        starts = np.arange((signal.shape[1] - size) // hop + 1) * hop
        frames = signal[:, starts[:, None] + np.arange(size)]
        found = np.fft.fft(frames if window is None else frames * window, axis=-1)
        found = found[..., : size // 2 + 1] if site.integer("onesided") else found
        return (np.stack([found.real, found.imag], -1).astype(x.dtype),)

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        x, window, output = site.input(0), site.optional(2), emit.outputs[0]
        step, length, count = _frames(site)
        parts = x.shape[2] if len(x.shape) == 3 else 1
        assert isinstance(parts, int)
        wave = Wave(length, length, parts, output.shape[2], 2)
        batch = x.shape[0]
        if _split(wave) is not None:
            frames = emit.temporary("frames", DType.F32, (batch * count, length, 1, parts))
            b, j, _, c = indices(4)
            operands = emit.operands()
            o, t = digits(b, (batch, count))
            found = operands.load(x, (o * x.shape[1] + t * step + j) * parts + c)
            found = found if window is None else call("mul", found, operands.load(window, j))
            stored = emit.stored(frames, flat((b, j, 0, c), frames.shape), found)
            problem = Map(frames.shape, operands.declared(), (stored,))
            emit.problem(problem, operands, [frames])
            _staged(emit, frames, frames.shape, wave)
            return
        operands = emit.operands()
        o, t = digits(M, (batch, count))
        j, part = digits(K, (length, parts))
        f, column = digits(N, (wave.given, 2))
        a = operands.load(x, (o * x.shape[1] + t * step + j) * parts + part)
        a = a if window is None else call("mul", a, operands.load(window, j))
        entry = root(operands, wave, (j, part), (f, column))
        offset = ((o * count + t) * wave.given + f) * 2 + column
        stored = emit.stored(output, offset, Ref("acc", DType.F32))
        space = (batch * count, wave.given * 2, length * parts)
        contract = Contract((), *space, operands.declared(), a, entry, (stored,))
        emit.problem(contract, operands, [output])
