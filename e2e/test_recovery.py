"""What goes wrong while a session runs: it recovers, or says what it was; never wrong answers."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
from browsers import CHROMIUM_FLAGS, Chromium, Performer, chromium_path
from test_models import to_json
from test_player import expected

HOOKED = """
  const workers = [];
  const {Worker} = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(...args) { super(...args); workers.push(this); }
  };
"""
"""What a script needs to reach the workers that the player starts."""

FAULTS = f"""async (tools, {{url, device, feeds}}) => {{
  const {{InferenceSession, decodeAll, encodeAll, devices}} = tools;
  {HOOKED}
  const {{GPU_FAULTS, CPU_FAULTS, waiting}} = await import("/e2e/pages/faults.js");
  const create = () => InferenceSession.create(url, {{device}});
  const run = async (session) => encodeAll(await session.run(decodeAll(feeds)));
  const session = await create();
  const wanted = await run(session);
  const found = [];
  const faults = device === "webgpu" ? GPU_FAULTS : CPU_FAULTS;
  for (const [name, [plant, recovers]] of Object.entries(faults)) {{
    const here = name.endsWith("allocation") ? await create() : session;
    const before = here.deviceInfo.recovered;
    plant({{devices, workers}});
    const first = await run(here).then((outputs) => ({{outputs}}),
      ({{name, code, message}}) => ({{error: [name, code, message]}}));
    const again = await run(here).catch((error) => error.message);
    const recovered = here.deviceInfo.recovered - before;
    found.push({{name, recovers, first, left: waiting.size, again, recovered}});
    waiting.clear();
    if (here !== session) await here.release();
  }}
  await session.release();
  return {{wanted, found}};
}}"""


def feeds_of(batch: list[list[int]]) -> dict[str, Any]:
    scale = np.array([1, 2, 3, 4], np.float32)
    return {"ids": to_json(np.array(batch, np.int64)), "scale": to_json(scale)}


def check(report: dict[str, Any]) -> None:
    """Each fault befell something; what recovers answers right, the rest says what it was, once."""
    for fault in report["found"]:
        assert fault["left"] == 0, f"{fault['name']} befell nothing"
        if fault["recovers"]:
            assert fault["first"] == {"outputs": report["wanted"]}, fault["name"]
        else:
            name, code, message = fault["first"]["error"]
            assert (name, code) == ("DeviceError", "ERR_WEBRT_DEVICE"), fault
            assert message
        assert fault["again"] == report["wanted"], fault["name"]
        assert fault["recovered"] == int(fault["recovers"]), fault["name"]


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_faults_end_in_typed_errors_or_right_answers(
    browser: Performer, sample: str, device: str
) -> None:
    feeds = feeds_of([[1, 2, 3], [4, 5, 6]])
    report = browser.run(FAULTS, {"url": sample, "device": device, "feeds": feeds}, timeout=60)
    check(report)


LOADING = f"""async (tools, {{url, device, feeds}}) => {{
  const {{InferenceSession, decodeAll, encodeAll, devices}} = tools;
  {HOOKED}
  const {{GPU_LOADING, CPU_LOADING, waiting}} = await import("/e2e/pages/faults.js");
  const found = [];
  const create = () => InferenceSession.create(url, {{device, cache: false}});
  const answer = async (session) => {{
    const outputs = encodeAll(await session.run(decodeAll(feeds)));
    await session.release();
    return outputs;
  }};
  const wanted = await answer(await create());
  const faults = device === "webgpu" ? GPU_LOADING : CPU_LOADING;
  for (const [name, [plant, recovers]] of Object.entries(faults)) {{
    plant({{devices, workers}});
    const first = await create().then(answer).then((outputs) => ({{outputs}}),
      ({{name, code, message}}) => ({{error: [name, code, message]}}));
    found.push({{name, recovers, first, left: waiting.size, again: await create().then(answer),
      recovered: Number(recovers)}});
    waiting.clear();
  }}
  return {{wanted, found}};
}}"""


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_faults_while_a_session_is_made(browser: Performer, sample: str, device: str) -> None:
    feeds = feeds_of([[1, 2, 3], [4, 5, 6]])
    report = browser.run(LOADING, {"url": sample, "device": device, "feeds": feeds}, timeout=60)
    check(report)


LOSE = """async ({InferenceSession, Tensor, devices}, {url, device}) => {
  const events = [];
  const workers = [];
  const {Worker} = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(...args) { super(...args); workers.push(this); }
  };
  const session = await InferenceSession.create(url, {
    device, threads: 1, onProgress: (e) => e.status === "recover" && events.push(e)});
  const run = async (n) => {
    const {pooled} = await session.run({
      ids: new Tensor("int64", [1, n], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
    return [...pooled.data];
  };
  const lose = () => (device === "webgpu" ? devices.at(-1).destroy() : workers.at(-1).terminate());
  const found = [await run(1)];
  const running = run(2);
  lose(); // while it runs
  found.push(await running);
  lose(); // right before a run
  found.push(await run(3));
  lose(); // while nothing runs
  await new Promise((resolve) => setTimeout(resolve, 100));
  found.push(await run(4));
  const {recovered} = session.deviceInfo;
  await session.release();
  return {found, events, recovered};
}"""


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_a_device_that_is_lost_is_had_again(browser: Performer, sample: str, device: str) -> None:
    found = browser.run(LOSE, {"url": sample, "device": device}, timeout=30)
    assert found["found"] == [expected([[1, n]])["pooled"]["data"] for n in (1, 2, 3, 4)]
    assert found["recovered"] == 3
    assert [(e["state"], e["recovered"]) for e in found["events"]] == [
        ("lost", 0), ("recovered", 1), ("lost", 1), ("recovered", 2), ("lost", 2), ("recovered", 3),
    ]  # fmt: skip
    said = {"webgpu": "the GPU device is lost: ", "wasm": "the wasm workers stopped: "}[device]
    assert all(e["reason"].startswith(said) and e["device"] == device for e in found["events"])


SCENE = f"""async (tools, {{scene, ...args}}) => {{
  {HOOKED}
  const {{play}} = await import("/e2e/pages/scenes.js");
  return play(scene, tools, args, workers);
}}"""

SAID = {"webgpu": "the GPU device is lost: ", "wasm": "the wasm workers stopped: "}


LOST, HAD, FAILED = "lost", "recovered", "failed"
SCENES = {
    "queue": (5, [LOST, HAD]),
    "again": (2, [LOST, HAD]),
    "ever": (2, [LOST, FAILED, LOST, FAILED, LOST, HAD]),
    "none": (2, [LOST, FAILED, LOST, FAILED, LOST, HAD]),
    "next": (2, [LOST, HAD]),
    "released": (1, [LOST]),
    "offline": (4, [LOST, HAD, LOST, FAILED, LOST, HAD]),
}
"""By name: runs that are answered, and what the page is told."""
WHY = {
    "none": {"webgpu": "no WebGPU adapter", "wasm": "a wasm worker can't start"},
    "offline": dict.fromkeys(("webgpu", "wasm"), "/weights-00000.safetensors: can't be fetched: "),
}


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
@pytest.mark.parametrize("name", SCENES)
def test_losses_while_it_goes_on(browser: Performer, sample: str, device: str, name: str) -> None:
    found = browser.run(SCENE, {"url": sample, "device": device, "scene": name}, timeout=60)
    answers, states = SCENES[name]
    assert found["answers"] == [expected([[1, n]])["pooled"]["data"] for n in range(1, answers + 1)]
    assert [state for state, _ in found["events"]] == states
    for error in found.get("errors", []):
        assert error["name"] == "DeviceLostError"
        assert error["message"].startswith(SAID[device])
        if name in WHY:
            assert "; it can't be had again: " in error["message"]
            assert WHY[name][device] in error["message"]
        else:
            assert error["message"].endswith("; create the session again")
    if name == "next":
        assert (
            found["kind"] == found["events"][1][1] == {"webgpu": "wasm", "wasm": "webgpu"}[device]
        )


CRASH = """async ({InferenceSession, Tensor}, {url}) => {
  const session = await InferenceSession.create(url, {executionProviders: ["webgpu", "wasm"]});
  globalThis.answer = async (n) => {
    const {pooled} = await session.run({
      ids: new Tensor("int64", [1, n], [1, 2]), scale: new Tensor("float32", [1, 2, 3, 4])});
    const {kind, recovered} = session.deviceInfo;
    return [[...pooled.data], kind, recovered];
  };
}"""


def test_a_gpu_process_that_is_killed(chromium: Chromium, sample: str) -> None:
    """A browser starts another one, once; then it gives no GPU to anybody."""
    kind = chromium.browser.browser_type  # type: ignore[union-attr]
    browser = kind.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
    try:
        name = chromium.site.add_job(CRASH, {"url": sample})
        page = browser.new_page()
        page.goto(f"{chromium.site.url}/jobs/{name}.html")
        page.wait_for_function("() => 'answer' in globalThis")
        devtools = browser.new_browser_cdp_session()
        for n, device in [(1, "webgpu"), (2, "webgpu"), (3, "wasm")]:
            if n > 1:
                processes = devtools.send("SystemInfo.getProcessInfo")["processInfo"]
                (gpu,) = [p["id"] for p in processes if p["type"] == "GPU"]
                os.kill(gpu, signal.SIGKILL)
            wanted = expected([[1, n]])["pooled"]["data"]
            assert page.evaluate("(n) => answer(n)", n) == [wanted, device, n - 1]
    finally:
        browser.close()
