"""webrt: pack an ONNX model into static files and run it at the speed of the device it finds.

webrt.pack("model.onnx", "model")                # once, offline
with webrt.load("model") as session:             # anywhere
    outputs = session.run({"input_ids": ids})
"""

from webrt import errors
from webrt import pack as _package  # the subpackage is loaded before the function takes its name
from webrt.api import load, load_async, pack
from webrt.errors import (
    CompileError,
    DeviceError,
    DeviceLostError,
    ModelError,
    PackError,
    ShapeError,
    UnsupportedOpError,
    UsageError,
    WebrtError,
)
from webrt.version import __version__

__all__ = [
    "CompileError",
    "DeviceError",
    "DeviceLostError",
    "ModelError",
    "PackError",
    "ShapeError",
    "UnsupportedOpError",
    "UsageError",
    "WebrtError",
    "__version__",
    "errors",
    "load",
    "load_async",
    "pack",
]

del _package
