"""The plan: a model as a list of dispatches over tensors with symbolic shapes, without code.

Made by the builder half (`passes/`), stored by `pack/`, executed by `runtime/session.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from webrt import dims
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.kernel.problem import Problem


class Home(Enum):
    """Where a tensor lives."""

    INPUT = "input"  # a buffer of its own, written by the host before a run
    OUTPUT = "output"  # a buffer of its own, read by the host after a run
    ARENA = "arena"  # a range of the session's one arena, shared over time
    CONSTANT = "constant"  # a weight, uploaded once; read-only


@dataclass(frozen=True, slots=True)
class Tensor:
    """`dtype` is bool, f32, f16, i32 or u32; the layout is contiguous, row-major."""

    dtype: DType
    shape: tuple[Dim, ...]
    home: Home

    @property
    def bytes(self) -> Dim:
        """Size in device memory (a bool element takes 4 bytes), not padded."""
        return dims.product(self.shape) * self.dtype.storage.bytes


@dataclass(frozen=True, slots=True)
class ModelSymbol:
    """A dynamic dim: `id` is `s0`, `s1` … and is what kernels use; `name` is the model's.

    A run that binds it to more than `most` is refused: a table of positions ends there.
    """

    id: str
    name: str
    most: int = dims.MAX_SYMBOL


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the model.

    `dtype` is the model's; `tensor` indexes the plan's tensors. An output may name an input's
    tensor or a constant's: then the host copies. `low`/`high`: integer inputs outside of low …
    high are refused before a run (indices of a Gather, for instance), because a kernel can't raise.
    """

    name: str
    dtype: DType
    shape: tuple[Dim, ...]
    tensor: int
    low: int | None = None
    high: int | None = None


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
class Plan:
    """Everything but code and weights. Equal problems are stored once."""

    symbols: tuple[ModelSymbol, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    tensors: tuple[Tensor, ...]
    problems: tuple[Problem, ...]
    steps: tuple[Step, ...]
