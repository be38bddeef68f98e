"""What a session tells of itself in a page: verify, profile, explain, on both devices."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from browsers import Chromium, Performer
from flow_models import FLOW_MODELS
from planted import chain, off_by, wrong_kernel, wrong_weight
from site_server import CACHE, JobError, Site

import webrt
from webrt.kernel.problem import specialise, symbols
from webrt.pack.read import read_pack
from webrt.runtime.device import DeviceInfo, Limits
from webrt.tune.candidate import candidates, generate
from webrt.tune.code import GpuCode, code_of
from webrt.tune.records import Key, Record, Trial, problem_key, record_to_json
from webrt.version import __version__

VERIFY = """async ({InferenceSession}, {url, options}) => {
  const session = await InferenceSession.create(url, options);
  const found = await session.verify();
  const again = await session.verify();
  const {kind} = session.deviceInfo;
  await session.release();
  return {...found, same: JSON.stringify(found) === JSON.stringify(again), kind};
}"""

PROFILE = """async ({InferenceSession, Tensor}, {url, options, given}) => {
  const session = await InferenceSession.create(url, options);
  const found = await session.profile(given);
  const trace = found.toChromeTrace();
  const keys = Object.keys(found);
  await session.release();
  return {found, trace, keys};
}"""

EXPLAIN = """async ({InferenceSession, devices, decodeAll}, {url, options, feeds}) => {
  const session = await InferenceSession.create(url, options);
  const before = await session.explain();
  await session.run(decodeAll(feeds));
  const after = await session.explain();
  await session.release();
  return {before, after};
}"""

DEVICES = ["webgpu", "wasm"]

LIMITS = {
    "max_buffer_size": "maxBufferSize",
    "max_storage_buffer_binding_size": "maxStorageBufferBindingSize",
    "max_storage_buffers_per_shader_stage": "maxStorageBuffersPerShaderStage",
    "max_compute_workgroup_storage_size": "maxComputeWorkgroupStorageSize",
    "max_compute_invocations_per_workgroup": "maxComputeInvocationsPerWorkgroup",
    "max_compute_workgroups_per_dimension": "maxComputeWorkgroupsPerDimension",
    "min_storage_buffer_offset_alignment": "minStorageBufferOffsetAlignment",
}


@pytest.fixture(scope="module")
def checked(packs: Path) -> Path:
    models = CACHE / "models"
    models.mkdir(parents=True, exist_ok=True)
    onnx.save(chain(), models / "chain.onnx")
    webrt.pack(models / "chain.onnx", packs / "checked", check_inputs=2)
    return packs / "checked"


def url_of(folder: Path) -> str:
    return f"/packs/{folder.name}"


def verified(browser: Performer, folder: Path, **options: Any) -> Any:
    return browser.run(VERIFY, {"url": url_of(folder), "options": options})


@pytest.mark.parametrize("device", DEVICES)
def test_a_right_device_passes(browser: Performer, checked: Path, device: str) -> None:
    found = verified(browser, checked, device=device)
    assert found["ok"]
    assert found["same"]
    assert found["kind"] == device
    assert found["diverges"] is None
    assert 0 < found["max_abs"] < 1e-4
    assert found["cosine"] > 0.99999
    assert [v["dims"] for v in found["vectors"]] == [
        {"batch": 1, "length": 128},
        {"batch": 2, "length": 37},
    ]
    assert all(v["ok"] and v["error"] is None for v in found["vectors"])


def test_a_wrong_kernel_is_named(browser: Performer, checked: Path) -> None:
    pack = read_pack(checked)
    problem = next(s.problem for s in pack.plan.steps if "/layer1/Sub" in s.node)
    first = next(j for j, s in enumerate(pack.plan.steps) if s.problem == problem)
    folder = wrong_kernel(checked, checked.parent / "wrong-kernel", problem)
    found = verified(browser, folder, device="webgpu")
    assert not found["ok"]
    assert found["diverges"]["step"] == first
    assert found["diverges"]["node"] == pack.plan.steps[first].node
    assert found["diverges"]["kernel"] == pack.kernels[problem].name
    assert abs(found["diverges"]["found"] - found["diverges"]["expected"]) > 1e-3


@pytest.mark.parametrize("device", DEVICES)
def test_a_flipped_weight_is_named(chromium: Chromium, checked: Path, device: str) -> None:
    folder, node = wrong_weight(checked, checked.parent / "wrong-weight", "/layer2/MatMul")
    found = verified(chromium, folder, device=device)
    assert not found["ok"]
    assert found["diverges"]["node"] == node
    assert not found["diverges"]["tuned"]


KEY = """async ({InferenceSession}, {url}) => {
  const {deviceKey} = await import("/web/records.js");
  const session = await InferenceSession.create(url, {device: "webgpu"});
  const {features, limits} = session.deviceInfo;
  const key = await deviceKey(session.deviceInfo);
  await session.release();
  return {key, features, limits};
}"""

TUNED = """async ({InferenceSession}, {url, records}) => {
  const options = {device: "webgpu", records, keepRecords: false};
  const session = await InferenceSession.create(url, options);
  const {kernels, text} = await session.explain();
  const verdict = await session.verify();
  await session.release();
  return {kernels, text, verdict};
}"""


@pytest.mark.parametrize("wrong", [False, True])
def test_tuned_kernels_are_verified_and_told(
    chromium: Chromium, packs: Path, checked: Path, wrong: bool
) -> None:
    """A record's kernel serves the shape of the second vector: right, or wrong and named."""
    found = chromium.run(KEY, {"url": url_of(checked)})
    plan = read_pack(checked).plan
    number, dims = plan.steps[0].problem, {"s0": 2, "s1": 37}
    sizes = {name: found["limits"][js] for name, js in LIMITS.items()}
    limits = Limits(**sizes, max_compute_workgroup_size=(256, 256, 64))
    info = DeviceInfo("webgpu", "", "", "", "cpu", tuple(found["features"]), limits)
    here = specialise(plan.problems[number], dims)
    schedule = candidates(here, info)[1]
    code = code_of(generate(here, schedule, info), here)
    if wrong:
        assert isinstance(code, GpuCode)
        code = dataclasses.replace(code, wgsl=off_by(code.wgsl))
    used = tuple((name, dims[name]) for name in symbols(plan.problems[number]))
    key = Key(found["key"], __version__, problem_key(plan.problems[number]), used)
    record = record_to_json(Record(key, 2.0, (Trial(schedule, 1.0, code=code),)))
    form = {"format": "webrt records", "version": 1, "records": [record]}
    (packs / "insight-records.json").write_text(json.dumps(form))
    args = {"url": url_of(checked), "records": "/packs/insight-records.json"}
    result = chromium.run(TUNED, args)
    (kernel,) = result["kernels"]["tuned"]
    assert kernel["from"] == "/packs/insight-records.json"
    assert kernel["dims"] == {"batch": 2, "length": 37}
    assert (kernel["ms"], kernel["default_ms"]) == (1.0, 2.0)
    assert kernel["schedule"]["family"] == "contract"
    assert "1 tuned (/packs/insight-records.json)" in result["text"]
    verdict = result["verdict"]
    assert [v["tuned"] for v in verdict["vectors"]] == [0, 1]
    assert [v["ok"] for v in verdict["vectors"]] == [True, not wrong]
    if wrong:
        assert verdict["diverges"]["tuned"]
        assert (verdict["diverges"]["vector"], verdict["diverges"]["step"]) == (1, 0)


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_with_a_flow(chromium: Chromium, packs: Path, device: str) -> None:
    """A loop whose turns the device decides: right, and named where its body is wrong."""
    model = next(m for m in FLOW_MODELS if m.name == "halved")
    onnx.save(model.proto, CACHE / "models" / "halved.onnx")
    pack = packs / "halved-checked"
    webrt.pack(CACHE / "models" / "halved.onnx", pack, check_inputs=model.feeds[:2])
    assert verified(chromium, pack, device=device)["ok"]
    if device == "webgpu":
        steps = read_pack(pack).plan.steps
        last = steps[-1]
        wrong = wrong_kernel(pack, packs / "halved-wrong", last.problem)
        found = verified(chromium, wrong, device=device)
        first = next(s.node for s in steps if s.problem == last.problem)
        assert not found["ok"]
        assert found["diverges"]["node"] == first


def test_packs_without_vectors_and_altered_ones(chromium: Chromium, checked: Path) -> None:
    bare = checked.parent / "bare"
    webrt.pack(CACHE / "models" / "chain.onnx", bare)
    with pytest.raises(JobError, match="no check vectors: pack with --check-inputs 2") as caught:
        verified(chromium, bare, device="wasm")
    assert caught.value.name == "UsageError"
    data = bytearray((checked / "checks.bin").read_bytes())
    data[-1] ^= 1
    folder = checked.parent / "altered-checks"
    webrt.pack(CACHE / "models" / "chain.onnx", folder, check_inputs=1)
    (folder / "checks.bin").write_bytes(data)
    with pytest.raises(JobError, match=r"checks.bin: expected \d+ bytes, found") as caught:
        verified(chromium, folder, device="wasm")
    assert caught.value.name == "PackError"


@pytest.mark.parametrize("device", DEVICES)
def test_a_profile_and_its_trace(browser: Performer, checked: Path, device: str) -> None:
    given = {"dims": {"length": 64}, "runs": 2}
    args = {"url": url_of(checked), "options": {"device": device}, "given": given}
    result = browser.run(PROFILE, args)
    found, trace = result["found"], result["trace"]
    plan = read_pack(checked).plan
    assert found["dims"] == {"batch": 1, "length": 64}
    assert found["kind"] == device
    assert found["clock"] in ("timestamps", "replays")
    if device == "wasm":
        assert found["clock"] == "replays"
    assert sum(k["count"] for k in found["kernels"]) == len(plan.steps) == len(found["steps"])
    assert sum(k["share"] for k in found["kernels"]) == pytest.approx(1)
    shares = [k["share"] for k in found["kernels"]]
    assert shares == sorted(shares, reverse=True)
    for kernel in found["kernels"]:
        assert kernel["ms"] > 0
        assert kernel["schedule"]["family"]
        assert kernel["problem"].startswith(kernel["family"])
        assert kernel["gflops"] == pytest.approx(kernel["operations"] / kernel["ms"] / 1e6)
        assert kernel["gbs"] == pytest.approx(kernel["bytes"] / kernel["ms"] / 1e6)
        assert not kernel["tuned"]
    largest = max(k["operations"] for k in found["kernels"])
    assert largest >= 2 * 64 * 24 * 24
    assert found["run_ms"] >= 0  # a clock may move by a millisecond
    assert "toChromeTrace" not in result["keys"]  # it is plain data, for a worker's answer too
    check_trace(trace, len(plan.steps))


def check_trace(trace: Any, steps: int) -> None:
    """The trace event format: complete events that follow one another, in microseconds."""
    json.dumps(trace, allow_nan=False)
    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    names = {e["name"] for e in trace["traceEvents"] if e["ph"] == "M"}
    assert names == {"process_name", "thread_name"}
    assert trace["displayTimeUnit"] == "ms"
    assert len(events) == steps
    for event, following in itertools.pairwise(events):
        assert following["ts"] == pytest.approx(event["ts"] + event["dur"])
    for event in events:
        assert {"name", "cat", "pid", "tid", "ts", "dur", "args"} <= event.keys()
        assert event["dur"] > 0
        assert event["args"]["node"]
        assert event["args"]["problem"]


def test_a_profile_of_what_cannot_be(chromium: Chromium, checked: Path) -> None:
    for given, message in (
        ({"dims": {"width": 1}}, "dims: unknown 'width': this model's are batch, length"),
        ({"dims": {"length": 0}}, "dims: expected length from 1 to"),
        ({"runs": 0}, "runs: expected a whole number from 1 on, found 0"),
    ):
        args = {"url": url_of(checked), "options": {"device": "wasm"}, "given": given}
        with pytest.raises(JobError, match=message) as caught:
            chromium.run(PROFILE, args)
        assert caught.value.name == "UsageError"


def test_a_session_in_a_worker_tells_the_same(chromium: Chromium, checked: Path) -> None:
    options = {"device": "wasm", "worker": True}
    assert verified(chromium, checked, **options)["ok"]
    args = {"url": url_of(checked), "options": options, "given": {"runs": 1}}
    result = chromium.run(PROFILE, args)
    check_trace(result["trace"], len(read_pack(checked).plan.steps))
    x = np.zeros((2, 3, 24), np.float32)
    script = """async ({InferenceSession, decodeAll}, {url, options, feeds}) => {
      const session = await InferenceSession.create(url, options);
      const profile = await session.profile({feeds: decodeAll(feeds), runs: 1});
      const explained = await session.explain();
      await session.release();
      return {dims: profile.dims, kind: explained.device.kind};
    }"""
    args = {"url": url_of(checked), "options": options, "feeds": {"x": encoded(x)}}
    found = chromium.run(script, args)
    assert found == {"dims": {"batch": 2, "length": 3}, "kind": "wasm"}


def encoded(array: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(array.tobytes()).decode()
    return {"type": str(array.dtype), "dims": array.shape, "base64": data}


@pytest.mark.parametrize("device", [*DEVICES, None])
def test_a_session_explains_itself(browser: Performer, checked: Path, device: str | None) -> None:
    x = np.ones((1, 5, 24), np.float32)
    options = {"device": device} if device else {}
    args = {"url": url_of(checked), "options": options, "feeds": {"x": encoded(x)}}
    result = browser.run(EXPLAIN, args)
    found = result["after"]
    whats = [f["what"] for f in found["fallbacks"]]
    if device == "webgpu":
        assert "the page asks for" in found["device"]["why"]
    elif device == "wasm":
        assert "the page asks for" in found["device"]["why"]
        assert "threads" in whats  # the site's pages aren't cross-origin isolated
        reason = next(f["why"] for f in found["fallbacks"] if f["what"] == "threads")
        assert "Cross-Origin-Opener-Policy" in reason
    else:
        assert found["device"]["kind"] == "wasm"
        assert found["device"]["why"].startswith("auto: ")
        assert "device" in whats
    memory = found["memory"]
    parts = ["weights", "arena", "inputs", "outputs", "staging", "other"]
    assert memory["total"] == sum(memory[part] for part in parts)
    assert memory["weights"] >= 3 * 24 * 24 * 4
    assert memory["inputs"] >= x.nbytes
    assert memory["outputs"] >= x.nbytes
    assert memory["total"] >= result["before"]["memory"]["total"]
    kernels = found["kernels"]
    assert kernels["tuned"] == []
    assert kernels["default"] == kernels["problems"] == len(read_pack(checked).plan.problems)
    assert kernels["steps"] == len(read_pack(checked).plan.steps)
    assert found["checks"] is True
    for line in ("runs on ", "memory: ", "kernels: "):
        assert line in found["text"]


def test_nothing_of_it_is_loaded_before_it_is_asked_for(
    chromium: Chromium, site: Site, checked: Path
) -> None:
    script = """async ({InferenceSession}, {url}) => {
      const session = await InferenceSession.create(url, {device: "wasm"});
      await session.release();
    }"""
    site.requests.clear()
    chromium.run(script, {"url": url_of(checked)})
    assert not [r for r in site.requests if "insight" in r or r.endswith("checks.bin")]
