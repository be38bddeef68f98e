"""The work of `webrt verify`, and the trace that `webrt bench` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webrt.cli.opening import Device, open_session
from webrt.cli.output import Report, at_text, finite
from webrt.errors import UsageError
from webrt.plan.plan import Plan
from webrt.runtime.profile import KernelTime
from webrt.runtime.trace import chrome_trace
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


def write_trace(
    path: Path, plan: Plan, kernels: Sequence[KernelTime], adapter: str, dims: Mapping[str, int]
) -> None:
    """Write a profile for chrome://tracing; raises UsageError where the file can't be written."""
    try:
        path.write_text(json.dumps(chrome_trace(plan, kernels, adapter, dims)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: can't be written: {error.strerror or error}") from error


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
        tuned = f", {vector['tuned']} tuned kernels" if vector["tuned"] else ""
        worst = max((float(d["max_abs"]) for d in vector["outputs"].values()), default=0.0)
        said = vector["error"] or f"max |diff| {worst:.3g}{'' if vector['ok'] else '  WRONG'}"
        lines.append(f"  vector {number}{at_text(vector['dims'])}{tuned}: {said}")
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
