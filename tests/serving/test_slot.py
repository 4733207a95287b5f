"""serving/slot.py"""

import dataclasses
import gc
import weakref

import pytest

from pipeline.contract.channel import Release
from serving.errors import NoRelease
from serving.slot import Slot


def test_an_empty_slot_says_so():
    """Before the first release nothing can be taken."""
    assert Slot().live is None
    with pytest.raises(NoRelease, match="no release has gone live"):
        Slot().take()


def test_who_took_a_release_keeps_it_through_a_swap(loaded):
    """A swap changes what the next request takes, not what this one holds."""
    slot = Slot()
    slot.swap(loaded)
    taken = slot.take()
    slot.swap(dataclasses.replace(loaded, version=2))
    assert (taken.version, slot.take().version) == (1, 2)


def test_the_release_before_stays_loaded_for_a_way_back(loaded):
    """Going back to it is a swap; any other release is not here."""
    slot, second = Slot(), dataclasses.replace(loaded, version=2)
    slot.swap(loaded)
    slot.swap(second)
    assert slot.previous is loaded
    assert slot.find(Release(3, loaded.digest, "")) is slot.find(Release(1, "0" * 64, "")) is None
    slot.swap(slot.find(Release(1, loaded.digest, "")))
    assert (slot.live, slot.previous) == (loaded, second)


def test_a_swap_tells_which_release_leaves(loaded):
    """The third makes the first leave; who was the previous one does not leave by coming back."""
    slot, second, third = Slot(), dataclasses.replace(loaded, version=2), dataclasses.replace(loaded, version=3)
    assert [slot.swap(each) for each in (loaded, second, third)] == [None, None, loaded]
    assert slot.swap(second) is None


class Session:
    """Something that can be watched as it goes."""


def test_the_old_release_goes_with_its_last_user(loaded):
    """Nothing but the requests that took it keeps a release in memory that is not even the previous one."""
    slot, session = Slot(), Session()
    watched = weakref.ref(session)
    slot.swap(dataclasses.replace(loaded, session=session))
    taken, session = slot.take(), None
    slot.swap(loaded)
    slot.swap(dataclasses.replace(loaded, version=2))
    assert watched() is taken.session
    taken = None
    gc.collect()
    assert watched() is None


def others(loaded):
    return [dataclasses.replace(loaded, version=version, digest=str(version) * 64) for version in (2, 3)]


def test_while_nobody_stands_beside_the_champion_there_is_nothing_to_look_at(loaded):
    """A request tests one attribute; it is there as long as a challenger or a shadow is."""
    slot, (second, third) = Slot(), others(loaded)
    slot.hold_challenger(second, 0.1)
    assert slot.beside is None
    slot.swap(loaded)
    assert (slot.beside.champion.release, slot.beside.challenger.release, slot.beside.share) == (loaded, second, 0.1)
    slot.hold_challenger(None)
    assert slot.beside is None
    slot.hold_shadow(third)
    assert (slot.beside.challenger, slot.beside.shadow.release) == (None, third)
    slot.hold_shadow(None)
    assert slot.beside is None


def test_who_becomes_champion_has_no_other_role_any_more(loaded):
    """And what leaves the slot is told, unless it has another role."""
    slot, (second, third) = Slot(), others(loaded)
    slot.swap(loaded)
    slot.hold_challenger(second, 0.1)
    slot.hold_shadow(third)
    assert slot.swap(second) is None
    assert (slot.challenger, slot.previous, slot.beside.challenger) == (None, loaded, None)
    assert slot.swap(third) is loaded
    assert (slot.live, slot.shadow, slot.beside) == (third, None, None)
    slot.hold_challenger(second, 0.1)
    assert slot.swap(loaded) is None
    assert slot.hold_challenger(None) is second


def test_champion_and_challenger_are_counted_from_the_same_moment(loaded):
    """With another challenger both begin anew; another share, or none for a while, changes nothing of the champion's."""
    slot, (second, third) = Slot(), others(loaded)
    slot.swap(loaded)
    slot.hold_challenger(second, 0.1)
    first = slot.beside
    slot.hold_challenger(second, 0.2)
    assert (slot.beside.champion, slot.beside.challenger) == (first.champion, first.challenger)
    slot.hold_challenger(None)
    assert slot.champion is first.champion
    slot.hold_challenger(third, 0.1)
    assert slot.beside.champion.tally is not first.champion.tally
    again = slot.beside.champion
    slot.hold_challenger(second, 0.1)
    assert slot.beside.champion is not again
