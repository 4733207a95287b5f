"""Ten releases go live while clients ask: the process as a whole."""

import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.serving import tiny
from tests.serving.process import serving, wait_for

CLIENTS, RELEASES, BATCH = 8, 10, 70


@dataclass
class Tally:
    asked: int = 0
    failed: list = field(default_factory=list)
    mixed: list = field(default_factory=list)
    backwards: list = field(default_factory=list)


def ask_until(stop, served, tally, rows):
    """Ask on one connection; compare each answer with its own version and digest."""
    last = 0
    with closing(served.connection()) as connection:
        while not stop.is_set():
            answer = served.ask("POST", "/v1/predict", {"rows": rows}, connection=connection)
            tally.asked += 1
            if answer.status != 200:
                tally.failed.append(answer)
                continue
            version = answer.document["version"]
            if mixed(answer, version, rows):
                tally.mixed.append(answer)
            if version < last:
                tally.backwards.append(answer)
            last = version


def mixed(answer, version, rows) -> bool:
    """Does anything in the answer not belong to the version that it names?"""
    found = answer.document
    said = {"x-model-version": str(version), "x-model-digest": found["digest"]}
    right = [tiny.expected(version, row) for row in rows] == found["predictions"]
    return not right or not said.items() <= answer.headers.items()


def test_ten_releases_under_load_fail_nothing_and_mix_nothing(root):
    """0 failed requests, 0 answers of one version under another's name, none going back on a connection."""
    bundles = {version: tiny.bundle(version) for version in range(1, RELEASES + 2)}
    tiny.go(root, 1, bundles[1])
    with serving(root, poll_seconds=60) as served:
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        stop, tallies = threading.Event(), [Tally() for _ in range(CLIENTS)]
        batches = [[tiny.ROW] * (BATCH if i % 4 == 0 else 1) for i in range(CLIENTS)]
        arguments = [(stop, served, tally, rows) for tally, rows in zip(tallies, batches, strict=True)]
        threads = [threading.Thread(target=ask_until, args=each) for each in arguments]
        for thread in threads:
            thread.start()
        for version in range(2, RELEASES + 2):
            stop.wait(0.1)
            release = tiny.go(root, version, bundles[version])
            assert served.push().document["digest"] == release.digest
        stop.wait(0.1)
        stop.set()
        for thread in threads:
            thread.join(20)
    assert sum(tally.asked for tally in tallies) > 100
    assert all(tally.asked for tally in tallies)
    assert not [(tally.failed, tally.mixed, tally.backwards) for tally in tallies if tally.failed or tally.mixed]
    assert not any(tally.backwards for tally in tallies)


def test_fifty_reloads_keep_memory_in_bounds(root):
    """The memory of releases that left is given back: far less than 50 models of 4 MB are held."""
    made = {version: tiny.bundle(version, model=tiny.onnx_model(version, megabytes=4)) for version in (1, 2, 3)}
    releases = {version: tiny.publish(root, version, each) for version, each in made.items()}

    def resident(served) -> int:
        status = Path(f"/proc/{served.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    with serving(root, poll_seconds=60) as served:
        seen = {}
        for generation in range(1, 51):
            wanted = releases[1 + generation % 3]  # a way back to the previous one would be no load
            tiny.point(root, wanted, generation)
            assert served.push().document["digest"] == wanted.digest
            seen[generation] = resident(served)
    assert seen[50] - seen[10] < 40, seen
