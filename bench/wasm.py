"""CPUs: webrt's wasm beside onnxruntime-web's, in one headless Chromium, taking turns.

`python bench/wasm.py [--models NAME ...] [--lengths 16 128 384] [--threads 1 2]` opens a page for
each contestant and thread count, loads the same f32 model in all of them, and measures run after
run in turns, some time apart. The answers are compared. Figures go to `bench/results/wasm.json`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from browser import call, open_site
from browsers import open_chromium
from models import DEFAULT_DIR, build
from playwright.sync_api import Browser, Page
from results import save, table
from site_server import Site

import webrt
from webrt import dims
from webrt.kernel.problem import Attention, Contract
from webrt.pack.format import Pack
from webrt.pack.read import parse_manifest

MODELS = ("minilm-l6", "roberta-base", "t5-encoder", "gpt2")
LENGTHS = (16, 128, 384)
LEAST, MOST_SECONDS = 5, 15.0
"""Turns of a shape, however long; how long there may be more of them, up to `--rounds`."""

PAUSE = 0.05
"""Seconds before each run: threads of the run before look for more work for a while, and take the
processor from the next one (T5 at 16 tokens, webrt and onnxruntime-web: 20.4 and 27.3 ms without
a pause, 19.4 and 28.5 with one)."""


def operations(pack: Pack, length: int) -> float:
    """Floating-point operations of the model's contractions at batch 1."""
    bindings = {s.id: 1 if "batch" in s.name else length for s in pack.plan.symbols}
    total = 0
    for step in pack.plan.steps:
        if isinstance(pack.plan.problems[step.problem], Contract | Attention):
            total += 2 * dims.evaluate(pack.kernels[step.problem].work, bindings)
    return total


def open_page(browser: Browser, site: Site, contestant: str, name: str, threads: int) -> Page:
    """A page of its own with the model loaded; `page.loaded` isn't kept: figures are."""
    page = browser.new_page()
    page.set_default_timeout(900_000)
    page.goto(f"{site.url}/bench/pages/{contestant}.html")
    page.wait_for_function("globalThis.bench")
    url = f"/packs/{name}" if contestant == "webrt" else f"/models/{name}.onnx"
    page.evaluate(
        "value => { globalThis.loaded = value; }", call(page, "load", url, "wasm", threads)
    )
    return page


def time_in_turns(
    pages: dict[str, Page], rounds: int, name: str, *args: object
) -> dict[str, list[float]]:
    """Milliseconds of so many calls of each page's `name`, one page after the other."""
    times: dict[str, list[float]] = {key: [] for key in pages}
    start = time.perf_counter()
    for done in range(rounds):
        if done >= LEAST and time.perf_counter() - start > MOST_SECONDS:
            break
        for key, page in pages.items():
            time.sleep(PAUSE)
            times[key].append(call(page, name, *args)["ms"])
    return times


def take_turns(
    pages: dict[str, Page], length: int, rounds: int, within: float = 1e-2, apart: str = ""
) -> dict[str, list[float]]:
    """Milliseconds of `rounds` runs of each, one after the other; the first round warms up.

    The answers must be alike, but for that of a page called `apart`: of another model.
    """
    answers: dict[str, Any] = {key: call(page, "run", 1, length) for key, page in pages.items()}
    times = time_in_turns(pages, rounds, "run", 1, length)
    reference = next(a for key, a in answers.items() if key.startswith("ort"))
    for key, answer in answers.items():
        if key == apart:
            continue
        assert answer["dims"] == reference["dims"], key
        pairs = zip(answer["values"], reference["values"], strict=True)
        difference = max(abs(a - b) for a, b in pairs)
        assert difference < within, f"{key} differs by {difference}"
    return times


def measure(site: Site, pack: Pack, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Every length of one model, and what loading it and its first runs took."""
    with open_chromium() as browser:
        pages: dict[str, Page] = {}
        for threads in arguments.threads:
            for contestant in ("webrt", "ort"):
                key = f"{contestant} {threads}"
                pages[key] = open_page(browser, site, contestant, name, threads)
        loads = {key: page.evaluate("loaded") for key, page in pages.items()}
        one = pages[f"webrt {arguments.threads[0]}"]
        runs = [call(one, "run", 1, 128)["ms"] for _ in range(10)]
        found: dict[str, Any] = {
            "model": name, "chromium": browser.version, "loads": loads, "runs": runs, "lengths": {},
        }  # fmt: skip
        for length in arguments.lengths:
            times = take_turns(pages, length, arguments.rounds)
            medians = {key: statistics.median(t) for key, t in times.items()}
            rates = {k: operations(pack, length) / m / 1e6 for k, m in medians.items()}
            found["lengths"][length] = {"medians": medians, "gflops": rates, "times": times}
    return found


def ratios(found: dict[str, Any], threads: int) -> dict[int, float]:
    """onnxruntime-web's time over webrt's by length; theirs at the better of the thread counts."""
    result = {}
    for length, figures in found["lengths"].items():
        medians = figures["medians"]
        theirs = [
            ms
            for key, ms in medians.items()
            if key.startswith("ort") and int(key.split()[1]) <= threads
        ]
        result[length] = min(theirs) / medians[f"webrt {threads}"]
    return result


def report(found: dict[str, Any], threads: list[int]) -> None:
    first, tenth = found["runs"][0], found["runs"][-1]
    loads = ", ".join(f"{key}: {load['ms']:.0f}" for key, load in found["loads"].items())
    print(f"\n{found['model']}  (load ms: {loads}; first run {first:.0f} ms, tenth {tenth:.0f} ms)")
    for count in threads:
        found.setdefault("ratios", {})[count] = ratios(found, count)
    header = ["length"]
    for key in next(iter(found["lengths"].values()))["medians"]:
        header += [f"{key} ms", "GFLOP/s"]
    rows = []
    for length, figures in found["lengths"].items():
        row: list[object] = [length]
        for key, ms in figures["medians"].items():
            row += [f"{ms:.1f}", f"{figures['gflops'][key]:.1f}"]
        row += [f"{found['ratios'][count][length]:.2f}" for count in threads]
        rows.append(row)
    header += [f"ratio, {count} thread{'s' * (count > 1)}" for count in threads]
    print(table(header, rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--models-dir", type=Path, default=DEFAULT_DIR)
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    everything = []
    with tempfile.TemporaryDirectory() as scratch:
        site = open_site(Path(scratch), arguments.models_dir)
        for name in arguments.models:
            folder = Path(scratch) / name
            webrt.pack(build(name, arguments.models_dir), folder)
            pack = parse_manifest((folder / "manifest.json").read_bytes(), name)
            everything.append(measure(site, pack, name, arguments))
            report(everything[-1], arguments.threads)
        site.close()
    summary = {}
    for threads in arguments.threads:
        every = [r for found in everything for r in found["ratios"][threads].values()]
        mean = math.exp(statistics.fmean(math.log(r) for r in every))
        summary[threads] = {"geometric_mean": mean, "least": min(every)}
        print(f"{threads} thread(s): geometric mean {mean:.2f}, least {min(every):.2f}")
    print(f"written to {save('wasm', {'summary': summary, 'models': everything})}")


if __name__ == "__main__":
    main()
