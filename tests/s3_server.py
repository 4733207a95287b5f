"""A real S3 server (SeaweedFS) on free local ports, for tests that need one."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "gavel"
WEED = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "weed"  # whichever environment the tests run in
PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port", "s3.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip


@dataclass(frozen=True)
class S3Server:
    """Its address, and the environment that points an S3 client to it with the right credentials."""

    url: str
    environment: dict[str, str]
    read_only: dict[str, str]  # the same with a key that may read and list, not write

    def client(self):
        return _client(self.url, self.environment)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running_s3(folder: Path, ports: dict[str, int] | None = None) -> Iterator[S3Server]:
    """The server with its data in ``folder`` and the bucket ``BUCKET``; killed when the block ends.

    The same folder and ``ports`` again are the same server after a crash.
    """
    ports = ports or ports_of_a_server()
    config = folder / "s3.json"
    identity = {
        "name": "test",
        "credentials": [{"accessKey": "test-key", "secretKey": "test-secret"}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    reader = {
        "name": "reader",
        "credentials": [{"accessKey": "reader-key", "secretKey": "reader-secret"}],
        "actions": [f"Read:{BUCKET}", f"List:{BUCKET}"],
    }
    config.write_text(json.dumps({"identities": [identity, reader]}))
    command = [
        str(WEED), "mini", f"-dir={folder}", f"-s3.config={config}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    environment = {**os.environ, "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{ports['s3.port']}"
            _wait(url, process, folder / "log")
            yield S3Server(url, _client_environment(url, "test"), _client_environment(url, "reader"))
        finally:
            process.kill()  # its own farewell takes 4 s and the data is thrown away
            process.wait(10)


def ports_of_a_server() -> dict[str, int]:
    return dict(zip(PORTS, free_ports(len(PORTS)), strict=True))


def _client_environment(url: str, who: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ACCESS_KEY_ID": f"{who}-key",
        "AWS_SECRET_ACCESS_KEY": f"{who}-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it takes the order to make the bucket."""
    client = _client(url, _client_environment(url, "test"))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.create_bucket(Bucket=BUCKET)
        except client.exceptions.BucketAlreadyOwnedByYou:
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _client(url: str, environment: dict[str, str]):
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}),
    )
