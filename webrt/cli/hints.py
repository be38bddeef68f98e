"""`modulepreload` hints: a page's head names the player's files, so that they come at once.

Without them a browser learns of each file from the one that imports it, one trip after another.
"""

from __future__ import annotations

from webrt.cli.join import CHUNKS

PLAYER = ("webrt.js", *CHUNKS)
"""What pages of the player load, those of both devices among them."""


def hints(prefix: str) -> str:
    """The lines for a page's head; `prefix` leads from the page to the player."""
    return "\n".join(f'<link rel="modulepreload" href="{prefix}{n}">' for n in PLAYER)


def hinted(page: str, prefix: str) -> str:
    """A page with the hints before its module script."""
    lines = hints(prefix).replace("\n", "\n  ")
    return page.replace('<script type="module"', f'{lines}\n  <script type="module"', 1)
