"""Tensors in GPU buffers: feeds and outputs that never pass through the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import Chromium, Performer
from flow_models import FLOW_MODELS
from gpu_jobs import HELPERS, job, located
from onnx import TensorProto, checker, helper, parser
from test_models import to_json
from test_player import expected, rows

import webrt

ROUND_TRIP = job("""
  const session = await InferenceSession.create(args.url,
    {device: "webgpu", preferredOutputLocation: "gpu-buffer"});
  const gpu = session.gpuDevice;
  const runs = [];
  for (const ids of args.batches) {
    const feeds = {
      ids: lend(gpu, "int64", int64(ids.flat()), [ids.length, ids[0].length]),
      scale: lend(gpu, "float32", Float32Array.of(1, 2, 3, 4), [4]),
    };
    runs.push(await session.run(feeds));
  }
  const refused = [];
  for (const tensor of Object.values(runs[0])) {
    try { tensor.data; } catch (error) { refused.push(error.message); }
  }
  const shown = [];
  for (const run of runs) shown.push(await show(run)); // after the last run: each has its own
  const after = Object.values(runs[0]).map((t) => [t.location, t.data.length === t.size]);
  for (const tensor of runs.flatMap(Object.values)) tensor.dispose();
  await session.release();
  return {shown, refused, after};
""")


def test_feeds_and_outputs_stay_on_the_gpu(browser: Performer, sample: str) -> None:
    batches = [rows(1, 1), rows(2, 3), rows(3, 300), rows(2, 3)]
    found = browser.run(ROUND_TRIP, {"url": sample, "batches": batches})
    assert found["shown"] == [located(expected(ids)) for ids in batches]
    assert len(found["refused"]) == 5
    assert {"on the GPU" in message for message in found["refused"]} == {True}
    assert found["after"] == [["cpu", True]] * 5


TYPES = {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64,
    "int32": TensorProto.INT32, "int16": TensorProto.INT16, "int8": TensorProto.INT8,
    "uint64": TensorProto.UINT64, "uint32": TensorProto.UINT32, "uint16": TensorProto.UINT16,
    "uint8": TensorProto.UINT8, "bool": TensorProto.BOOL,
}  # fmt: skip
RANGES = {
    "int64": (-(2**31), 2**31 - 1), "int32": (-(2**31), 2**31 - 1), "int16": (-(2**15), 2**15 - 1),
    "int8": (-128, 127), "uint64": (0, 2**32 - 1), "uint32": (0, 2**32 - 1),
    "uint16": (0, 2**16 - 1), "uint8": (0, 255), "bool": (0, 1), "float16": (0, 0xFFFF),
}  # fmt: skip


@pytest.fixture(scope="module")
def every_type(packs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pack with an input of every type, which is an output as it came, and turned round."""
    given: list[Any] = []
    made: list[Any] = []
    nodes = []
    for name, kind in TYPES.items():
        for names, values in (([name], given), ([f"{name}_back", f"{name}_echo"], made)):
            values += [helper.make_tensor_value_info(n, kind, ["n"]) for n in names]
        nodes += [
            helper.make_node("Identity", [name], [f"{name}_echo"]),
            helper.make_node("Slice", [name, "last", "first", "axes", "step"], [f"{name}_back"]),
        ]
    constants = {"last": [-1], "first": [-(2**31) + 1], "axes": [0], "step": [-1]}
    weights = [helper.make_tensor(n, TensorProto.INT64, [1], v) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", given, made, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    path = tmp_path_factory.mktemp("types") / "types.onnx"
    path.write_bytes(model.SerializeToString())
    webrt.pack(path, packs / "every-type")
    return "/packs/every-type"


EVERY_TYPE = job("""
  const bits = (a) => Array.from(new Uint8Array(a.buffer, a.byteOffset, a.byteLength)).join();
  const session = await InferenceSession.create(args.url, {device: "webgpu"});
  const kept = Object.fromEntries(session.outputNames.map((name) => [name, "gpu-buffer"]));
  const executionProviders = [{name: "webgpu", device: session.gpuDevice}];
  const onGpu = await InferenceSession.create(
    args.url, {executionProviders, preferredOutputLocation: kept});
  const wrong = [];
  let compared = 0;
  for (const n of args.sizes) {
    const feeds = {}, lent = {};
    for (const {name, type} of session.inputMetadata) {
      const [low, high] = args.ranges[type] ?? [0, 0];
      const values = Array.from({length: n}, (_, j) => (
        low + Math.floor((high - low) * (n === 1 ? 1 : j / (n - 1)))));
      feeds[name] = type === "float16" ? new Tensor(type, Uint16Array.from(values), [n])
        : new Tensor(type, type === "float32" ? values.map((_, j) => j / 3 - 1) : values, [n]);
      lent[name] = lend(session.gpuDevice, type, feeds[name].data, [n]);
    }
    const wanted = await session.run(feeds);
    const found = await onGpu.run(lent);
    for (const [name, tensor] of Object.entries(found)) {
      const {size} = tensor.gpuBuffer;
      const data = await tensor.getData(true);
      compared += 1;
      if (size % 16 || bits(data) !== bits(wanted[name].data)) wrong.push(`${name} of ${n}`);
      if (data.constructor !== wanted[name].data.constructor) wrong.push(name);
    }
  }
  await onGpu.release();
  await session.release();
  return {wrong, compared};
""")


def test_every_type_lies_there_as_onnx_has_it(browser: Performer, every_type: str) -> None:
    """Of odd sizes too, and every float16 that there is: Chromium widens them, Firefox doesn't."""
    sizes = [1, 3, 65536]
    args = {"url": every_type, "sizes": sizes, "ranges": RANGES}
    found = browser.run(EVERY_TYPE, args)
    assert found == {"wrong": [], "compared": 22 * len(sizes)}


OUT_OF_RANGE = job("""
  const session = await InferenceSession.create(args.url, {device: "webgpu"});
  const gpu = session.gpuDevice;
  const scale = new Tensor("float32", [1, 2, 3, 4]);
  const found = [];
  for (const value of args.values) {
    const ids = lend(gpu, "int64", BigInt64Array.of(1n, BigInt(value)), [1, 2]);
    found.push(await rejection(session.run({ids, scale})));
  }
  const ids = lend(gpu, "int64", int64([1, 2]), [1, 2]);
  const after = await show(await session.run({ids, scale}));
  await session.release();
  return {found, after};
""")


def test_integers_in_a_gpu_buffer_are_checked_too(browser: Performer, sample: str) -> None:
    values = ["10", "-1", str(2**32 + 1), str(-(2**63))]
    found = browser.run(OUT_OF_RANGE, {"url": sample, "values": values})
    message = "input 'ids': its GPU buffer holds a value outside of 0 … 9"
    assert [(e["name"], e["message"]) for e in found["found"]] == [("ShapeError", message)] * 4
    assert found["after"] == located(expected([[1, 2]]), "cpu")


REFUSED = job("""
  const session = await InferenceSession.create(args.url, {device: "webgpu"});
  const gpu = session.gpuDevice;
  const other = await (await navigator.gpu.requestAdapter()).requestDevice();
  const scale = new Tensor("float32", [1, 2, 3, 4]);
  const ids = new Tensor("int64", [1, 2], [1, 2]);
  const run = (feeds, fetches) => rejection(session.run({ids, scale, ...feeds}, fetches));
  const four = Float32Array.of(1, 2, 3, 4);
  const destroyed = lend(gpu, "float32", four, [4]);
  destroyed.gpuBuffer.destroy();
  const mapped = gpu.createBuffer({size: 16, usage, mappedAtCreation: true});
  const found = {
    foreign: await run({scale: lend(other, "float32", four, [4])}),
    converted: await run({ids: lend(other, "int64", int64([1, 2]), [1, 2])}),
    destroyed: await run({scale: destroyed}),
    small: await run({ids: lend(gpu, "int64", int64([1]), [1, 2])}),
    usage: await run({scale: lend(gpu, "float32", four, [4], {usage: GPUBufferUsage.COPY_DST})}),
    mapped: await run({scale: Tensor.fromGpuBuffer(mapped, {dims: [4]})}),
    shape: await run({scale: lend(gpu, "float32", four, [2, 2])}),
    type: await run({scale: lend(gpu, "int32", four, [4])}),
    output: await run({}, {pooled: lend(other, "float32", four, [1, 4])}),
    dims: await run({}, {pooled: lend(gpu, "float32", four, [4])}),
  };
  const after = await show(await session.run({ids, scale}));
  await session.release();
  return {found, after};
""")


def test_a_buffer_that_cant_be_used_is_told_of(browser: Performer, sample: str) -> None:
    result = browser.run(REFUSED, {"url": sample})
    found = {name: (e["name"], e["message"]) for name, e in result["found"].items()}
    unusable = "this session's GPU can't use its buffer: make it on session.gpuDevice"
    for name, what in [
        ("foreign", "input 'scale'"), ("converted", "input 'ids'"),
        ("destroyed", "input 'scale'"), ("output", "output 'pooled'"),
    ]:  # fmt: skip
        kind, message = found.pop(name)
        assert (kind, message.startswith(f"{what}: {unusable}")) == ("UsageError", True), message
    assert found == {
        "small": ("UsageError",
                  "input 'ids': int64 [1, 2] needs 16 bytes in its GPU buffer, which has 8"),
        "usage": ("UsageError",
                  "input 'scale': its GPU buffer needs the usages STORAGE and COPY_SRC"),
        "mapped": ("UsageError", "input 'scale': its GPU buffer is mapped; unmap it"),
        "shape": ("ShapeError", "input 'scale': expected float32 [4], found float32 [2, 2]"),
        "type": ("ShapeError", "input 'scale': expected float32 [4], found int32 [4]"),
        "dims": ("ShapeError", "output 'pooled': the run makes float32 [1, 4], "
                 "the tensor for it is float32 [4]"),
    }  # fmt: skip
    assert result["after"] == located(expected([[1, 2]]), "cpu")


ABANDONED = job("""
  const gpu = await env.webgpu.device;
  const alive = new Set();
  const {createBuffer} = GPUDevice.prototype, {destroy} = GPUBuffer.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    alive.add(buffer);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () { alive.delete(this); destroy.call(this); };
  const session = await InferenceSession.create(args.url,
    {device: "webgpu", preferredOutputLocation: "gpu-buffer"});
  const feeds = {
    ids: new Tensor("int64", [1, 2], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])};
  const pooled = lend(gpu, "float32", new Float32Array(4), [1, 4]);
  const stop = new AbortController();
  const {submit} = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (...rest) {
    stop.abort(new DOMException("enough", "AbortError"));
    submit.apply(this, rest);
  };
  const {signal} = stop;
  const given = await rejection(session.run(feeds, {hidden: null, pooled}, {signal}));
  const [{echo}] = [await session.run(feeds, ["echo"])];
  const shaped = pooled.reshape([2, 2]);
  const found = {name: given.name, location: pooled.location, dims: shaped.dims,
    same: shaped.gpuBuffer === pooled.gpuBuffer,
    own: Array.from(await echo.reshape([2]).getData(), Number), kept: echo.location,
    wrong: (await rejection((async () => pooled.reshape([3]))())).message};
  await session.release();
  echo.dispose();
  alive.delete(pooled.gpuBuffer);
  return {...found, left: [...alive].map(({label}) => label)};
""")


def test_what_nobody_waits_for_is_given_back(browser: Performer, sample: str) -> None:
    """A run that was given up, on the page's own device; what the caller gave stays theirs."""
    found = browser.run(ABANDONED, {"url": sample})
    assert found == {"name": "AbortError", "location": "gpu-buffer", "dims": [2, 2], "same": True,
                     "own": [1, 2], "kept": "gpu-buffer", "left": [],
                     "wrong": "tensor: dims [3] hold 3 elements, the data 4"}  # fmt: skip


FLOW = """async ({InferenceSession, Tensor, decodeAll}, {url, feeds}) => {HELPERS
  const session = await InferenceSession.create(url,
    {device: "webgpu", preferredOutputLocation: "gpu-buffer"});
  const cpu = await InferenceSession.create(url, {device: "webgpu"});
  const found = [];
  for (const feed of feeds.map(decodeAll)) {
    const lent = Object.fromEntries(Object.entries(feed).map(([name, {type, data, dims}]) => (
      [name, lend(session.gpuDevice, type, data, dims)])));
    found.push([await show(await session.run(lent)), await show(await cpu.run(feed))]);
  }
  await session.release();
  await cpu.release();
  return found;
}""".replace("HELPERS", HELPERS)


@pytest.mark.parametrize("name", ["picked", "sized", "lstm"])
def test_a_run_that_decides_something(chromium: Chromium, packs: Path, name: str) -> None:
    """The host reads such inputs too, and sizes of outputs are known late."""
    model = next(m for m in FLOW_MODELS if m.name == name)
    file = packs / f"{name}.onnx"
    file.write_bytes(model.proto.SerializeToString())
    webrt.pack(file, packs / f"flow-{name}")
    feeds = [{n: to_json(array) for n, array in feed.items()} for feed in model.feeds]
    for found, wanted in chromium.run(FLOW, {"url": f"/packs/flow-{name}", "feeds": feeds}):
        assert found == {n: {**tensor, "location": "gpu-buffer"} for n, tensor in wanted.items()}


TWICE = job("""
  const session = await InferenceSession.create(args.url,
    {device: "webgpu", preferredOutputLocation: "gpu-buffer"});
  const x = lend(session.gpuDevice, "float32", Float32Array.of(1, 2, 3, 4), [1, 4]);
  const first = await session.run({a: x, b: x});
  const second = await session.run({a: first.y, b: first.y});
  const found = [await show(first), await show(second)];
  await session.release();
  return found;
""")


def test_one_tensor_is_fed_twice(browser: Performer, packs: Path) -> None:
    """As empty caches are: kernels read both, and WebGPU has no buffer bound twice for writing."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    twice (float[n, 4] a, float[n, 4] b) => (float[n, 4] y) { c = Exp (b)  y = Add (a, c) }"""
    (packs / "twice.onnx").write_bytes(parser.parse_model(text).SerializeToString())
    webrt.pack(packs / "twice.onnx", packs / "twice")
    first, second = browser.run(TWICE, {"url": "/packs/twice"})
    x = np.array([1, 2, 3, 4], np.float64)
    y = x + np.exp(x)
    np.testing.assert_allclose(first["y"]["data"], y, rtol=1e-5)
    np.testing.assert_allclose(second["y"]["data"], y + np.exp(y), rtol=1e-5)


GIVEN = job("""
  const session = await InferenceSession.create(args.url, {device: args.device, threads: 1});
  const ids = new Tensor("int64", [1, 2], [1, 2]);
  const scale = new Tensor("float32", [1, 2, 3, 4]);
  const pooled = new Tensor("float32", new Float32Array(4), [1, 4]);
  const {data} = pooled;
  const outputs = await session.run({ids, scale}, {pooled, mask: null}, {tag: "a run"});
  const all = Object.keys(await session.run({ids, scale}, {logSeverityLevel: 0}));
  const onGpu = session.gpuDevice
    && lend(session.gpuDevice, "int64", new BigInt64Array(2), [1, 2]);
  const third = onGpu && await session.run({ids, scale}, {echo: onGpu});
  const read = onGpu && await rejection(third.echo.getData());
  const again = onGpu && await session.run({ids: onGpu, scale}, ["pooled"]);
  const dims = new Tensor("float32", new Float32Array(4), [4]);
  const found = {names: Object.keys(outputs), all, same: outputs.pooled === pooled,
    data: [...data], onGpu: onGpu && third.echo === onGpu,
    again: again && [...again.pooled.data], read: read && read.message,
    dims: await rejection(session.run({ids, scale}, {pooled: dims})),
    unknown: await rejection(session.run({ids, scale}, {pooled: null, nothing: null})),
    tensor: await rejection(session.run({ids, scale}, pooled))};
  session.startProfiling();
  session.endProfiling();
  await session[Symbol.asyncDispose]();
  return {...found, closed: await rejection(session.run({ids, scale}))};
""")


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_results_go_into_tensors_made_before(chromium: Chromium, sample: str, device: str) -> None:
    found = chromium.run(GIVEN, {"url": sample, "device": device})
    sums = expected([[1, 2]])["pooled"]["data"]
    gpu = device == "webgpu"
    messages = {
        name: found.pop(name)["message"] for name in ("dims", "unknown", "tensor", "closed")
    }
    undownloadable = "the tensor's data can't be downloaded: it was made without `download`"
    assert found == {
        "names": ["pooled", "mask"], "all": ["hidden", "pooled", "mask", "echo", "release"],
        "same": True, "data": sums, "onGpu": True if gpu else None, "again": sums if gpu else None,
        "read": undownloadable if gpu else None,
    }  # fmt: skip
    names = "hidden, pooled, mask, echo, release"
    assert messages == {
        "dims": "output 'pooled': the run makes float32 [1, 4], the tensor for it is float32 [4]",
        "unknown": f"unknown output 'nothing': this model's outputs are {names}",
        "tensor": "run: expected fetches (names of outputs, or an object of them) or options",
        "closed": "the session is closed",
    }


ON_WASM = job("""
  const create = (options) => rejection(InferenceSession.create(args.url, options));
  const session = await InferenceSession.create(args.url, {device: "wasm", threads: 1});
  const gpu = await (await navigator.gpu.requestAdapter()).requestDevice();
  const ids = new Tensor("int64", [1, 2], [1, 2]);
  const scale = lend(gpu, "float32", Float32Array.of(1, 2, 3, 4), [4]);
  const found = [
    await rejection(session.run({ids, scale})),
    await create({device: "wasm", threads: 1, preferredOutputLocation: "gpu-buffer"}),
    await create({executionProviders: ["wasm"], preferredOutputLocation: {pooled: "gpu-buffer"}}),
    await create({preferredOutputLocation: "texture"}),
    await create({worker: true, preferredOutputLocation: "gpu-buffer"}),
    await create({executionProviders: ["webgl"]}),
  ];
  const {gpuDevice} = session;
  await session.release();
  const fallen = await InferenceSession.create(args.url, {executionProviders: ["webnn", "cpu"]});
  const {kind} = fallen.deviceInfo;
  await fallen.release();
  return {found: found.map(({name, message}) => [name, message]), gpuDevice, kind};
""")


def test_the_cpu_has_no_gpu_buffers(chromium: Chromium, sample: str) -> None:
    found = chromium.run(ON_WASM, {"url": sample})
    assert (found["gpuDevice"], found["kind"]) == (None, "wasm")
    prefix = "preferredOutputLocation"
    nowhere = f"{prefix}: GPU buffers need WebGPU, and the session would run on wasm"
    assert found["found"] == [
        ["UsageError", "tensors in GPU buffers need WebGPU, and this session runs on wasm: "
         'create it with {device: "webgpu"}, or use tensors on the CPU'],
        *[["UsageError", nowhere]] * 2,
        ["UsageError", f"{prefix}: expected cpu or gpu-buffer, found 'texture'"],
        ["UsageError", f"{prefix}: a GPU buffer can't leave a worker; leave out `worker`"],
        ["DeviceError", "unknown device 'webgl': expected auto, webgpu or wasm"],
    ]  # fmt: skip
