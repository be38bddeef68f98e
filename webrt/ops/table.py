"""The support table: every operator of the registry with what ONNX's backend cases prove of it.

`webrt ops` prints it, `python -m webrt.ops.table README.md` renews the README's. Cases come from
`cases.json`, which `python tests/backend.py --record` writes and the tests hold to be true.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from webrt.ops import FAMILIES
from webrt.ops.registry import NEWEST, OpDef, all_operators

BEGIN, END = "<!-- operators -->", "<!-- end of operators -->"
OLDEST_OPSET = 7
CASES = Path(__file__).with_name("cases.json")
DEVICES = ("webgpu", "wasm")


@dataclass(frozen=True, slots=True)
class Cases:
    """The backend cases that hold an operator, those that pass on each device, their dtypes."""

    total: int = 0
    passed: Mapping[str, int] | None = None
    dtypes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One operator: `since` and `until` are opsets of its domain, `until` None for the newest."""

    operator: str
    domain: str
    family: str
    since: int
    until: int | None
    cases: Cases

    @property
    def name(self) -> str:
        return f"{self.domain}.{self.operator}" if self.domain else self.operator

    @property
    def opsets(self) -> str:
        return f"{self.since}+" if self.until is None else f"{self.since}-{self.until}"

    @property
    def devices(self) -> tuple[str, ...]:
        """Every device runs every operator; the host does what a kernel can't (`dynamic`)."""
        return DEVICES

    def to_json(self) -> dict[str, object]:
        passed = self.cases.passed or {}
        return {
            "operator": self.operator, "domain": self.domain or "ai.onnx", "family": self.family,
            "since": self.since, "until": self.until, "dtypes": list(self.cases.dtypes),
            "devices": list(self.devices), "cases": self.cases.total,
            "passed": {device: passed.get(device, 0) for device in DEVICES},
        }  # fmt: skip


def rows() -> list[Row]:
    """A row for each operator, in the order of the families, then by name."""
    recorded = read_cases()
    titles = {module.__name__: module.__name__.rsplit(".", 1)[1] for module in FAMILIES}
    order = list(titles)
    found = [d for d in all_operators() if d.domain != "webrt"]
    found.sort(key=lambda d: (order.index(_module(d)), d.domain, d.name))
    return [_row(d, titles[_module(d)], recorded) for d in found]


def _row(definition: OpDef, family: str, recorded: Mapping[str, Cases]) -> Row:
    since = max(definition.since, 1 if definition.domain else OLDEST_OPSET)
    until = None if definition.until == NEWEST else definition.until
    name = f"{definition.domain}.{definition.name}" if definition.domain else definition.name
    cases = recorded.get(name, Cases())
    return Row(definition.name, definition.domain, family, since, until, cases)


def read_cases() -> dict[str, Cases]:
    """What is recorded of each operator's cases."""
    found = json.loads(CASES.read_text())["operators"]
    return {
        name: Cases(one["cases"], one["passed"], tuple(one["dtypes"]))
        for name, one in found.items()
    }


def _module(definition: OpDef) -> str:
    return (definition.expand or definition.infer).__module__


def support_table() -> str:
    """Markdown: a line for each family of operators, and a line for each of them to open."""
    found = rows()
    lines = [
        f"{len(found)} operators, opsets 7 to the newest, on WebGPU and on CPUs; {_proof(found)}",
        "",
        "| family | operators |",
        "| --- | --- |",
    ]
    for family, group in groupby(found, key=lambda r: r.family):
        lines.append(f"| {family} | {', '.join(_short(r) for r in group)} |")
    lines += [
        "",
        "<details><summary>Each operator with its opsets, and the cases of ONNX's suites that hold"
        " it</summary>",
        "",
        "| operator | opsets | element types | cases passed on WebGPU, on wasm |",
        "| --- | --- | --- | --- |",
        *(f"| {r.name} | {r.opsets} | {' '.join(r.cases.dtypes)} | {_passed(r)} |" for r in found),
        "",
        "</details>",
    ]
    return "\n".join(lines)


def _proof(found: list[Row]) -> str:
    counted = json.loads(CASES.read_text())["node_cases"]
    shown = " and ".join(f"{counted['passed'][d]:,} on {d}" for d in DEVICES)
    held = sum(bool(r.cases.total) for r in found)
    return (
        f"of the {counted['cases']:,} cases of ONNX's backend suite whose inputs and outputs are"
        f" of its element types, {shown} pass ({held} of the operators have such cases)."
    )


def _short(row: Row) -> str:
    return row.name if row.until is None else f"{row.name} (to opset {row.until})"


def _passed(row: Row) -> str:
    if not row.cases.total:
        return ""
    passed = row.cases.passed or {}
    counts = [passed.get(device, 0) for device in DEVICES]
    return ", ".join(f"{count} of {row.cases.total}" for count in counts)


def insert(text: str) -> str:
    """`text` with the table between its two marks renewed."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{support_table()}\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(insert(path.read_text()))
