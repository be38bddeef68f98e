"""Timing on a machine that others use: an interruption makes nothing fast."""

from __future__ import annotations

import random
from typing import Any

import pytest

from webrt.runtime.sync import run_sync
from webrt.runtime.timing import Timer

WAIT_MS = 0.2


class Busy:
    """A device whose kernels take as long as they say; waits are sometimes interrupted."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)

    def clock(self) -> float:
        return self.now

    def record(self, dispatches: list[float], uniform: object) -> float:
        return sum(dispatches)

    def replay(self, recording: float) -> None:
        self.now += recording / 1e3

    def discard(self, recording: float) -> None:
        pass

    async def read_many(self, places: object) -> list[bytes]:
        interrupted = self.random.random() < 0.05
        self.now += (WAIT_MS / 2 + (6.0 if interrupted else 0.0)) / 1e3
        return []


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ms", [0.01, 0.7, 3.0])
def test_an_interruption_makes_nothing_fast(seed: int, ms: float) -> None:
    device: Any = Busy(seed)
    uniform: Any = None
    timer = Timer(device, uniform, device.clock)
    one: Any = 2 * ms
    other: Any = ms
    assert run_sync(timer.ratio(one, other)) == pytest.approx(2, rel=0.1)
    assert run_sync(timer.dispatch(one)) > 1.9 * ms
