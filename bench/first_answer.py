"""Time from navigation to first answer: webrt beside onnxruntime-web, the same page, in turns.

Cold is the first visit of a fresh profile, warm the second one. Files come from a local server that
lets browsers keep them, as static hosts do. A browser that has just been started is busy with
itself for a second or two, which is no part of either.

    python bench/first_answer.py --device wasm --rounds 5
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "e2e"))

from browser import ort_folder  # noqa: E402
from browsers import CHROMIUM_FLAGS, chromium_path  # noqa: E402
from models import DEFAULT_DIR, build  # noqa: E402
from playwright.sync_api import BrowserType, sync_playwright  # noqa: E402
from results import save, table  # noqa: E402

import webrt  # noqa: E402
from webrt.cli.export import copy_player  # noqa: E402
from webrt.cli.gallery import COMPARED  # noqa: E402
from webrt.cli.hints import hints  # noqa: E402
from webrt.cli.serve import Folder, Server  # noqa: E402

SETTLED_MS = 2000
SIDES = ("webrt", "onnxruntime-web")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{side}</title>
<link rel="icon" href="data:,">
{head}
<script type="module" src="./bench/pages/{script}"></script>
"""
IMPORTS = '<script type="importmap">{"imports": {"onnxruntime-web": "./ort/%s"}}</script>'
ORT_SCRIPTS = {"wasm": "ort.wasm.min.mjs", "webgpu": "ort.webgpu.min.mjs"}


def write_site(out: Path, model: Path, device: str) -> None:
    """Both pages, and all that they load; webrt's has the hints that `webrt export` writes."""
    webrt.pack(model, out / "pack")
    shutil.copyfile(model, out / "model.onnx")
    copy_player(out / "web")
    (out / "ort").mkdir()
    for _, target in COMPARED.files:
        shutil.copyfile(ort_folder() / Path(target).name, out / target)
    shutil.copytree(ROOT / "bench" / "pages", out / "bench" / "pages")
    heads = {"webrt": hints("./web/"), "onnxruntime-web": IMPORTS % ORT_SCRIPTS[device]}
    scripts = {"webrt": "first-answer-webrt.js", "onnxruntime-web": "first-answer-ort.js"}
    for side in SIDES:
        page = PAGE.format(side=side, head=heads[side], script=scripts[side])
        (out / f"{side}.html").write_text(page)


@contextlib.contextmanager
def served(folder: Path, isolated: bool) -> Iterator[str]:
    """A static host: files may be kept for ten minutes."""
    server = Server(Folder(folder), "127.0.0.1", 0, isolated)
    server.headers["Cache-Control"] = "max-age=600"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.url.replace("127.0.0.1", "localhost")
    finally:
        server.shutdown()
        server.server_close()


def visits(chromium: BrowserType, url: str, count: int = 2) -> list[dict[str, Any]]:
    """What a fresh profile's first visits saw, in order."""
    with tempfile.TemporaryDirectory(prefix="webrt-profile-") as profile:
        context = chromium.launch_persistent_context(
            profile, executable_path=chromium_path(), args=CHROMIUM_FLAGS
        )
        found = []
        try:
            page = context.new_page()
            page.wait_for_timeout(SETTLED_MS)
            for _ in range(count):
                page.goto(url)
                page.wait_for_function("globalThis.answer", timeout=240_000, polling=100)
                found.append(page.evaluate("globalThis.answer"))
                visited, page = page, context.new_page()
                page.wait_for_timeout(SETTLED_MS)  # what is still being written to caches
                visited.close()
        finally:
            context.close()
    return found


def compare(site: str, device: str, length: int, rounds: int) -> dict[str, Any]:
    """Every visit of both sides, in turns; the side that begins changes."""
    times: dict[str, dict[str, list[float]]] = {s: {"cold": [], "warm": []} for s in SIDES}
    parts: dict[str, list[dict[str, float]]] = {s: [] for s in SIDES}
    values: dict[str, list[float]] = {}
    runs_on: dict[str, str] = {}
    with sync_playwright() as playwright:
        for turn in range(rounds):
            for side in SIDES[:: 1 if turn % 2 else -1]:
                url = f"{site}{side}.html?device={device}&length={length}"
                found = visits(playwright.chromium, url)
                for kind, visit in zip(("cold", "warm"), found, strict=True):
                    times[side][kind].append(visit["ms"])
                    parts[side].append({k: visit[k] for k in ("script", "loaded", "ms")})
                    values[side] = visit["values"]
                    runs_on[side] = visit["runsOn"]
    difference = max(abs(a - b) for a, b in zip(*values.values(), strict=True))
    assert difference < 1e-3, f"the answers differ by {difference}"
    return {"times": times, "parts": parts, "runs_on": runs_on, "difference": difference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm-l3")
    parser.add_argument("--models-dir", type=Path, default=DEFAULT_DIR)
    parser.add_argument("--device", choices=("wasm", "webgpu"), action="append")
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plain", action="store_true", help="not isolated: without threads")
    arguments = parser.parse_args()
    model = build(arguments.model, arguments.models_dir)
    figures: dict[str, object] = {"model": model.stem, "length": arguments.length}
    figures["load_average"] = os.getloadavg()  # what else the machine was doing
    for device in arguments.device or ["wasm", "webgpu"]:
        with tempfile.TemporaryDirectory() as scratch:
            write_site(Path(scratch), model, device)
            with served(Path(scratch), not arguments.plain) as url:
                found = compare(url, device, arguments.length, arguments.rounds)
        medians = {
            kind: {s: statistics.median(found["times"][s][kind]) for s in SIDES}
            for kind in ("cold", "warm")
        }
        ratios = {k: m["webrt"] / m["onnxruntime-web"] for k, m in medians.items()}
        rows = [(k, *(round(m[s]) for s in SIDES), f"{ratios[k]:.2f}") for k, m in medians.items()]
        print(f"{model.stem}, {device}, length {arguments.length}: navigation to answer, ms")
        print(table(("", *SIDES, "ratio"), rows))
        figures[device] = {"medians": medians, "ratios": ratios} | found
    print(f"written to {save('first_answer', figures)}")


if __name__ == "__main__":
    main()
