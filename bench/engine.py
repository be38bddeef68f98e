"""Times wasm kernels in headless Chromium: its engine is another one than wasmtime's.

Kernels run on the page's main thread, whose processor time Chromium tells to the microsecond: on a
machine that is shared, only that can be repeated. V8's baseline compiler is left out, so that what
is timed is the code that a page comes to run.
"""

from __future__ import annotations

import base64
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from playwright.sync_api import sync_playwright
from sweep import ROUGH, TURNS, Time

from webrt import dims
from webrt.codegen import abi
from webrt.kernel.problem import Problem
from webrt.runtime.device import DeviceInfo, WasmCode
from webrt.runtime.devices import wasmtime
from webrt.runtime.sync import run_sync
from webrt.schedule import Schedule
from webrt.tune.candidate import generate

PASS_MS, PASSES = 8.0, 3
MOST = 20_000
"""Calls of a kernel in a pass, at most."""

SCRIPT = """
(globalThis.bench = {
  memory: new WebAssembly.Memory({ initial: 2, maximum: 65536 }),
  fill(address, words, float) {
    this.grow(address + 4 * words);
    const to = new (float ? Float32Array : Int32Array)(this.memory.buffer, address, words);
    let seed = 1;
    for (let j = 0; j < words; j++) {
      seed = (seed * 48271) % 2147483647;
      to[j] = float ? seed / 1073741824 - 1 : seed & 1;
    }
  },
  grow(end) {
    const missing = Math.ceil((end + SLACK - this.memory.buffer.byteLength) / 65536);
    if (missing > 0) this.memory.grow(missing);
  },
  load(code, calls, scratch, end) {
    this.grow(end);
    const bytes = Uint8Array.from(atob(code), (c) => c.charCodeAt(0));
    const module = new WebAssembly.Module(bytes);
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.memory } });
    const { buffer } = this.memory, { table } = exports;
    for (const { at, words } of calls) new Int32Array(buffer, at, words.length).set(words);
    for (const { entry, at, units } of calls.slice(1)) table.get(entry)(at, 0, units, scratch);
    const { entry, at, units } = calls[0], kernel = table.get(entry);
    this.run = (times) => {
      for (let j = 0; j < times; j++) kernel(at, 0, units, scratch);
    };
    this.run(1);
  },
})
""".replace("SLACK", str(abi.SLACK))


class Engine:
    """A page of Chromium that runs kernels; `info` is what they are generated for."""

    def __init__(self) -> None:
        native = run_sync(wasmtime.open_device(1, None))
        known = native.info
        native.close()
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--js-flags=--no-liftoff --wasm-max-mem-pages=65536"],
        )
        name = f"wasm (relaxed SIMD, 1 thread) in Chromium {self._browser.version}"
        self.info: DeviceInfo = replace(known, adapter=name)
        self.page = self._browser.new_page()
        self.page.evaluate(f"() => {{ {SCRIPT} }}")
        self._session = self.page.context.new_cdp_session(self.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self) -> float:
        """Processor time of the page's main thread so far."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return next(float(m["value"]) for m in metrics if m["name"] == "ThreadTime")

    def close(self) -> None:
        self._browser.close()
        self._playwright.stop()


class EngineSweep:
    """Times schedules of one problem: `sweep.Sweep` for an engine. No result is looked at."""

    def __init__(self, engine: Engine, problem: Problem) -> None:
        self.engine, self.problem = engine, problem
        self._next = abi.FIRST_ADDRESS
        self._operands = [self._place(dims.evaluate(o.size, {}), o) for o in problem.operands]
        self._outputs = [self._place(dims.evaluate(o.size, {}), o) for o in problem.outputs]
        self._symbols = self._place(1, None)
        self._free = self._next
        self.empty = min(self._passes(0, 5))

    def close(self) -> None:
        """There is nothing to give back."""

    def _place(self, count: int, item: Any) -> int:
        """The address of `count` random elements; those of the symbols where there is no item."""
        here = self._next
        size = 4 if item is None else item.dtype.storage.bytes
        words = -(-size * count // 4)
        self._next += -(-4 * words // 64) * 64
        is_float = item is not None and item.dtype.is_float
        self.engine.page.evaluate("a => bench.fill(...a)", [here, words, is_float])
        return here

    def _passes(self, times: int, passes: int) -> list[float]:
        """Milliseconds of the engine's time that so many calls take, some times over."""
        spent, start = [], self.engine.seconds()
        for _ in range(passes):
            self.engine.page.evaluate("n => n && bench.run(n)", times)
            end = self.engine.seconds()
            spent.append((end - start) * 1e3)
            start = end
        return spent

    def ratios(self, schedules: Sequence[Schedule]) -> list[float]:
        """How many times as long as the first each takes: medians of `TURNS` times in turns."""
        rounds = [[self._time(schedule, None)[0] for schedule in schedules] for _ in range(TURNS)]
        ratios = [[ms / times[0] for ms in times] for times in rounds]
        return [statistics.median(each) for each in zip(*ratios, strict=True)]

    def time(self, schedule: Schedule, best: float | None) -> Time:
        """One schedule's time, closely where it may be the best."""
        start = self.engine.seconds()
        ms, rough = self._time(schedule, best)
        return Time(ms, rough, self.engine.seconds() - start)

    def _time(self, schedule: Schedule, best: float | None) -> tuple[float, bool]:
        self._load(schedule)
        if best is None:
            best = max(1e-3, self._passes(1, 1)[0] - self.empty)
        repeats = max(1, min(MOST, round(PASS_MS / best)))
        ms = max(1e-6, self._passes(repeats, 1)[0] - self.empty) / repeats
        if ms > ROUGH * best:
            return ms, True
        spent = self._passes(repeats, PASSES - 1)
        return min(ms, max(1e-6, min(spent) - self.empty) / repeats), False

    def _load(self, schedule: Schedule) -> None:
        candidate = generate(self.problem, schedule, self.engine.info)
        source = candidate.code.source
        assert isinstance(source, WasmCode)
        self._next = self._free
        operands = list(self._operands)
        packers = []
        for panel in candidate.panels:
            place = self._reserve(panel.bytes)
            packer = panel.code.source
            assert isinstance(packer, WasmCode)
            words = [operands[panel.operand], place, self._symbols]
            packers.append((packer.entry, words, panel.units, packer.scratch))
            operands[panel.operand] = place
        kernel = [*operands, *self._outputs, self._symbols]
        units = dims.evaluate(candidate.grid[0], {})
        every = [(source.entry, kernel, units, source.scratch), *packers]
        calls = []
        for entry, words, count, _ in every:
            at = self._reserve(4 * len(words))
            calls.append({"entry": entry, "at": at, "words": words, "units": count})
        scratch = self._reserve(max(needed for *_, needed in every))
        code = base64.b64encode(source.module).decode()
        self.engine.page.evaluate("a => bench.load(...a)", [code, calls, scratch, self._next])

    def _reserve(self, size: int) -> int:
        here = self._next
        self._next += -(-max(size, 4) // 64) * 64
        return here
