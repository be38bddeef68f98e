"""Times dispatches on a device: passes from an empty queue to an empty queue, and their median."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

from webrt.runtime.device import Buffer, Device, Dispatch, Recording

PASS_MS = 8.0
"""What a timed pass should take: well over a clock's step of 0.1 ms and a submission's cost."""

PASSES, EMPTIES = 5, 3

SLOW_MS = 30.0
"""A kernel that takes so long is timed thrice in all: a clock and a queue add little to it."""

MAX_REPEATS = 256
MAX_REPLAYS = 32
STEP_MS = 0.1
"""A browser's clock moves by so much: a pass that took no longer took an unknown time."""

HOPELESS, BEATEN = 3.0, 1.2
"""So many times slower than the one to beat, a kernel is left after a single dispatch; after some
turns."""


class Timer:
    """Times dispatches; `uniform` holds the symbols, and reading it tells that all is done.

    `clock` gives seconds.
    """

    def __init__(
        self, device: Device, uniform: Buffer, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._device = device
        self._uniform = uniform
        self._clock = clock

    async def settle(self) -> None:
        """Wait until the device has done all that was queued."""
        await self._device.read_many([(self._uniform, 16)])

    async def once(self, recording: Recording | None, times: int = 1) -> float:
        """Milliseconds of some replays; of waiting for nothing where there is no recording."""
        await self.settle()
        start = self._clock()
        if recording is not None:
            for _ in range(times):
                self._device.replay(recording)
        await self.settle()
        return (self._clock() - start) * 1e3

    async def nothing(self) -> float:
        """Milliseconds that waiting for nothing takes: about one in a page, longer than many a
        kernel. The least of some: what is taken off too much would make a kernel fast.
        """
        return min([await self.once(None) for _ in range(EMPTIES)])

    async def dispatch(self, dispatch: Dispatch) -> float:
        """Milliseconds of a dispatch: the median of some passes of as many as fill `PASS_MS`."""
        device = self._device
        once = device.record([dispatch], self._uniform)
        first = await self.once(once)
        if first < SLOW_MS:  # that one was to warm up
            first = await self.once(once)
        empty = await self.nothing()
        if first - empty >= SLOW_MS:
            times = [first, await self.once(once), await self.once(once)]
            device.discard(once)
            return max(statistics.median(times) - empty, STEP_MS)
        device.discard(once)
        repeats = _filling(PASS_MS, first - empty, MAX_REPEATS)
        many = device.record([dispatch] * repeats, self._uniform)
        replays = 1
        if repeats > 1:
            replays = _filling(PASS_MS, await self.once(many) - empty, MAX_REPLAYS)
        times = [await self.once(many, replays) - empty for _ in range(PASSES)]
        device.discard(many)
        return max(statistics.median(times), STEP_MS) / (repeats * replays)

    async def ratio(self, one: Dispatch, other: Dispatch) -> float:
        """How many times as long `one` takes as `other`; both ran before.

        They are timed in turns, and the least counts: a device that others use, or that changes its
        clock, takes twice as long from one moment to the next, but seldom for one of two only.
        """
        device = self._device
        empty = await self.nothing()
        least = [0.0, 0.0]
        for j, dispatch in enumerate((one, other)):
            alone = device.record([dispatch], self._uniform)
            least[j] = max(await self.once(alone) - empty, STEP_MS)
            device.discard(alone)
        if least[0] > HOPELESS * least[1] + PASS_MS:
            return least[0] / least[1]
        repeats = _filling(PASS_MS, min(least), MAX_REPEATS)
        many = [device.record([dispatch] * repeats, self._uniform) for dispatch in (one, other)]
        turns, sure = (1, 0) if min(least) >= SLOW_MS else (PASSES, 2)
        replays = 1
        if repeats > 1:
            brief = min([await self.once(recording) - empty for recording in many])
            replays = _filling(PASS_MS, brief, MAX_REPLAYS)
        passes = [math.inf, math.inf]
        if repeats == 1:
            passes = [ms + empty for ms in least]
        for turn in range(turns):
            if turn >= sure and least[0] > BEATEN * least[1]:
                break
            empty = min(empty, await self.once(None))
            for j, recording in enumerate(many):
                passes[j] = min(passes[j], await self.once(recording, replays))
            least = [max(ms - empty, STEP_MS) for ms in passes]
        for recording in many:
            device.discard(recording)
        return least[0] / least[1]


def _filling(pass_ms: float, each_ms: float, most: int) -> int:
    """How many fill a pass."""
    return max(1, min(most, round(pass_ms / max(each_ms, 1e-3))))
