"""Away from training: one ONNX graph with everything in it, an engine without torch, what serves and what exports."""
