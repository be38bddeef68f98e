"""The README's table of operators, from the registry: `python -m webrt.ops.table README.md`."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from webrt.ops import FAMILIES
from webrt.ops.registry import NEWEST, OpDef, all_operators

BEGIN, END = "<!-- operators -->", "<!-- end of operators -->"


def support_table() -> str:
    """Markdown: a row for each family of operators, each operator with its opsets if limited."""
    titles = {module.__name__: module.__name__.rsplit(".", 1)[1] for module in FAMILIES}
    found = [d for d in all_operators() if d.domain != "webrt"]
    order = list(titles)
    found.sort(key=lambda d: (order.index(_module(d)), d.name))
    rows = [
        f"| {titles[family]} | {', '.join(_show(d) for d in group)} |"
        for family, group in groupby(found, key=_module)
    ]
    head = f"{len(found)} operators, opsets 7 to the newest; every one also runs constant-folded."
    return "\n".join([head, "", "| family | operators |", "| --- | --- |", *rows])


def _module(definition: OpDef) -> str:
    return (definition.expand or definition.infer).__module__


def _show(definition: OpDef) -> str:
    name = f"{definition.domain}.{definition.name}" if definition.domain else definition.name
    return name if definition.until == NEWEST else f"{name} (to opset {definition.until})"


def insert(text: str) -> str:
    """`text` with the table between its two marks renewed."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{support_table()}\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(insert(path.read_text()))
