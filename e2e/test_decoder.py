"""Decoders generate in a page, their caches kept where they are: as transformers.js runs them."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
import pytest
from browsers import Chromium
from decoders import FAMILIES, decoder, following, prompt
from gpu_jobs import job

import webrt

STEPS, LENGTH = 20, 5

GENERATE = job("""
  const made = {modules: 0, pipelines: 0, bytes: 0};
  const alive = new Map();
  const count = (name, key) => {
    const call = GPUDevice.prototype[name];
    GPUDevice.prototype[name] = function (...given) {
      made[key] += 1;
      return call.apply(this, given);
    };
  };
  if (globalThis.GPUDevice) {
    count("createShaderModule", "modules");
    count("createComputePipeline", "pipelines");
    count("createComputePipelineAsync", "pipelines");
    const {createBuffer} = GPUDevice.prototype, {destroy} = GPUBuffer.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      alive.set(buffer, descriptor.size);
      return buffer;
    };
    GPUBuffer.prototype.destroy = function () { alive.delete(this); destroy.call(this); };
  }
  const held = () => [...alive.values()].reduce((a, b) => a + b, 0);
  const onGpu = args.device === "webgpu";
  const session = await InferenceSession.create(args.url, {device: args.device});
  const caches = session.outputNames.filter((name) => name.startsWith("present"));
  const {type, shape: [, heads, , width]} = session.inputMetadata.find(
    ({name}) => name === "past_key_values.0.key");
  await session.release();
  const preferredOutputLocation = Object.fromEntries(caches.map((name) => [name, "gpu-buffer"]));
  const again = await InferenceSession.create(args.url,
    {device: args.device, ...(onGpu ? {preferredOutputLocation} : {})});
  const row = (values) => new Tensor("int64", int64(values), [1, values.length]);
  const past = {};
  for (const name of caches) {
    past[name.replace("present", "past_key_values")] = new Tensor(type, [], [1, heads, 0, width]);
  }
  let ids = args.prompt, total = ids.length;
  const tokens = [], steps = [];
  for (let j = 0; j <= args.steps; j++) {
    const feeds = {input_ids: row(ids), attention_mask: row(Array(total).fill(1)), ...past};
    if (again.inputNames.includes("position_ids")) {
      feeds.position_ids = row(ids.map((_, k) => total - ids.length + k));
    }
    const {logits, ...rest} = await again.run(feeds);
    const [, rows, vocab] = logits.dims;
    const last = Array.from(logits.data.slice((rows - 1) * vocab, rows * vocab), Number);
    for (const [name, tensor] of Object.entries(rest)) {
      const key = name.replace("present", "past_key_values");
      past[key].dispose();
      past[key] = tensor;
    }
    tokens.push(last.indexOf(Math.max(...last)));
    steps.push({...made, bytes: held(), dims: past[Object.keys(past)[0]].dims});
    [ids, total] = [[tokens.at(-1)], total + 1];
  }
  const {location} = Object.values(past)[0];
  for (const tensor of Object.values(past)) tensor.dispose();
  await again.release();
  return {tokens, steps, location, left: held()};
""")


RUNS = [("qwen3", "webgpu"), ("phi", "webgpu"), ("qwen3", "wasm")]


@pytest.mark.parametrize(("family", "device"), RUNS)
def test_tokens_of_a_page(
    chromium: Chromium, packs: Path, tmp_path: Path, family: str, device: str
) -> None:
    of = FAMILIES[family]
    onnx.save(decoder(of), tmp_path / "m.onnx")
    pack = packs / f"decoder-{family}"
    if not (pack / "manifest.json").exists() or device == "webgpu":
        webrt.pack(tmp_path / "m.onnx", pack)
    oracle = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    feeds = prompt(of, 1, LENGTH)
    args = {"url": f"/packs/decoder-{family}", "device": device, "steps": STEPS,
            "prompt": feeds["input_ids"][0].tolist()}  # fmt: skip
    found = chromium.run(GENERATE, args, timeout=110)
    names = [o.name for o in oracle.get_outputs()]
    wanted = []
    for _ in range(STEPS + 1):
        feeds = following(feeds, dict(zip(names, oracle.run(None, feeds), strict=True)))
        wanted.append(int(feeds["input_ids"][0, 0]))
    assert found["tokens"] == wanted
    _, second, *_, last = found["steps"]  # the second is the first that is fed GPU tensors
    assert last["dims"] == [1, of.kept, LENGTH + STEPS, of.width]
    assert found["location"] == ("gpu-buffer" if device == "webgpu" else "cpu")
    assert (second["modules"], second["pipelines"]) == (last["modules"], last["pipelines"])
    assert found["left"] == 0
    grown = 2 * of.layers * of.kept * of.width * (STEPS - 1) * 4
    # Caches are held once, where kernels have them as they lie; SwiftShader's have no float16.
    assert last["bytes"] - second["bytes"] <= (4 if of.half else 1.5) * grown
