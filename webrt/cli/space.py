"""`webrt info --space`: what would be tried on a device, and why nothing else would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from webrt import api
from webrt.cli.feeds import parse_dims
from webrt.cli.output import at_text
from webrt.kernel.problem import Problem, specialise
from webrt.pack.format import Pack
from webrt.pack.read import read_pack
from webrt.plan.example import example_bindings
from webrt.runtime.device import DeviceInfo
from webrt.schedule import Schedule, explain, to_json
from webrt.tune import probe
from webrt.tune.candidate import Rates, generate, limits_of, printed

Result = dict[str, Any]
SAME = "other code than the candidates before it"
"""The rule that drops what prints as a better guess does."""


def describe_space(
    folder: Path,
    kernel: str | None,
    device: str,
    sizes: Sequence[str],
    find: Callable[[Pack, str], int],
) -> Result:
    """The spaces of a pack's problems on a device, or of the kernel that `find` numbers."""
    pack = read_pack(folder)
    bindings = example_bindings(pack.plan, parse_dims(sizes))
    numbers = range(len(pack.kernels)) if kernel is None else [find(pack, kernel)]
    opened = api.open_device(device)
    info = opened.info
    opened.close()
    found = probe.known(info, probe.cache_file())
    rates = None if found is None else found.rates
    problems = [(j, specialise(pack.plan.problems[j], bindings)) for j in numbers]
    return {
        "adapter": info.adapter,
        "adapter_class": info.adapter_class,
        "probe": None if found is None else probe.to_json(found),
        "dims": {s.name: s.size(bindings[s.id]) for s in pack.plan.symbols},
        "kernels": [_space(pack.kernels[j].name, p, info, rates) for j, p in problems],
    }


def _space(name: str, problem: Problem, info: DeviceInfo, rates: Rates | None) -> Result:
    """One problem's candidates, without those that print alike, and all that was dropped."""
    explored = explain(problem, limits_of(info, rates))
    dropped = [*explored.left, *explored.refused]
    seen: set[object] = set()
    kept: list[Schedule] = []
    for schedule in explored.kept:
        text = printed(generate(problem, schedule, info))
        if text in seen:
            dropped.append((schedule, SAME))
        else:
            kept.append(schedule)
        seen.add(text)
    return {
        "kernel": name,
        "space": [to_json(schedule) for schedule in kept],
        "rules": dict(Counter(rule for _, rule in dropped).most_common()),
        "dropped": [{"schedule": to_json(s), "rule": rule} for s, rule in dropped],
    }


def space_text(result: Result) -> str:
    """What `webrt info --space` prints for people."""
    at = at_text(result["dims"])
    lines = [f"{result['adapter']}{at}"]
    if result["probe"] is not None:
        lines.append(
            "probed: " + ", ".join(f"{name} {value:.2f}" for name, value in result["probe"].items())
        )
    for kernel in result["kernels"]:
        raw = len(kernel["space"]) + len(kernel["dropped"])
        lines.append(
            f"\n{kernel['kernel']}: {len(kernel['space'])} candidates of {raw}, best first"
        )
        for position, schedule in enumerate(kernel["space"]):
            fields = " ".join(f"{k}={v}" for k, v in schedule.items() if k != "family")
            lines.append(f"  {position:>2} {fields}")
        lines.append("dropped, by what they lack:")
        lines += [f"  {count:>5} {rule}" for rule, count in kernel["rules"].items()]
    return "\n".join(lines)
