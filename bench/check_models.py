"""Check the paper's models against ONNX Runtime, on every device, batch and length.

`python bench/check_models.py [--models …] [--device lavapipe swiftshader wasm]`: each model is
packed once; on each device one session answers all batches and lengths, and no kernel may be
compiled after the first. An answer holds when every output has cosine ≥ 0.9999 and |diff| ≤ 1e-3 +
1e-3·|x|.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from models import DEFAULT_DIR, build
from results import save, table

DRIVERS = {
    "lavapipe": "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
    "swiftshader": "/usr/lib/chromium/vk_swiftshader_icd.json",
}
DEVICES = (*DRIVERS, "wasm")
"""Software adapters of WebGPU, and the CPU."""
MODELS = (
    "magika", "minilm-l3", "minilm-l6", "roberta-base", "bart-encoder", "bart-decoder", "gpt2",
    "t5-encoder", "minilm-l6-dynamo", "roberta-base-dynamo", "bart-encoder-dynamo",
    "bart-decoder-dynamo", "t5-encoder-dynamo",
)  # fmt: skip
BATCHES = (1, 3)
LENGTHS = (1, 7, 128, 300)


def example(session: object, batch: int, length: int, seed: int) -> dict[str, np.ndarray]:
    """Feeds for a transformer (or magika) of one batch and length; the mask ends in zeros."""
    random = np.random.default_rng(seed)
    feeds: dict[str, np.ndarray] = {}
    for port in session.get_inputs():  # type: ignore[attr-defined]
        if port.name == "bytes":
            feeds[port.name] = random.integers(0, 257, (batch, 2048)).astype(np.int32)
        elif port.type == "tensor(int64)":
            feeds[port.name] = random.integers(5, 1000, (batch, length))
            if "mask" in port.name:
                ends = random.integers(1, length + 1, (batch, 1))
                feeds[port.name] = (np.arange(length)[None] < ends).astype(np.int64)
            elif "type" in port.name:
                feeds[port.name] = random.integers(0, 2, (batch, length))
        else:
            width = port.shape[-1]
            rows = max(1, length - 2)
            feeds[port.name] = random.standard_normal((batch, rows, width)).astype(np.float32)
    return feeds


def check_one(
    model: Path, pack: Path, kind: str, batches: list[int], lengths: list[int]
) -> list[dict[str, object]]:
    """Every batch and length of one model in one session, on the driver of the environment."""
    import onnxruntime

    import webrt

    oracle = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    rows: list[dict[str, object]] = []
    lengths = [2048] if model.stem == "magika" else lengths
    with webrt.load(pack, device=kind) as session:
        compiled = None
        for batch in batches:
            for length in lengths:
                feeds = example(oracle, batch, length, seed=batch * 1000 + length)
                expected = oracle.run(None, feeds)
                start = time.perf_counter()
                found = session.run(feeds)
                seconds = time.perf_counter() - start
                compiled = session.compiled_kernels if compiled is None else compiled
                rows.append(
                    compare(found, expected, [o.name for o in oracle.get_outputs()])
                    | {
                        "batch": batch,
                        "length": length,
                        "seconds": round(seconds, 3),
                        "compiled_later": session.compiled_kernels - compiled,
                        "adapter": session.adapter,
                    }
                )
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def compare(
    found: dict[str, np.ndarray], expected: list[np.ndarray], names: list[str]
) -> dict[str, object]:
    """The worst output: cosine, the largest difference, and whether all hold."""
    worst, cosine, ok = 0.0, 1.0, True
    for name, e in zip(names, expected, strict=True):
        f = found[name]
        ok = ok and f.shape == e.shape and f.dtype == e.dtype
        if not ok:
            break
        a, b = f.astype(np.float64).ravel(), e.astype(np.float64).ravel()
        difference = np.abs(a - b)
        worst = max(worst, float(difference.max(initial=0)))
        norm = float(np.linalg.norm(a) * np.linalg.norm(b))
        cosine = min(cosine, float(a @ b) / norm if norm else float(np.array_equal(a, b)))
        ok = ok and bool((difference <= 1e-3 + 1e-3 * np.abs(b)).all())
    return {"max_abs": worst, "cosine": cosine, "ok": ok and cosine >= 0.9999}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--device", nargs="+", default=list(DEVICES), choices=list(DEVICES))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--model-dir", type=Path, default=DEFAULT_DIR)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        model, pack, kind = arguments.one
        rows = check_one(Path(model), Path(pack), kind, arguments.batches, arguments.lengths)
        print(json.dumps(rows))
        return
    import webrt

    lines: list[tuple[object, ...]] = []
    figures: list[dict[str, object]] = []
    for name in arguments.models:
        model = build(name, arguments.model_dir)
        pack = arguments.model_dir / f"{name}.pack"
        report = webrt.pack(model, pack)
        for device in arguments.device:
            environment = dict(os.environ)
            if device in DRIVERS:
                environment["VK_DRIVER_FILES"] = DRIVERS[device]
            kind = "webgpu" if device in DRIVERS else device
            command = [sys.executable, __file__, "--one", str(model), str(pack), kind]
            command += ["--lengths", *map(str, arguments.lengths)]
            command += ["--batches", *map(str, arguments.batches)]
            run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            for row in json.loads(run.stdout):
                figures.append({"model": name, "dispatches": report.dispatches} | row)
                shown = ("batch", "length", "ok", "cosine", "max_abs", "compiled_later", "seconds")
                lines.append((name, report.dispatches, device, *(row[k] for k in shown)))
    header = ("model", "dispatches", "device", "batch", "length", "ok", "cosine", "max_abs")
    print(table((*header, "compiled later", "seconds"), lines))
    some = [] if set(arguments.device) == set(DEVICES) else arguments.device
    print("written:", save("_".join(["check_models", *some]), {"rows": figures}))
    if not all(row["ok"] and not row["compiled_later"] for row in figures):
        sys.exit(1)


if __name__ == "__main__":
    main()
