"""Images that stand in for official ones where no image registry can be reached: made here, named by variables.

``python -m tests.compose.stand_ins`` makes them and prints the variables for ``docker compose``. Which programs are
in them: ``images/``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = Path(__file__).parent / "images"
VARIABLES = {"SEAWEEDFS_IMAGE": "seaweedfs", "HAPROXY_IMAGE": "haproxy", "PROMETHEUS_IMAGE": "prometheus"}


def stand_ins() -> dict[str, str]:
    """The variables of docker-compose.yaml for all stand-ins, which are there now. What is set already is left alone."""
    return {variable: os.environ.get(variable) or make(name) for variable, name in VARIABLES.items()}


def make(name: str) -> str:
    """The image's name. The engine's cache makes this a second when nothing changed."""
    image = f"gavel-stand-in-{name}"
    network = os.environ.get("DOCKER_BUILD_NETWORK", "default")
    dockerfile = str(IMAGES / f"{name}.Dockerfile")
    command = ["docker", "build", "--quiet", "--network", network, "--build-arg", "PIP_INDEX_URL", "-f", dockerfile]
    subprocess.run([*command, "-t", image, "."], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return image


if __name__ == "__main__":
    sys.stdout.writelines(f"export {variable}={image}\n" for variable, image in stand_ins().items())
