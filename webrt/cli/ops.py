"""`webrt ops`: the operators that packs may hold, with what ONNX's own cases prove of them."""

from __future__ import annotations

import fnmatch
from typing import Annotated

import typer

from webrt.cli import output


def ops_command(
    glob: Annotated[
        str, typer.Argument(metavar="[NAME]", help="An operator, or a pattern: Reduce*.")
    ] = "*",
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
) -> None:
    """List the operators: opsets, element types, cases of ONNX's backend suites passed."""
    from webrt.errors import UsageError
    from webrt.ops.table import rows

    found = [r for r in rows() if fnmatch.fnmatch(r.operator.lower(), glob.lower())]
    if not found:
        raise UsageError(f"{glob}: no operator is called so; `webrt ops` lists all of them")
    if json:
        output.print_json({"operators": [r.to_json() for r in found]})
        return
    lines = [("operator", "opsets", "family", "devices", "cases", "element types")]
    for row in found:
        passed = row.cases.passed or {}
        counts = "/".join(str(passed.get(d, 0)) for d in row.devices)
        cases = f"{counts} of {row.cases.total}" if row.cases.total else "-"
        devices, dtypes = " ".join(row.devices), " ".join(row.cases.dtypes)
        lines.append((row.name, row.opsets, row.family, devices, cases, dtypes))
    widths = [max(len(line[j]) for line in lines) for j in range(5)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line[:5], widths, strict=True)]
        print("  ".join([*cells, line[5]]).rstrip())
