"""Ray Serve as its documentation begins: a deployment with one replica that reads the JSON of the request."""

import signal
import sys

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1)
class Price:
    def __init__(self) -> None:
        from benchmarks.serving.peers.session import predict  # noqa: PLC0415  the model is in the replica

        self.predict = predict

    async def __call__(self, request: Request) -> list[dict]:
        return self.predict(await request.json())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ray.init(num_cpus=2, include_dashboard=False, logging_level="warning")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Price.bind(), blocking=True)
