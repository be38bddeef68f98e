"""Checks random models: `python bench/fuzz.py --count N --seed S [-j 2]`, resumable.

Seeds S … S+N-1, each a model of 5 to 15 operators: ONNX Runtime against webrt on both devices, at
two settings of every dynamic dim, many under schedules drawn from all of each space, one in four
unfused, too (`fuzz_run.ways_of`).
What is found is saved as a model with its inputs in --out, cut to the first nodes that show it.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("LP_NUM_THREADS", "1")  # lavapipe: kernels here are tiny
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from fuzz_run import Finding, Fuzzer, shrink  # noqa: E402


def run(first: int, count: int, step: int, out: Path, seconds: float) -> dict[str, object]:
    """Check seeds first, first + step, … and go on where the last run of them stopped."""
    out.mkdir(parents=True, exist_ok=True)
    state = out / f"state-{first}-{step}.json"
    done = json.loads(state.read_text()) if state.exists() else _fresh()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
        fuzzer = Fuzzer(Path(folder))
        for seed in range(first + done["graphs"] * step, first + count, step):
            _one(fuzzer, seed, done, out)
            if done["graphs"] % 20 == 0:
                done["seconds"] = round(done["seconds"] + time.monotonic() - start, 1)
                start = time.monotonic()
                state.write_text(json.dumps(done))
                print(_summary(done), file=sys.stderr, flush=True)
            if seconds and done["seconds"] > seconds:
                break
        fuzzer.close()
    state.write_text(json.dumps(done))
    return done


def _fresh() -> dict[str, object]:
    return {"graphs": 0, "checked": 0, "seconds": 0, "findings": [], "operators": {}, "refused": {}}


def _scratch() -> str | None:
    """Memory, where the system shows it as a folder: packs are written often."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _one(fuzzer: Fuzzer, seed: int, done: dict, out: Path) -> None:
    done["graphs"] += 1
    try:
        outcome = fuzzer.check(seed)
    except Finding as finding:
        small = finding if finding.kind == "invalid" else shrink(fuzzer, finding)
        place = small.save(out)
        done["findings"].append({"seed": seed, "kind": small.kind, "message": small.message})
        print(f"FOUND {small}  in {place}", file=sys.stderr, flush=True)
        return
    if outcome.refused:
        why = outcome.refused.replace("model.onnx: ", "").split("'")
        key = " ".join("".join(why[::2]).split())[:90]
        done["refused"][key] = done["refused"].get(key, 0) + 1
        return
    done["checked"] += 1
    for op in outcome.operators:
        done["operators"][op] = done["operators"].get(op, 0) + 1


def _summary(done: dict) -> str:
    refused = sum(done["refused"].values())
    return (
        f"{done['graphs']} models: {done['checked']} alike, {refused} refused,"
        f" {len(done['findings'])} found, {done['seconds']:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; 0: never")
    parser.add_argument("-j", type=int, default=1, help="processes")
    parser.add_argument("--step", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "fuzz")
    parser.add_argument("--more", action="store_true", help="draw the operators of fuzz_more, too")
    arguments = parser.parse_args()
    if arguments.more:
        importlib.import_module("fuzz_more")
    if arguments.j > 1:
        _several(arguments)
        return
    done = run(arguments.seed, arguments.count, arguments.step, arguments.out, arguments.seconds)
    print(_summary(done))
    for why, count in collections.Counter(done["refused"]).most_common(12):
        print(f"  {count:5} refused: {why}")
    sys.exit(1 if done["findings"] else 0)


def _several(arguments: argparse.Namespace) -> None:
    """A process for each residue of the seeds."""
    command = [sys.executable, __file__, "--seconds", str(arguments.seconds)]
    command += ["--out", str(arguments.out), "--step", str(arguments.j)]
    command += ["--more"] if arguments.more else []
    running = [
        subprocess.Popen(
            [*command, "--seed", str(arguments.seed + j), "--count", str(arguments.count - j)]
        )
        for j in range(arguments.j)
    ]
    sys.exit(max(process.wait() for process in running))


if __name__ == "__main__":
    main()
