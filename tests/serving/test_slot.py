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
