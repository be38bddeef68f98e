"""The plan: a model as a list of dispatches over tensors with symbolic shapes, without code.

Made by the builder half (`passes/`), stored by `pack/`, executed by `runtime/session.py`. Where a
model decides something while it runs, `flow` tells how the dispatches follow one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Union

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.problem import Problem


class Home(Enum):
    """Where a tensor lives."""

    INPUT = "input"  # a buffer of its own, written by the host before a run
    OUTPUT = "output"  # a buffer of its own, read by the host after a run, or in the middle of one
    ARENA = "arena"  # a range of the session's arena, shared over time
    CONSTANT = "constant"  # a weight, uploaded once; read-only
    WINDOW = "window"  # a slot of a ring: of an arena tensor of shape [slots, pitch]


@dataclass(frozen=True, slots=True)
class Window:
    """Which slot of tensor `ring`: number (shift + the turn of loop `loop`) modulo its slots.

    `loop` counts the plan's loops in the order in which the flow shows them; None: no turn.
    """

    ring: int
    shift: Dim
    loop: int | None = None


@dataclass(frozen=True, slots=True)
class Tensor:
    """`dtype` is bool, f32, f16, i32 or u32; the layout is contiguous, row-major.

    `window` is given exactly where the home is WINDOW.
    """

    dtype: DType
    shape: tuple[Dim, ...]
    home: Home
    window: Window | None = None

    @property
    def bytes(self) -> Dim:
        """Size in device memory (a bool element takes 4 bytes), not padded."""
        return dims.product(self.shape) * self.dtype.storage.bytes


def counted(size: int, factor: int, less: int, most: int) -> int:
    """The count of which `size` is `factor` times as much, less `less`; it is 1 … `most`.

    Raises ValueError, which tells what is expected, where there is none.
    """
    if not factor - less <= size <= factor * most - less:
        raise ValueError(f"expected {factor - less} to {factor * most - less}")
    if (size + less) % factor:
        raise ValueError(f"expected a multiple of {factor}")
    return (size + less) // factor


@dataclass(frozen=True, slots=True)
class ModelSymbol:
    """A dynamic dim: `id` is `s0`, `s1` … and is what kernels use; `name` is the model's.

    A run that binds it to more than `most` is refused: a table of positions ends there. Where the
    dim may be 0 (`empty`: a cache before the first token) it is one less than the symbol; where
    the model halves it and doubles it again it is `multiple` times the symbol.
    """

    id: str
    name: str
    most: int = dims.MAX_SYMBOL
    empty: bool = False
    multiple: int = 1

    @property
    def shown(self) -> Dim:
        """The symbol by the name of the model's dim."""
        name = self.name if self.multiple == 1 else f"{self.name}/{self.multiple}"
        return dims.symbol(name) + int(self.empty)

    def size(self, value: int) -> int:
        """The size of the model's dim where the symbol has that value."""
        return self.multiple * value - int(self.empty)

    def value(self, size: int) -> int:
        """The symbol's value where the model's dim has that size.

        Raises ValueError, which tells what is expected, for a size that the dim can't have.
        """
        return counted(size, self.multiple, int(self.empty), self.most)


@dataclass(frozen=True, slots=True)
class Labels:
    """Names that an output has: a tensor of strings is places among `texts`.

    `columns` are the classes that the columns of a matrix belong to.
    """

    texts: tuple[str, ...] = ()
    columns: tuple[str | int, ...] = ()


NO_LABELS = Labels()


SEED = "webrt.seed"
"""The input of models that draw numbers, a uint32: listed nowhere, drawn where feeds lack it."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the model.

    `dtype` is the model's; `tensor` indexes the plan's tensors. An output may name an input's
    tensor or a constant's: then the host copies. `low`/`high`: integer inputs outside of low …
    high are refused before a run (indices of a Gather, for instance), because a kernel can't raise.
    An output with `labels.texts` is int64 here, and strings for who runs the model.
    """

    name: str
    dtype: DType
    shape: tuple[Dim, ...]
    tensor: int
    low: int | None = None
    high: int | None = None
    labels: Labels = NO_LABELS


@dataclass(frozen=True, slots=True)
class Step:
    """One dispatch: `problem` indexes the plan's problems, `inputs` and `outputs` its tensors.

    `node` names the model's node (or nodes) that the step computes, for messages.
    """

    problem: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    node: str


@dataclass(frozen=True, slots=True)
class Run:
    """The plan's steps from `first` to before `end`."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class HostStep:
    """The host reads `inputs`, computes `op` (`runtime/host.py`), writes `outputs`.

    `symbols` get their values here: sizes plus one, since a symbol is at least 1. What is read
    has a buffer of its own (home INPUT or OUTPUT).
    """

    op: str
    options: tuple[tuple[str, int | float], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    symbols: tuple[str, ...]
    node: str


@dataclass(frozen=True, slots=True)
class Branch:
    """`then` or `other`, by the one element of tensor `condition`, which the host reads.

    Both write the same tensors. `bound` gives symbols values before either begins: that of the
    first dim before `then`, of the second before `other`.
    """

    condition: int
    then: Flow
    other: Flow
    bound: tuple[tuple[str, Dim, Dim], ...]
    node: str


@dataclass(frozen=True, slots=True)
class Loop:
    """`body` over and over: `trips` times, or while `condition` holds, or both.

    A `condition` (one element) is written before the loop and again by the body: the host reads it
    before every turn. A loop that would take more than `most` turns ends the run with an error.
    `symbol` gets the number of turns plus one.
    """

    trips: Dim | None
    most: int
    condition: int | None
    body: Flow
    symbol: str | None
    node: str


@dataclass(frozen=True, slots=True)
class Need:
    """The run ends with an error unless both dims are equal."""

    left: Dim
    right: Dim
    node: str


Item = Union[Run, HostStep, Branch, Loop, Need]
Flow = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything but code and weights. Equal problems are stored once.

    `steps` are all dispatches. An empty `flow`: one after the other; else its runs cover the steps,
    in order, each once. In a loop, a tensor is written once a turn.
    """

    symbols: tuple[ModelSymbol, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    tensors: tuple[Tensor, ...]
    problems: tuple[Problem, ...]
    steps: tuple[Step, ...]
    flow: Flow = ()

    def named(self, dim: Dim) -> Dim:
        """A dim by the model's own names, for people to read."""
        for symbol in self.symbols:
            if symbol.multiple > 1 and dim == symbol.multiple * dims.symbol(symbol.id):
                return dims.symbol(symbol.name)
        return dims.substitute(dim, {s.id: s.shown for s in self.symbols})

    @property
    def items(self) -> Flow:
        """The flow, spelt out where it is empty."""
        return self.flow or (Run(0, len(self.steps)),)

    @property
    def given(self) -> tuple[str, ...]:
        """The symbols that the shapes of a run's inputs give; hosts bind the others on the way."""
        found = [dims.scaled_symbol(d) for p in self.inputs for d in p.shape]
        shown = {scaled[0] for scaled in found if scaled is not None}
        return tuple(s.id for s in self.symbols if s.id in shown)
