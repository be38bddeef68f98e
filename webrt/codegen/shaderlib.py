"""Reads `shaders/lib`: the WGSL functions that generated kernels call."""

from __future__ import annotations

from functools import cache

from webrt.resources import shader_dir

FUNCTIONS = {
    "cos1": "trigonometry", "cos4": "trigonometry", "sin1": "trigonometry", "sin4": "trigonometry",
    "erf1": "erf", "erf4": "erf", "tanh1": "tanh", "tanh4": "tanh", "floor_div": "integer",
    "floor_mod": "integer", "infinity": "special", "not_a_number": "special",
}  # fmt: skip
"""Every function that a kernel may call, with the file that holds it."""


def source(functions: set[str]) -> str:
    """The text of every file that holds one of `functions`, comments left out, sorted by name."""
    return "\n".join(_file(name) for name in sorted({FUNCTIONS[f] for f in functions}))


@cache
def _file(name: str) -> str:
    text = (shader_dir() / "lib" / f"{name}.wgsl").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("//")]
    return "\n".join(lines) + "\n"
