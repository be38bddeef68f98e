"""The work of `webrt verify`, and what `--explain` prints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from webrt.cli.commands import Device, open_session
from webrt.cli.output import Report, finite
from webrt.runtime.verify import Verdict

Result = dict[str, Any]


def verify(folder: Path, device: Device, report: Report) -> Result:
    """Run the vectors that the pack ships."""
    with open_session(folder, device, report) as session:
        found = session.verify()
        return verdict_json(found) | {
            "adapter": session.adapter,
            "float16": session.float16,
        }


def verdict_json(verdict: Verdict) -> Result:
    """A verdict as plain JSON; infinities and NaN by their names."""
    found: Result = _plain(asdict(verdict))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k != "worst"}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return finite(value) if isinstance(value, float) else value


def verify_text(result: Result) -> str:
    """A line a vector; then the node where the first of them goes wrong."""
    mode = f", float16 {result['float16']}" if result["float16"] else ""
    lines = [f"{'ok' if result['ok'] else 'NOT OK'} on {result['adapter']}{mode}"]
    for number, vector in enumerate(result["vectors"]):
        at = ", ".join(f"{name} = {value}" for name, value in vector["dims"].items())
        tuned = f", {vector['tuned']} tuned kernels" if vector["tuned"] else ""
        worst = max((float(d["max_abs"]) for d in vector["outputs"].values()), default=0.0)
        said = vector["error"] or f"max |diff| {worst:.3g}{'' if vector['ok'] else '  WRONG'}"
        lines.append(f"  vector {number}{' at ' + at if at else ''}{tuned}: {said}")
    wrong = result["diverges"]
    if wrong:
        where = "" if wrong["step"] is None else f" (step {wrong['step']}, {_kernel(wrong)})"
        lines.append(
            f"first wrong node: {wrong['node']}{where}: {wrong['what']} is {wrong['found']:.6g},"
            f" expected {wrong['expected']:.6g}"
        )
    return "\n".join(lines)


def _kernel(wrong: Result) -> str:
    return f"kernel {wrong['kernel']}{', tuned' if wrong['tuned'] else ''}"
