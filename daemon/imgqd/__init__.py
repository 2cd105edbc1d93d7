"""imgqd: the daemon behind imgq."""

import os

# From 1.29 on ONNX Runtime reports its use to its maker, and numbers the machine for that, unless it is
# told not to before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
