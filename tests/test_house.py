"""The rules of the house that import-linter can't hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
JIT_HALF = ("dims", "kernel", "schedule", "lower", "codegen", "plan", "pack", "runtime")
ORACLES = {"kernel/reference.py", "kernel/interpret.py", "kernel/erf.py"}
MAX_LINES = 450


def _modules(*folders: str) -> list[Path]:
    return sorted(p for f in folders for p in (ROOT / "webrt" / f).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names.add(node.module or "")
    return {n.split(".")[0] for n in names}


def test_the_jit_half_imports_only_the_standard_library() -> None:
    allowed = sys.stdlib_module_names | {"webrt"}
    optional = {"runtime/arrays.py": {"numpy"}}
    for path in [*_modules(*JIT_HALF), ROOT / "webrt/dtypes.py", ROOT / "webrt/errors.py"]:
        place = str(path.relative_to(ROOT / "webrt"))
        if place in ORACLES or place.startswith("runtime/devices/"):
            continue
        extra = _imports(path) - allowed - optional.get(place, set())
        assert not extra, f"{place} imports {extra}"


def test_importing_webrt_loads_nothing_heavy() -> None:
    heavy = ("numpy", "onnx", "wgpu", "typer", "asyncio")
    code = f"import webrt, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("folder", ["webrt", "tests", "e2e", "bench", "examples"])
def test_files_are_small_and_say_what_they_are_for(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        if "node_modules" in path.parts:
            continue
        text = path.read_text()
        lines = text.count("\n")
        assert lines <= MAX_LINES, f"{path.relative_to(ROOT)} has {lines} lines: split it"
        assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} has no docstring"


def test_the_player_holds_no_eval() -> None:
    for path in (ROOT / "web").rglob("*.js"):
        if "node_modules" not in path.parts:
            assert not re.search(r"\beval\(|new Function\(", path.read_text()), path
