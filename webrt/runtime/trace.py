"""A profile in the trace event format, which chrome://tracing and Perfetto load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from webrt.plan.plan import Plan
from webrt.runtime.profile import KernelTime


def chrome_trace(
    plan: Plan, kernels: Sequence[KernelTime], adapter: str, dims: Mapping[str, int]
) -> dict[str, object]:
    """The plan's steps laid end to end, each as long as its kernel takes.

    What a flow leaves out or repeats is there once.
    """
    by_number = {k.number: k for k in kernels}
    events: list[dict[str, object]] = [
        {"name": what, "ph": "M", "pid": 1, "tid": 1, "args": {"name": name}}
        for what, name in (("process_name", "webrt"), ("thread_name", adapter))
    ]
    at = 0.0
    for step in plan.steps:
        kernel = by_number.get(step.problem)
        if kernel is None:  # of no elements at these dims
            continue
        arguments = {
            "node": step.node,
            "problem": kernel.problem,
            "schedule": dict(kernel.schedule),
            "tuned": kernel.tuned,
            "operations": kernel.operations,
            "bytes": kernel.bytes,
            "gflops": kernel.gflops,
            "gbs": kernel.gbs,
        }
        events.append(
            {
                "name": kernel.name, "cat": kernel.family, "ph": "X", "pid": 1, "tid": 1,
                "ts": at, "dur": kernel.ms * 1e3, "args": arguments,
            }
        )  # fmt: skip
        at += kernel.ms * 1e3
    other = {"adapter": adapter, "dims": dict(dims), "kernels_ms": at / 1e3}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}
