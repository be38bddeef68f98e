"""ONNX Runtime on CPU as the oracle of `webrt check`, and the search for the first wrong node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from webrt.checking.compare import Comparison, compare, same_elements, worst
from webrt.errors import ModelError, UsageError
from webrt.frontend.functions import all_nodes
from webrt.frontend.onnx import load_model
from webrt.frontend.structure import sorted_nodes, used_names
from webrt.ops.draw import draws
from webrt.plan.plan import Plan

if TYPE_CHECKING:
    import onnx

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first step whose value is wrong: `node` is the model's, `value` its output's name."""

    step: int
    node: str
    value: str
    comparison: Comparison


def require() -> Any:
    """ONNX Runtime; raises UsageError where it isn't installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            "onnxruntime is not installed: pip install 'webrt[check]' or pip install onnxruntime"
        ) from error
    onnxruntime.set_default_logger_severity(4)  # what it has to say comes as exceptions
    return onnxruntime


def drawn(model: Path) -> set[str]:
    """The values that operators which draw numbers reach: no two runtimes agree on them."""
    import onnx

    proto = onnx.load(model, load_external_data=False)
    drawing: set[str] = set()
    while True:
        more = {
            f.name
            for f in proto.functions
            if any(_draws(n, drawing, _zeros(f.node)) for n in f.node)
        }
        if more <= drawing:
            break
        drawing |= more
    reached: set[str] = set()
    zeros = _zeros(proto.graph.node, proto.graph.initializer)
    for _, node in sorted_nodes(proto.graph, model.name):
        if _draws(node, drawing, zeros) or not reached.isdisjoint(used_names(node)):
            reached |= set(node.output)
    return reached


def _draws(node: onnx.NodeProto, drawing: set[str], zeros: set[str]) -> bool:
    return any(
        inner.op_type in drawing
        or draws(inner.op_type, [n in zeros if n else None for n in inner.input])
        for inner in all_nodes([node])
    )


def _zeros(nodes: Iterable[onnx.NodeProto], tensors: Iterable[onnx.TensorProto] = ()) -> set[str]:
    """The constants of one element that are 0 or false: no training, or nothing to drop."""
    import onnx
    from onnx import numpy_helper

    made = {n.output[0]: n.attribute[0].t for n in all_nodes(nodes) if n.op_type == "Constant"}
    made |= {t.name: t for t in tensors}
    small = {n: t for n, t in made.items() if not t.external_data and np.prod(t.dims) == 1}
    kinds = onnx.TensorProto.STRING, onnx.TensorProto.UNDEFINED
    return {
        name
        for name, t in small.items()
        if t.data_type not in kinds and not numpy_helper.to_array(t).any()
    }


def expected_outputs(model: Path, feeds: Arrays) -> Arrays:
    """What ONNX Runtime makes of `feeds`; raises ModelError where it refuses them."""
    runtime = require()
    return _run(runtime, str(model), model, feeds, None)


_QUANTISED = ("QLinear", "QGemm", "QAttention", "QEmbed", "DynamicQuantize")
_NUDGES = 3


def spread(
    model: Path, feeds: Arrays, expected: Mapping[str, npt.NDArray[Any]], half: bool
) -> dict[str, Comparison]:
    """How far ONNX Runtime is from itself where floats differ in a last bit; {} for most models.

    For one that rounds activations to integers: with its weights moved by as much, and with nothing
    optimised where no product is one of integers (those it may saturate then).
    """
    import onnx

    proto = onnx.load(str(model))
    ops = {node.op_type for node in proto.graph.node}
    integers = any(op.startswith(_QUANTISED) or "Integer" in op for op in ops)
    if not integers and "QuantizeLinear" not in ops:
        return {}
    runtime = require()
    others = [_run(runtime, _nudged(proto, j), model, feeds, None) for j in range(_NUDGES)]
    if not integers:
        others.append(_run(runtime, str(model), model, feeds, None, optimised=False))
    floats = [name for name, array in expected.items() if array.dtype.kind == "f"]
    return {
        name: worst([compare(other[name], expected[name], half) for other in others])
        for name in floats
    }


def _nudged(model: onnx.ModelProto, seed: int) -> bytes:
    """The model with its float32 weights off by up to one part in 2^23; scales stay."""
    import onnx
    from onnx import numpy_helper

    random = np.random.default_rng(seed)
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    scales = {n for node in proto.graph.node if "Linear" in node.op_type for n in node.input}
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.name not in scales:
            array = numpy_helper.to_array(tensor)
            moved = array * (1 + random.uniform(-(2.0**-23), 2.0**-23, array.shape))
            tensor.CopyFrom(numpy_helper.from_array(moved.astype(np.float32), tensor.name))
    made: bytes = proto.SerializeToString()
    return made


def _run(
    runtime: Any, model: str | bytes, path: Path, feeds: Arrays, names: Any,
    optimised: bool = True,
) -> Arrays:  # fmt: skip
    """The outputs `names`, or all."""
    try:
        options = runtime.SessionOptions()
        # Else uint8 times int8 saturates on an x86 without VNNI: its sums would be wrong, not ours.
        options.add_session_config_entry("session.x64quantprecision", "1")
        if not optimised:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        known = {i.name for i in session.get_inputs()}
        names = names or [o.name for o in session.get_outputs()]
        made = session.run(names, {n: a for n, a in feeds.items() if n in known})
    except Exception as error:  # its exceptions have no base of their own
        lines = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise ModelError(f"{path}: ONNX Runtime refuses it: {lines}") from error
    return {name: _tensor(value) for name, value in zip(names, made, strict=True)}


def _tensor(value: Any) -> Any:
    """ZipMap's maps as the matrix that they are made of; anything else as it is."""
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return np.array([list(v.values()) for v in value], np.float32)
    return value


def first_divergence(
    model: Path,
    plan: Plan,
    feeds: Arrays,
    traced: Mapping[int, npt.NDArray[Any]],
    half: bool = False,
) -> Divergence | None:
    """The first step whose result differs from the model's; None where none that compares does.

    Steps are matched by the names of their nodes: the last node of a step with outputs that have
    as many elements as what the step wrote, which has to be one of them. Of a node that takes
    several steps the last is compared: what the others write is no value of the model.
    """
    outputs = {n.name: [v.name for v in n.outputs] for n in load_model(model).nodes}
    wanted = [_candidates(step.node, outputs) for step in plan.steps]
    unknown = drawn(model)
    inner = [name for candidates in wanted for _, names in candidates for name in names]
    names = [name for name in dict.fromkeys(inner) if name not in unknown]
    values = _intermediate(model, feeds, names)
    last = {node: j for j, found in enumerate(wanted) for node, _ in found}
    for index, (step, candidates) in enumerate(zip(plan.steps, wanted, strict=True)):
        found = traced.get(step.outputs[-1])
        if found is None:
            continue  # of a branch that wasn't taken, or a part of another tensor
        for node, made in candidates:
            if last[node] != index:
                continue
            alike = [n for n in made if n in values and _is_like(found, values[n])]
            compared = [(n, same_elements(found, values[n], half)) for n in alike]
            if any(comparison.ok for _, comparison in compared):
                break
            for name, comparison in compared:
                return Divergence(index, node, name, comparison)
    return None


def _is_like(found: npt.NDArray[Any], value: npt.NDArray[Any]) -> bool:
    return found.size == value.size and (found.dtype.kind == "f") == (value.dtype.kind == "f")


def _candidates(
    names: str, outputs: Mapping[str, Sequence[str]]
) -> list[tuple[str, Sequence[str]]]:
    """(node, its outputs) of the nodes of a step, last first."""
    found = [(n, outputs[n]) for n in names.split(" + ") if outputs.get(n)]
    return found[::-1]


def _intermediate(model: Path, feeds: Arrays, names: Sequence[str]) -> Arrays:
    """The values of inner tensors, computed with the model's outputs extended by them."""
    import onnx

    proto = onnx.load(str(model))
    produced = {name for node in proto.graph.node for name in node.output}
    present = {o.name for o in proto.graph.output}
    kept = [n for n in names if n in produced]
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in kept if n not in present)
    return _run(require(), proto.SerializeToString(), model, feeds, kept) if kept else {}
