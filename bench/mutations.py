"""Plants mistakes in lowering and code generation, one at a time, and tells which tests notice.

`python bench/mutations.py [NAME …]` copies the tree, changes one line of the copy, runs the quick
tests of that place and a few random models, and prints a table; `--save` keeps it in
`bench/results/mutations.json`. A mutation whose line is gone ends the run: it has to be renewed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from results import FOLDER, save, table

ROOT = Path(__file__).resolve().parent.parent
FUZZ = 60
"""Random models that are tried where no test has noticed."""


@dataclass(frozen=True)
class Mutation:
    """`old` in `file` becomes `new`; `tests` are the files that should notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


GPU = ("test_lower_map", "test_lower_reduce", "test_lower_contract", "test_lower_attention")
CPU = ("test_lower_cpu_map", "test_lower_cpu_reduce", "test_lower_cpu_contract")
NARROW = ("test_lower_cpu_narrow",)
WGSL = ("test_codegen_wgsl", *GPU)
WASM = ("test_codegen_wasm", "test_codegen_wasm_fuzz", *CPU)

MUTATIONS = (
    Mutation("map: no guard", "lower/map.py",
             "below(number, row, {})]", "None]", GPU[:1]),
    Mutation("map: a lane too far", "lower/map.py",
             "point(inner, first + item * schedule.lanes)",
             "point(inner, first + item * (schedule.lanes + 1))", GPU[:1]),
    Mutation("map: quads stored backwards", "lower/map.py",
             "scope.store(memory, one, lane(value, j))",
             "scope.store(memory, one, lane(value, 3 - j))", GPU[:1]),
    Mutation("map: axes decoded in another order", "lower/map.py",
             "for position in range(len(extents) - 1, 0, -1):",
             "for position in range(1, len(extents)):", GPU[:2]),
    Mutation("reduce: max starts from zero", "lower/reduce.py",
             'value = -math.inf if combine == "max" else math.inf',
             'value = 0 if combine == "max" else math.inf', GPU[1:2]),
    Mutation("reduce: a lane starts at zero", "lower/reduce.py",
             'scope.loop("e", self.lane, count, schedule.lanes, count)',
             'scope.loop("e", 0, count, schedule.lanes, count)', GPU[1:2]),
    Mutation("reduce: no barrier", "lower/reduce.py",
             "        scope.barrier()\n        left = lanes",
             "        left = lanes", GPU[1:2]),
    Mutation("reduce: one part forgotten", "lower/reduce.py",
             "for position in range(1, count):", "for position in range(2, count):", GPU[1:2]),
    Mutation("contract: the rest of k forgotten", "lower/contract.py",
             "if dims.modulo(k, 4) != 0:", "if dims.modulo(k, 4) == 5:", GPU[2:3]),
    Mutation("contract: lanes along k not added", "lower/contract.py",
             'first.loop("other", 1, schedule.lanes_k)',
             'first.loop("other", 1, schedule.lanes_k - 1)', GPU[2:3]),
    Mutation("contract: a turned block read along", "lower/contract.py",
             'call("vec4", *(lane(value, c) for value in block))',
             'call("vec4", *(lane(block[c], j) for j, _ in enumerate(block)))', GPU[2:3]),
    Mutation("contract: the last row is never reached", "lower/contract.py",
             'scope.symbol(f"m{i}", dims.dim_min(first + i, m - 1), m)',
             'scope.symbol(f"m{i}", dims.dim_min(first + i, m - 2), m)', GPU[2:3]),
    Mutation("contract: staged block not cleared", "lower/contract.py",
             'value = call("select", inside, value, zero)', "pass", GPU[2:3]),
    Mutation("attention: sum not rescaled", "lower/attention.py",
             'total = call("mul", self.sum[row], scale)', "total = self.sum[row]", GPU[3:]),
    Mutation("attention: keys past the end count", "lower/attention.py",
             'weight = call("select", inside, weight, call("splat", f32(0.0)))', "pass", GPU[3:]),
    Mutation("attention: top not kept", "lower/attention.py",
             "        body.assign(top, new)\n", "", GPU[3:]),
    Mutation("CPU map: four places of one", "lower/cpu/map.py",
             "places = [quad(step.at + c) for c in range(step.count)]",
             "places = [quad(step.at) for c in range(step.count)]", CPU[:1]),
    Mutation("CPU map: branches exchanged", "lower/cpu/map.py",
             'test = conditions[0] if holds else call("not", conditions[0])',
             'test = conditions[0] if not holds else call("not", conditions[0])', CPU[:1]),
    Mutation("CPU reduce: the single rest forgotten", "lower/cpu/reduce.py",
             "total += [registers.single] if registers.single is not None else []",
             "total += [registers.single] if not parts else []", CPU[1:2]),
    Mutation("CPU windows: an edge rounded the other way", "lower/cpu/windows.py",
             "rest = dims.ceil_div(dims.dim_max(rest, 0), step)",
             "rest = dims.floor_div(dims.dim_max(rest, 0), step)", CPU[1:2]),
    Mutation("CPU windows: the far edge forgotten", "lower/cpu/windows.py",
             "dims.dim_min(last, bound)", "last", CPU[1:2]),
    Mutation("CPU contract: what is behind a line not cleared", "lower/cpu/packing.py",
             "self.copy(block, line.beside, start, last, end)",
             "self.copy(block, line.beside, start, last, last)", CPU[2:]),
    Mutation("CPU contract: taps outside not cleared", "lower/cpu/packing.py",
             '(call("not", inside), if_false)', '(call("not", inside), if_true)', CPU[2:]),
    Mutation("CPU contract: sums not cleared", "lower/cpu/contract.py",
             "body.store(self.sums, at, zero(self.acc))",
             "body.store(self.sums, at, wide(zero(self.acc))) if False else None", CPU[2:]),
    Mutation("CPU contract: the last row repeated", "lower/cpu/contract.py",
             "rows = self.a_rows(body, m.first + slot, 1, k0)",
             "rows = self.a_rows(body, m.first, 1, k0)", CPU[2:]),
    Mutation("CPU narrow: an earlier block's sums of a forgotten", "lower/cpu/narrow.py",
             "select(first, i32(0), before)", "i32(0)", NARROW),
    Mutation("CPU narrow: the last words of k dropped", "lower/cpu/narrow.py",
             "pairs = dims.ceil_div(k1 - k0, 2)", "pairs = dims.floor_div(k1 - k0, 2)", NARROW),
    Mutation("CPU narrow: bytes widened without their sign", "lower/cpu/narrow.py",
             'widen = "widen_s" if self.weights.signed', 'widen = "widen_u" if self.weights.signed',
             NARROW),
    Mutation("CPU contract: panel of a shifted", "lower/cpu/packing.py",
             "place = row * self.depth - k0", "place = row * self.depth", CPU[2:]),
    Mutation("WGSL: select's values exchanged", "codegen/wgsl.py",
             "for a in (if_false, if_true)]", "for a in (if_true, if_false)]", WGSL),
    Mutation("WGSL: floor division truncates", "codegen/wgsl.py",
             "if self._is_nonnegative(Index(atom.left)):", "if True:", WGSL),
    Mutation("WGSL: symbols mixed up", "codegen/wgsl.py",
             "symbols[{index // 4}].{'xyzw'[index % 4]}",
             "symbols[{index // 4}].{'xyzw'[3 - index % 4]}", WGSL),
    Mutation("wasm: a loop runs once more", "codegen/wasm.py",
             '        self._push_stop(statement.stop, stop)\n        f.emit("i32.lt_s")\n'
             "        f.br_if(0)",
             '        self._push_stop(statement.stop, stop)\n        f.emit("i32.le_s")\n'
             "        f.br_if(0)", WASM),
    Mutation("wasm: a bool stored as its mask", "codegen/wasm.py",
             "                f.i32(31)\n", "                f.i32(30)\n", WASM),
    Mutation("wasm: values outlive their block", "codegen/wasm.py",
             "            self._statement(statement)\n        self.known = around",
             "            self._statement(statement)", WASM),
)  # fmt: skip


def run(mutation: Mutation | None, tests: tuple[str, ...], fuzz: int) -> str:
    """What noticed the mutation (or nothing at all); an empty string where nothing has."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "tree"
        copy.mkdir()
        for name in ("webrt", "shaders", "tests", "bench", "web", "pyproject.toml"):
            place = ROOT / name
            if place.is_dir():
                skipped = shutil.ignore_patterns("__pycache__", ".models")
                shutil.copytree(place, copy / name, ignore=skipped)
            else:
                shutil.copy(place, copy / name)
        if mutation is not None:
            plant(mutation, copy / "webrt" / mutation.file)
        environment = os.environ | {
            "PYTHONPATH": str(copy),
            "HYPOTHESIS_STORAGE_DIRECTORY": scratch,
        }
        files = [f"tests/{t}.py" for t in tests]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files]
        found = _run(command, copy, environment)
        if found.returncode:
            lines = [s for s in found.stdout.splitlines() if s.startswith(("FAILED", "ERROR"))]
            return lines[0].split(" - ")[0].split("::", 1)[-1] if lines else "an error"
        if not fuzz:
            return ""
        command = [
            sys.executable,
            "bench/fuzz.py",
            "--count",
            str(fuzz),
            "--out",
            f"{scratch}/fuzz",
        ]
        return "random models" if _run(command, copy, environment).returncode else ""


def _run(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, timeout=900, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "ERROR it hangs", "")


def plant(mutation: Mutation, path: Path) -> None:
    """Change the one place in a copy of the file; exits where it isn't there once."""
    text = path.read_text()
    if text.count(mutation.old) != 1:
        sys.exit(
            f"{mutation.name}: {mutation.file} holds its line {text.count(mutation.old)} times"
        )
    path.write_text(text.replace(mutation.old, mutation.new))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of mutations' names; all if not given")
    parser.add_argument("--fuzz", type=int, default=FUZZ)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    chosen = [
        m for m in MUTATIONS if not arguments.names or any(n in m.name for n in arguments.names)
    ]
    for mutation in MUTATIONS:
        scratch = Path(tempfile.mkdtemp()) / "file.py"
        shutil.copy(ROOT / "webrt" / mutation.file, scratch)
        plant(mutation, scratch)
        shutil.rmtree(scratch.parent)
    everything = tuple(dict.fromkeys(t for m in chosen for t in m.tests))
    sound = run(None, everything, 0)
    if sound:
        sys.exit(f"the tests fail without any mutation: {sound}")
    rows = []
    for mutation in chosen:
        start = time.perf_counter()
        caught = run(mutation, mutation.tests, arguments.fuzz)
        seconds = round(time.perf_counter() - start, 1)
        rows.append((mutation.name, f"webrt/{mutation.file}", caught or "NOT CAUGHT", seconds))
        print(rows[-1], file=sys.stderr, flush=True)
    print(table(("mutation", "file", "caught by", "seconds"), rows))
    caught_all = sum(row[2] != "NOT CAUGHT" for row in rows)
    print(f"{caught_all} of {len(rows)} caught")
    if arguments.save:
        keep(rows)


def keep(rows: Sequence[tuple[object, ...]]) -> None:
    """Renew the rows of the saved table; those of mutations that are no more go."""
    keys = ("mutation", "file", "caught_by", "seconds")
    path = FOLDER / "mutations.json"
    known = json.loads(path.read_text())["rows"] if path.exists() else []
    named = {row["mutation"]: row for row in known}
    named |= {str(row[0]): dict(zip(keys, row, strict=True)) for row in rows}
    listed = [named[m.name] for m in MUTATIONS if m.name in named]
    caught = sum(row["caught_by"] != "NOT CAUGHT" for row in listed)
    figures = {"mutations": len(listed), "caught": caught, "rows": listed}
    print("written:", save("mutations", figures))


if __name__ == "__main__":
    main()
