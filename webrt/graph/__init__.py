"""The graph IR: ONNX's nodes, typed, with symbolic shapes."""
