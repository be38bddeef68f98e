"""Whose GPU a session with tensors in GPU buffers is on: its own, the page's, or none any more."""

from __future__ import annotations

from browsers import Chromium
from gpu_jobs import job, located
from test_player import expected

BORROWED = job("""
  const live = new Map();
  const {createBuffer} = GPUDevice.prototype, {destroy} = GPUBuffer.prototype;
  GPUDevice.prototype.createBuffer = function (...args) {
    const buffer = createBuffer.apply(this, args);
    live.set(buffer, args[0].label);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () { live.delete(this); destroy.call(this); };
  const gpuDevice = await (await navigator.gpu.requestAdapter()).requestDevice();
  const heard = [];
  gpuDevice.addEventListener("uncapturederror", (e) => { heard.push(e.error.message); });
  const had = devices.length;
  const session = await InferenceSession.create(args.url,
    {gpuDevice, preferredOutputLocation: {pooled: "gpu-buffer"}});
  const {kind} = session.deviceInfo;
  const same = session.gpuDevice === gpuDevice;
  const scale = Tensor.fromGpuBuffer(upload(gpuDevice, Float32Array.of(1, 2, 3, 4)), {dims: [4]});
  const ids = new Tensor("int64", [1, 2], [1, 2]);
  const outputs = await session.run({ids, scale});
  const where = Object.fromEntries(Object.entries(outputs).map(([n, t]) => [n, t.location]));
  await session.release();
  const left = [...live.values()];
  const data = await outputs.pooled.getData(true);
  const ends = [...live.values()];
  gpuDevice.createBuffer({size: 3, usage: 0x8000}); // a mistake of the page's is the page's to hear
  const again = await InferenceSession.create(args.url, {gpuDevice});
  const second = await again.run({ids, scale});
  await again.release();
  await new Promise((resolve) => { setTimeout(resolve, 100); });
  const wrong = await rejection(InferenceSession.create(args.url, {gpuDevice: {}}));
  return {kind, same, where, left, ends, data: [...data], pooled: [...second.pooled.data],
    had: devices.length - had, heard: heard.length, wrong};
""")


def test_a_device_of_the_page_stays_the_pages(chromium: Chromium, sample: str) -> None:
    found = chromium.run(BORROWED, {"url": sample})
    sums = expected([[1, 2]])["pooled"]["data"]
    cpu = dict.fromkeys(("hidden", "mask", "echo", "release"), "cpu")
    wrong = found.pop("wrong")
    assert (wrong["name"], wrong["message"]) == ("UsageError", "gpuDevice: expected a GPUDevice")
    assert found == {
        "kind": "webgpu", "same": True, "had": 0, "heard": 1,
        "where": cpu | {"pooled": "gpu-buffer"},
        "left": [None, "output pooled"], "ends": [None], "data": sums, "pooled": sums,
    }  # fmt: skip


SHARED = job("""
  const session = await InferenceSession.create(args.url,
    {device: "webgpu", preferredOutputLocation: {hidden: "gpu-buffer"}});
  const second = await InferenceSession.create(args.url, {device: "webgpu"});
  const gpu = await env.webgpu.device;
  const same = [session.gpuDevice === gpu, second.gpuDevice === gpu];
  const ids = new Tensor("int64", [1], [1, 1]);
  const {hidden} = await session.run({ids, scale: new Tensor("float32", [1, 2, 3, 4])});
  const scale = Tensor.fromGpuBuffer(hidden.gpuBuffer, {dims: [4]});
  const outputs = await second.run({ids, scale}, ["hidden"]);
  await session.release();
  const own = await second.run({ids, scale: new Tensor("float32", [1, 1, 1, 1])}, ["hidden"]);
  await second.release();
  gpu.destroy();
  await gpu.lost;
  await new Promise((resolve) => { setTimeout(resolve); });
  const third = await InferenceSession.create(args.url, {device: "webgpu"});
  const fresh = third.gpuDevice !== gpu && third.gpuDevice !== null;
  await third.release();
  const given = await (await navigator.gpu.requestAdapter()).requestDevice();
  env.webgpu.device = given;
  const fourth = await InferenceSession.create(args.url, {device: "webgpu"});
  same.push(fourth.gpuDevice === given);
  await fourth.release();
  return {same, fresh, chained: [...outputs.hidden.data], own: [...own.hidden.data]};
""")


def test_sessions_pass_tensors_on_over_the_pages_device(chromium: Chromium, sample: str) -> None:
    found = chromium.run(SHARED, {"url": sample})
    table = [1.0, 1.25, 1.5, 1.75]
    chained = [value * value * scale for value, scale in zip(table, [1, 2, 3, 4], strict=True)]
    assert found == {"same": [True] * 3, "fresh": True, "chained": chained, "own": table}


LOST = job("""
  const session = await InferenceSession.create(args.url,
    {device: "webgpu", preferredOutputLocation: "gpu-buffer"});
  const scale = new Tensor("float32", [1, 2, 3, 4]);
  const ids = new Tensor("int64", [1, 2], [1, 2]);
  const old = session.gpuDevice;
  const first = await session.run({ids, scale});
  const lent = lend(old, "int64", int64([1, 2]), [1, 2]);
  old.destroy();
  await old.lost;
  const second = await show(await session.run({ids, scale}));
  const found = {second, fresh: session.gpuDevice !== old, recovered: session.deviceInfo.recovered,
    gone: (await rejection(first.pooled.getData())).name,
    foreign: (await rejection(session.run({ids: lent, scale}))).name};
  await session.release();
  return found;
""")


def test_what_is_lost_with_a_device(chromium: Chromium, sample: str) -> None:
    """The session has another one, its outputs stay there; tensors of the old one are told of."""
    assert chromium.run(LOST, {"url": sample}) == {
        "second": located(expected([[1, 2]])), "fresh": True, "recovered": 1,
        "gone": "DeviceLostError", "foreign": "UsageError",
    }  # fmt: skip
