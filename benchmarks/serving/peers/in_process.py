"""The ceiling of the model: onnxruntime with one thread in this process, on arrays that lie ready.

    PYTHONPATH=. taskset -c 0 .venv-serving/bin/python -m benchmarks.serving.peers.in_process FOLDER ROWS SECONDS

prints rows a second for runs of ROWS rows, all different from run to run.
"""

import sys
import time
from pathlib import Path

import onnxruntime

from benchmarks.serving import material


def main(folder: str, size: int, seconds: float) -> None:
    served = material.read(Path(folder))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(served.bundle.model, options, providers=["CPUExecutionProvider"])
    names = list(served.schema.outputs)
    feeds = [served.schema.arrays(rows) for rows in served.batches(size)]
    for feed in feeds[:50]:
        session.run(names, feed)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        session.run(names, feeds[done % len(feeds)])
        done += 1
    print(done * size / (time.perf_counter() - start))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
