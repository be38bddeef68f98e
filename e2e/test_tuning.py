"""Tuning in a page: answers stay, bad kernels are never served, the next visit knows the best."""

from __future__ import annotations

import base64
import json
import queue
from pathlib import Path
from typing import Any

import pytest
from browsers import CHROMIUM_FLAGS, Chromium, Firefox, Performer, chromium_path
from sample_pack import _declarations, sample_plan
from site_server import Site
from test_player import CREATE, expected, rows

from webrt.codegen import abi
from webrt.codegen.encoder import Module
from webrt.codegen.wasm_replay import replay
from webrt.kernel.problem import specialise, symbols
from webrt.runtime.device import DeviceInfo, Limits
from webrt.tune.candidate import candidates, generate
from webrt.tune.code import code_of
from webrt.tune.records import Key, Record, Records, Trial, problem_key, record_to_json
from webrt.version import __version__

TUNE = """async ({InferenceSession, Tensor}, {url, options, ids}) => {
  const events = [];
  const stop = new AbortController();
  let wanted = options._trials.until ?? [];
  const session = await InferenceSession.create(url, {
    tune: "background", budget: 2, pyodide: "/pyodide/", ...options, signal: stop.signal,
    onProgress: (p) => {
      if (p.status !== "tune") return;
      events.push(p);
      console.debug(p.state, p.trials, p.problem ?? "", p.reason ?? "");
      const missing = wanted.filter((reason) => !p.reason?.includes(reason));
      if (missing.length < wanted.length && missing.length === 0) stop.abort();
      wanted = missing;
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
  return {results, early, events, kind, threads, outcome, loaded,
    swapped: session.compiledKernels - loaded};
}"""

IDS = [rows(2, 33), rows(1, 5)]
"""The first batch is of the shape that is tuned; the other one keeps its kernels."""

DEVICES = [("webgpu", None), ("wasm", 1), ("wasm", 2)]


def tune(
    page: Performer, url: str, wheel: str, csp: str | None = None, **options: Any
) -> dict[str, Any]:
    """Run until tuning is over; every answer is held to what it should be."""
    trials = {"pause": 1} | options.pop("_trials", {})
    options |= {"wheel": wheel, "_trials": trials}
    found: dict[str, Any] = page.run(TUNE, {"url": url, "ids": IDS, "options": options}, csp=csp)
    for result in found["results"]:
        assert result["outputs"] == expected(result["batch"])
    return found


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


@pytest.mark.parametrize("kind", ["webgpu", "wasm"])
def test_firefox_tunes_too(firefox: Firefox, sample: str, wheel: str, kind: str) -> None:
    found = tune(firefox, sample, wheel, device=kind, threads=1)
    assert states(found)[-1] == "done", [e.get("reason") for e in found["events"]]
    assert found["outcome"]["trials"] >= 1
    assert found["swapped"] > 0


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
    until = [REASONS[fault] for fault in faults]
    trials = {"planted": planted(kind, *faults), "silence": 4000, "until": until}
    found = tune(chromium, sample, wheel, device=kind, budget=60, threads=1, _trials=trials)
    reasons = [e["reason"] for e in found["events"] if e["state"] == "rejected"]
    for fault in faults:
        assert any(REASONS[fault] in reason for reason in reasons), (fault, reasons)
    assert found["outcome"]["rejected"] >= len(faults)
    assert "failed" not in states(found)


def test_a_gpu_that_a_trial_hangs_is_left_for_the_cpu(
    chromium: Chromium, sample: str, wheel: str
) -> None:
    """No browser takes a software GPU back from a kernel that never ends: so one of its own."""
    trials = {"planted": planted("webgpu", "endless"), "silence": 3000}
    kind = chromium.browser.browser_type
    browser = kind.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
    try:
        page = Chromium(chromium.site, browser)
        found = tune(page, sample, wheel, device="webgpu", budget=60, _trials=trials)
    finally:
        browser.close()
    reasons = [e["reason"] for e in found["events"] if e["state"] in ("rejected", "failed")]
    assert any(REASONS["endless"] in reason for reason in reasons), found["events"]
    assert any("the GPU doesn't answer any more" in reason for reason in reasons)
    assert found["kind"] == "wasm"


KEY = """async ({InferenceSession}, {url, options}) => {
  const {deviceKey, fileOf} = await import("/web/records.js");
  const session = await InferenceSession.create(url, options);
  const key = await deviceKey(session.deviceInfo);
  const {features} = session.deviceInfo;
  await session.release();
  return {key, file: await fileOf(key), features};
}"""
WASM = {"device": "wasm", "threads": 1}


def shipped(page: Chromium, url: str) -> tuple[str, list[dict[str, Any]]]:
    """Records of the sample's problems for the page's CPU, and the file that they belong in."""
    found = page.run(KEY, {"url": url, "options": WASM})
    limits = Limits(1, 1, 1, 1, 1, (1, 1, 1), 1, 1)
    features = tuple(found["features"])
    info = DeviceInfo("wasm", "", "", "", "cpu", features, limits)
    dims = {"s0": len(IDS[0]), "s1": len(IDS[0][0])}
    records = []
    for problem in sample_plan().problems:
        here = specialise(problem, dims)
        schedule = candidates(here, info)[0]
        code = code_of(generate(here, schedule, info), here)
        used = tuple((name, dims[name]) for name in symbols(problem))
        key = Key(found["key"], __version__, problem_key(problem), used)
        records.append(record_to_json(Record(key, 2.0, (Trial(schedule, 1.0, code=code),))))
    return found["file"], records


def publish(folder: Path, file: str, records: object) -> None:
    folder.mkdir(exist_ok=True)
    form = {"format": "webrt records", "version": 1, "records": records}
    (folder / file).write_text(json.dumps(form))


def test_a_folder_of_records_serves_devices_that_it_knows(
    chromium: Chromium, packs: Path, sample: str, wheel: str
) -> None:
    file, records = shipped(chromium, sample)
    publish(packs / "records", file, records)
    chromium.site.requests.clear()
    for url, tuning in (("/packs/records", "background"), (f"/packs/records/{file}", "off")):
        found = tune(chromium, sample, wheel, records=url, tune=tuning, **WASM)
        assert (found["events"], found["outcome"]) == ([], None)
        assert found["loaded"] == 5 + len(records)  # four kernels and a packer, and these
    assert not [r for r in chromium.site.requests if "pyodide" in r or r.endswith(".whl")]


def test_records_that_dont_fit_are_left_alone(
    chromium: Chromium, packs: Path, sample: str, wheel: str
) -> None:
    file, records = shipped(chromium, sample)
    first, second, third, other = (r["trials"][0]["code"] for r in records)
    first["panels"], first["packers"] = [[1, 0]], [
        {"name": "packer_0", "units": 1, "scratch": 0, "reads": 164, "bytes": 164}]  # fmt: skip
    second["module"] = base64.b64encode(b"\0asm\1\0\0\0").decode()
    third["module"] = "AAAA" * 4
    other["panels"], other["packers"] = [[0, 0]], first["packers"]
    publish(packs / "unfit", file, records)
    found = tune(chromium, sample, wheel, records="/packs/unfit", tune="off", **WASM)
    reasons = sorted(e["reason"] for e in found["events"])
    assert [e["state"] for e in found["events"]] == ["rejected"] * 4
    assert reasons[0].startswith("kernel pool: WebAssembly.compile(): ")
    assert reasons[1:] == [
        "kernel scale: the module lacks the table or the function that webrt's export",
        "the record of kernel embed: a packer reads 164 bytes of tensor 2, not 160",
        "the record of kernel positive: operand 0 is no constant",
    ]
    publish(packs / "unfit", file, [records[0] | {"default": -1}])
    found = tune(chromium, sample, wheel, records="/packs/unfit", tune="off", **WASM)
    (event,) = found["events"]
    assert event["state"] == "failed"
    assert event["reason"].endswith(
        f"/packs/unfit/{file}: records[0].default: expected milliseconds, found -1"
    )


NO_ROOM = """async ({InferenceSession}, {url, options}) => {
  const {Weights} = await import("/web/weights.js");
  Object.defineProperty(Weights.prototype, "peak", {
    get() { return 0; },
    set() { this.total = 2 ** 40; }, // the pack's own fit, and nothing more
  });
  const told = [];
  const session = await InferenceSession.create(url, {
    ...options, onProgress: ({state, reason}) => state && told.push([state, reason])});
  await session.release();
  return told;
}"""


def test_records_that_there_is_no_room_for_are_left_alone(
    chromium: Chromium, packs: Path, sample: str
) -> None:
    file, records = shipped(chromium, sample)
    publish(packs / "roomless", file, records)
    options = WASM | {"records": "/packs/roomless", "tune": "off"}
    told = chromium.run(NO_ROOM, {"url": sample, "options": options})
    reason = "weights and those laid out for tuned kernels of 10995116"
    assert [(state, why.startswith(reason)) for state, why in told] == [("rejected", True)] * 4


def test_what_was_found_is_posted_where_the_page_asks_for_it(
    chromium: Chromium, site: Site, sample: str, wheel: str
) -> None:
    site.results["records"] = queue.Queue()
    options = {"postRecords": "/results/records", "keepRecords": False, "tune": "now", **WASM}
    found = tune(chromium, sample, wheel, dims={"batch": 2, "length": 33}, **options)
    assert states(found)[-1] == "done", [e.get("reason") for e in found["events"]]
    posted = Records.from_json(json.dumps(site.results["records"].get(timeout=10)), "posted")
    assert sum(len(r.trials) for r in posted) == found["outcome"]["trials"]
    assert {value for r in posted for value in r.key.dims} <= {("s0", 2), ("s1", 33)}
    assert all(r.best is not None and r.best.code is not None for r in posted)


@pytest.mark.parametrize("missing", ["pyodide", "wheel"])
def test_without_pyodide_the_defaults_go_on(
    chromium: Chromium, sample: str, wheel: str, missing: str
) -> None:
    options: dict[str, Any] = {"pyodide": "/nowhere/"} if missing == "pyodide" else {}
    wheel = "/nowhere.whl" if missing == "wheel" else wheel
    found = tune(chromium, sample, wheel, **options, **WASM)
    assert states(found) == ["loading", "failed"]
    assert "/nowhere" in found["events"][-1]["reason"]
    assert found["outcome"]["trials"] == found["swapped"] == 0


def test_a_strict_content_security_policy_lets_cpus_tune(
    chromium: Chromium, sample: str, wheel: str
) -> None:
    csp = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
    found = tune(chromium, sample, wheel, csp=csp, **WASM)
    assert states(found)[-1] == "done", [e.get("reason") for e in found["events"]]


def test_release_ends_it(chromium: Chromium, sample: str, wheel: str) -> None:
    script = """async ({InferenceSession}, {url, wheel}) => {
      let ended = 0;
      const {terminate} = Worker.prototype;
      Worker.prototype.terminate = function () { terminate.call(this); ended += 1; };
      const states = [];
      const session = await InferenceSession.create(url, {
        device: "wasm", threads: 1, tune: "now", pyodide: "/pyodide/", wheel, keepRecords: false,
        onProgress: ({state}) => states.push(state),
      });
      while (!states.includes("loading")) await new Promise((resolve) => setTimeout(resolve, 5));
      await session.release();
      const outcome = await session.tuned;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return {ended, trials: outcome.trials, last: states.at(-1)};
    }"""
    found = chromium.run(script, {"url": sample, "wheel": wheel})
    assert (found["trials"], found["last"]) == (0, "loading")
    assert found["ended"] >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tune": "soon"}, "tune: expected off, background or now, found 'soon'"),
        ({"tune": "now", "budget": 0}, "budget: expected some seconds, found 0"),
        ({"tune": "now", "dims": {"n": 3}}, "dims: unknown 'n': this model's are batch, length"),
        ({"tune": "now", "dims": {"batch": 0}}, "dims: expected batch from 1 to 1048576, found 0"),
        (
            {"tune": "now", "dims": {"length": 4097}},
            "dims: expected length from 1 to 4096, found 4097",
        ),
    ],
)
def test_options_are_checked(
    chromium: Chromium, sample: str, options: dict[str, Any], message: str
) -> None:
    error = chromium.run(CREATE, {"url": sample, "options": options})
    assert (error["name"], error["message"]) == ("UsageError", message)
