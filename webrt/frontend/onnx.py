"""Reads an ONNX model into a graph: typed, sorted, folded, with its dynamic dims as symbols."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from webrt import ops
from webrt.errors import ModelError, WebrtError
from webrt.frontend import nodes, refused, structure
from webrt.frontend.caches import empty_dims
from webrt.frontend.functions import Functions
from webrt.frontend.tensors import Reader
from webrt.graph.ir import Graph
from webrt.ops.site import DimsDiffer, NeedsMultiple

assert ops.FAMILIES  # importing the families fills the registry

OLDEST_OPSET, NEWEST_OPSET = 7, 28
"""The opsets of ai.onnx that are read: to the newest of onnx 1.23."""

DOMAINS = ("", "ai.onnx")


def load_model(path: Path | str) -> Graph:
    """The model at `path` as a graph.

    Raises ModelError, UnsupportedOpError or ShapeError, one line each.

    Weights are views of the file's bytes where they can be; external data is mapped.
    """
    place = Path(path)
    try:
        with open(place, "rb") as file:
            # Mapped, so that a large model isn't in memory twice while it is parsed.
            size = os.fstat(file.fileno()).st_size
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{place}: can't be read ({reason})") from error
    model = _parsed(content, place.name)
    del content
    return from_proto(model, place.name, place.parent)


def load_bytes(content: bytes, file: str, folder: Path | None = None) -> Graph:
    """A model from its bytes; `folder` is where its external data may lie (nowhere for None)."""
    return from_proto(_parsed(content, file), file, folder)


def _parsed(content: bytes | mmap.mmap, file: str) -> onnx.ModelProto:
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(memoryview(content))
        return model
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{file}: isn't an ONNX model, or is cut short") from error


def from_proto(model: onnx.ModelProto, file: str, folder: Path | None = None) -> Graph:
    """A model that is in memory already.

    Two dynamic dims that an operator needs equal are taken for one, and one whose halves are
    doubled again for a multiple: a run checks that they are.
    """
    try:
        return _convert(model, file, folder)
    except WebrtError as error:
        message = _one_line(str(error))
        if message.startswith(file) and message == str(error):
            raise
        renamed = type(error)(message if message.startswith(file) else f"{file}: {message}")
        for note in getattr(error, "__notes__", ()):
            renamed.add_note(note)
        raise renamed from error
    except (UnicodeDecodeError, DecodeError, RecursionError, OverflowError) as error:
        raise ModelError(
            f"{file}: isn't a well-formed ONNX model ({type(error).__name__})"
        ) from error


def _convert(model: onnx.ModelProto, file: str, folder: Path | None) -> Graph:
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise ModelError(f"{file}: holds no graph: not an ONNX model, or cut short")
    opsets = _opsets(model, file)
    functions = Functions.of(model.functions, file)
    ordered = structure.sorted_nodes(model.graph, file)
    refused.refuse_unsupported(ordered, opsets, file, functions)
    same: dict[str, str | int] = {}
    multiples: dict[str, int] = {}
    empty = empty_dims(model.graph)
    while True:  # each turn takes one dynamic dim for another, until all shapes fit
        reader = Reader(file, folder)
        builder = nodes.Builder(
            model.graph, opsets, reader, file, same, functions, multiples, empty
        )
        try:
            return builder.build(ordered)
        except DimsDiffer as error:
            if not builder.unify(error.left, error.right):
                raise
        except NeedsMultiple as error:
            if not builder.scale(error.symbol, error.factor):
                raise


def _one_line(message: str) -> str:
    """The message with what can't be printed escaped: names in a model may be anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)


def _opsets(model: onnx.ModelProto, file: str) -> dict[str, int]:
    """Versions by domain; ai.onnx's is in range, and there if it is used.

    com.microsoft has one version only, and tools that fuse leave its import out.
    """
    found = {"": 0}
    for given in model.opset_import:
        found["" if given.domain in DOMAINS else given.domain] = int(given.version)
    if not found[""] and any(node.domain in DOMAINS for node in model.graph.node):
        raise ModelError(f"{file}: expected an opset of ai.onnx, found none")
    version = found[""] = found[""] or NEWEST_OPSET
    found.setdefault("com.microsoft", 1)
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise ModelError(
            f"{file}: expected an opset from {OLDEST_OPSET} to {NEWEST_OPSET}, found {version}; "
            "convert it with onnx.version_converter"
        )
    return found
