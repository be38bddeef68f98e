"""Any models on CPUs: webrt's wasm beside onnxruntime-web's, in one headless Chromium, in turns.

`python bench/beside.py [MODEL …] [--dim NAME=N …] [--threads 1]`: names of `bench/public.py`, or
ONNX files of one's own, which are fed random numbers; a dynamic dim is 1 where `--dim` tells no
other size. The first outputs are compared. Figures go to `bench/results/beside.json`.
"""

from __future__ import annotations

import argparse
import base64
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from browser import call, open_site
from browsers import open_chromium
from models import build
from public import MODEL_DIR, PUBLIC
from results import save, table
from wasm import open_page, time_in_turns

import webrt

Feeds = dict[str, np.ndarray]
TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(bool)": np.bool_,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8,
}  # fmt: skip
WITHIN = 1e-3
"""How far answers may be apart, of the largest."""


def random_feeds(path: Path, dims: dict[str, int]) -> Feeds:
    """Numbers from 0 to 1, whole ones from 0 to 9, and True."""
    import onnxruntime

    random = np.random.default_rng(0)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds: Feeds = {}
    for port in session.get_inputs():
        shape = [d if isinstance(d, int) else dims.get(d, 1) for d in port.shape]
        dtype = np.dtype(TYPES[port.type])
        numbers = random.random(shape) * (10 if dtype.kind in "iu" else 1)
        feeds[port.name] = (numbers >= 0 if dtype.kind == "b" else numbers).astype(dtype)
    return feeds


def sent(feeds: Feeds) -> list[dict[str, Any]]:
    """Feeds as pages take them."""
    return [
        {
            "name": name, "type": str(array.dtype), "dims": list(array.shape),
            "data": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in feeds.items()
    ]  # fmt: skip


def measure(path: Path, feeds: Feeds, threads: int, rounds: int) -> dict[str, Any]:
    """Medians of both, what loading and the first run took, and how far the answers are apart."""
    with tempfile.TemporaryDirectory() as scratch, open_chromium() as browser:
        webrt.pack(path, Path(scratch) / path.stem)
        site = open_site(Path(scratch), path.parent)
        pages = {c: open_page(browser, site, c, path.stem, threads) for c in ("webrt", "ort")}
        loads = {c: page.evaluate("loaded")["ms"] for c, page in pages.items()}
        given = sent(feeds)
        first = {c: call(page, "runWith", given) for c, page in pages.items()}
        times = time_in_turns(pages, rounds, "runWith", given)
        site.close()
        chromium = browser.version
    ours, theirs = (first[c] for c in ("webrt", "ort"))
    assert ours["dims"] == theirs["dims"], f"{path.name}: {ours['dims']}, {theirs['dims']}"
    values = np.array([ours["values"], theirs["values"]])
    apart = float(np.abs(values[0] - values[1]).max(initial=0))
    assert apart <= WITHIN * max(1.0, np.abs(values).max(initial=0)), f"{path.name}: {apart} apart"
    return {
        "model": path.stem, "threads": threads, "chromium": chromium, "loads": loads,
        "first": {c: f["ms"] for c, f in first.items()}, "times": times, "apart": apart,
        "medians": {c: statistics.median(t) for c, t in times.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(PUBLIC), metavar="MODEL")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    dims = {name: int(size) for name, _, size in (d.partition("=") for d in arguments.dim)}
    found = []
    for model in arguments.models:
        public = PUBLIC.get(model)
        path = Path(model) if public is None else build(model, MODEL_DIR)
        feeds = random_feeds(path, dims) if public is None else public.feeds()[0]
        found.append(measure(path, feeds, arguments.threads, arguments.rounds))
        print(model, {c: round(ms, 2) for c, ms in found[-1]["medians"].items()}, flush=True)
    ratios = [f["medians"]["ort"] / f["medians"]["webrt"] for f in found]
    header = ("model", "webrt ms", "onnxruntime-web ms", "ratio", "first runs ms", "loads ms")
    rows = []
    for figures, ratio in zip(found, ratios, strict=True):
        row = [figures["model"], *(f"{ms:.1f}" for ms in figures["medians"].values())]
        pairs = (figures[key].values() for key in ("first", "loads"))
        rows.append([*row, f"{ratio:.2f}", *(", ".join(f"{ms:.0f}" for ms in p) for p in pairs)])
    print(table(header, rows))
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    print(f"geometric mean {mean:.2f}, least {min(ratios):.2f}")
    print(f"written to {save('beside', {'geometric_mean': mean, 'models': found})}")


if __name__ == "__main__":
    main()
