"""The serving process: answers prices with the release that the channel names, and follows it without a restart."""

import os

# Before any library is imported: onnxruntime 1.32 has telemetry built in, and the threads that it and OpenBLAS (which
# is not used here) start at import would be lost in each fork.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
