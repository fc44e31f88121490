"""Away from training: one ONNX graph with everything in it, an engine without torch, what serves and what exports."""

import os

# Since 1.32 importing onnxruntime gives this machine a number and keeps a list of events under the user's home, to be
# sent to Microsoft. This is its switch: nothing of the kind happens here.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
