"""What sessions hold, and that they give all of it back: GPU buffers, workers, JavaScript's memory.

`WEBRT_FULL=1` makes and releases 100 sessions and runs one 10,000 times; fewer by default.
"""

from __future__ import annotations

import array
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium, Performer
from playwright.sync_api import Page
from sample_pack import RELEASE, _kernels, _wasm, sample_constants, sample_plan
from test_player import SHARD, altered, expected, flip
from test_wasm import outer  # noqa: F401

from webrt.pack.write import write_pack

FULL = os.environ.get("WEBRT_FULL") == "1"
SESSIONS, RUNS = (100, 10_000) if FULL else (12, 1000)

COUNTED = """
  const live = {buffers: new Map(), workers: new Set(), devices: new Set()};
  if (globalThis.GPUDevice) {
    const {createBuffer, destroy} = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (options) {
      const buffer = createBuffer.call(this, options);
      live.buffers.set(buffer, options.size);
      return buffer;
    };
    const {destroy: drop} = GPUBuffer.prototype;
    GPUBuffer.prototype.destroy = function () {
      live.buffers.delete(this);
      drop.call(this);
    };
    const {requestDevice} = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...args) {
      const device = await requestDevice.apply(this, args);
      live.devices.add(device);
      return device;
    };
    GPUDevice.prototype.destroy = function () {
      live.devices.delete(this);
      destroy.call(this);
    };
  }
  const {Worker} = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(...args) { super(...args); live.workers.add(this); }
    terminate() { live.workers.delete(this); super.terminate(); }
  };
  const held = () => ({buffers: live.buffers.size, workers: live.workers.size,
    devices: live.devices.size, bytes: [...live.buffers.values()].reduce((a, b) => a + b, 0)});
"""
"""`held()` counts what lives of the player's."""

NOTHING = {"buffers": 0, "workers": 0, "devices": 0, "bytes": 0}

CYCLES = f"""async ({{InferenceSession, Tensor, devices}}, {{url}}) => {{
  {COUNTED}
  const feeds = (n) => ({{
    ids: new Tensor("int64", Array(n).fill(1), [1, n]),
    scale: new Tensor("float32", [1, 2, 3, 4])}});
  globalThis.held = held;
  globalThis.cycles = async (device, count) => {{
    for (let j = 0; j < count; j++) {{
      const session = await InferenceSession.create(url, {{device, threads: 1}});
      await session.run(feeds(1 + (j % 4)));
      await session.release();
      devices.length = 0; // the job's own list
    }}
    return held();
  }};
  globalThis.runs = async (device, count) => {{
    globalThis.session ??= await InferenceSession.create(url, {{device, threads: 1}});
    for (let j = 0; j < count; j++) await globalThis.session.run(feeds(1 + (j % 40)));
    return held();
  }};
}}"""


class Heap:
    """A page with the player's counts, and its JavaScript memory after a collection."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.devtools = page.context.new_cdp_session(page)

    def used(self) -> int:
        for _ in range(3):  # finalizers free what the next collection takes
            self.devtools.send("HeapProfiler.collectGarbage")
            self.page.wait_for_timeout(50)
        usage = self.devtools.send("Runtime.getHeapUsage")
        return int(usage["usedSize"] + usage["embedderHeapUsedSize"] + usage["backingStorageSize"])


@pytest.fixture
def heap(chromium: Chromium, sample: str) -> Iterator[Heap]:
    name = chromium.site.add_job(CYCLES, {"url": sample})
    page = chromium.browser.new_page()
    page.goto(f"{chromium.site.url}/jobs/{name}.html")
    chromium.site.result(name, 30)
    yield Heap(page)
    page.close()


def growth(heap: Heap, call: str, device: str, warm: int, count: int) -> tuple[float, Any, Any]:
    """Bytes that JavaScript's memory grows by for each of `count` more, and what is held before and
    after them; engines compile what is at work for longer, so `warm` go before."""
    script = f"([device, count]) => {call}(device, count)"
    first = heap.page.evaluate(script, [device, warm])
    before = heap.used()
    held = heap.page.evaluate(script, [device, count])
    return (heap.used() - before) / count, first, held


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_sessions_give_everything_back(heap: Heap, device: str) -> None:
    grown, first, held = growth(heap, "cycles", device, max(12, SESSIONS // 5), SESSIONS)
    print(f"{device}: {grown:.0f} bytes a session")
    assert first == held == NOTHING
    assert grown < (3000 if FULL else 8000)


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_runs_take_nothing_more(heap: Heap, device: str) -> None:
    grown, first, held = growth(heap, "runs", device, max(1500, RUNS // 5), RUNS)
    print(f"{device}: {grown:.0f} bytes a run")
    assert first == held
    assert (held["workers"], held["devices"]) == ((0, 1) if device == "webgpu" else (1, 0))
    assert grown < (20 if FULL else 120)


ENDED = f"""async ({{InferenceSession, rejection, clearCache}}, {{url, device, at, options}}) => {{
  {COUNTED}
  await clearCache();
  const stop = new AbortController();
  const end = (status) => {{
    if (status === at) stop.abort(new DOMException("enough", "AbortError"));
  }};
  const {{requestAdapter}} = globalThis.GPU?.prototype ?? {{}};
  if (requestAdapter) {{
    GPU.prototype.requestAdapter = function (...args) {{
      end("device");
      return requestAdapter.apply(this, args);
    }};
  }}
  const creating = InferenceSession.create(url, {{device, threads: 1, ...options,
    signal: stop.signal, onProgress: ({{status}}) => end(status)}});
  end("begun");
  const error = await rejection(creating);
  let left = held();
  for (let j = 0; j < 100 && left.workers + left.devices + left.buffers; j++) {{
    await new Promise((resolve) => setTimeout(resolve, 50));
    left = held();
  }}
  return {{error, left}};
}}"""

STAGES = ["begun", "initiate", "download", "progress", "done", "compile"]


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_a_creation_that_is_stopped_leaves_nothing(
    browser: Performer, sample: str, device: str
) -> None:
    for at in [*STAGES, "device"] if device == "webgpu" else STAGES:
        found = browser.run(ENDED, {"url": sample, "device": device, "at": at, "options": {}})
        assert (found["error"]["name"], found["error"]["message"]) == ("AbortError", "enough"), at
        assert found["left"] == NOTHING, at


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_a_creation_that_fails_leaves_nothing(
    browser: Performer, packs: Path, sample: str, device: str
) -> None:
    for name, file, change in [
        ("cut", SHARD, lambda data: data[:-1]),
        ("flipped", SHARD, flip),
        ("no-manifest", "manifest.json", lambda data: data[:-9]),
    ]:
        url = altered(packs, f"released-{name}", file, change)
        found = browser.run(ENDED, {"url": url, "device": device, "at": "", "options": {}})
        assert found["error"]["name"] == "PackError"
        assert found["left"] == NOTHING, name


TOGETHER = """async ({InferenceSession, Tensor}, {urls}) => {
  const sessions = await Promise.all(urls.map(([url, device]) => (
    InferenceSession.create(url, {device, threads: 1}))));
  const feeds = (session, n) => (session.inputNames.includes("ids") ? {
    ids: new Tensor("int64", [1, n], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4]),
  } : {x: new Tensor("float32", [1, n], [2, 1])});
  const run = async (session, n) => {
    const outputs = await session.run(feeds(session, n));
    return [...(outputs.pooled ?? outputs.y).data];
  };
  const found = await Promise.all([1, 2, 3, 4].flatMap((n) => sessions.map((s) => run(s, n))));
  await sessions[0].release();
  const rest = await Promise.all([5, 6].flatMap((n) => sessions.slice(1).map((s) => run(s, n))));
  await Promise.all(sessions.map((s) => s.release()));
  return [...found, ...rest];
}"""


def test_sessions_at_once(browser: Performer, sample: str, outer: str) -> None:  # noqa: F811
    urls = [(sample, "webgpu"), (sample, "webgpu"), (sample, "wasm"), (outer, "webgpu"),
            (outer, "wasm")]  # fmt: skip

    def answer(url: str, n: int) -> list[float]:
        if url == outer:
            return [1, n, n, n * n]
        found: list[float] = expected([[1, n]])["pooled"]["data"]
        return found

    found = browser.run(TOGETHER, {"urls": urls})
    wanted = [answer(url, n) for n in (1, 2, 3, 4) for url, _ in urls]
    assert found == wanted + [answer(url, n) for n in (5, 6) for url, _ in urls[1:]]


TAB = """async ({InferenceSession, Tensor}, {urls, times, cacheBytes}) => {
  const found = [];
  for (let j = 0; j < times; j++) {
    for (const url of urls) {
      const session = await InferenceSession.create(url, {device: "wasm", threads: 1, cacheBytes});
      const {pooled} = await session.run({
        ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
      found.push([...pooled.data]);
      await session.release();
    }
  }
  return found;
}"""
KEPT = """async () => {
  const cache = await caches.open("webrt-1");
  const index = await (await cache.match("https://webrt.invalid/index")).json();
  const names = (await cache.keys()).map(({url}) => url.slice(22));
  return {index: Object.keys(index).sort(), files: names.filter((n) => n.length === 64).sort()};
}"""


def other_sample(packs: Path) -> str:
    """The sample with another constant, so with another shard."""
    constants = sample_constants() | {RELEASE: array.array("i", [0, 1, 2])}
    write_pack(packs / "released-other", sample_plan(), _kernels(), _wasm(), constants)
    return "/packs/released-other"


@pytest.mark.parametrize("room", [None, 2500], ids=["room", "no-room"])
def test_tabs_share_one_cache(
    chromium: Chromium, packs: Path, sample: str, room: int | None
) -> None:
    """Also where there isn't room for both packs, so that each tab pushes out what others load."""
    context = chromium.browser.new_context()  # type: ignore[union-attr]
    site = chromium.site
    urls = [sample, other_sample(packs)]
    pages, names = [], []
    for order in (urls, urls[::-1], urls):
        args = {"urls": order, "times": 2, "cacheBytes": room}
        names.append(site.add_job(TAB, args))
        pages.append(context.new_page())
    for page, name in zip(pages, names, strict=True):
        page.goto(f"{site.url}/jobs/{name}.html", wait_until="commit")
    for page, name in zip(pages, names, strict=True):
        deadline = time.monotonic() + 60
        while site.results[name].empty() and time.monotonic() < deadline:
            page.wait_for_timeout(50)
        assert site.result(name, 1) == [expected([[1, 2]])["pooled"]["data"]] * 4
    kept = Chromium(site, context).run(KEPT)
    context.close()
    assert kept["files"] == kept["index"]
    assert len(kept["files"]) == 3 if room is None else len(kept["files"]) > 0
