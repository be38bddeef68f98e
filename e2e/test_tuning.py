"""Tuning in a page: answers stay while kernels are swapped, bad ones are never served, records stay."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from browsers import Chromium, open_chromium
from sample_pack import _declarations
from site_server import Site
from test_player import expected, rows

from webrt.codegen import abi
from webrt.codegen.encoder import Module
from webrt.codegen.wasm_replay import replay

TUNE = """async ({InferenceSession, Tensor}, {url, options, ids, visits}) => {
  const found = [];
  for (let visit = 0; visit < visits; visit++) {
    const events = [];
    const stop = new AbortController();
    const session = await InferenceSession.create(url, {
      tune: "background", budget: 3, pyodide: "/pyodide/", ...options,
      signal: stop.signal,
      onProgress: (p) => {
        if (p.stage !== "tune") return;
        events.push(p);
        console.debug(p.state, p.trials, p.problem ?? "", p.reason ?? "");
        if (p.rejected >= (options._trials.enough ?? Infinity)) stop.abort();
      },
    });
    const loaded = session.compiledKernels;
    const results = [];
    const run = async (batch) => {
      const outputs = await session.run({
        ids: new Tensor("int64", batch.flat(), [batch.length, batch[0].length]),
        scale: new Tensor("float32", [1, 2, 3, 4], [4]),
      });
      results.push({batch, outputs: Object.fromEntries(Object.entries(outputs).map(
        ([name, tensor]) => [name, {type: tensor.type, dims: tensor.dims,
          data: Array.from(tensor.data, Number)}]))});
    };
    await run(ids[0]);
    const early = events.length;
    let over = false;
    session.tuned.then(() => { over = true; });
    for (let j = 0; !over; j++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await run(ids[j % ids.length]);
    }
    for (const batch of ids) await run(batch);
    const {kind, threads} = session.deviceInfo;
    const outcome = await session.tuned;
    await session.release();
    found.push({results, early, events, kind, threads, outcome, loaded,
      swapped: session.compiledKernels - loaded});
  }
  return found;
}"""

IDS = [rows(2, 33), rows(1, 5)]
"""The first batch is of the shape that is tuned; the other one keeps its kernels."""

DEVICES = [("webgpu", None), ("wasm", 1), ("wasm", 2)]


@pytest.fixture
def visitor(chromium: Chromium) -> Iterator[Chromium]:
    """Somebody who comes back: pages share storage."""
    context = chromium.browser.new_context()
    yield Chromium(chromium.site, context)  # type: ignore[arg-type]
    context.close()


def tune(page: Chromium, url: str, wheel: str, visits: int = 1, **options: Any) -> Any:
    trials = {"pause": 1} | options.pop("_trials", {})
    options |= {"wheel": wheel, "_trials": trials}
    args = {"url": url, "ids": IDS, "visits": visits, "options": options}
    found = page.run(TUNE, args)
    for visit in found:
        for result in visit["results"]:
            assert result["outputs"] == expected(result["batch"])
    return found if visits > 1 else found[0]


def states(visit: dict[str, Any]) -> list[str]:
    return [event["state"] for event in visit["events"]]


@pytest.mark.parametrize(("kind", "threads"), DEVICES)
def test_tuned_while_it_serves_and_known_the_next_time(
    chromium: Chromium, isolated: Chromium, sample: str, wheel: str, kind: str, threads: int | None
) -> None:
    page = isolated if threads == 2 else chromium
    context = page.browser.new_context()
    visitor = Chromium(page.site, context)  # type: ignore[arg-type]
    options = {"device": kind} | ({"threads": threads} if threads else {})
    first = tune(visitor, sample, wheel, **options)
    assert (first["kind"], first["threads"]) == (kind, threads or 1)
    assert first["early"] == 0  # the first run was over before anything of it began
    assert states(first)[0] == "loading"
    assert states(first)[-1] == "done"
    outcome = first["outcome"]
    assert outcome["trials"] >= 1
    assert outcome["rejected"] == 0
    assert 0 < outcome["afterMs"] <= outcome["beforeMs"]
    assert first["swapped"] == states(first).count("swapped") > 0
    page.site.requests.clear()
    second = tune(visitor, sample, wheel, **options)
    assert second["events"] == []
    assert second["outcome"] == outcome
    assert 0 < second["loaded"] - first["loaded"] <= first["swapped"]
    assert not [r for r in page.site.requests if "pyodide" in r or r.endswith(".whl")]
    context.close()


KINDS = ("wi rf wf", "wf wf wf", "wf wf", "wi wu")
"""The bindings of the sample's kernels."""


def wgsl(kinds: str, body: str) -> str:
    """A kernel that stores a constant, its last binding's first element at least."""
    return f"{_declarations(kinds)}@compute @workgroup_size(1)\nfn main() {{ {body} }}\n"


def module(body: str) -> str:
    """A module of one kernel that does nothing, or never ends, or traps; and of one packer."""
    made = Module(abi.TYPES)
    for _ in range(2):
        function = made.function(*abi.KERNEL)
        made.table.append(function.index)
        if body == "endless":
            function.loop()
            function.br(0)
            function.end()
        elif body == "trap":
            function.i32(-4)
            function.i32(1)
            function.access("i32.store", 1 << 16)
    replay(made)
    return base64.b64encode(made.encode()).decode()


def planted_code(kind: str, problem: int, fault: str) -> dict[str, Any]:
    if kind == "wasm":
        code = "AAAA" + base64.b64encode(b"\0asm").decode() if fault == "broken" else module(fault)
        return {"module": code, "units": 4, "scratch": 0, "packers": [], "panels": []}
    last = len(KINDS[problem].split()) - 1
    zero = "0u" if KINDS[problem].endswith("u") else "0.0"
    body = {
        "wrong": f"x{last}[0] = {zero};",
        "broken": "let",
        "endless": f"while (x{last}[1] == x{last}[1]) {{ x{last}[0] = {zero}; }}",
    }[fault]
    return {"wgsl": wgsl(KINDS[problem], body), "grid": [1, 1, 1]}


def planted(kind: str, *faults: str) -> list[dict[str, Any]]:
    """Schedules 1, 2, … of every problem print these."""
    return [
        {"problem": p, "position": 1 + j, "code": planted_code(kind, p, fault)}
        for p in range(4)
        for j, fault in enumerate(faults)
    ]


REASONS = {
    "wrong": "results are wrong",
    "broken": "it doesn't compile: ",
    "endless": "it never ended",
    "trap": "it never ended, or the device went away",
}


@pytest.mark.parametrize(
    ("kind", "faults"),
    [("webgpu", ("wrong", "broken")), ("wasm", ("wrong", "broken", "endless", "trap"))],
)
def test_bad_kernels_are_rejected_and_the_page_goes_on(
    chromium: Chromium, sample: str, wheel: str, kind: str, faults: tuple[str, ...]
) -> None:
    trials = {"planted": planted(kind, *faults), "silence": 4000, "enough": len(faults)}
    found = tune(chromium, sample, wheel, device=kind, budget=60, threads=1, _trials=trials)
    reasons = [e["reason"] for e in found["events"] if e["state"] == "rejected"]
    for fault in faults:
        assert any(REASONS[fault] in reason for reason in reasons), (fault, reasons)
    assert found["outcome"]["rejected"] >= len(faults)
    assert "failed" not in states(found)


def test_a_gpu_that_a_trial_hangs_is_left_for_the_cpu(site: Site, sample: str, wheel: str) -> None:
    """No browser takes a software GPU back from a kernel that never ends: so one of its own."""
    trials = {"planted": planted("webgpu", "endless"), "silence": 3000}
    with open_chromium() as browser:
        page = Chromium(site, browser)
        found = tune(page, sample, wheel, device="webgpu", budget=60, _trials=trials)
    reasons = [e["reason"] for e in found["events"] if e["state"] in ("rejected", "failed")]
    assert any(REASONS["endless"] in reason for reason in reasons), found["events"]
    assert any("the GPU doesn't answer any more" in reason for reason in reasons)
    assert found["kind"] == "wasm"
