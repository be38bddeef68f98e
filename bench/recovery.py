"""What losing a GPU costs in Chromium: until there is a device again, the reload, the next answer.

The device is destroyed three times under a session of a model, then the browser's GPU process is
killed. `beyond` is all of the recovery that isn't the reload: from the loss to the answer's run,
less kernels and weights. A fresh session of the same page stands beside it.

    python bench/recovery.py minilm-l3
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
for folder in ("e2e", "tests"):
    sys.path.insert(0, str(ROOT / folder))

from browsers import CHROMIUM_FLAGS, chromium_path  # noqa: E402
from models import DEFAULT_DIR, build  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from results import save, table  # noqa: E402
from site_server import Site  # noqa: E402

import webrt  # noqa: E402

PAGE = """async ({InferenceSession, Tensor, devices}, {url, length}) => {
  const events = [];
  const onProgress = ({status, state}) => (
    status === "recover" && events.push([state, performance.now()]));
  const {requestDevice} = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    events.push(["device", performance.now()]);
    return device;
  };
  const session = await InferenceSession.create(url, {device: "webgpu", onProgress});
  const created = performance.now() - events[0][1];
  const feeds = Object.fromEntries(session.inputMetadata.map(({name, type, shape}) => {
    const dims = shape.map((dim, j) => (typeof dim === "number" ? dim : j ? length : 1));
    const count = dims.reduce((a, b) => a * b, 1);
    return [name, new Tensor(type, Array(count).fill(1), dims)];
  }));
  const text = async () => JSON.stringify(Object.values(await session.run(feeds)).map(
    ({data}) => [...data].map(String)));
  const wanted = await text();
  globalThis.begin = (destroys) => {
    events.length = 0;
    globalThis.start = performance.now();
    if (destroys) devices.at(-1).destroy();
  };
  globalThis.answer = async () => {
    const same = await text() === wanted;
    const total = performance.now() - start;
    const at = Object.fromEntries(events);
    return {same, had: at.device - start, reload: at.recovered - at.device, total,
      beyond: at.recovered - start - (at.recovered - at.device)};
  };
  return created;
}"""


def measure(model: Path, length: int) -> list[dict[str, Any]]:
    """A fresh load, then each loss."""
    with tempfile.TemporaryDirectory() as packs, sync_playwright() as playwright:
        webrt.pack(model, Path(packs) / "pack")
        mounts = {"/web/": ROOT / "web", "/e2e/": ROOT / "e2e", "/packs/": Path(packs)}
        site = Site(mounts)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        try:
            name = site.add_job(PAGE, {"url": "/packs/pack", "length": length})
            page = browser.new_page()
            page.goto(f"{site.url}/jobs/{name}.html")
            page.wait_for_function("() => 'answer' in globalThis", timeout=300_000)
            found = [{"loss": "none: a fresh session", "reload": site.result(name, 30)}]
            devtools = browser.new_browser_cdp_session()
            for loss in ("destroyed", "destroyed", "destroyed", "killed"):
                page.evaluate("(destroys) => begin(destroys)", loss == "destroyed")
                if loss == "killed":
                    processes = devtools.send("SystemInfo.getProcessInfo")["processInfo"]
                    (gpu,) = [p["id"] for p in processes if p["type"] == "GPU"]
                    os.kill(gpu, signal.SIGKILL)
                found.append({"loss": loss, **page.evaluate("() => answer()")})
        finally:
            browser.close()
            site.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a name of bench/models.py, or a path")
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--save", action="store_true", help="write bench/results/recovery.json")
    asked = parser.parse_args()
    path = Path(asked.model)
    model = path if path.is_file() else build(asked.model, DEFAULT_DIR)
    found = measure(model, asked.length)
    columns = ("had", "reload", "beyond", "total")
    rows = [[f["loss"], *(f"{f[c]:.0f}" if c in f else "" for c in columns)] for f in found]
    print(table(["loss", "device ms", "reload ms", "beyond ms", "answer ms"], rows))
    assert all(f.get("same", True) for f in found), "an answer changed"
    if asked.save:
        print(save("recovery", {"model": model.stem, "length": asked.length, "losses": found}))


if __name__ == "__main__":
    main()
