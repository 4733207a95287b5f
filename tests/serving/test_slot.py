"""serving/slot.py"""

import dataclasses
import gc
import weakref

import pytest

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


class Session:
    """Something that can be watched as it goes."""


def test_the_old_release_goes_with_its_last_user(loaded):
    """Nothing but the requests that took it keeps an old release in memory."""
    slot, session = Slot(), Session()
    watched = weakref.ref(session)
    slot.swap(dataclasses.replace(loaded, session=session))
    taken, session = slot.take(), None
    slot.swap(loaded)
    assert watched() is taken.session
    taken = None
    gc.collect()
    assert watched() is None
