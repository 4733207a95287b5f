"""serving/probe.py"""

import dataclasses
import gc
import weakref

import pytest

from serving.errors import NoRelease, NotReady
from serving.probe import Probe
from serving.slot import Slot
from tests.serving import tiny


class Session:
    """A session that counts, and fails when told."""

    def __init__(self, session):
        self.session, self.calls, self.broken = session, 0, False

    def run(self, names, arrays):
        self.calls += 1
        if self.broken:
            raise RuntimeError("secret")
        return self.session.run(names, arrays)


@pytest.fixture
def session(loaded):
    return Session(loaded.session)


@pytest.fixture
def slot(loaded, session):
    slot = Slot()
    slot.swap(dataclasses.replace(loaded, session=session))
    return slot


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def probe(slot, clock):
    return Probe(slot, 1.0, lambda: clock[0])


def test_an_empty_slot_is_not_ready():
    """The reason is that there is no release."""
    with pytest.raises(NoRelease):
        Probe(Slot()).check()


def test_an_answer_counts_for_one_second(probe, session, clock):
    """A thousand checks in a second are one prediction; after it a new one is made."""
    for _ in range(1_000):
        assert probe.check().version == 1
    assert session.calls == 1
    clock[0] = 1.01
    probe.check()
    assert session.calls == 2


def test_a_release_that_stops_answering_is_not_ready(probe, session, clock):
    """Readiness is a prediction, not a flag; the reason has no details of the failure."""
    probe.check()
    session.broken, clock[0] = True, 2.0
    with pytest.raises(NotReady, match="RuntimeError") as caught:
        probe.check()
    assert "secret" not in str(caught.value)
    session.broken, clock[0] = False, 4.0
    assert probe.check()


def test_a_new_release_is_asked_itself(probe, slot, session):
    """The proof of the old release does not count for the new one."""
    probe.check()
    second = Session(session.session)
    slot.swap(dataclasses.replace(slot.live, version=2, session=second))
    assert probe.check().version == 2
    assert (session.calls, second.calls) == (1, 1)


def test_a_wrong_answer_is_not_ready(probe, slot):
    """The golden answer is compared, not only computed."""
    golden = dataclasses.replace(slot.live.golden, answers=(tiny.expected(5, tiny.ROW),) * 3)
    slot.swap(dataclasses.replace(slot.live, golden=golden))
    with pytest.raises(NotReady, match="golden row 0"):
        probe.check()


def test_a_process_that_ends_is_not_ready(probe):
    """Draining comes before everything else."""
    probe.drain()
    with pytest.raises(NotReady, match="shutting down"):
        probe.check()


def test_a_proof_keeps_no_release_in_memory(loaded):
    """Who is asked rarely must not hold what left long ago."""
    slot = Slot()
    first = dataclasses.replace(loaded, session=Session(loaded.session))
    watched = weakref.ref(first.session)
    slot.swap(first)
    probe = Probe(slot)
    probe.check()
    first = None
    for version in (2, 3):
        slot.swap(dataclasses.replace(loaded, version=version))
    gc.collect()
    assert watched() is None
