"""webrt's own wheel, for Pyodide: made of the files that are running."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path

from webrt.resources import shader_dir, shipped, web_dir
from webrt.version import __version__

_PACKAGE = Path(__file__).resolve().parent


def wheel_bytes() -> bytes:
    """A wheel (PyPA's binary distribution format) of the package, its shaders and its player."""
    files: dict[str, bytes] = {}
    for path in sorted(_PACKAGE.rglob("*.py")):
        files[f"webrt/{path.relative_to(_PACKAGE).as_posix()}"] = path.read_bytes()
    for path in sorted(shader_dir().rglob("*.wgsl")):
        files[f"webrt/_shaders/{path.relative_to(shader_dir()).as_posix()}"] = path.read_bytes()
    for path in sorted(web_dir().glob("*.js")):
        files[f"webrt/_web/{path.name}"] = shipped(path)
    information = f"webrt-{__version__}.dist-info"
    files[f"{information}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: webrt\nVersion: {__version__}\n".encode()
    )
    files[f"{information}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: webrt export\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = f"{information}/RECORD"
    lines = [f"{name},{_record_hash(data)},{len(data)}" for name, data in files.items()]
    files[record] = ("\n".join([*lines, f"{record},,"]) + "\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def _record_hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"
