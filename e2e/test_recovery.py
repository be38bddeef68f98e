"""What goes wrong while a session runs: it recovers, or says what it was; never wrong answers."""

from __future__ import annotations

import os
import signal

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

FAULTS = f"""async (tools, args) => {{
  {HOOKED}
  const {{befall}} = await import("/e2e/pages/faults.js");
  return befall(tools, args, workers);
}}"""
COMBINATIONS = [("chromium", "webgpu"), ("chromium", "wasm"), ("firefox", "webgpu"),
                ("firefox", "wasm")]  # fmt: skip
CODES = {
    "DeviceError": "ERR_WEBRT_DEVICE", "DeviceLostError": "ERR_WEBRT_DEVICE_LOST",
    "PackError": "ERR_WEBRT_PACK", "AbortError": 20,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "device"), COMBINATIONS)
def test_faults_end_in_typed_errors_or_right_answers(
    request: pytest.FixtureRequest, sample: str, kind: str, device: str
) -> None:
    """Each befalls something; what recovers answers right, the rest says what it was, once.

    Faults of devices in each stage of a run and while a session is made, faults of servers and of
    storage while it is made and while it recovers, cancelling. Which fault of a server meets which
    stage differs from browser to browser and device to device.
    """
    browser: Performer = request.getfixturevalue(kind)
    feeds = {
        "ids": to_json(np.array([[1, 2, 3], [4, 5, 6]], np.int64)),
        "scale": to_json(np.array([1, 2, 3, 4], np.float32)),
    }
    turn = COMBINATIONS.index((kind, device))
    args = {"url": sample, "device": device, "feeds": feeds, "turn": turn}
    report = browser.run(FAULTS, args, timeout=100)
    assert len(report["found"]) > 35
    right = {"outputs": report["wanted"]}
    for fault in report["found"]:
        assert fault["left"] == 0, f"{fault['name']} befell nothing"
        if fault["wants"] == "outputs":
            assert fault["first"] == right, fault["name"]
        else:
            name, code, message = fault["first"].get("error", [None] * 3)
            assert (name, code) == (fault["wants"], CODES[fault["wants"]]), fault
            assert message
        assert fault["again"] == right, fault["name"]
        assert fault["recovered"] == fault["should"], fault["name"]


SCENES_SCRIPT = f"""async (tools, args) => {{
  {HOOKED}
  const {{play}} = await import("/e2e/pages/scenes.js");
  return play(tools, args, workers);
}}"""

SAID = {"webgpu": "the GPU device is lost: ", "wasm": "the wasm workers stopped: "}

LOST, HAD, FAILED = "lost", "recovered", "failed"
SCENES = {
    "stages": (4, [LOST, HAD, LOST, HAD, LOST, HAD]),
    "queue": (5, [LOST, HAD]),
    "again": (2, [LOST, HAD]),
    "ever": (2, [LOST, FAILED, LOST, HAD]),
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
def test_losses_while_it_goes_on(browser: Performer, sample: str, device: str) -> None:
    report = browser.run(SCENES_SCRIPT, {"url": sample, "device": device}, timeout=60)
    assert list(report) == list(SCENES)
    other = {"webgpu": "wasm", "wasm": "webgpu"}[device]
    for name, (answers, states) in SCENES.items():
        found = report[name]
        wanted = [expected([[1, n]])["pooled"]["data"] for n in range(1, answers + 1)]
        assert found["answers"] == wanted, name
        assert [state for state, *_ in found["events"]] == states, name
        for error in found.get("errors", []):
            assert error["name"] == "DeviceLostError", name
            assert error["message"].startswith(SAID[device]), name
            if name in WHY:
                assert "; it can't be had again: " in error["message"]
                assert WHY[name][device] in error["message"]
            else:
                assert error["message"].endswith("; create the session again")
    assert report["next"]["kind"] == report["next"]["events"][1][1] == other
    events = report["stages"]["events"]
    assert [recovered for *_, recovered, _ in events] == [0, 1, 1, 2, 2, 3]
    assert all(e[1] == device and e[3].startswith(SAID[device]) for e in events)


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
