"""Times dispatches on a device: passes from an empty queue to an empty queue, and their median."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from webrt.runtime.device import Buffer, Device, Dispatch, Recording

PASS_MS = 8.0
"""What a timed pass should take: well over a clock's step of 0.1 ms and a submission's cost."""

PASSES = 5

SLOW_MS = 30.0
"""A kernel that takes so long is timed thrice in all: a clock and a queue add little to it."""

MAX_REPEATS = 256
MAX_REPLAYS = 32
STEP_MS = 0.1
"""A browser's clock moves by so much: a pass that took no longer took an unknown time."""

HOPELESS = 3.0
"""A kernel this many times slower than the one to beat is left after a single dispatch."""


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

    async def dispatch(
        self,
        dispatch: Dispatch,
        best_ms: float | None = None,
        pass_ms: float = PASS_MS,
        warm: bool = False,
    ) -> float:
        """Milliseconds of a dispatch: the median of some passes of as many as fill `pass_ms`.

        One that is hopelessly slower than `best_ms` is timed once only; `warm` says that the kernel
        ran before, so that drivers have compiled it.
        """
        device = self._device
        once = device.record([dispatch], self._uniform)
        first = await self.once(once)
        if first < SLOW_MS:  # that one was to warm up
            first = await self.once(once)
        if best_ms is not None and first > HOPELESS * best_ms + PASS_MS:
            device.discard(once)
            return first
        # Waiting for nothing takes about a millisecond in a page: longer than many a kernel.
        empty = await self.once(None)
        if first - empty >= SLOW_MS:
            times = [first, await self.once(once), await self.once(once)]
            device.discard(once)
            return max(statistics.median(times) - empty, STEP_MS)
        device.discard(once)
        return await self._brief(dispatch, first - empty, empty, best_ms, pass_ms)

    async def ratio(self, one: Dispatch, other: Dispatch) -> float:
        """How many times as long `one` takes as `other`; both ran before.

        They are timed in turns, and the least counts: a device that others use, or that changes its
        clock, takes twice as long from one moment to the next, but seldom for one of two only.
        """
        device = self._device
        alone = [device.record([dispatch], self._uniform) for dispatch in (one, other)]
        empty = await self.once(None)
        brief = min([await self.once(recording) - empty for recording in alone])
        repeats = max(1, min(MAX_REPEATS, round(PASS_MS / max(brief, 1e-3))))
        many = [device.record([dispatch] * repeats, self._uniform) for dispatch in (one, other)]
        replays = 1
        if repeats > 1:
            brief = min([await self.once(recording) - empty for recording in many])
            replays = max(1, min(MAX_REPLAYS, round(PASS_MS / max(brief, STEP_MS))))
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(2 if brief >= SLOW_MS else PASSES):
            empty = await self.once(None)
            for recording, spent in zip(many, times, strict=True):
                spent.append(max(await self.once(recording, replays) - empty, STEP_MS))
        for recording in (*alone, *many):
            device.discard(recording)
        return min(times[0]) / min(times[1])

    async def _brief(
        self, dispatch: Dispatch, first: float, empty: float, best_ms: float | None, pass_ms: float
    ) -> float:
        """The median of some passes that are long enough for the clock."""
        device = self._device
        repeats = max(1, min(MAX_REPEATS, round(pass_ms / max(first, 1e-3))))
        many = device.record([dispatch] * repeats, self._uniform)
        replays = 1
        if repeats > 1:
            brief = max(await self.once(many) - empty, STEP_MS)
            replays = max(1, min(MAX_REPLAYS, round(pass_ms / brief)))
        times = []
        for _ in range(PASSES):
            spent = await self.once(many, replays) - empty
            times.append(max(spent, STEP_MS) / (repeats * replays))
            if best_ms is not None and times[-1] > HOPELESS * best_ms:
                break
        device.discard(many)
        return statistics.median(times)
