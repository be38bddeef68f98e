"""Where the hand-written shaders and the player lie: beside the package, or inside the wheel."""

from __future__ import annotations

import re
from pathlib import Path

from webrt.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent


def shader_dir() -> Path:
    """The folder of `lib/*.wgsl` and `routines/*.wgsl`."""
    return _find("shaders")


def web_dir() -> Path:
    """The folder of `webrt.js` and its modules."""
    return _find("web")


_DOCUMENTATION = re.compile(r"/\*\*\s.*?\*/[ \t]?", re.DOTALL)
_COMMENT = re.compile(r"^[ \t]*//.*$", re.MULTILINE)


def shipped(path: Path) -> bytes:
    """A file of the player as pages load it: modules go without their comments.

    Lines stay where they are, so that what a browser says of a line is true of the source's.
    """
    data = path.read_bytes()
    if path.suffix != ".js":
        return data
    text = _DOCUMENTATION.sub(lambda found: "\n" * found[0].count("\n"), data.decode())
    return _COMMENT.sub("", text).encode()


def _find(name: str) -> Path:
    for folder in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise UsageError(f"webrt's {name}/ is missing beside {_PACKAGE}: install webrt again")
