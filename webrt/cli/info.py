"""`webrt info`: what a pack holds, and all there is to know of one kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webrt import dims
from webrt.cli.output import at_text, host_text, labels_text, weights_text
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import PackError, UsageError
from webrt.kernel.text import print_kernel, print_problem
from webrt.kernel.widen import widened
from webrt.lower import lower
from webrt.lower.cpu.panels import repack
from webrt.pack.flow import flow_json
from webrt.pack.format import MANIFEST, Pack, weights_by_dtype
from webrt.pack.read import read_pack
from webrt.pack.widen import for_device, widened_pack
from webrt.plan.example import example_bindings
from webrt.plan.flow import stops_of
from webrt.plan.memory import place
from webrt.plan.plan import Plan
from webrt.runtime.bind import TensorInfo, describe, listed_inputs
from webrt.schedule import from_json

Result = dict[str, Any]


def describe_pack(folder: Path) -> Result:
    """Inputs, outputs, symbols and the plan; memory at the example values of the symbols."""
    pack = read_pack(folder)
    plan = pack.plan
    bindings = example_bindings(plan)
    placed = place(plan, bindings)
    return {
        "generator": pack.generator,
        "inputs": [_tensor(info) for info in listed_inputs(plan)],
        "outputs": [_tensor(describe(plan, p)) for p in plan.outputs],
        "symbols": symbols_in_order(plan),
        "dispatches": len(plan.steps),
        "host_steps": stops_of(plan),
        "kernels": len({(k.wgsl, k.bindings) for k in pack.kernels}),
        "weight_bytes": sum(p.bytes for p in pack.placements.values()),
        "weights": weights_by_dtype(pack),
        "shards": len(pack.shards),
        "wasm": {
            "modules": [{"file": m.file, "bytes": m.bytes} for m in pack.wasm.modules],
            "packers": len(pack.wasm.packers),
            "panel_bytes": _panel_bytes(pack),
        },
        "peak_bytes": placed.peak,
        "peak_lower_bound_bytes": placed.lower_bound,
        "at": {s.name: s.size(bindings[s.id]) for s in plan.symbols},
        "float16": _float16(pack, bindings),
        "narrowed": _narrowed(plan),
        "plan": [_step(pack, index) for index in range(len(plan.steps))],
        "flow": flow_json(plan.flow),
    }


def _float16(pack: Pack, bindings: dict[str, int]) -> Result | None:
    """What a pack with f16 in it takes where the device has none, and it is widened."""
    if for_device(pack, ())[1] is None:
        return None
    wide = widened_pack(pack)
    return {
        "widened_weight_bytes": sum(p.held for p in wide.placements.values()),
        "widened_peak_bytes": place(wide.plan, bindings).peak,
    }


def _narrowed(plan: Plan) -> dict[str, str]:
    """The dtypes of inputs and outputs that are computed with fewer digits, and in what."""
    lossy = {p.dtype for p in (*plan.inputs, *plan.outputs) if p.dtype is DType.F64}
    return {dtype.onnx_name: dtype.computed.onnx_name for dtype in lossy}


def _panel_bytes(pack: Pack) -> int:
    """What the weights take on a wasm device in the layout that its kernels read."""
    made = {
        (step.inputs[operand], packer)
        for step in pack.plan.steps
        for operand, packer in pack.wasm.kernels[step.problem].panels
    }
    return sum(pack.wasm.packers[packer].bytes for _, packer in made)


def symbols_in_order(plan: Plan) -> list[str]:
    """The symbols' names as the inputs show them, then those that only stand in expressions."""
    shown = [name for p in plan.inputs for d in p.shape for name in sorted(dims.free_symbols(d))]
    names = {s.id: s.name for s in plan.symbols if s.id in plan.given}
    return [names[i] for i in dict.fromkeys([*shown, *names])]


def _tensor(info: TensorInfo) -> Result:
    named = {k: list(v) for k, v in asdict(info.labels).items() if v}
    return {"name": info.name, "dtype": info.dtype, "shape": list(info.shape), **named}


def _step(pack: Pack, index: int) -> Result:
    step = pack.plan.steps[index]
    kernel = pack.kernels[step.problem]
    return {
        "step": index,
        "kernel": kernel.name,
        "inputs": [_operand(pack.plan, t) for t in step.inputs],
        "outputs": [_operand(pack.plan, t) for t in step.outputs],
        "grid": [_shown(pack.plan, d) for d in kernel.grid],
        "node": step.node,
    }


def _operand(plan: Plan, index: int) -> Result:
    tensor = plan.tensors[index]
    return {
        "tensor": index,
        "dtype": str(tensor.dtype),
        "shape": [_shown(plan, d) for d in tensor.shape],
        "home": tensor.home.value,
    }


def _shown(plan: Plan, dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else str(plan.named(dim))


def describe_kernel(folder: Path, wanted: str) -> Result:
    """One kernel by its name or number: problem, schedule, loop IR and WGSL; the CPU's too."""
    pack = read_pack(folder)
    number = find_kernel(pack, wanted)
    entry, problem = pack.kernels[number], pack.plan.problems[number]
    cpu = pack.wasm.kernels[number]
    try:
        kernel = lower(problem, from_json(entry.schedule), entry.name)
        schedule = from_json(cpu.schedule)
        cpu_kernel = lower(repack(widened(problem), schedule)[0], schedule, cpu.name)
    except (ValueError, TypeError) as error:
        place = f"{folder / MANIFEST}: kernel {entry.name}"
        raise PackError(f"{place}: is of no schedule of this webrt; pack again") from error
    return {
        "kernel": entry.name,
        "steps": [i for i, s in enumerate(pack.plan.steps) if s.problem == number],
        "problem": print_problem(problem),
        "schedule": entry.schedule,
        "loop": print_kernel(kernel),
        "wgsl": entry.wgsl,
        "cpu": {
            "schedule": cpu.schedule,
            "units": _shown(pack.plan, cpu.units),
            "scratch": cpu.scratch,
            "panels": [list(pair) for pair in cpu.panels],
            "loop": print_kernel(cpu_kernel),
        },
    }


def find_kernel(pack: Pack, wanted: str) -> int:
    """A kernel's number by its name or number; raises UsageError."""
    for number, kernel in enumerate(pack.kernels):
        if wanted in (kernel.name, str(number)):
            return number
    names = [k.name for k in pack.kernels]
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    raise UsageError(f"unknown kernel {wanted!r}: this pack's are {shown}")


def pack_text(result: Result) -> str:
    """What `webrt info` prints for people."""
    lines = [
        f"{result['generator']}: {result['dispatches']} dispatches,{host_text(result)}"
        f" {result['kernels']} kernels,"
        f" {weights_text(result)} in {result['shards']} shards",
        f"wasm: {_wasm_text(result['wasm'])}",
        f"symbols: {', '.join(result['symbols']) or 'none'}",
        f"memory: {result['peak_bytes']:,} bytes (at least {result['peak_lower_bound_bytes']:,})"
        f"{at_text(result['at'])}",
    ]
    if result["float16"]:
        wide = result["float16"]
        lines.append(
            "float16: as it is where the adapter has shader-f16; widened to float32 elsewhere,"
            f" {wide['widened_weight_bytes']:,} bytes of weights and"
            f" {wide['widened_peak_bytes']:,} of memory there"
        )
    lines += [f"{old}: computed in {new}" for old, new in result["narrowed"].items()]
    for kind in ("inputs", "outputs"):
        lines += [f"{kind}:", *(f"  {_port_text(p)}" for p in result[kind])]
    lines.append("plan:")
    for step in result["plan"]:
        reads = " ".join(_operand_text(o) for o in step["inputs"])
        writes = " ".join(_operand_text(o) for o in step["outputs"])
        grid = " × ".join(map(str, step["grid"]))
        lines += [
            f"  {step['step']:>3} {step['kernel']}  {reads} -> {writes}  grid {grid}",
            f"      {step['node']}",
        ]
    if result["flow"]:
        lines += ["flow:", *(f"  {line}" for line in _flow_lines(result["flow"]))]
    return "\n".join(lines)


def _flow_lines(flow: list[Result]) -> Iterator[str]:
    """A line for each item of the manifest's member `flow`, what it holds indented."""
    for item in flow:
        if "run" in item:
            first, end = item["run"]
            yield f"steps {first} to {end - 1}" if end - first > 1 else f"step {first}"
        elif "host" in item:
            bound = ", ".join(item["symbols"])
            yield f"host: {item['host']} of {item['inputs']}, gives {bound}   {item['node']}"
        elif "need" in item:
            left, right = (dims.from_json(d) for d in item["need"])
            yield f"need: {left} = {right}   {item['node']}"
        elif "if" in item:
            yield f"if t{item['if']}   {item['node']}"
            yield from (f"  {line}" for line in _flow_lines(item["then"]))
            yield "else"
            yield from (f"  {line}" for line in _flow_lines(item["else"]))
        else:
            trips = "" if item["loop"] is None else f" {dims.from_json(item['loop'])} times"
            held = "" if item["condition"] is None else f" while t{item['condition']}"
            yield f"loop{trips}{held}, at most {item['most']} times   {item['node']}"
            yield from (f"  {line}" for line in _flow_lines(item["body"]))


def _wasm_text(wasm: Result) -> str:
    files = ", ".join(f"{m['file']} of {m['bytes']:,} bytes" for m in wasm["modules"])
    return f"{files}, {wasm['packers']} packers, {wasm['panel_bytes']:,} bytes of panels"


def _port_text(port: Result) -> str:
    text = f"{port['name']}: {port['dtype']} [{', '.join(map(str, port['shape']))}]"
    names = labels_text(text, port.get("texts", ()), port.get("columns", ()))
    return names or text


def _operand_text(operand: Result) -> str:
    mark = {"constant": "c", "input": "i", "output": "o", "arena": "t", "window": "w"}[
        operand["home"]
    ]
    shape = ", ".join(map(str, operand["shape"]))
    return f"{mark}{operand['tensor']}:{operand['dtype']}[{shape}]"


def kernel_text(result: Result) -> str:
    """What `webrt info --kernel` prints for people."""
    schedule, cpu_schedule = (
        ", ".join(f"{k}={v}" for k, v in part["schedule"].items())
        for part in (result, result["cpu"])
    )
    return "\n".join(
        [
            f"kernel {result['kernel']}, steps {', '.join(map(str, result['steps']))}",
            f"\n-- problem\n{result['problem']}",
            f"\n-- schedule\n{schedule}",
            f"\n-- loop IR\n{result['loop']}",
            f"\n-- WGSL\n{result['wgsl']}",
            f"\n-- CPU schedule\n{cpu_schedule}",
            f"\n-- CPU loop IR\n{result['cpu']['loop']}",
        ]
    )
