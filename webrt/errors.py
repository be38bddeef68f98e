"""Every exception that webrt raises on purpose, in one tree.

    WebrtError
    ├── ModelError             an ONNX file that can't be read: bytes, structure, names, data
    │   └── UnsupportedOpError operators, attributes or dtypes that don't run, all of them listed
    ├── ShapeError             shapes or dtypes that don't fit: at pack time, or in a run
    ├── PackError              a pack that is incomplete, altered or of another version
    ├── DeviceError            no adapter, an unknown device, a limit, a failed allocation
    │   ├── CompileError       a kernel that the device's compiler refused
    │   └── DeviceLostError    the device went away while a session was using it
    ├── RecordsError           a file of tuning records that isn't one, or can't be read or written
    └── UsageError             arguments that make no sense together

A message is one line: file, node, what was expected, what was found, what to do next. The
offending IR, where there is one, is attached with `add_note`.
"""


class WebrtError(Exception):
    """Base of all errors that webrt raises on purpose."""


class ModelError(WebrtError):
    """The ONNX model can't be read."""


class UnsupportedOpError(ModelError):
    """The model holds operators, attributes or dtypes that webrt doesn't run."""


class ShapeError(WebrtError):
    """Shapes or dtypes don't fit together."""


class PackError(WebrtError):
    """The pack is incomplete, altered or written by another version."""


class DeviceError(WebrtError):
    """The device can't be had or can't do what was asked."""


class CompileError(DeviceError):
    """The device's compiler refused a kernel."""


class DeviceLostError(DeviceError):
    """The device went away while a session was using it."""


class RecordsError(WebrtError):
    """Tuning records can't be read or written."""


class UsageError(WebrtError):
    """Arguments that make no sense together."""
