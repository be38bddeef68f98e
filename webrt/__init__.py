"""webrt: pack an ONNX model into static files and run it at the speed of the device it finds."""

__version__ = "0.1.0"
