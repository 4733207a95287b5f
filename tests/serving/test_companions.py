"""serving/companions.py, together with the reconciler that tells it what is wanted"""

import gc
import threading
import weakref
from contextlib import contextmanager

import pytest

from serving.quarantine import FIRST_RETRY_SECONDS
from tests.serving import tiny
from tests.serving.process import wait_for
from tests.serving.test_reconciler import World, bad


@pytest.fixture
def releases(root):
    return {version: tiny.publish(root, version) for version in range(1, 5)}


class Beside(World):
    """A world that follows challenger and shadow in the same look."""

    def look(self):
        self.reconciler.poll_once()
        self.reconciler.companions.follow()
        return self.reconciler.status()


@pytest.fixture
def world(root, releases):
    world = Beside(root)
    yield world
    world.slot.hold_shadow(None)


def roles(status):
    return status.digest, status.challenger, status.shadow


def digests(releases, *versions):
    return tuple(version and releases[version].digest for version in versions)


def test_challenger_and_shadow_are_loaded_after_the_champion(world, releases):
    """In this order, and the status names them."""
    tiny.beside(world.root, 1, releases[1], releases[2], shadow=releases[3])
    assert roles(world.look()) == digests(releases, 1, 2, 3)
    assert world.loads == [1, 2, 3]
    assert roles(world.look()) == digests(releases, 1, 2, 3)
    assert world.loads == [1, 2, 3]


def test_what_the_channel_drops_is_unloaded(world, releases):
    """With the look that sees it; the champion stays."""
    alive = weakref.WeakSet()
    world.loaded = alive.add
    tiny.beside(world.root, 1, releases[1], releases[2], shadow=releases[3])
    world.look()
    tiny.beside(world.root, 2, releases[1])
    assert roles(world.look()) == digests(releases, 1, None, None)
    assert world.slot.beside is None
    wait_for(lambda: not [each for each in threading.enumerate() if each.name == "shadow"])
    gc.collect()
    assert len(alive) == 1


def test_another_share_is_no_load(world, releases):
    """And what was counted goes on."""
    tiny.beside(world.root, 1, releases[1], releases[2], share=0.1)
    world.look()
    before = world.slot.beside
    tiny.beside(world.root, 2, releases[1], releases[2], share=0.3)
    world.look()
    now = world.slot.beside
    assert (before.share, now.share, world.loads) == (0.1, 0.3, [1, 2])
    assert (now.challenger.tally, now.champion.tally) == (before.challenger.tally, before.champion.tally)


def test_a_challenger_of_another_digest_takes_its_place(world, releases):
    """The one before has no share while the other is loaded."""
    tiny.beside(world.root, 1, releases[1], releases[2])
    world.look()
    tiny.beside(world.root, 2, releases[1], releases[3])
    world.reconciler.poll_once()
    assert world.slot.beside is None
    assert roles(world.look()) == digests(releases, 1, 3, None)


def test_a_challenger_is_promoted_without_a_load_and_the_way_back_needs_none(world, releases):
    """It is here already, and so is the one before."""
    tiny.beside(world.root, 1, releases[1], releases[2])
    world.look()
    tiny.beside(world.root, 2, releases[2])
    assert roles(world.look()) == digests(releases, 2, None, None)
    tiny.beside(world.root, 3, releases[1])
    assert roles(world.look()) == digests(releases, 1, None, None)
    assert (world.loads, world.slot.beside) == ([1, 2], None)


def test_a_shadow_becomes_challenger_and_a_champion_steps_back_without_a_load(world, releases):
    """What is here in another role is not loaded again."""
    tiny.beside(world.root, 1, releases[1], shadow=releases[2])
    world.look()
    tiny.beside(world.root, 2, releases[1], releases[2])
    assert roles(world.look()) == digests(releases, 1, 2, None)
    tiny.beside(world.root, 3, releases[2], releases[1])
    assert roles(world.look()) == digests(releases, 2, 1, None)
    assert world.loads == [1, 2]


@pytest.mark.parametrize("role", ["challenger", "shadow"])
def test_a_refused_one_leaves_the_champion_alone(world, releases, role):
    """No share for what is not loaded; the status says which role and why, and nothing is tried in a storm."""
    wrong = tiny.publish(world.root, 9, bad(9))
    tiny.beside(world.root, 1, releases[1], **{role: wrong})
    status = [world.look() for _ in range(5)][-1]
    assert roles(status) == digests(releases, 1, None, None)
    refusals = {"challenger": status.challenger_refusal, "shadow": status.shadow_refusal}
    assert (refusals[role].version, refusals[role].reason[:12]) == (9, "golden row 0")
    assert (status.refusal, status.generation, world.slot.beside, world.loads) == (None, 1, None, [1, 9])
    world.now += FIRST_RETRY_SECONDS
    world.look()
    assert world.loads == [1, 9, 9]
    tiny.beside(world.root, 2, releases[1])
    status = world.look()
    assert (status.challenger_refusal, status.shadow_refusal) == (None, None)


def test_one_that_is_not_there_yet_is_waited_for(world, releases):
    """That is no refusal, and the status says what is missing."""
    late = tiny.release_of(8, tiny.bundle(8))
    tiny.beside(world.root, 1, releases[1], late)
    status = world.look()
    assert (status.challenger_refusal, status.challenger) == (None, None)
    assert status.store_error.startswith("challenger: the release is not whole")
    tiny.publish(world.root, 8)
    assert (world.look().challenger, world.look().store_error) == (late.digest, None)


def test_beside_a_refused_champion_nobody_new_is_loaded(world, releases):
    """A share was wanted of the new champion's requests, not of the old one's."""
    tiny.beside(world.root, 1, releases[1])
    world.look()
    tiny.beside(world.root, 2, tiny.publish(world.root, 9, bad(9)), releases[2])
    assert roles(world.look()) == digests(releases, 1, None, None)
    assert world.loads == [1, 9]


class Held(Beside):
    """A world in which the load of version 2 takes until it is let go."""

    def __init__(self, root):
        super().__init__(root)
        self.began, self.go_on = threading.Event(), threading.Event()

    def load(self, model, release, files):
        if release.version == 2:
            self.began.set()
            assert self.go_on.wait(20)
        return super().load(model, release, files)


@contextmanager
def running(world):
    thread = threading.Thread(target=world.reconciler.companions.run)
    thread.start()
    try:
        yield
    finally:
        world.go_on.set()
        world.reconciler.companions.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_the_champion_does_not_wait_for_the_load_of_a_challenger(root, releases):
    """It moves while another one is being loaded, there and back, and what comes too late gets no share."""
    world = Held(root)
    with running(world):
        for generation, (champion, challenger) in enumerate([(1, 2), (3, 2), (1, None)], 1):
            tiny.beside(root, generation, releases[champion], releases.get(challenger))
            world.reconciler.poll_once()
            assert world.slot.live.version == champion
            assert world.began.wait(20)
        world.go_on.set()
        wait_for(lambda: 2 in world.loads)
        tiny.beside(root, 9, releases[1], releases[4])
        world.reconciler.poll_once()
        wait_for(lambda: world.slot.challenger and world.slot.challenger.version == 4)
    assert world.loads.count(2) == 1
    assert world.slot.beside.challenger.release.version == 4


def test_a_challenger_that_was_promoted_while_it_was_loaded_is_no_challenger(root, releases):
    """It is loaded twice then, and has one role."""
    world = Held(root)
    tiny.beside(root, 1, releases[1], releases[2])
    with running(world):
        world.reconciler.poll_once()
        tiny.beside(root, 2, releases[2])
        world.go_on.set()
        world.reconciler.poll_once()
    assert (world.slot.live.version, world.slot.challenger, world.slot.beside) == (2, None, None)


def test_memory_is_given_back_when_one_has_left(world, releases, monkeypatch):
    """As after a swap: once it is gone, and not at every look."""
    calls = []
    monkeypatch.setattr("serving.reconciler.release_memory", lambda: calls.append(1))
    tiny.beside(world.root, 1, releases[1], releases[2])
    world.look()
    world.look()
    before = len(calls)
    taken = world.slot.challenger
    tiny.beside(world.root, 2, releases[1])
    world.look()
    world.look()
    assert (len(calls), taken.version) == (before, 2)
    taken = None
    gc.collect()
    world.look()
    world.look()
    assert len(calls) == before + 1
