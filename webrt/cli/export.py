"""`webrt export`: a folder that any static host serves, with all that a page of the pack needs."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from webrt.cli.hints import hinted, hints
from webrt.cli.join import joined_player
from webrt.errors import UsageError
from webrt.pack.archive import unpacked
from webrt.pack.read import read_pack
from webrt.resources import shipped, web_dir
from webrt.version import __version__
from webrt.wheel import wheel_bytes

PYODIDE_FILES = (
    "pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json",
)  # fmt: skip
"""What `loadPyodide` fetches, without any package."""

OLDER_NAMES = {"pyodide.asm.mjs": "pyodide.asm.js"}
"""Before Pyodide 314."""

MARK = "integrity.json"
"""The list of hashes: a folder that has it is an export."""

WHEEL = "webrt.whl"
"""Beside the player, where it looks for it; `unpackArchive` takes any name."""


def export(folder: Path, out: Path, pyodide: str | None, wheel: bool) -> dict[str, Any]:
    """Write the site; returns what was written, the integrity of each script, and a snippet.

    `pyodide` is the folder of a Pyodide distribution, which is copied, or the URL of one. With it,
    or with `wheel`, webrt's own wheel comes too. Raises UsageError for an `out` that holds anything
    but an earlier export, PackError for a folder that is no pack.
    """
    read_pack(folder)
    _check_out(out)
    local = Path(pyodide) if pyodide is not None and "://" not in pyodide else None
    if local is not None:
        _check_pyodide(local)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        site = Path(scratch) / "site"
        note = _write(site, folder, local, wheel or pyodide is not None)
        integrity = {f"webrt/{p.name}": integrity_of(p) for p in (site / "webrt").glob("*.js")}
        integrity = dict(sorted(integrity.items()))
        (site / MARK).write_text(json.dumps(integrity, indent=1) + "\n")
        sizes = [p.stat().st_size for p in site.rglob("*") if p.is_file()]
        if out.exists():
            shutil.rmtree(out)
        site.rename(out)
    return {
        "path": str(out),
        "files": len(sizes),
        "bytes": sum(sizes),
        "integrity": integrity,
        "wheel": None if note is None else f"webrt/{WHEEL}",
        "note": note,
        "snippet": snippet(integrity, pyodide),
        "policy": policy(integrity, pyodide),
    }


def export_text(result: dict[str, Any]) -> str:
    """What `webrt export` says."""
    lines = [f"{result['path']}: {result['files']} files, {result['bytes']:,} bytes"]
    if result["wheel"]:
        lines.append(f"{result['wheel']}: {result['note']}")
    lines += ["in a page of it:", result["snippet"]]
    lines += ["under a Content-Security-Policy (your own script in a file):", result["policy"]]
    return "\n".join(lines)


def _check_out(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out}: is not a folder; name another one")
    if out.exists() and any(out.iterdir()) and not (out / MARK).is_file():
        raise UsageError(f"{out}: holds files that aren't an earlier export; name another folder")


def _write(site: Path, pack: Path, pyodide: Path | None, wheel: bool) -> str | None:
    """All files but the list of hashes; returns how the wheel was made, None without one."""
    with unpacked(pack) as folder:
        shutil.copytree(folder, site / "pack")
    copy_player(site / "webrt")
    page = (web_dir() / "demo" / "index.html").read_text(encoding="utf-8")
    (site / "index.html").write_text(hinted(page, "webrt/"), encoding="utf-8")
    if pyodide is not None:
        copy_pyodide(pyodide, site / "webrt" / "pyodide")
    return write_wheel(site / "webrt" / WHEEL, pyodide) if wheel else None


def copy_player(target: Path, *more: str) -> None:
    """The player, joined; the demo page's files, and what else matches patterns beneath `web/`."""
    web = web_dir()
    target.mkdir(parents=True, exist_ok=True)
    for name, data in joined_player().items():
        (target / name).write_bytes(data)
    for pattern in ("demo/*", *more):
        for path in web.glob(pattern):
            to = target / path.relative_to(web)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(shipped(path))


def write_package(target: Path) -> None:
    """What `npm pack` takes: the player, its types and their description.

    Its modules aren't joined: bundlers do that, and leave out what a worker doesn't need.
    """
    web = web_dir()
    for name in ("package.json", "README.md"):
        _copy(web / name, target / name)
    for path in web.glob("types/*.d.ts"):
        _copy(path, target / "types" / path.name)
    (target / "node").mkdir(parents=True, exist_ok=True)
    for path in (*web.glob("*.js"), *web.glob("node/*.js")):
        (target / path.relative_to(web)).write_bytes(shipped(path))


def copy_pyodide(pyodide: Path, target: Path) -> None:
    """The files of a distribution that tuning loads. Raises UsageError where there are none."""
    for name in _check_pyodide(pyodide):
        _copy(pyodide / name, target / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _check_pyodide(folder: Path) -> list[str]:
    """The names of a distribution's files; raises UsageError where one is missing."""
    names = [
        name if (folder / name).is_file() else OLDER_NAMES.get(name, name) for name in PYODIDE_FILES
    ]
    missing = [n for n, name in zip(PYODIDE_FILES, names, strict=True)
               if not (folder / name).is_file()]  # fmt: skip
    if missing:
        raise UsageError(
            f"{folder}: no Pyodide distribution: {missing[0]} is missing; expected the folder of"
            " npm's pyodide package, or a URL"
        )
    return names


def integrity_of(path: Path) -> str:
    """The `integrity` attribute of a file (W3C Subresource Integrity)."""
    digest = hashlib.sha384(path.read_bytes()).digest()
    return "sha384-" + base64.b64encode(digest).decode()


def import_map(integrity: dict[str, str]) -> str:
    """What holds modules to their hashes, as JSON."""
    return json.dumps({"integrity": {f"./{n}": i for n, i in integrity.items()}}, indent=1)


def snippet(integrity: dict[str, str], pyodide: str | None) -> str:
    """What a page of the site has to hold: an import map with integrity, and three lines."""
    options = ""
    if pyodide is not None:
        place = f', pyodide: "{pyodide}"' if "://" in pyodide else ""
        options = f', {{tune: "background"{place}}}'
    return (
        f'<script type="importmap">{import_map(integrity)}</script>\n'
        f"{hints('./webrt/')}\n"
        '<script type="module">\n'
        '  import {InferenceSession, Tensor} from "./webrt/webrt.js";\n'
        f'  const session = await InferenceSession.create("./pack"{options});\n'
        "</script>"
    )


def policy(integrity: dict[str, str], pyodide: str | None) -> str:
    """The least Content-Security-Policy for the snippet, its module script being a file's.

    An import map stands in the page, so that the policy has its hash. The GPU alone, without
    tuning, does without 'wasm-unsafe-eval'.
    """
    digest = hashlib.sha256(import_map(integrity).encode()).digest()
    other = ""
    if pyodide is not None and "://" in pyodide:
        other = " {0.scheme}://{0.netloc}".format(urlsplit(pyodide))
    return (
        f"default-src 'none'; script-src 'self'{other} 'wasm-unsafe-eval'"
        f" 'sha256-{base64.b64encode(digest).decode()}'; worker-src 'self';"
        f" connect-src 'self'{other}"
    )


def write_wheel(target: Path, pyodide: Path | None) -> str:
    """Write the wheel for Pyodide, from the files that are running; returns how it was made.

    It is byte-compiled (by pyodide-build's `pyodide py-compile`) where this Python is Pyodide's.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = wheel_bytes()
    target.write_bytes(sources)
    if pyodide is None:
        return "sources, which every Pyodide runs"
    wanted = json.loads((pyodide / "pyodide-lock.json").read_text())["info"]["python"]
    here = ".".join(map(str, sys.version_info[:2]))
    if wanted.rsplit(".", 1)[0] != here:
        return f"sources: this Python is {here}, Pyodide's {wanted}"
    command = shutil.which("pyodide")
    if command is None:
        return "sources: pip install 'webrt[pyodide]' compiles them to byte code"
    with tempfile.TemporaryDirectory() as scratch:
        # It wants a wheel's whole name, puts another file in its place, and returns 0 regardless.
        given = Path(scratch) / f"webrt-{__version__}-py3-none-any.whl"
        given.write_bytes(sources)
        done = subprocess.run(
            [command, "py-compile", str(given)], capture_output=True, text=True, check=False
        )
        made = [p for p in Path(scratch).glob("*.whl") if p != given]
        if len(made) == 1:
            shutil.copyfile(made[0], target)
            return "byte code"
    said = (done.stderr or done.stdout).strip().splitlines()
    return f"sources: pyodide py-compile failed: {said[-1] if said else 'no reason given'}"
