"""The options of `InferenceSession.create`: what a page is told, which device it gets, queues."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest
from browsers import Chromium, Performer
from sample_pack import TABLE_VALUES
from test_player import SHARD


@pytest.fixture
def visitor(chromium: Chromium) -> Iterator[Chromium]:
    """A visitor with a storage of their own."""
    context = chromium.browser.new_context()  # type: ignore[union-attr]
    yield Chromium(chromium.site, context)
    context.close()


TOLD = """async ({InferenceSession, Tensor}, {url, options}) => {
  const told = [];
  const session = await InferenceSession.create(url, {
    ...options, onProgress: (info) => told.push(info)});
  const count = told.length;
  await session.run({
    ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
  await session.release();
  return {told, late: told.length - count};
}"""


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_a_page_is_told_of_every_file(visitor: Chromium, sample: str, device: str) -> None:
    files = ["manifest.json", SHARD] + (["kernels-relaxed.wasm"] if device == "wasm" else [])
    for cached in (False, True):
        found = visitor.run(TOLD, {"url": sample, "options": {"device": device}})
        told: list[dict[str, Any]] = found["told"]
        assert {info["name"] for info in told} == {sample}
        assert told[-1] == {"status": "ready", "name": sample}
        assert found["late"] == 0
        assert {info["file"] for info in told if "file" in info} == set(files)
        for file in files:
            mine = [info for info in told if info.get("file") == file]
            kept = cached and file != "manifest.json"
            states = ["initiate", "done"] if kept else ["initiate", "download", "progress", "done"]
            # A slow download comes in several pieces.
            assert [status for status, _ in groupby(info["status"] for info in mine)] == states
            last = mine[-1]
            assert (last["progress"], last["cached"]) == (100, kept)
            assert last["loaded"] == last["total"] > 0
        compiled = [info for info in told if info["status"] == "compile"]
        assert compiled[-1]["loaded"] == compiled[-1]["total"] >= 4


def test_a_handler_that_throws_doesn_t_stop_loading(browser: Performer, sample: str) -> None:
    script = """async ({InferenceSession}, {url}) => {
      const reported = [];
      addEventListener("error", (event) => {
        reported.push(event.message);
        event.preventDefault();
      });
      const session = await InferenceSession.create(url, {
        device: "wasm", threads: 1, onProgress: () => { throw new Error("mine"); }});
      await session.release();
      return [...new Set(reported)];
    }"""
    assert [m.split(": ")[-1] for m in browser.run(script, {"url": sample})] == ["mine"]


AUTO = """async ({InferenceSession, Tensor, counts}, {url, options, slow, times}) => {
  const {GPUAdapter: Adapter} = globalThis;
  const {get} = Object.getOwnPropertyDescriptor(Adapter.prototype, "info");
  Object.defineProperty(Adapter.prototype, "info", {get() {
    const {vendor, architecture, device, description} = get.call(this);
    return {vendor, architecture, device, description, isFallbackAdapter: false};
  }});
  const {WasmDevice} = await import("/web/wasm.js");
  const {Device} = await import("/web/device.js");
  const Slow = {wasm: WasmDevice, webgpu: Device}[slow];
  const read = Slow.prototype.replayAndRead;
  Slow.prototype.replayAndRead = async function (...args) {
    const answer = await read.apply(this, args);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return answer;
  };
  const found = [];
  for (let j = 0; j < times; j++) {
    const session = await InferenceSession.create(url, {device: "auto", threads: 1, ...options});
    const before = {...session.deviceInfo};
    const run = async (n) => [...(await session.run({
      ids: new Tensor("int64", Array(n).fill(n), [1, n]),
      scale: new Tensor("float32", [1, 2, 3, 4])}, ["pooled"])).pooled.data];
    const answers = await Promise.all([1, 2, 3].map(run));
    const compared = await session.compared;
    const tuned = await session.tuned;
    answers.push(await run(4));
    const after = {...session.deviceInfo};
    await session.release();
    found.push({answers, compared, tuned, kinds: [before.kind, after.kind],
      reasons: [before.reason, after.reason]});
  }
  return found;
}"""

ANSWERS = [
    [n * TABLE_VALUES[n][c] * 1.0 for c in range(4)] for n in range(1, 5)
]  # fmt: skip


def measured(text: str, when: str) -> bool:
    pattern = rf"auto: a run takes [\d.]+ ms on webgpu and [\d.]+ ms on wasm, measured {when}"
    return re.fullmatch(pattern, text) is not None


@pytest.mark.parametrize(("slow", "better"), [("webgpu", "wasm"), ("wasm", "webgpu")])
def test_auto_compares_once_and_remembers(
    visitor: Chromium, sample: str, slow: str, better: str
) -> None:
    arguments = {"url": sample, "slow": slow, "times": 2, "options": {}}
    first, second = visitor.run(AUTO, arguments)
    for visit in (first, second):
        assert visit["answers"] == ANSWERS
    assert first["kinds"] == ["webgpu", better]
    assert first["reasons"][0].startswith("auto: a GPU, which is compared with the CPU")
    assert measured(first["reasons"][1], "once")
    slower = first["compared"][slow]
    assert slower > 100 > first["compared"][better]
    assert second["kinds"] == [better, better]
    assert measured(second["reasons"][0], "before")
    assert second["compared"] is None


@pytest.mark.parametrize("tune", ["now", "background"])
def test_a_page_that_tunes_compares_first(visitor: Chromium, sample: str, tune: str) -> None:
    options = {"tune": tune, "pyodide": "/none/", "wheel": "/none.whl"}
    arguments = {"url": sample, "slow": "webgpu", "times": 1, "options": options}
    (visit,) = visitor.run(AUTO, arguments)
    assert visit["answers"] == ANSWERS
    assert visit["kinds"] == ["wasm" if tune == "now" else "webgpu", "wasm"]
    assert measured(visit["reasons"][1], "once")
    assert visit["tuned"]["trials"] == 0  # it was begun then, and there is no Pyodide there


REFUSED = """async ({InferenceSession, Tensor}, {url}) => {
  Object.defineProperty(GPUAdapter.prototype, "info", {value: {
    vendor: "v", architecture: "a", device: "d", description: "", isFallbackAdapter: false}});
  const {DeviceError} = await import("/web/errors.js");
  const {WasmDevice} = await import("/web/wasm.js");
  let asked = 0;
  WasmDevice.open = async () => { asked += 1; throw new DeviceError("no room"); };
  const reasons = [];
  for (let j = 0; j < 2; j++) {
    const session = await InferenceSession.create(url);
    await session.run({
      ids: new Tensor("int64", [1], [1, 1]), scale: new Tensor("float32", [1, 2, 3, 4])});
    await session.compared;
    reasons.push(session.deviceInfo.reason);
    await session.release();
  }
  return {asked, reasons};
}"""


def test_a_cpu_that_can_t_run_it_is_asked_once(visitor: Chromium, sample: str) -> None:
    found = visitor.run(REFUSED, {"url": sample})
    assert found["asked"] == 1
    assert found["reasons"] == ["auto: the CPU can't run it: no room", "auto: the CPU can't run it"]


REASON = """async ({InferenceSession}, {url, device}) => {
  if (device === "no") Object.defineProperty(navigator, "gpu", {value: undefined});
  const session = await InferenceSession.create(url, {
    threads: 1, device: device === "no" ? "auto" : device});
  const {kind, reason} = session.deviceInfo;
  await session.release();
  return [kind, reason, await session.compared];
}"""


def test_why_a_session_runs_where_it_does(chromium: Chromium, sample: str) -> None:
    found = [
        chromium.run(REASON, {"url": sample, "device": device})
        for device in ("auto", "no", "webgpu", "wasm")
    ]
    assert [kind for kind, _, _ in found] == ["wasm", "wasm", "webgpu", "wasm"]
    assert [compared for _, _, compared in found] == [None] * 4
    reasons = [reason for _, reason, _ in found]
    assert reasons[0].startswith("auto: the GPU is one in software, ")
    assert reasons[1].startswith("auto: this browser has no WebGPU: ")
    assert reasons[2:] == ["it is what the page asks for"] * 2


QUEUED = """async ({InferenceSession, Tensor, rejection}, {url, options}) => {
  const session = await InferenceSession.create(url, options);
  const lengths = [5, 1, 300, 1, 5, 2, 300, 7, 1];
  const controllers = lengths.map(() => new AbortController());
  const settled = [];
  const runs = lengths.map(async (n, j) => {
    const {pooled} = await session.run({
      ids: new Tensor("int64", Array(n).fill(j), [1, n]),
      scale: new Tensor("float32", [1, 2, 3, 4])}, ["pooled"], {signal: controllers[j].signal});
    settled.push(j);
    return [...pooled.data];
  });
  controllers[4].abort(new DOMException("not needed", "AbortError"));
  const found = await Promise.all(runs.map((r) => r.catch(({name, message}) => [name, message])));
  await session.release();
  return {lengths, found, settled};
}"""


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
@pytest.mark.parametrize("worker", [False, True])
def test_each_call_of_a_queue_gets_its_own_answer(
    chromium: Chromium, sample: str, device: str, worker: bool
) -> None:
    options = {"device": device, "threads": 1, "worker": worker}
    found = chromium.run(QUEUED, {"url": sample, "options": options})
    for j, (length, answer) in enumerate(zip(found["lengths"], found["found"], strict=True)):
        if j == 4:
            assert answer == ["AbortError", "not needed"]
        else:
            assert answer == pytest.approx([length * x for x in TABLE_VALUES[j]])
    assert found["settled"] == [0, 1, 2, 3, 5, 6, 7, 8]
