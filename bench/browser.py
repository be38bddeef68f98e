"""MiniLM-L6 in headless Chromium: webrt beside onnxruntime-web's WebGPU provider, alternating.

`python bench/browser.py [--model NAME] [--length 128] [--rounds 3]` gets the model and
onnxruntime-web, packs, opens a page for each in one browser, and takes turns: one run of theirs,
`--ours` runs of ours. Both answers are compared. Figures go to `bench/results/browser.json`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "e2e"))

from browsers import open_chromium  # noqa: E402
from models import DEFAULT_DIR, build  # noqa: E402
from playwright.sync_api import Page  # noqa: E402
from results import save, table  # noqa: E402
from site_server import Site  # noqa: E402

import webrt  # noqa: E402

ORT = "onnxruntime-web@1.30.0"
CACHE = ROOT / ".cache" / "bench"
CALL = "([name, args]) => bench[name](...args)"


def ort_folder() -> Path:
    """Where onnxruntime-web's distribution lies; npm gets it when it isn't there yet."""
    given = os.environ.get("WEBRT_ORT_WEB")
    if given:
        return Path(given)
    folder = CACHE / "node_modules" / "onnxruntime-web" / "dist"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(CACHE), "--no-audit", "--no-fund",
                   "--ignore-scripts", "--loglevel=error", ORT]  # fmt: skip
        subprocess.run(command, check=True)
    return folder


def open_site(packs: Path, models: Path, more: dict[str, Path] | None = None) -> Site:
    """What both contestants' pages load, and `more` of it: prefixes of URLs, and folders.

    It is isolated: so clocks tell 5 µs instead of 100.
    """
    mounts = {"/web/": ROOT / "web", "/bench/": ROOT / "bench", "/ort/": ort_folder()}
    return Site(mounts | {"/packs/": packs, "/models/": models} | (more or {}), isolated=True)


def call(page: Page, name: str, *args: object) -> Any:
    return page.evaluate(CALL, [name, list(args)])


def compare(site: Site, name: str, length: int, rounds: int, ours: int) -> dict[str, Any]:
    """Load both, take turns, and return every time measured."""
    with open_chromium() as browser:
        pages = {}
        for contestant in ("webrt", "ort"):
            pages[contestant] = browser.new_page()
            pages[contestant].set_default_timeout(600_000)
            pages[contestant].goto(f"{site.url}/bench/pages/{contestant}.html")
            pages[contestant].wait_for_function("globalThis.bench")
        host = call(pages["webrt"], "hostCost", f"/packs/{name}", 25)
        loads = {
            "webrt": call(pages["webrt"], "load", f"/packs/{name}"),
            "ort": call(pages["ort"], "load", f"/models/{name}.onnx"),
        }
        first = {c: call(page, "run", 1, length) for c, page in pages.items()}
        times: dict[str, list[float]] = {"webrt": [], "ort": []}
        for _ in range(rounds):
            for contestant, runs in (("ort", 1), ("webrt", ours)):
                for _ in range(runs):
                    times[contestant].append(call(pages[contestant], "run", 1, length)["ms"])
        chromium = browser.version
    pairs = zip(first["webrt"]["values"], first["ort"]["values"], strict=True)
    difference = max(abs(a - b) for a, b in pairs)
    assert first["webrt"]["dims"] == first["ort"]["dims"]
    assert difference < 1e-2, f"the answers differ by {difference}"
    return {
        "chromium": chromium, "adapter": loads["webrt"]["adapter"], "host": host, "loads": loads,
        "first": {c: f["ms"] for c, f in first.items()}, "times": times, "difference": difference,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--models-dir", type=Path, default=DEFAULT_DIR)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="runs of onnxruntime-web")
    parser.add_argument("--ours", type=int, default=3, help="runs of webrt a round")
    arguments = parser.parse_args()
    model = build(arguments.model, arguments.models_dir)
    with tempfile.TemporaryDirectory() as scratch:
        report = webrt.pack(model, Path(scratch) / model.stem)
        site = open_site(Path(scratch), arguments.models_dir)
        found = compare(site, model.stem, arguments.length, arguments.rounds, arguments.ours)
        site.close()
    medians = {c: statistics.median(t) for c, t in found["times"].items()}
    ratio = medians["ort"] / medians["webrt"]
    rows = [
        (c, *(round(v) for v in (found["loads"][c]["ms"], found["first"][c], medians[c])))
        for c in ("webrt", "ort")
    ]
    print(f"{model.stem}, length {arguments.length}, {report.dispatches} dispatches")
    print(f"Chromium {found['chromium']}, {found['adapter']}")
    print(table(("", "load ms", "first run ms", "median ms"), rows))
    print(f"ratio of the medians: {ratio:.1f}")
    host = found["host"]
    print(
        f"host cost: {host['microseconds']:.2f} µs a dispatch of {host['dispatches']}"
        f" ({host['first']:.2f} µs in the first replay after a pause)"
    )
    figures = {"model": model.stem, "length": arguments.length, "medians": medians, "ratio": ratio}
    print(f"written to {save('browser', figures | found)}")


if __name__ == "__main__":
    main()
