"""The work of each command but `serve`: takes parsed arguments, returns what is to be printed."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from webrt import api
from webrt.checking.compare import Comparison, beside, compare
from webrt.cli import feeds as feeding
from webrt.cli import insight
from webrt.cli import report as reporting
from webrt.cli.opening import Device, open_session
from webrt.cli.output import Report, finite
from webrt.errors import UsageError
from webrt.kernel.problem import symbols
from webrt.pack.read import read_pack
from webrt.plan.example import example_bindings
from webrt.runtime.profile import KernelTime
from webrt.runtime.session import Session
from webrt.runtime.sync import run_sync
from webrt.tune import probe
from webrt.tune.records import Record, Records, cache_file, make_key

Result = dict[str, Any]


def pack(
    model: Path,
    out: Path,
    strict: bool,
    dump_after: str | None,
    records: str | None,
    checks: tuple[int, Sequence[str]],
    report: Report,
) -> Result:
    """`checks` are how many check vectors there shall be, and their dims."""
    count, sizes = checks
    made = api.pack(
        model, out, strict, progress=report, dump_after=dump_after, records=records,
        check_inputs=count, check_dims=feeding.parse_dims(sizes),
    )  # fmt: skip
    return asdict(made)


def run(
    folder: Path,
    inputs: Sequence[str],
    output: Path | None,
    device: Device,
    explain: bool,
    report: Report,
) -> Result:
    """One run; with `explain`, what the session says of itself after it."""
    feeds = feeding.load_files(inputs)
    with open_session(folder, device, report) as session:
        start = time.perf_counter()
        outputs = session.run(feeds)
        seconds = time.perf_counter() - start
        adapter, float16 = session.adapter, session.float16
        explained = {"explain": session.explain().to_json()} if explain else {}
    if output is not None:
        save_npz(output, outputs)
    return {
        "adapter": adapter,
        "float16": float16,
        "ms": round(seconds * 1e3, 3),
        "outputs": [
            {
                "name": n,
                "dtype": "string" if a.dtype == object else a.dtype.name,
                "shape": list(a.shape),
            }
            for n, a in outputs.items()
        ],
        "file": None if output is None else str(output),
        **explained,
    }


def save_npz(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """`np.savez`, for any names, and nothing left behind where it fails."""
    scratch = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(scratch, "w") as archive:
            for name, array in arrays.items():
                array = array.astype(str) if array.dtype == object else array
                # An archive's member must not point out of the folder it is unpacked to.
                member = name.lstrip("/").replace("..", "__")
                with archive.open(f"{member}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise UsageError(f"{path}: can't be written: {error.strerror or error}") from error


def bench(
    folder: Path,
    device: Device,
    sizes: Sequence[str],
    runs: int,
    kernels: bool,
    page: Path | None,
    trace: Path | None,
    report: Report,
) -> Result:
    """Times, with `kernels` every kernel's too; `page` and `trace` are files to write."""
    if runs < 1:
        raise UsageError(f"--runs {runs}: expected at least 1")
    if page is not None:
        reporting.require_matplotlib()
    plan = read_pack(folder).plan
    bindings = example_bindings(plan, feeding.parse_dims(sizes))
    feeds = feeding.random_feeds(plan, bindings, 0, {})
    start = time.perf_counter()
    with open_session(folder, device, report) as session:
        load = time.perf_counter() - start
        first, *times = [_timed(session, feeds, report, j, runs) for j in range(runs + 1)]
        result: Result = {
            "adapter": session.adapter,
            "float16": session.float16,
            "load_ms": round(load * 1e3, 3),
            "first_run_ms": round(first, 3),
            "median_ms": round(float(np.median(times)), 3),
            "p90_ms": round(float(np.percentile(times, 90)), 3),
            "runs": runs,
            "dims": {s.name: s.size(bindings[s.id]) for s in plan.symbols},
        }
        if kernels or page is not None or trace is not None:
            found = session.profile(feeds)
            result["kernels"] = [_kernel(k, found) for k in found]
        if trace is not None:
            insight.write_trace(trace, plan, found, session.adapter, result["dims"])
            result["trace"] = str(trace)
        if page is not None:
            title = f"{folder.resolve().name}: webrt bench"
            known = tuned(session, bindings)
            seen = run_sync(probe.cached(session.device, probe.cache_file()))
            roofs = reporting.Ceilings(seen.gflops, seen.gbytes)
            reporting.write(page, reporting.Figures(title, result, found, roofs, known))
            result["ceilings"] = {"gflops": round(roofs.gflops, 3), "gbs": round(roofs.gbs, 3)}
            result["report"] = str(page)
    return result


def _kernel(kernel: KernelTime, every: Sequence[KernelTime]) -> Result:
    whole = sum(k.total_ms for k in every)
    return {
        "name": kernel.name,
        "family": kernel.family,
        "node": kernel.node,
        "count": kernel.count,
        "ms": round(kernel.ms, 6),
        "share": round(kernel.total_ms / whole, 6),
        "gflops": round(kernel.gflops, 4),
        "gbs": round(kernel.gbs, 4),
        "operations": kernel.operations,
        "bytes": kernel.bytes,
        "problem": kernel.problem,
        "schedule": dict(kernel.schedule),
        "tuned": kernel.tuned,
    }


def tuned(session: Session, bindings: Mapping[str, int]) -> list[tuple[str, Record]]:
    """What the user's records hold of this pack's problems at these sizes, on this device."""
    records = Records.read(cache_file())
    found = []
    for number, problem in enumerate(session.pack.plan.problems):
        used = {name: bindings[name] for name in symbols(problem)}
        record = records.get(make_key(session.device_info, problem, used))
        if record is not None:
            found.append((session.pack.kernels[number].name, record))
    return found


def _timed(session: Session, feeds: feeding.Feeds, report: Report, done: int, runs: int) -> float:
    report("runs", done, runs)
    start = time.perf_counter()
    session.run(feeds)
    return (time.perf_counter() - start) * 1e3


def check(
    folder: Path,
    model: Path,
    device: Device,
    sizes: Sequence[str],
    seed: int,
    inputs: Sequence[str],
    report: Report,
) -> Result:
    from webrt.checking import oracle

    plan = read_pack(folder).plan
    given = feeding.load_files(inputs)
    known = feeding.bindings_of(plan, given) | feeding.parse_dims(sizes)
    bindings = example_bindings(plan, known)
    feeds = feeding.random_feeds(plan, bindings, seed, given)
    expected = oracle.expected_outputs(model, feeds)
    drawn = expected.keys() & oracle.drawn(model)
    if drawn and drawn == expected.keys():
        raise UsageError(f"{model}: every output draws numbers: there is nothing to compare")
    with open_session(folder, device, report) as session:
        found = session.run(feeds)
        half = session.float16 is not None
        known_to_both = [n for n in expected if n in found and n not in drawn]
        parts = {n: compare(found[n], expected[n], half) for n in known_to_both}
        missing = sorted(set(expected) ^ set(found))
        if missing:
            raise UsageError(f"{folder} was not packed from {model}: output {missing[0]!r} differs")
        spread: dict[str, Comparison] = {}
        if not all(part.ok for part in parts.values()):
            spread = oracle.spread(model, feeds, expected, half)
            spread = {n: apart for n, apart in spread.items() if n in parts}
            parts |= {n: beside(parts[n], apart) for n, apart in spread.items()}
        ok = all(part.ok for part in parts.values())
        wrong = None
        if not ok:
            traced = session.trace(feeds)
            wrong = oracle.first_divergence(model, session.pack.plan, feeds, traced, half)
        result = _verdict(parts, ok) | {
            "drawn": sorted(drawn),
            "oracle_spread": {name: _figures(apart) for name, apart in spread.items()},
            "adapter": session.adapter,
            "float16": session.float16,
            "dims": {s.name: s.size(bindings[s.id]) for s in plan.symbols},
            "seed": seed,
            "kernels": session.compiled_kernels,
        }
    if not ok:
        result["first_divergence"] = wrong and {
            "node": wrong.node,
            "value": wrong.value,
            "step": wrong.step,
            **_figures(wrong.comparison),
        }
    return result


def _verdict(parts: dict[str, Comparison], ok: bool) -> Result:
    return {
        "max_abs": finite(max((p.max_abs for p in parts.values()), default=0.0)),
        "max_rel": finite(max((p.max_rel for p in parts.values()), default=0.0)),
        "cosine": finite(min((p.cosine for p in parts.values()), default=1.0)),
        "ok": ok,
        "outputs": {name: _figures(part) for name, part in parts.items()},
    }


def _figures(part: Comparison) -> Result:
    return {
        "max_abs": finite(part.max_abs),
        "max_rel": finite(part.max_rel),
        "cosine": finite(part.cosine),
        "ok": part.ok,
    }
