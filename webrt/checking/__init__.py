"""What `webrt check` and check vectors share: inputs, ONNX Runtime as the oracle, comparisons."""
