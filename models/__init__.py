"""Network definitions in plain torch. Imports nobody of ours; every operation exports to ONNX."""
