"""The player's types: the sources are checked strictly, and `web/types/` is what they generate."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from site_server import ROOT

TSC = ["node", str(ROOT / "e2e" / "node_modules" / "typescript" / "bin" / "tsc")]


@pytest.mark.parametrize("project", ["jsconfig.json", "node/jsconfig.json"])
def test_the_sources_pass(project: str) -> None:
    command = [*TSC, "--project", str(ROOT / "web" / project)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_the_declarations_are_up_to_date(tmp_path: Path) -> None:
    project = ["--project", str(ROOT / "web" / "types.json")]
    subprocess.run([*TSC, *project, "--outDir", str(tmp_path)], check=True, timeout=120)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.d.ts")}
    kept = {path.name: path.read_text() for path in (ROOT / "web" / "types").glob("*.d.ts")}
    again = f"node e2e/node_modules/typescript/bin/tsc {' '.join(project[:1])} web/types.json"
    assert kept == made, f"web/types/ is stale; run {again}"
