"""serving/variants.py"""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.channel import MAX_SHARE
from serving.errors import RequestRefused
from serving.slot import Slot
from serving.variants import STICKY, VARIANT, fraction

SHARES = st.floats(0, MAX_SHARE)


def beside(loaded, share=0.5):
    slot = Slot()
    slot.swap(loaded)
    slot.hold_challenger(dataclasses.replace(loaded, version=2, digest="e" * 64), share)
    return slot.beside


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5])
def test_a_share_is_what_it_says(share):
    """Of 10,000 callers the challenger gets its share, within one in a hundred of all."""
    chosen = sum(fraction(b"caller %d" % i, "d" * 64) < share for i in range(10_000))
    assert abs(chosen / 10_000 - share) < 0.01


@given(st.binary(), SHARES, SHARES)
def test_a_larger_share_takes_nobody_back(key, one, other):
    """Who is with the challenger stays there while its share grows."""
    place = fraction(key, "d" * 64)
    assert 0 <= place < 1
    if place < min(one, other):
        assert place < max(one, other)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=20))
def test_the_same_client_gets_the_same_variant(loaded_once, keys):
    """Whatever the body, in whichever process; and the header goes before the name."""
    one, other = beside(loaded_once), beside(loaded_once)
    for key in keys:
        assert one.choose({STICKY: key}, "a", b"1").role == other.choose({STICKY: key}, "b", b"2").role


@pytest.fixture(scope="module")
def loaded_once():
    from serving.loader import load
    from tests.serving import tiny

    made = tiny.bundle(1)
    return load(tiny.MODEL, tiny.release_of(1, made), made.files)


def test_without_a_header_the_caller_decides_and_without_a_caller_the_body(loaded):
    """So each of them meets both variants, and each time the same one."""
    among = beside(loaded)
    for choose in (lambda i: among.choose({}, f"caller-{i}", b"x"), lambda i: among.choose({}, "", b"body %d" % i)):
        roles = [choose(i).role for i in range(100)]
        assert roles == [choose(i).role for i in range(100)]
        assert 25 < roles.count("challenger") < 75
    assert len({among.choose({}, "one", b"%d" % i).role for i in range(100)}) == 1
    assert len({among.choose({STICKY: b""}, "", b"%d" % i).role for i in range(100)}) == 2


def test_another_challenger_gets_others(loaded):
    """Nobody is the guinea pig each time."""
    keys = [b"%d" % i for i in range(1_000)]
    first, second = ({key for key in keys if fraction(key, digest) < 0.1} for digest in ("d" * 64, "e" * 64))
    assert len(first & second) < 30


def test_who_asks_for_a_variant_gets_it(loaded):
    """Whatever its share; one that is not there is refused by name."""
    among = beside(loaded, 1e-9)
    assert among.choose({VARIANT: b"challenger"}, "", b"").role == "challenger"
    assert beside(loaded, 0.5).choose({VARIANT: b"champion"}, "", b"").role == "champion"
    with pytest.raises(RequestRefused, match="must be champion") as caught:
        among.choose({VARIANT: b"shadow"}, "", b"")
    assert caught.value.code == "bad_request"
