"""Random models on all that answers for them: ONNX Runtime, both devices, fused, unfused, tuned.

`Fuzzer.check(seed)` draws the model of a seed and raises a Finding where two answers differ.
"""

from __future__ import annotations

import contextlib
import functools
import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import fuzz_elementwise  # noqa: F401  # they fill the table of templates
import fuzz_moves  # noqa: F401
import fuzz_sums  # noqa: F401
import numpy as np
import onnx
import onnxruntime
from backend import Devices
from fuzz_graphs import OPSETS, Array, Draw, Model, RejectedError
from fuzz_templates import TEMPLATES
from onnx import helper

import webrt
from webrt.errors import UnsupportedOpError
from webrt.kernel.problem import Problem
from webrt.pack.read import parse_manifest
from webrt.runtime.session import Session
from webrt.runtime.source import FolderSource
from webrt.runtime.sync import run_sync
from webrt.schedule import CpuLimits, Limits, Schedule, space

RTOL, ATOL = 1e-3, 1e-4
"""Relative to an element, and to the largest one of its tensor."""
PARSED = ("webrt.runtime.load.parse_manifest", functools.lru_cache(maxsize=1)(parse_manifest))
"""A pack's manifest is parsed once for both devices."""
onnxruntime.set_default_logger_severity(4)


def draw_model(seed: int, least: int = 5, greatest: int = 15) -> tuple[Model, list[str]]:
    """The model of a seed, of so many nodes, and what was refused on the way (`op: reason`)."""
    source = random.Random(seed)
    draw = Draw(source, source.choice(OPSETS))
    wanted = source.randint(least, greatest)
    for _ in range(source.randint(1, 2)):
        draw.input(shape=draw.shape(1, 4))
    names, weights = list(TEMPLATES), [t.weight for t in TEMPLATES.values()]
    for _ in range(10 * wanted):
        if len(draw.nodes) >= wanted:
            break
        with contextlib.suppress(RejectedError):
            TEMPLATES[source.choices(names, weights)[0]].make(draw)
    return draw.finish(), draw.refused


@dataclass
class Finding(Exception):
    """Two answers that differ, or an error: `kind` tells which way, `seed` draws it again."""

    seed: int
    kind: str
    message: str
    model: onnx.ModelProto
    feeds: dict[str, Array]

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.kind}: {self.message}"

    def save(self, folder: Path) -> Path:
        """The model, its inputs and what was found, as files."""
        place = folder / f"{self.seed}-{self.kind.replace(' ', '-')}"
        place.mkdir(parents=True, exist_ok=True)
        onnx.save(self.model, place / "model.onnx")
        np.savez(place / "feeds.npz", **self.feeds)
        (place / "finding.json").write_text(
            json.dumps({"seed": self.seed, "kind": self.kind, "message": self.message}, indent=1)
        )
        return place


@dataclass(frozen=True)
class Outcome:
    """What became of a seed: the nodes that ran, or why the model was refused."""

    operators: tuple[str, ...]
    refused: str = ""


WAYS = ("default", "scheduled-cpu", "scheduled", "unfused")
"""As users have it; CPU kernels, then all kernels, of any schedules; a kernel a node."""


def ways_of(seed: int) -> dict[str, tuple[str, ...]]:
    """How the model of a seed is packed, and on which devices each pack runs.

    Every model runs on both devices: half of them have the default schedules, three eighths drawn
    ones for CPUs, an eighth drawn ones for both. A quarter is run unfused, too, one in eight of
    those on the GPU. Lavapipe takes longer over large tiles and over many kernels than all else
    together, hence the shares. ONNX Runtime is who compares them.
    """
    fused = "default" if seed % 2 == 0 else "scheduled" if seed % 8 == 1 else "scheduled-cpu"
    ways: dict[str, tuple[str, ...]] = {fused: ("wasm", "webgpu")}
    if seed % 8 < 2:
        ways["unfused"] = ("webgpu" if seed % 64 < 8 else "wasm",)
    return ways


@contextlib.contextmanager
def _changed(way: str, source: random.Random) -> Iterator[None]:
    """The builder as it is; without its passes; with any of the schedules.

    With those, scatters sort as if their few updates were many.
    """

    def drawn(problem: Problem, limits: Limits | CpuLimits | None = None) -> Schedule:
        return source.choice(space(problem, limits))

    sorting: dict[str, object] = {"webrt.ops.runs.FEW": 2, "webrt.ops.runs.LITTLE": 0}
    patches: dict[str, dict[str, object]] = {
        "default": {},
        "unfused": {
            "webrt.passes.pipeline.GRAPH_PASSES": (),
            "webrt.passes.pipeline.fuse": lambda program: program,
        },
        "scheduled": {
            "webrt.builder.default": drawn,
            "webrt.pack.wasm.default": drawn,
            **sorting,
        },
        "scheduled-cpu": {"webrt.pack.wasm.default": drawn, **sorting},
    }
    with contextlib.ExitStack() as stack:
        for name, value in patches[way].items():
            stack.enter_context(mock.patch(name, value))
        yield


class Fuzzer:
    """Checks models one after the other on devices that stay open; `folder` is scratch space."""

    def __init__(self, folder: Path, settings: int = 2) -> None:
        self.folder = folder
        self.settings = settings
        self.devices = Devices()

    def close(self) -> None:
        self.devices.close()

    def check(self, seed: int) -> Outcome:
        """Raises Finding where the model of this seed isn't answered alike by all."""
        model, _ = draw_model(seed)
        if not model.proto.graph.node or not model.inputs:
            return Outcome((), "empty")
        return self.check_model(seed, model)

    def check_model(
        self, seed: int, model: Model, ways: Mapping[str, Sequence[str]] | None = None
    ) -> Outcome:
        """Packed and run in these ways on these devices, those of the seed if none are given."""
        feeds = [model.feeds(seed + j)[1] for j in range(self.settings if model.symbols else 1)]
        finding = Finding(seed, "", "", model.proto, feeds[0])
        try:
            wanted = expected(model.proto, feeds)
        except Exception as error:  # ORT's own classes are many
            raise replace(finding, kind="invalid", message=_line(error)) from error
        if any(not np.isfinite(a).all() for one in wanted for a in one.values()):
            return Outcome((), "not finite")
        path = self.folder / "model.onnx"
        path.write_bytes(model.proto.SerializeToString())
        source = random.Random(seed)
        for way, kinds in (ways or ways_of(seed)).items():
            try:
                with _changed(way, source):
                    folder = self._pack(path)
            except UnsupportedOpError as error:
                return Outcome(model.operators, str(error))
            except Exception as error:
                raise replace(finding, kind=f"pack {way}", message=_line(error)) from error
            for kind in kinds:
                self._compare(replace(finding, kind=f"{way} on {kind}"), folder, feeds, wanted)
        return Outcome(model.operators, "")

    def _pack(self, path: Path) -> Path:
        folder = self.folder / "pack"
        shutil.rmtree(folder, ignore_errors=True)
        webrt.pack(path, folder)
        return folder

    def _compare(
        self,
        finding: Finding,
        folder: Path,
        feeds: list[dict[str, Array]],
        wanted: list[dict[str, Array]],
    ) -> None:
        kind = finding.kind.rpartition(" ")[2]
        given = feeds[0]
        try:
            with self.devices.lend(kind, str(finding.seed)) as lent, mock.patch(*PARSED):
                session = run_sync(Session.open(FolderSource(folder), lent))
                for given, answers in zip(feeds, wanted, strict=True):
                    found = session.run({i.name: given[i.name] for i in session.inputs})
                    for name, answer in answers.items():
                        why = difference(found[name], answer)
                        if why:
                            raise replace(finding, message=f"{name}: {why}", feeds=given)
        except Finding:
            raise
        except Exception as error:
            raise replace(finding, message=_line(error), feeds=given) from error


def expected(proto: onnx.ModelProto, feeds: list[dict[str, Array]]) -> list[dict[str, Array]]:
    """ONNX Runtime's answers, without its own fusions."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return [dict(zip(names, session.run(names, given), strict=True)) for given in feeds]


def difference(found: Array, wanted: Array) -> str:
    """What is wrong with an answer; nothing where it is right."""
    if found.shape != wanted.shape:
        return f"shape {found.shape} for {wanted.shape}"
    if found.dtype != wanted.dtype:
        return f"{found.dtype} for {wanted.dtype}"
    a, b = found.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    if not a.size:
        return ""
    exact = wanted.dtype.kind != "f"
    scale = max(1.0, float(np.abs(b).max()))
    allowed = np.zeros_like(b) if exact else ATOL * scale + RTOL * np.abs(b)
    off = np.abs(a - b)
    bad = ~(off <= allowed)
    if not bad.any():
        return ""
    worst = int(np.argmax(np.where(bad, np.nan_to_num(off, nan=np.inf), -1)))
    return (
        f"element {worst} of {wanted.shape}: {a[worst]:.7g} for {b[worst]:.7g}, {bad.sum()} wrong"
    )


def prefix(proto: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """The model of the first `count` nodes; its outputs are those of the last of them."""
    nodes = list(proto.graph.node)[:count]
    live, kept = set(nodes[-1].output), []
    for node in reversed(nodes):
        if live & set(node.output):
            kept.append(node)
            live |= set(node.input)
    types = {v.name: v.type for v in onnx.shape_inference.infer_shapes(proto).graph.value_info}
    types |= {v.name: v.type for v in proto.graph.output}
    graph = helper.make_graph(
        kept[::-1],
        "fuzz",
        [i for i in proto.graph.input if i.name in live],
        [
            helper.make_tensor_value_info(o, types[o].tensor_type.elem_type, None)
            for o in nodes[-1].output
            if o in types
        ],
        [t for t in proto.graph.initializer if t.name in live],
    )
    return helper.make_model(graph, opset_imports=proto.opset_import, ir_version=8)


def shrink(fuzzer: Fuzzer, finding: Finding) -> Finding:
    """The same finding on the fewest first nodes that still show one."""
    model, _ = draw_model(finding.seed)
    for count in range(1, len(model.proto.graph.node)):
        smaller = prefix(model.proto, count)
        if not smaller.graph.output:
            continue
        used = {i.name for i in smaller.graph.input}
        inputs = tuple(v for v in model.inputs if v.name in used)
        part = replace(model, proto=smaller, inputs=inputs)
        try:
            fuzzer.check_model(finding.seed, part, dict.fromkeys(WAYS, ("wasm", "webgpu")))
        except Finding as found:
            if found.kind != "invalid":
                return found
    return finding


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
