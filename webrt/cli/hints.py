"""`modulepreload` hints: a page's head names the player's modules, so that they come at once.

Without them a browser learns of each module from the one that imports it, one trip after another.
"""

from __future__ import annotations

import re

from webrt.resources import web_dir

_IMPORT = re.compile(r'^(?:import|export)\b[^;"]*?"\./([\w.-]+\.js)";', re.MULTILINE)

LATER = ("device.js", "wasm.js", "warm.js")
"""What is imported only once the device is known."""


def player_modules() -> list[str]:
    """The modules that every page of the player loads, those of both devices among them."""
    web = web_dir()
    found: dict[str, None] = {}
    todo = ["webrt.js", *LATER]
    while todo:
        name = todo.pop(0)
        if name not in found:
            found[name] = None
            todo += _IMPORT.findall((web / name).read_text(encoding="utf-8"))
    return list(found)


def hints(prefix: str) -> str:
    """The lines for a page's head; `prefix` leads from the page to the player."""
    return "\n".join(f'<link rel="modulepreload" href="{prefix}{n}">' for n in player_modules())


def hinted(page: str, prefix: str) -> str:
    """A page with the hints before its module script."""
    lines = hints(prefix).replace("\n", "\n  ")
    return page.replace('<script type="module"', f'{lines}\n  <script type="module"', 1)
