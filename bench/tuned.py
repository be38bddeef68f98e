"""Tuned in the page: webrt before and after its own trials, beside onnxruntime-web, taking turns.

`python bench/tuned.py [--models NAME ...] [--device webgpu|wasm] [--budget 30]` opens one headless
Chromium a model with a page for each contestant: webrt with the pack's kernels, webrt that serves
while a worker tries others for `--budget` seconds, onnxruntime-web. Then they take turns: a run of
theirs, some of each of ours. Answers are compared. Figures go to `bench/results/page-DEVICE.json`.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from browser import ROOT, call, open_site
from browsers import open_chromium
from models import DEFAULT_DIR, build
from playwright.sync_api import Page
from results import save, table
from site_server import Site

import webrt

MODELS = ("minilm-l6", "t5-encoder", "roberta-base")
PYODIDE = ROOT / "e2e" / "node_modules" / "pyodide"
CONTESTANTS = ("ort", "webrt", "tuned")


def build_wheel(folder: Path) -> Path:
    """The project's wheel, which a page tunes with."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def cpu_seconds() -> float:
    """Processor time of this process's descendants, the browser's among them; 0 but on Linux.

    Where others use the machine too, it tells more of a kernel than the clock does.
    """
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(file.parent.name)
        parents[pid] = int(fields[1])
        used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_ours(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return sum(seconds for pid, seconds in used.items() if is_ours(pid))


def open_page(browser: Any, site: Site, script: str) -> Page:
    page: Page = browser.new_page()
    page.set_default_timeout(1_800_000)
    page.goto(f"{site.url}/bench/pages/{script}.html")
    page.wait_for_function("globalThis.bench")
    return page


def measure(site: Site, name: str, wheel: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Load, tune, take turns; every time that was measured."""
    device, length = arguments.device, arguments.length
    with open_chromium() as browser:
        pages = {c: open_page(browser, site, "ort" if c == "ort" else "webrt") for c in CONTESTANTS}
        pack, threads = f"/packs/{name}", arguments.threads
        options = {"budget": arguments.budget, "pyodide": "/pyodide/", "wheel": wheel}
        call(pages["webrt"], "load", pack, device, threads)
        begin = time.perf_counter()
        tuned = call(pages["tuned"], "tune", pack, device, threads, 1, length, options)
        tuned["elapsed"] = time.perf_counter() - begin
        call(pages["ort"], "load", f"/models/{name}.onnx", device, threads)
        answers = {c: call(page, "run", 1, length) for c, page in pages.items()}
        times: dict[str, list[float]] = {c: [] for c in CONTESTANTS}
        cpu: dict[str, list[float]] = {c: [] for c in CONTESTANTS}
        for _ in range(arguments.rounds):
            for contestant in CONTESTANTS:
                for _ in range(1 if contestant == "ort" else arguments.ours):
                    before = cpu_seconds()
                    times[contestant].append(call(pages[contestant], "run", 1, length)["ms"])
                    cpu[contestant].append((cpu_seconds() - before) * 1e3)
        chromium = browser.version
    for contestant in ("webrt", "tuned"):
        pairs = zip(answers[contestant]["values"], answers["ort"]["values"], strict=True)
        difference = max(abs(a - b) for a, b in pairs)
        assert answers[contestant]["dims"] == answers["ort"]["dims"]
        assert difference < 1e-2, f"{contestant}: the answers differ by {difference}"
    return {
        "model": name, "length": length, "chromium": chromium, "tuned": tuned, "times": times,
        "cpu": cpu,
    }  # fmt: skip


def report(found: dict[str, Any]) -> None:
    """Print one model's figures, and add medians and ratios to them."""
    found["medians"] = medians = {c: statistics.median(t) for c, t in found["times"].items()}
    found["ratios"] = {c: medians["ort"] / medians[c] for c in ("webrt", "tuned")}
    outcome = found["tuned"]["outcome"]
    print(
        f"\n{found['model']}, length {found['length']}: {outcome['trials']} trials,"
        f" {outcome['rejected']} rejected, in {outcome['seconds']:.0f} s;"
        f" kernels of a run {outcome['beforeMs']:.1f} ms, then {outcome['afterMs']:.1f} ms"
    )
    rows = [
        (p["problem"].split(":")[0], f"{p['default']:.2f}", f"{p['best']:.2f}",
         f"{p['default'] / p['best']:.2f}", p["trials"], p["schedule"])
        for p in sorted(found["tuned"]["problems"], key=lambda p: -p["default"])
    ]  # fmt: skip
    print(table(("problem", "default ms", "best ms", "speedup", "trials", "schedule"), rows))
    names = {"ort": "onnxruntime-web", "webrt": "webrt, defaults", "tuned": "webrt, tuned"}
    cpu = {c: statistics.median(t) for c, t in found["cpu"].items()}
    lines = [
        (names[c], f"{medians[c]:.1f}", f"{medians['ort'] / medians[c]:.2f}", f"{cpu[c]:.0f}",
         f"{cpu['ort'] / max(cpu[c], 1e-3):.2f}")
        for c in CONTESTANTS
    ]  # fmt: skip
    print(table(("", "median ms", "times faster", "CPU ms", "times less"), lines), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--models-dir", type=Path, default=DEFAULT_DIR)
    parser.add_argument("--device", choices=("webgpu", "wasm"), default="webgpu")
    parser.add_argument("--threads", type=int, default=1, help="of wasm, for both")
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of trials")
    parser.add_argument("--rounds", type=int, default=3, help="runs of onnxruntime-web")
    parser.add_argument("--ours", type=int, default=3, help="runs of each of ours a round")
    arguments = parser.parse_args()
    everything = []
    with tempfile.TemporaryDirectory() as scratch:
        packs, wheels = Path(scratch) / "packs", Path(scratch) / "wheels"
        packs.mkdir()
        wheel = build_wheel(wheels)
        more = {"/pyodide/": PYODIDE, "/wheels/": wheels}
        site = open_site(packs, arguments.models_dir, more)
        for name in arguments.models:
            webrt.pack(build(name, arguments.models_dir), packs / name)
            everything.append(measure(site, name, f"/wheels/{wheel.name}", arguments))
            report(everything[-1])
        site.close()
    ratios = [found["ratios"]["tuned"] for found in everything]
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    print(f"\ntuned: geometric mean {mean:.2f}, least {min(ratios):.2f}")
    figures = {"device": arguments.device, "budget": arguments.budget, "models": everything}
    print(f"written to {save(f'page-{arguments.device}', figures)}")


if __name__ == "__main__":
    main()
