"""Profiles: every kernel of a run with its share, its operations and its traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapters import DEVICES, opened
from test_tune_records import matmul

from webrt.dims import symbol
from webrt.dtypes import DType
from webrt.errors import ShapeError, UsageError
from webrt.kernel.expr import Load, Ref, as_dim, call, f32
from webrt.kernel.problem import (
    Attention,
    Map,
    Operand,
    Output,
    Pass,
    Problem,
    Reduce,
)
from webrt.runtime.profile import operations, traffic
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync


@pytest.mark.parametrize("kind", DEVICES)
def test_every_kernel_of_a_run_is_there_once(kind: Any, tiny_pack: Path) -> None:
    with opened(kind) as device:
        session = run_sync(Session.open(FolderSource(tiny_pack), device))
        feeds = {
            i.name: np.ones([3 if isinstance(d, str) else d for d in i.shape], i.dtype)
            for i in session.inputs
        }
        before = session.run(feeds)
        found = session.profile(feeds)
        steps, problems = session.pack.plan.steps, session.pack.plan.problems
        assert sum(k.count for k in found) == len(steps)
        assert sorted(k.family for k in found) == sorted(type(p).__name__ for p in problems)
        assert [k.total_ms for k in found] == sorted((k.total_ms for k in found), reverse=True)
        for kernel in found:
            assert kernel.ms > 0
            assert kernel.bytes > 0
            assert kernel.schedule["family"]
            assert kernel.gflops == pytest.approx(kernel.operations / kernel.ms / 1e6)
        after = session.run(feeds)  # a profile leaves a session as it was
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value)
        with pytest.raises(ShapeError):
            session.profile({})
        session.close()
        with pytest.raises(UsageError):
            session.profile(feeds)


def table(rows: int, indices: int) -> Map:
    """A gather of `indices` rows of a table of `rows` × 8."""
    row = as_dim(Load(1, symbol("i0"), DType.I32))
    loaded = Load(0, row * 8 + symbol("i1"), DType.F32)
    out = Output(DType.F32, indices * 8, symbol("i0") * 8 + symbol("i1"), loaded)
    operands = (Operand(DType.F32, rows * 8, True), Operand(DType.I32, indices))
    return Map((indices, 8), operands, (out,))


def softmax(rows: int) -> Reduce:
    value = Load(0, symbol("i0") * 16 + symbol("r0"), DType.F32)
    power = call("exp", call("sub", value, Ref("p0", DType.F32)))
    result = call("div", power, Ref("p1", DType.F32))
    out = Output(DType.F32, rows * 16, symbol("i0") * 16 + symbol("r0"), result, each=True)
    passes = (Pass("max", value), Pass("sum", power))
    return Reduce((rows,), (16,), (Operand(DType.F32, rows * 16),), passes, (out,))


def attention(q: int, t: int) -> Attention:
    operands = tuple(Operand(DType.F32, n * 8) for n in (q, t, t))
    score = call("mul", Ref("score", DType.F32), f32(0.5))
    query = Load(0, symbol("q") * 8 + symbol("d"), DType.F32)
    key = Load(1, symbol("t") * 8 + symbol("d"), DType.F32)
    value = Load(2, symbol("t") * 8 + symbol("e"), DType.F32)
    out = Output(DType.F32, q * 8, symbol("q") * 8 + symbol("e"), Ref("acc", DType.F32))
    return Attention((), q, t, 8, 8, operands, query, key, value, score, (out,))


@pytest.mark.parametrize(
    ("problem", "count", "elements"),
    [
        (matmul(24), 2 * 5 * 24 * 32, 5 * 32 + 32 * 24 + 5 * 24),
        (table(1000, 4), 0, 4 * 8 + 4 + 4 * 8),  # four rows of the table, not a thousand
        (table(2, 4), 0, 2 * 8 + 4 + 4 * 8),  # the whole table, and no more
        # a maximum; subtract, exp, sum; subtract, exp, divide
        (softmax(3), 7 * 3 * 16, 2 * 3 * 16),
        # two products; scale, and a softmax's four
        (attention(4, 6), 2 * 2 * 4 * 6 * 8 + 5 * 4 * 6, (4 + 6 + 6 + 4) * 8),
    ],
)
def test_operations_and_traffic(problem: Problem, count: int, elements: int) -> None:
    assert operations(problem, {"s0": 5}) == count
    assert traffic(problem, {"s0": 5}) == 4 * elements
