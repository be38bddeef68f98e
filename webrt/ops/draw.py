"""Operators that draw numbers: counters are hashed, so that a kernel draws each element by itself.

The front end gives each of them, behind its own inputs, the turns of the loops that it is in and,
where the model fixes no seed, the run's (`plan.SEED`, a hidden input that a run draws, or that
feeds may give), as many as `keys` says; `stream` tells nodes apart. The hash is Wellons' triple32,
of which each output bit depends on each input bit with a bias under 2.1e-5 (nullprogram.com, "Hash
function prospector").
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.kernel import expr as ex
from webrt.ops.compose import Make, composite
from webrt.ops.emit import Emitter
from webrt.ops.registry import Attr, operator
from webrt.ops.site import Inferred, Site, Tensor

_ROUNDS = ((17, 0xED5AD4BB), (11, 0xAC4C1B51), (15, 0x31848BAB))
_LAST = 14
_FINE = 24
"""Bits of a uniform number: as many as a float32 between 0.5 and 1 has."""


class Source:
    """The random bits of one node."""

    def __init__(self, site: Site, make: Make) -> None:
        self.make = make
        key = self._word(site.integer("stream"))
        if "seed" in site.attributes:
            (bits,) = struct.unpack("<I", struct.pack("<f", site.number("seed")))
            key = self._mixed(self._xor(self._mixed(key), self._word(bits)))
        keys = site.integer("keys")
        for value in site.inputs[len(site.inputs) - keys :]:
            assert value is not None
            key = self._mixed(self._xor(self._mixed(key), make.cast(value, DType.U32)))
        self.key = key

    def _word(self, value: int) -> Value:
        return self.make.constant(np.asarray(value, np.uint32))

    def _xor(self, left: Value, right: Value) -> Value:
        return self.make("BitwiseXor", left, right)

    def _shifted(self, value: Value, count: int) -> Value:
        moved = self.make("BitShift", value, self._word(count), direction="RIGHT")
        return self._xor(value, moved)

    def _mixed(self, value: Value) -> Value:
        for count, factor in _ROUNDS:
            value = self.make("Mul", self._shifted(value, count), self._word(factor))
        return self._shifted(value, _LAST)

    def uniform(self, shape: tuple[Dim, ...], draws: int = 1) -> list[Value]:
        """So many tensors of float32 numbers from 0 up to, not including, 1."""
        make = self.make
        size = dims.product(shape)
        places = make("Range", make.scalar(0), make.scalar(size), make.scalar(1))
        word = make("Reshape", make.cast(places, DType.U32), make.integers(*shape))
        word = self._mixed(self._xor(self._mixed(word), self.key))
        found = []
        for _ in range(draws):
            high = make("BitShift", word, self._word(32 - _FINE), direction="RIGHT")
            number = make.cast(high, DType.F32)
            found.append(make("Mul", number, make.number(2.0**-_FINE, number)))
            word = self._mixed(self._xor(word, self._word(_ROUNDS[0][1])))
        return found

    def normal(self, shape: tuple[Dim, ...]) -> Value:
        """Box and Muller's; none is further from 0 than 5.8."""
        make = self.make
        radius, angle = self.uniform(shape, 2)
        above = make("Sub", make.number(1.0, radius), radius)  # a logarithm takes no 0
        far = make("Mul", make("Log", above), make.number(-2.0, radius))
        turned = make("Cos", make("Mul", angle, make.number(2 * np.pi, angle)))
        return make("Mul", make("Sqrt", far), turned)


def _dtype(site: Site, default: DType) -> DType:
    """The attribute, which the front end decodes where the model has it."""
    given = site.attributes.get("dtype")
    return DType(given) if isinstance(given, str) else default


def _like(site: Site) -> tuple[tuple[Dim, ...], DType]:
    """The shape and the dtype of what is drawn like the input."""
    value = site.input(0)
    dtype = _dtype(site, value.dtype)
    if not dtype.is_float:
        raise site.unsupported(f"drawn numbers of type {dtype} aren't run")
    return value.shape, dtype


def _own(site: Site) -> tuple[tuple[Dim, ...], DType]:
    dtype = _dtype(site, DType.F32)
    if not dtype.is_float:
        raise site.unsupported(f"drawn numbers of type {dtype} aren't run")
    return site.integers("shape"), dtype


def _scaled(make: Make, drawn: Value, factor: float, start: float, dtype: DType) -> Value:
    scaled = make("Mul", drawn, make.number(factor, drawn))
    return make.cast(make("Add", scaled, make.number(start, drawn)), dtype)


_SPREAD = (Attr("mean", 0.0), Attr("scale", 1.0), Attr("seed"))
_WITHIN = (Attr("low", 0.0), Attr("high", 1.0), Attr("seed"))


def _normal(site: Site, make: Make, shape: tuple[Dim, ...], dtype: DType) -> tuple[Value, ...]:
    drawn = Source(site, make).normal(shape)
    return (_scaled(make, drawn, site.number("scale"), site.number("mean"), dtype),)


def _uniform(site: Site, make: Make, shape: tuple[Dim, ...], dtype: DType) -> tuple[Value, ...]:
    (drawn,) = Source(site, make).uniform(shape)
    low, high = site.number("low"), site.number("high")
    return (_scaled(make, drawn, high - low, low, dtype),)


@composite("RandomNormal", Attr("shape"), Attr("dtype", 1), *_SPREAD)
def random_normal(site: Site, make: Make) -> tuple[Value, ...]:
    """Numbers around `mean`, `scale` wide."""
    return _normal(site, make, *_own(site))


@composite("RandomNormalLike", Attr("dtype"), *_SPREAD)
def random_normal_like(site: Site, make: Make) -> tuple[Value, ...]:
    """The same, of the input's shape."""
    return _normal(site, make, *_like(site))


@composite("RandomUniform", Attr("shape"), Attr("dtype", 1), *_WITHIN)
def random_uniform(site: Site, make: Make) -> tuple[Value, ...]:
    """Numbers from `low` up to `high`."""
    return _uniform(site, make, *_own(site))


@composite("RandomUniformLike", Attr("dtype"), *_WITHIN)
def random_uniform_like(site: Site, make: Make) -> tuple[Value, ...]:
    """The same, of the input's shape."""
    return _uniform(site, make, *_like(site))


@composite("Bernoulli", Attr("dtype"), Attr("seed"), since=15)
def bernoulli(site: Site, make: Make) -> tuple[Value, ...]:
    """1 with the probability that the input tells, else 0."""
    chance = site.input(0)
    (drawn,) = Source(site, make).uniform(chance.shape)
    ones = make("Less", drawn, make.cast(chance, DType.F32))
    return (make.cast(ones, _dtype(site, chance.dtype)),)


@composite("Multinomial", Attr("sample_size", 1), Attr("dtype", 6), Attr("seed"))
def multinomial(site: Site, make: Make) -> tuple[Value, ...]:
    """Classes, drawn by their logarithms (Gumbel's way): [batch, classes] to [batch, samples]."""
    batch, classes = site.ranked(0, 2)
    source = Source(site, make)
    (drawn,) = source.uniform((batch, site.positive("sample_size"), classes))
    above = make("Max", drawn, make.number(0.5**25, drawn))
    noise = make("Neg", make("Log", make("Neg", make("Log", above))))
    scores = make("Unsqueeze", make.cast(site.input(0), DType.F32), make.integers(1))
    picked = make("ArgMax", make("Add", scores, noise), axis=2, keepdims=0)
    return (make.cast(picked, _dtype(site, DType.I32)),)


@operator("Dropout", Attr("ratio", 0.5, until=11), Attr("seed", None, since=12))
class Dropout:
    """At inference, and where nothing is dropped, it does nothing; the mask is all true."""

    @staticmethod
    def expand(site: Site, make: Make) -> tuple[Value, ...] | None:
        """As training has it, where the front end gives keys."""
        if "keys" not in site.attributes:
            return None
        return dropped(site, make, site.input(0))

    @staticmethod
    def infer(site: Site) -> tuple[Inferred, ...]:
        shape = site.input(0).shape
        return (Inferred(site.input(0).dtype, shape), Inferred(DType.BOOL, shape))[: site.outputs]

    @staticmethod
    def reference(site: Site, x: Tensor, *_: Tensor | None) -> tuple[Tensor, ...]:
        return (x, np.ones(x.shape, bool))[: site.outputs]

    @staticmethod
    def lower(site: Site, emit: Emitter) -> None:
        emit.view(site.input(0))
        if site.outputs > 1:
            emit.map(lambda operands, at: ex.boolean(True), 1)


def dropped(site: Site, make: Make, x: Value) -> tuple[Value, Value]:
    """What is kept of x, scaled by 1 / (1 - ratio), and which elements these are.

    A mode that data tell is asked for each element: a run may train, or not.
    """
    at, mode_at = TRAINED[site.op]
    given, mode = site.optional(at), site.input(mode_at)
    one = make.constant(np.asarray(1, np.float32))
    ratio = make.number(0.5, one) if given is None else make.cast(given, DType.F32)
    ratio, mode = make.reshape(ratio), make.reshape(mode)
    (drawn,) = Source(site, make).uniform(x.shape)
    kept = make("Or", make("GreaterOrEqual", drawn, ratio), make("Not", mode))
    scale = make.cast(make("Where", mode, make("Div", one, make("Sub", one, ratio)), one), x.dtype)
    return make("Where", kept, make("Mul", x, scale), make.number(0, x)), kept


TRAINED = {"Dropout": (1, 2), "BiasDropout": (3, 4), "BitmaskDropout": (1, 2)}
"""What draws numbers where it trains: the positions of its ratio and of its mode of training."""


def draws(op: str, zeros: Sequence[bool | None]) -> bool:
    """Whether a node draws numbers; `zeros` are its inputs: None for no input, True for zeros."""
    if op in DRAWING or op not in TRAINED:
        return op in DRAWING
    ratio, mode = (zeros[j] if j < len(zeros) else None for j in TRAINED[op])
    return mode is False and not ratio


DRAWING = (
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
)  # fmt: skip
