"""A trained network without torch: one ONNX graph with everything in it, what runs it, and what exports it."""
