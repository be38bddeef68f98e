"""Tell the types of files from their bytes: `python examples/classify_files.py [FILE ...]`.

Gets Google's magika model out of its PyPI package, packs it, loads it on the best device present
(a GPU, or else the CPU, which needs no driver) and prints a label for each file (by
default, files of this repository). `make demo` runs it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

import webrt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
from models import PACKAGED, download_wheel  # noqa: E402

DEFAULT_FILES = ("README.md", "pyproject.toml", "Makefile", "webrt/errors.py", "web/webrt.js")


def fetch_model(folder: Path) -> tuple[Path, list[str]]:
    """Put `magika.onnx` and its labels into `folder`, from PyPI unless they are there already."""
    model, labels = folder / "magika.onnx", folder / "labels.json"
    if not (model.exists() and labels.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        requirement, member = PACKAGED["magika"]
        with tempfile.TemporaryDirectory() as scratch:
            wheel = download_wheel(requirement, Path(scratch))
            with zipfile.ZipFile(wheel) as archive:
                model.write_bytes(archive.read(member))
                config = json.loads(archive.read(str(Path(member).parent / "config.min.json")))
        labels.write_text(json.dumps(config["target_labels_space"]))
    return model, json.loads(labels.read_text())


def features(content: bytes, size: int = 1024, block: int = 4096, padding: int = 256) -> list[int]:
    """The input of magika: the first and the last `size` bytes, stripped, padded with 256.

    Source: magika 1.0, `Magika._extract_features_from_seekable`.
    """
    head = list(content[:block].lstrip()[:size])
    tail = list(content[-block:].rstrip()[-size:])
    return head + [padding] * (size - len(head)) + [padding] * (size - len(tail)) + tail


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=[ROOT / f for f in DEFAULT_FILES])
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "demo")
    parser.add_argument("--device", default="auto", help="auto, webgpu or wasm")
    arguments = parser.parse_args()
    model, labels = fetch_model(arguments.cache)
    pack = arguments.cache / "magika"
    report = webrt.pack(model, pack)
    print(f"packed {model.name}: {report.dispatches} dispatches, {report.weight_bytes:,} bytes")
    files = [f for f in arguments.files if f.is_file() and f.stat().st_size >= 8]
    batch = np.array([features(f.read_bytes()) for f in files], dtype=np.int32)
    with webrt.load(pack, device=arguments.device) as session:
        start = time.perf_counter()
        scores = session.run({"bytes": batch})["target_label"]
        first = time.perf_counter() - start
        start = time.perf_counter()
        session.run({"bytes": batch})
        again = time.perf_counter() - start
        print(
            f"on {session.adapter}: {len(files)} files in {first * 1e3:.0f} ms, "
            f"then {again * 1e3:.0f} ms"
        )
    for file, row in zip(files, scores, strict=True):
        best = int(row.argmax())
        print(f"  {labels[best]:<12} {row[best]:6.1%}  {shown(file)}")
    print(f"in a browser: .venv/bin/webrt serve {shown(pack)}, and open the address that it prints")


def shown(path: Path) -> Path:
    """The path from the repository's root, where it lies inside."""
    place = path.resolve()
    return place.relative_to(ROOT) if place.is_relative_to(ROOT) else place


if __name__ == "__main__":
    main()
