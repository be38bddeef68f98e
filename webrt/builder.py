"""Build a pack: ONNX model to graph, plan, kernels and files. The whole way in one function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from webrt import dims
from webrt.codegen.wgsl import generate
from webrt.dims import Dim
from webrt.dtypes import DType
from webrt.errors import RecordsError
from webrt.frontend.onnx import load_model
from webrt.graph.ir import Graph, Value, subgraphs
from webrt.kernel.costs import turns
from webrt.kernel.problem import Attention, Contract, Fold, Map, Problem, Reduce
from webrt.kernel.widen import widened
from webrt.lower import lower
from webrt.pack.format import KernelEntry, Pack, weights_by_dtype
from webrt.pack.wasm import plan_wasm
from webrt.pack.write import check_target, write_pack
from webrt.passes import pipeline
from webrt.plan.example import example_bindings
from webrt.plan.flow import stops_of
from webrt.plan.memory import place
from webrt.plan.plan import NO_LABELS, Labels, Plan
from webrt.schedule import default, to_json
from webrt.tune.records import Records, problem_key
from webrt.version import __version__


@dataclass(frozen=True, slots=True)
class PackReport:
    """What `pack` made. Bytes of activations are those at the symbol values `at`; `weights` are the
    bytes of weights by dtype. `narrowed` tells which dtypes are computed with fewer digits than the
    model's, and in what: float64 in float32. `labels` tells by outputs which strings they choose
    among, or what their columns belong to: a map for each row is a matrix here. `host_steps` are
    (what, node) of each time that a run waits for the device in its middle, because data decide how
    it goes on: in a loop, once a turn.
    """

    path: str
    dispatches: int
    host_steps: tuple[tuple[str, str], ...]
    weight_bytes: int
    weights: dict[str, int]
    narrowed: dict[str, str]
    labels: dict[str, Labels]
    peak_bytes: int
    peak_lower_bound_bytes: int
    at: dict[str, int]
    symbols: tuple[str, ...]
    unsupported: tuple[str, ...]
    check_bytes: int
    seconds: float


def build_pack(
    model: Path,
    out: Path,
    progress: Callable[[str, int, int], None] | None = None,
    dump_after: str | None = None,
    records: Records | None = None,
    checks: Callable[[Path], bytes] | None = None,
) -> PackReport:
    """Pack `model` into the folder `out`; `progress` gets a stage and how much of it is done.

    `dump_after` names a pass after which the IR is printed (`passes/pipeline.py`). Of `records`,
    those of this model's kernels travel along; `checks` makes check vectors of the pack's folder.

    Raises ModelError, UnsupportedOpError, ShapeError or PackError, RecordsError where no record is
    of this model; then `out` is as it was.
    """
    start = time.perf_counter()
    report = progress or (lambda stage, done, total: None)
    check_target(out)
    report("read", 0, 1)
    graph = load_model(model)
    report("plan", 0, 1)
    built = pipeline.build(graph, dump_after)
    kernels = []
    for index, problem in enumerate(built.plan.problems):
        report("kernels", index, len(built.plan.problems))
        kernels.append(default_kernel(problem, index))
    pack = write_pack(
        out,
        built.plan,
        kernels,
        plan_wasm([widened(p) for p in built.plan.problems]),
        built.constants,
        lambda done, total: report("weights", done, total),
        None if records is None else _shipped(built.plan, records),
        checks,
    )
    return _report(pack, out, _narrowed(graph), time.perf_counter() - start)


def _shipped(plan: Plan, records: Records) -> bytes:
    """The records of a plan's problems, as they are stored and as they are widened."""
    keys = {problem_key(p) for problem in plan.problems for p in (problem, widened(problem))}
    ours = Records(r for r in records if r.key.problem in keys and r.key.codegen == __version__)
    if not len(ours):
        raise RecordsError(
            f"none of the {len(records)} records is of this model's kernels and of webrt"
            f" {__version__}: tune a pack of this model first"
        )
    return ours.to_json().encode()


def default_kernel(problem: Problem, index: int) -> KernelEntry:
    """The kernel of a problem under its default schedule."""
    schedule = default(problem)
    kernel = lower(problem, schedule, f"{type(problem).__name__.lower()}_{index}")
    return KernelEntry(
        name=kernel.name,
        schedule=to_json(schedule),
        grid=kernel.grid,
        workgroup=kernel.workgroup,
        bindings=kernel.bindings,
        wgsl=generate(kernel),
        work=work(problem),
    )


def work(problem: Problem) -> Dim:
    """Scalar operations of a problem, roughly: what its running time goes with."""
    match problem:
        case Map(axes=axes):
            return dims.product(axes)
        case Reduce(axes=axes, reduced=reduced):
            return dims.product((*axes, *reduced))
        case Contract(batch=batch, m=m, n=n, k=k):
            return dims.product((*batch, m, n, k))
        case Attention(batch=batch, q=q, t=t, d=d, e=e):
            return dims.product((*batch, q, t)) * (d + e)
        case Fold(axes=axes):
            return dims.product((*axes, turns(problem)))
        case _:
            assert_never(problem)


def _narrowed(graph: Graph) -> dict[str, str]:
    """The dtypes of values that are computed with fewer digits than the model asks for."""
    lossy = {v.dtype for v in _values(graph) if v.dtype is DType.F64}
    return {dtype.onnx_name: dtype.computed.onnx_name for dtype in lossy}


def _values(graph: Graph) -> Iterator[Value]:
    """What is fed, answered and computed, in the graphs that nodes hold too."""
    yield from (*graph.inputs, *graph.outputs)
    for node in graph.nodes:
        yield from (v for v in (*node.inputs, *node.outputs) if v is not None)
        for inner in subgraphs(node).values():
            yield from _values(inner)


def _report(pack: Pack, out: Path, narrowed: dict[str, str], seconds: float) -> PackReport:
    plan = pack.plan
    bindings = example_bindings(plan)
    placed = place(plan, bindings)
    return PackReport(
        path=str(out),
        dispatches=len(plan.steps),
        host_steps=stops_of(plan),
        weight_bytes=sum(p.bytes for p in pack.placements.values()),
        weights=weights_by_dtype(pack),
        narrowed=narrowed,
        labels={p.name: p.labels for p in plan.outputs if p.labels != NO_LABELS},
        peak_bytes=placed.peak,
        peak_lower_bound_bytes=placed.lower_bound,
        at={s.name: s.size(bindings[s.id]) for s in plan.symbols},
        symbols=tuple(s.name for s in plan.symbols if s.id in plan.given),
        unsupported=(),
        check_bytes=0 if pack.checks is None else pack.checks.bytes,
        seconds=round(seconds, 3),
    )
