"""Away from training: one ONNX graph with everything in it, an engine without torch, what serves and what exports."""

import os

# Since 1.32 importing onnxruntime gives this machine a number, keeps a list of events under the user's home and sends it
# to Microsoft; this is its switch, and nothing of the kind happens here.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
