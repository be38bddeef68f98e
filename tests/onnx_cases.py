"""The cases of ONNX's backend suites: models with inputs and the outputs that they must give."""

from __future__ import annotations

import fnmatch
import functools
import itertools
import os
import pickle
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from conformance_expected import CANCELLING, EXPECTED, OPERATORS, TYPES
from onnx import TensorProto, TypeProto, numpy_helper, version_converter
from onnx.backend.test import loader

from webrt.frontend.functions import has_schema_body
from webrt.frontend.onnx import OLDEST_OPSET
from webrt.frontend.sequences import FOLDED
from webrt.ops.registry import find

Array = npt.NDArray[np.generic]
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "tests"
SUITES = ("node", "simple", "pytorch-converted", "pytorch-operator", "light")
SCOPE = {"FLOAT", "FLOAT16", "INT32", "INT64", "UINT8", "INT8", "UINT32", "BOOL"}
"""The element types of the node cases that are counted; all others run all the same."""
SMALL = 64
"""An input of so few elements may be what a shape depends on."""


@dataclass(frozen=True)
class Case:
    """One case; an input or output is None where it is no tensor of numbers."""

    suite: str
    name: str
    content: bytes
    data: tuple[tuple[tuple[Array | None, ...], tuple[Array | None, ...]], ...]
    rtol: float
    atol: float

    @property
    def id(self) -> str:
        return f"{self.suite}/{self.name}"

    @functools.cached_property
    def model(self) -> onnx.ModelProto:
        return onnx.load_model_from_string(self.content)

    @functools.cached_property
    def operators(self) -> frozenset[str]:
        """Every operator in it, inside of branches and functions too; `domain.Op` but for ONNX."""
        names = set(_operators(self.model.graph.node))
        for function in self.model.functions:
            names |= set(_operators(function.node))
            names.discard(f"{function.domain}.{function.name}")
        return frozenset(names)

    @functools.cached_property
    def types(self) -> frozenset[str]:
        """Element types of inputs and outputs, and what else they are (`sequence`, `optional`)."""
        graph = self.model.graph
        return frozenset(n for v in (*graph.input, *graph.output) for n in _types(v.type))

    @property
    def is_typed(self) -> bool:
        """Whether it is of element types that are run."""
        return not any(t in TYPES for t in self.types)

    @property
    def is_in_scope(self) -> bool:
        """Whether it is one of the node cases that are counted."""
        return self.suite == "node" and self.types <= SCOPE

    @property
    def cancels(self) -> bool:
        """Whether its results are sums that cancel."""
        return any(fnmatch.fnmatch(self.id, glob) for glob in CANCELLING)

    @functools.cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why the case is expected to be refused; one of them stands in the error."""
        globs = [why for glob, why in EXPECTED.items() if fnmatch.fnmatch(self.id, glob)]
        types = [TYPES[t] for t in sorted(self.types) if t in TYPES]
        left_out = [OPERATORS[name] for name in sorted(self.operators) if name in OPERATORS]
        return (*globs, *types, *left_out)

    @functools.cached_property
    def missing(self) -> tuple[str, ...]:
        """Its operators that aren't there: not even as others, nor as what folds away."""
        return tuple(name for name in sorted(self.operators) if not self._is_run(name))

    def _is_run(self, name: str) -> bool:
        domain, _, op = name.rpartition(".")
        version = next((o.version for o in self.model.opset_import if o.domain == domain), 0)
        node = onnx.NodeProto(op_type=op, domain=domain)
        folds = not domain and op in FOLDED
        return folds or find(op, domain) is not None or has_schema_body(node, version)

    def feeds(self, number: int = 0) -> dict[str, Array]:
        known = {t.name for t in self.model.graph.initializer}
        names = [i.name for i in self.model.graph.input if i.name not in known]
        pairs = zip(names, self.data[number][0], strict=False)
        return {name: array for name, array in pairs if array is not None}

    def readable(self) -> onnx.ModelProto:
        """The model in an opset that is read, by ONNX's own converter where it is older."""
        version = next((o.version for o in self.model.opset_import if not o.domain), None)
        if version is None or version >= OLDEST_OPSET:
            copy = onnx.ModelProto()
            copy.CopyFrom(self.model)
            if version is None:
                copy.opset_import.add(version=OLDEST_OPSET)
            return copy
        return version_converter.convert_version(_with_slopes(self.model), OLDEST_OPSET)

    def variants(self) -> Iterator[tuple[onnx.ModelProto, tuple[str, ...]]]:
        """The model, then with ever more of its small inputs as constants, and their names.

        A pack's shapes follow from its inputs' shapes: what else they depend on has to be known.
        """
        model = self.readable()
        yield model, ()
        small = [
            name
            for name, array in self.feeds().items()
            if array.ndim < 3 and array.size <= SMALL and array.dtype.kind in "fiub"
        ]
        small.sort(key=lambda name: self.feeds()[name].dtype.kind == "f")
        for count in sorted({1, 2, 3, len(small)}):
            for names in itertools.combinations(small, count):
                yield self.with_constants(names, model), names

    def with_constants(
        self, names: Iterable[str], model: onnx.ModelProto | None = None
    ) -> onnx.ModelProto:
        copy = onnx.ModelProto()
        copy.CopyFrom(model or self.readable())
        feeds = self.feeds()
        copy.graph.initializer.extend(numpy_helper.from_array(feeds[n], n) for n in names)
        return copy

    def dynamic(self, constants: Iterable[str]) -> onnx.ModelProto:
        """Every input's dim of more than 1 is a symbol, equal ones the same."""
        model = self.with_constants(constants)
        for info in model.graph.input:
            for dim in info.type.tensor_type.shape.dim:
                if dim.dim_value > 1:
                    dim.dim_param = f"n{dim.dim_value}"
        return model


def _with_slopes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Before opset 7 a slope of PRelu was one a channel: ONNX's converter leaves it as it is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    ranks = {i.name: len(i.type.tensor_type.shape.dim) for i in copy.graph.input}
    nodes = list(copy.graph.node)
    del copy.graph.node[:]
    for node in nodes:
        if node.op_type == "PRelu" and ranks.get(node.input[1]) == 1:
            axes = list(range(1, ranks[node.input[0]] - 1))
            turned = onnx.helper.make_node("Unsqueeze", node.input[1:2], ["slope"], axes=axes)
            copy.graph.node.append(turned)
            node.input[1] = "slope"
        copy.graph.node.append(node)
    return copy


def _operators(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    for node in nodes:
        domain = node.domain.removeprefix("ai.onnx").removeprefix(".")
        if (domain, node.op_type) != ("", "Constant"):
            yield f"{node.domain}.{node.op_type}" if domain else node.op_type
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _operators(attribute.g.node)


def _types(found: TypeProto) -> Iterator[str]:
    match found.WhichOneof("value"):
        case "tensor_type":
            yield TensorProto.DataType.Name(found.tensor_type.elem_type)
        case "sequence_type":
            yield "sequence"
            yield from _types(found.sequence_type.elem_type)
        case "optional_type":
            yield "optional"
            yield from _types(found.optional_type.elem_type)
        case other:
            yield str(other)


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case of every suite. Making them takes about 10 s: they are kept in a file."""
    path = CACHE / f"onnx-cases-{onnx.__version__}-1.pickle"
    if path.exists():
        found: tuple[Case, ...] = pickle.loads(path.read_bytes())
        return found
    cases = tuple(itertools.chain(_node_cases(), *(map(_folder_case, SUITES[1:]))))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.part")  # several processes begin at once
    scratch.write_bytes(pickle.dumps(cases))
    scratch.replace(path)
    return cases


def _node_cases() -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    for case in found:
        data = tuple(
            tuple(tuple(_array(a) for a in side) for side in given) for given in case.data_sets
        )
        name = case.name.removeprefix("test_")
        yield Case("node", name, case.model.SerializeToString(), data, case.rtol, case.atol)


def _folder_case(suite: str) -> Iterator[Case]:
    """The cases that stand in files of onnx's package."""
    if suite == "light":
        yield from _light_cases()
        return
    for case in sorted(loader.load_model_tests(kind=suite), key=lambda c: str(c.name)):
        folder = Path(case.model_dir or "")
        data = []
        for place in sorted(folder.glob("test_data_set_*")):
            sides = [
                tuple(_read(place / f"{side}_{j}.pb") for j in range(len(list(files))))
                for side in ("input", "output")
                for files in [place.glob(f"{side}_*.pb")]
            ]
            data.append((sides[0], sides[1]))
        name = case.name.removeprefix("test_")
        content = (folder / "model.onnx").read_bytes()
        yield Case(suite, name, content, tuple(data), case.rtol, case.atol)


def _light_cases() -> Iterator[Case]:
    """Models whose weights ConstantOfShape makes; inputs are those of onnx's own runner."""
    tolerances = {str(c.url).rpartition("/")[2]: c for c in loader.load_model_tests(kind="real")}
    for path in sorted((Path(loader.DATA_DIR) / "light").glob("*.onnx")):
        model = onnx.load(path)
        known = {t.name for t in model.graph.initializer}
        inputs = []
        for info in model.graph.input:
            if info.name not in known:
                shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
                size = int(np.prod(shape))
                inputs.append((np.arange(size).reshape(shape) / size).astype(np.float32))
        outputs = [
            _read(path.with_name(f"{path.stem}_output_{j}.pb"))
            for j in range(len(model.graph.output))
        ]
        case = tolerances[path.name]
        data = ((tuple(inputs), tuple(outputs)),)
        name = path.stem.removeprefix("light_")
        yield Case("light", name, path.read_bytes(), data, case.rtol, case.atol)


def _read(path: Path) -> Array | None:
    tensor = TensorProto()
    try:
        tensor.ParseFromString(path.read_bytes())
        return _array(tensor)
    except Exception:  # a sequence's or an optional's file
        return None


def _array(data: object) -> Array | None:
    """A tensor of numbers; None for strings, and for what sequences and optionals hold."""
    if isinstance(data, TensorProto):
        data = numpy_helper.to_array(data)
    array = np.asarray(data) if not isinstance(data, list) and data is not None else None
    return array if array is not None and array.dtype.kind in "fiub" else None
