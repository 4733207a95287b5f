"""serving/replica.py: two workers in one process."""

import asyncio
import dataclasses
import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from serving.errors import NoRelease, NotReady
from serving.service import build
from serving.siblings import Seat
from tests.serving import tiny


class Broken:
    """A session that fails."""

    def run(self, names, arrays):
        raise RuntimeError


@pytest.fixture
def services(settings, tmp_path):
    """Both seats of a replica. Only pushes make them look."""
    slow = settings.model_copy(update={"poll_seconds": 60, "workers": 2})
    return [build(slow, seat=Seat(index, 2, tmp_path)) for index in range(2)]


@contextmanager
def following(services):
    threads = [threading.Thread(target=each.reconciler.run) for each in services]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for each, thread in zip(services, threads, strict=True):
            each.reconciler.stop()
            thread.join()


async def listen(services, question):
    async with services[0].replica.listening(), services[1].replica.listening():
        return await question


def test_a_look_is_a_look_of_every_worker(root, services):
    """Afterwards both serve what the channel names; the one that was asked comes first."""
    with following(services):
        tiny.go(root, 1)
        status, done = asyncio.run(listen(services, services[1].replica.look(5)))
    assert done
    assert (status.ready, status.version) == (True, 1)
    assert [(each.index, each.version, each.pid) for each in status.workers] == [
        (1, 1, os.getpid()),
        (0, 1, os.getpid()),
    ]


def test_a_look_that_takes_long_is_not_waited_for(root, services):
    """The status comes all the same: one worker does not look, the replica is not done."""
    tiny.go(root, 1)
    with following(services[:1]):
        status, done = asyncio.run(listen(services, services[0].replica.look(0.3)))
    assert not done
    assert (status.ready, status.version) == (False, None)


def test_a_worker_that_lags_behind_is_shown(root, services):
    """The replica serves the old version until the last worker has the new one."""
    for version in (1, 2):
        tiny.go(root, version)
        services[0].reconciler.poll_once()
        services[1].reconciler.poll_once() if version == 1 else None
    status = asyncio.run(listen(services, services[0].replica.status()))
    assert (status.version, status.ready) == (1, True)
    assert [each.version for each in status.workers] == [2, 1]


def test_readiness_is_a_prediction_of_every_worker(root, services):
    """One that cannot answer, drains, or has nothing makes the replica not ready, and is named."""
    first, second = services
    with pytest.raises(NoRelease):
        asyncio.run(listen(services, first.replica.prove()))
    tiny.go(root, 1)
    first.reconciler.poll_once()
    with pytest.raises(NotReady, match="worker 1: no release has gone live"):
        asyncio.run(listen(services, first.replica.prove()))
    second.reconciler.poll_once()
    assert asyncio.run(listen(services, first.replica.prove())) is first.slot.live
    second.slot.swap(dataclasses.replace(second.slot.live, session=Broken()))
    with pytest.raises(NotReady, match="worker 1: the live release failed on a golden row"):
        asyncio.run(listen(services, first.replica.prove()))


def test_a_silent_worker_costs_one_second(root, services):
    """All are asked at the same time, with a limit."""
    tiny.go(root, 1)
    services[0].reconciler.poll_once()
    started = time.monotonic()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(services[0].replica.seat.socket(1)))
        silent.listen()
        status = asyncio.run(services[0].replica.status())
    assert 0.9 < time.monotonic() - started < 3
    assert (status.ready, status.version, status.workers[1].problem) == (False, 1, "there is no answer within 1 s")
