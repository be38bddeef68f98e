"""What goes wrong while a session runs: it recovers, or says what it was; never wrong answers."""

from __future__ import annotations

import pytest
from browsers import Performer
from test_player import expected

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
