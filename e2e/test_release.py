"""What sessions hold, and that they give all of it back: buffers, workers, JavaScript's objects.

`WEBRT_FULL=1` makes and releases 100 sessions and runs one 10,000 times; fewer by default: what is
kept for each of them shows either way, as objects are counted by their class.
"""

from __future__ import annotations

import array
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Chromium, Performer
from playwright.sync_api import Page
from sample_pack import RELEASE, _kernels, _wasm, sample_constants, sample_plan
from site_server import Site
from test_player import SHARD, altered, expected, flip
from test_wasm import outer  # noqa: F401

from webrt.pack.write import write_pack

FULL = os.environ.get("WEBRT_FULL") == "1"
SESSIONS, RUNS = (34, 3400) if FULL else (8, 40)  # three times

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

CYCLES = f"""async ({{InferenceSession, Tensor, devices, env}}, {{url}}) => {{
  {COUNTED}
  const feeds = (n) => ({{
    ids: new Tensor("int64", Array(n).fill(1), [1, n]),
    scale: new Tensor("float32", [1, 2, 3, 4])}});
  globalThis.held = held;
  globalThis.cycles = async (device, count) => {{
    const options = device === "shared" ? {{gpuDevice: await env.webgpu.device}}
      : {{device, threads: 1}};
    for (let j = 0; j < count; j++) {{
      const session = await InferenceSession.create(url, options);
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
    """A page with the player's counts, and what JavaScript's memory holds after a collection."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.devtools = page.context.new_cdp_session(page)

    def bytes(self) -> int:
        usage = self.devtools.send("Runtime.getHeapUsage")
        return int(usage["usedSize"] + usage["embedderHeapUsedSize"] + usage["backingStorageSize"])

    def objects(self) -> Counter[str]:
        """Objects by their class: what engine and DevTools keep for themselves isn't counted."""
        for _ in range(3):  # finalizers free what the next collection takes
            self.devtools.send("HeapProfiler.collectGarbage")
            self.page.wait_for_timeout(50)
        parts: list[str] = []
        hear = lambda event: parts.append(event["chunk"])  # noqa: E731
        self.devtools.on("HeapProfiler.addHeapSnapshotChunk", hear)
        self.devtools.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
        self.devtools.remove_listener("HeapProfiler.addHeapSnapshotChunk", hear)
        found = json.loads("".join(parts))
        meta, nodes, strings = found["snapshot"]["meta"], found["nodes"], found["strings"]
        types, step = meta["node_types"][0], len(meta["node_fields"])
        counts: Counter[str] = Counter()
        for kind, name in zip(nodes[::step], nodes[1::step], strict=True):
            if types[kind] in ENGINE or strings[name].startswith(ENGINE_NAMES):
                continue
            counts[types[kind] if types[kind] in VALUES else f"{types[kind]} {strings[name]}"] += 1
        return counts


ENGINE = {"code", "object shape", "hidden", "synthetic"}
ENGINE_NAMES = ("system / ", "blink::", "Performance", "TaskAttribution")
"""Maps, machine code, and a page's timings: Chromium notes each request, up to 250 of them."""
VALUES = {"string", "concatenated string", "sliced string", "number", "bigint", "regexp"}
"""Counted together: they have a text for a name."""


@pytest.fixture
def heap(chromium: Chromium, sample: str) -> Iterator[Heap]:
    name = chromium.site.add_job(CYCLES, {"url": sample})
    page = chromium.browser.new_page()
    page.goto(f"{chromium.site.url}/jobs/{name}.html")
    chromium.site.result(name, 30)
    yield Heap(page)
    page.close()


def growth(heap: Heap, call: str, device: str, count: int) -> list[Any]:
    """What is held after `count` of something, after as many more, and again.

    No class of objects may grow with each: what an engine makes for code at work, it makes once.
    """
    script = f"([device, count]) => {call}(device, count)"
    held, objects, used = [], [], []
    for _ in range(3):
        held.append(heap.page.evaluate(script, [device, count]))
        objects.append(heap.objects())
        used.append(heap.bytes())
    print(f"{call}, {device}: {(used[2] - used[1]) / count:.0f} bytes each")
    first, second, third = objects
    names = second.keys() | third.keys()
    grown = {name: min(third[name] - second[name], second[name] - first[name]) for name in names}
    assert {name: n for name, n in grown.items() if n >= count} == {}
    return held


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_sessions_and_runs_keep_nothing(heap: Heap, device: str) -> None:
    assert growth(heap, "cycles", device, SESSIONS) == [NOTHING] * 3
    held = growth(heap, "runs", device, RUNS)
    assert held[1] == held[2]  # after the first time, every shape was seen
    count = {"webgpu": (0, 1), "wasm": (1, 0)}[device]
    assert (held[2]["workers"], held[2]["devices"]) == count


def test_the_page_s_own_gpu_keeps_no_session(heap: Heap) -> None:
    assert growth(heap, "cycles", "shared", SESSIONS) == [NOTHING | {"devices": 1}] * 3


COLLECTED = f"""async ({{InferenceSession, Tensor, devices}}, {{url, device, count, seconds}}) => {{
  {COUNTED}
  const kept = [];
  await (async () => {{
    for (let j = 0; j < count; j++) {{
      const session = await InferenceSession.create(url, {{device, threads: 1}});
      kept.push(new WeakRef(session));
      await session.run({{ids: new Tensor("int64", [1], [1, 1]),
        scale: new Tensor("float32", [1, 2, 3, 4])}});
      await session.release();
    }}
  }})();
  devices.length = 0;
  const left = () => kept.filter((ref) => ref.deref()).length;
  let garbage;
  for (const end = Date.now() + 1000 * seconds; Date.now() < end && left() > 1;) {{
    garbage = Array.from({{length: 20}}, () => new Array(50_000).fill(Date.now()));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }}
  return [held(), left(), garbage?.length];
}}"""


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_sessions_give_everything_back_in_firefox(
    firefox: Performer, sample: str, device: str
) -> None:
    """There is no heap to look into: with time to spare, that sessions are collected is seen."""
    count, seconds = (20, 120) if FULL else (4, 0)
    args = {"url": sample, "device": device, "count": count, "seconds": seconds}
    held, left, _ = firefox.run(COLLECTED, args, timeout=200)
    assert held == NOTHING
    assert left <= (1 if FULL else count)  # the last one may still be on the engine's stack


ENDED = f"""async ({{InferenceSession, rejection, clearCache}}, {{cases}}) => {{
  {COUNTED}
  let end = () => {{}};
  const {{requestAdapter}} = globalThis.GPU?.prototype ?? {{}};
  if (requestAdapter) {{
    GPU.prototype.requestAdapter = function (...args) {{
      end("device");
      return requestAdapter.apply(this, args);
    }};
  }}
  const found = [];
  for (const [url, device, at] of cases) {{
    await clearCache();
    const stop = new AbortController();
    end = (status) => {{
      if (status === at) stop.abort(new DOMException("enough", "AbortError"));
    }};
    const creating = InferenceSession.create(url, {{device, threads: 1,
      signal: stop.signal, onProgress: ({{status}}) => end(status)}});
    end("begun");
    const error = await rejection(creating);
    let left = held();
    for (let j = 0; j < 100 && left.workers + left.devices + left.buffers; j++) {{
      await new Promise((resolve) => setTimeout(resolve, 20));
      left = held();
    }}
    found.push([error.name, error.message, left]);
  }}
  return found;
}}"""

UNLOCKED = """async ({InferenceSession, Tensor}, {url}) => {
  LockManager.prototype.request = () => Promise.reject(new DOMException("no", "InvalidStateError"));
  const session = await InferenceSession.create(url, {device: "wasm", threads: 1});
  const {pooled} = await session.run({
    ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
  await session.release();
  return [...pooled.data];
}"""


def test_storage_that_can_t_be_locked_keeps_nothing(visitor: Chromium, sample: str) -> None:
    """As in a frame that was taken out of its page: nothing is stored, and nothing else fails."""
    assert visitor.run(UNLOCKED, {"url": sample}) == expected([[1, 2]])["pooled"]["data"]


STAGES = ["begun", "initiate", "download", "progress", "done", "compile"]


def test_a_creation_that_ends_early_leaves_nothing(
    browser: Performer, packs: Path, sample: str
) -> None:
    """Stopped by the page at any stage, or because something is wrong with the pack."""
    broken = [
        altered(packs, f"released-{name}", file, change)
        for name, file, change in [
            ("cut", SHARD, lambda data: data[:-1]),
            ("flipped", SHARD, flip),
            ("no-manifest", "manifest.json", lambda data: data[:-9]),
        ]
    ]
    stopped = [(sample, device, at) for device in ("webgpu", "wasm") for at in STAGES]
    stopped.append((sample, "webgpu", "device"))
    failing = [(url, device, "") for device in ("webgpu", "wasm") for url in broken]
    found = browser.run(ENDED, {"cases": stopped + failing})
    for case, (name, message, left) in zip(stopped + failing, found, strict=True):
        assert left == NOTHING, case
        if case in stopped:
            assert (name, message) == ("AbortError", "enough"), case
        else:
            assert name == "PackError", case


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


TAB = """async ({InferenceSession, Tensor}, {urls, cacheBytes}) => {
  const found = [];
  for (const url of [...urls, ...urls]) {
    const session = await InferenceSession.create(url, {device: "wasm", threads: 1, cacheBytes});
    const {pooled} = await session.run({
      ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
    found.push([...pooled.data]);
    await session.release();
  }
  setTimeout(close, 3000);
  return found;
}"""
OPEN = """async ({clearCache}, {names}) => {
  await clearCache();
  return names.every((name) => open(`/jobs/${name}.html`, "_blank"));
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
    returning: Performer, packs: Path, sample: str, room: int | None
) -> None:
    """Also where there isn't room for both packs, so that a tab pushes out what the other loads."""
    site: Site = returning.site  # type: ignore[attr-defined]
    urls = [sample, other_sample(packs)]
    orders = (urls, urls[::-1])
    names = [site.add_job(TAB, {"urls": order, "cacheBytes": room}) for order in orders]
    assert returning.run(OPEN, {"names": names})
    for name in names:
        assert site.result(name, 60) == [expected([[1, 2]])["pooled"]["data"]] * 4
    kept = returning.run(KEPT)
    assert kept["files"] == kept["index"]
    assert len(kept["files"]) == 3 if room is None else len(kept["files"]) > 0
