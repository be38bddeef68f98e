"""Steps of optimisers on tensors that come and go: Adam, Adagrad, Momentum."""

from __future__ import annotations

from collections.abc import Callable

from webrt.dtypes import DType
from webrt.graph.ir import Value
from webrt.ops.compose import Make, composite
from webrt.ops.registry import Attr
from webrt.ops.site import Site

DOMAIN = "ai.onnx.preview.training"
Step = Callable[["Sums", Value, Value, tuple[Value, ...]], tuple[Value, ...]]


class Sums:
    """Arithmetic of an optimiser's step in a dtype: its rate and its count of updates."""

    def __init__(self, site: Site, make: Make, dtype: DType) -> None:
        self.site = site
        self.make = make
        self.rate = make.reshape(make.cast(site.input(0), dtype))
        self.count = make.reshape(make.cast(site.input(1), dtype))

    def number(self, value: float) -> Value:
        return self.make.number(value, self.rate)

    def scaled(self, x: Value, factor: float) -> Value:
        return self.make("Mul", x, self.number(factor))

    def sum(self, x: Value, y: Value) -> Value:
        return self.make("Add", x, y)

    def regularised(self, x: Value, gradient: Value) -> Value:
        factor = self.site.number("norm_coefficient")
        return self.sum(self.scaled(x, factor), gradient) if factor else gradient

    def began(self) -> Value:
        """Whether there was an update before."""
        return self.make("Greater", self.count, self.number(0))

    def root(self, x: Value) -> Value:
        return self.sum(self.make("Sqrt", x), self.number(self.site.number("epsilon")))


def _optimiser(name: str, states: int, step: Step, *attributes: Attr) -> None:
    @composite(name, *attributes, domain=DOMAIN)
    def expand(site: Site, make: Make) -> tuple[Value, ...]:
        many, rest = divmod(len(site.inputs) - 2, 2 + states)
        if many < 1 or rest:
            raise site.shape_error(f"2 inputs and {2 + states} a tensor", str(len(site.inputs)))
        made = []
        for j in range(many):
            x, gradient, *state = (site.input(2 + j + many * k) for k in range(2 + states))
            made.append(step(Sums(site, make, x.dtype), x, gradient, tuple(state)))
        return tuple(results[k] for k in range(1 + states) for results in made)


def _adam(s: Sums, x: Value, gradient: Value, state: tuple[Value, ...]) -> tuple[Value, ...]:
    make, alpha, beta = s.make, s.site.number("alpha"), s.site.number("beta")
    g = s.regularised(x, gradient)
    first = s.sum(s.scaled(state[0], alpha), s.scaled(g, 1 - alpha))
    second = s.sum(s.scaled(state[1], beta), s.scaled(make("Mul", g, g), 1 - beta))
    bias = [make("Sub", s.number(1), make("Pow", s.number(b), s.count)) for b in (beta, alpha)]
    corrected = make("Div", make("Mul", s.rate, make("Sqrt", bias[0])), bias[1])
    rate = make("Where", s.began(), corrected, s.rate)
    moved = make("Sub", x, make("Mul", rate, make("Div", first, s.root(second))))
    after = s.site.number("norm_coefficient_post")
    return (s.scaled(moved, 1 - after) if after else moved), first, second


def _adagrad(s: Sums, x: Value, gradient: Value, state: tuple[Value, ...]) -> tuple[Value, ...]:
    make = s.make
    decay = s.sum(s.number(1), s.scaled(s.count, s.site.number("decay_factor")))
    g = s.regularised(x, gradient)
    squares = s.sum(state[0], make("Mul", g, g))
    away = make("Div", make("Mul", make("Div", s.rate, decay), g), s.root(squares))
    return make("Sub", x, away), squares


def _momentum(s: Sums, x: Value, gradient: Value, state: tuple[Value, ...]) -> tuple[Value, ...]:
    make, alpha = s.make, s.site.number("alpha")
    g = s.regularised(x, gradient)
    factor = make("Where", s.began(), s.number(s.site.number("beta")), s.number(1))
    velocity = s.sum(s.scaled(state[0], alpha), make("Mul", factor, g))
    match s.site.text("mode"):
        case "standard":
            away = velocity
        case "nesterov":
            away = s.sum(g, s.scaled(velocity, alpha))
        case other:
            raise s.site.unsupported(f"mode {other!r} isn't run")
    return make("Sub", x, make("Mul", s.rate, away)), velocity


_optimiser(
    "Adam", 2, _adam, Attr("alpha", 0.9), Attr("beta", 0.999), Attr("epsilon", 1e-6),
    Attr("norm_coefficient", 0.0), Attr("norm_coefficient_post", 0.0),
)  # fmt: skip
_optimiser(
    "Adagrad", 1, _adagrad, Attr("decay_factor", 0.0), Attr("epsilon", 1e-6),
    Attr("norm_coefficient", 0.0),
)  # fmt: skip
_optimiser(
    "Momentum", 1, _momentum, Attr("alpha"), Attr("beta"), Attr("mode"), Attr("norm_coefficient")
)
