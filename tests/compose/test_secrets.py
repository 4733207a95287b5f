"""No secret is where somebody could find it who may look at the containers, their logs or the images."""

import pytest

from tests.compose.stack import PIPELINE, SERVING, run

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]

# What `login` tells people; no other container says even that.
TOLD = {"login": {"login", "key_client"}}


def found_in(text, secrets, allowed=frozenset()):
    return sorted(name for name, value in secrets.items() if value in text and name not in allowed)


def leaks(stack):
    """Where which secret was found, in what the engine says of the containers and in all that they have said."""
    secrets, found = stack.secrets(), {}
    for each in stack.containers():
        inspected = run("docker", "inspect", each.name)
        said = run("sh", "-c", 'exec docker logs "$1" 2>&1', "sh", each.name)
        found[each.name] = found_in(inspected, secrets) + found_in(said, secrets, TOLD.get(each.service, frozenset()))
    return {name: names for name, names in found.items() if names}


def test_containers_and_their_logs_hold_no_secret(live):
    """After runs, restarts and crashes; but for the login that is there to be read."""
    assert all(len(value) >= 12 for value in live.secrets().values())
    assert leaks(live) == {}


def test_images_hold_no_secret(live):
    """Nothing of this stack was there when they were built."""
    histories = [run("docker", "history", "--no-trunc", image) for image in (PIPELINE, SERVING)]
    assert found_in("".join(histories), live.secrets()) == []


def test_only_its_own_reader_may_open_a_service_s_secrets(live):
    """Each container sees one folder, and no program but the service's own user may read the files there."""
    for each in live.containers():
        if each.stays and each.service not in {"gateway", "postgres"}:
            command = ["docker", "exec", "--user", "12345:12345", each.name, "sh", "-c", "cat /run/secrets/*"]
            assert run(*command, check=False) == "", each.name
