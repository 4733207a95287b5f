"""pipeline/contract/channel.py"""

import json

import pytest

from pipeline.contract import channel as channels
from pipeline.contract.channel import Challenger, Channel, ChannelInvalid, Release

RELEASE = Release(3, "0123456789abcdef" * 4, "2015-06-01")
SECOND, THIRD = Release(4, "4" * 64, "2015-06-02"), Release(5, "5" * 64, "2015-06-03")
FULL = Channel("car_price", 5, RELEASE, Challenger(SECOND, 0.1), THIRD, (1, 2), "e" * 64)


@pytest.mark.parametrize("channel", [Channel("car_price"), Channel("car_price", 5, RELEASE), FULL])
def test_a_channel_survives_its_bytes(channel):
    """to_bytes and read are each other's inverse."""
    assert channels.read(channel.to_bytes()) == channel
    assert channels.from_dict(channel.to_dict()) == channel


def test_a_channel_of_format_1_is_read():
    """It knew the champion only; whatever else stands in it is passed over."""
    old = {"format": 1, "model": "car_price", "generation": 5, "champion": FULL.to_dict()["champion"], "shadow": 3}
    assert channels.read(json.dumps(old).encode()) == Channel("car_price", 5, RELEASE)


def test_the_roles_are_what_ought_to_be_loaded():
    """In one order, without the empty ones."""
    assert FULL.roles() == (("champion", RELEASE), ("challenger", SECOND), ("shadow", THIRD))
    assert Channel("car_price").roles() == ()


@pytest.mark.parametrize(
    "members",
    [
        {"challenger": Challenger(RELEASE, 0.1)},
        {"shadow": RELEASE},
        {"shadow": SECOND},
        {"quarantined": (3,)},
        {"quarantined": (1, 4)},
        {"quarantined": (5,)},
    ],
)
def test_a_version_has_one_role_and_none_in_quarantine(members):
    """Champion, challenger and shadow are three versions."""
    with pytest.raises(ValueError, match="version"):
        FULL.changed(**members)


@pytest.mark.parametrize("share", [0.0, -0.1, 0.51, 1.0, float("nan"), float("inf"), True, "0.1", 1, None])
def test_a_share_is_above_0_and_at_most_one_half(share):
    """Anything else cannot even be made."""
    with pytest.raises(ValueError, match="share"):
        Challenger(RELEASE, share)


def test_a_change_is_a_new_generation_without_an_entry():
    """The entry of the old generation does not speak for the new one."""
    after = FULL.changed(shadow=None)
    assert (after.generation, after.entry, after.shadow, after.challenger) == (6, None, None, FULL.challenger)


def test_who_becomes_champion_loses_the_other_role():
    """A promoted challenger is no challenger any more; the others stay."""
    promoted = FULL.with_champion(SECOND)
    assert (promoted.champion, promoted.challenger, promoted.shadow) == (SECOND, None, THIRD)
    assert FULL.with_champion(THIRD).roles() == (("champion", THIRD), ("challenger", SECOND))


def test_a_new_champion_is_a_new_generation():
    """Also the same champion again, and none; the old value is untouched."""
    channel = Channel("car_price")
    first = channel.with_champion(RELEASE)
    assert (channel.generation, first.generation, first.champion) == (0, 1, RELEASE)
    assert first.with_champion(RELEASE).generation == 2
    assert first.with_champion(None) == Channel("car_price", 2, None)


def document(**changes) -> bytes:
    return json.dumps({**json.loads(Channel("car_price", 5, RELEASE).to_bytes()), **changes}).encode()


def champion(**changes) -> bytes:
    return document(champion={"version": 3, "digest": RELEASE.digest, "data_day": "2015-06-01", **changes})


def other(**changes) -> dict[str, object]:
    return {"version": 4, "digest": "4" * 64, "data_day": "2015-06-02", **changes}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        document(format=3),
        document(format="2"),
        document(generation=-1),
        document(generation=True),
        document(challenger={}),
        document(challenger=7),
        document(challenger={"release": None, "share": 0.1}),
        document(challenger={"release": other(), "share": 0.6}),
        document(challenger={"release": other(), "share": "0.1"}),
        document(challenger={"release": other(), "share": True}),
        document(challenger={"release": other(version=3), "share": 0.1}),
        document(shadow=other(version=3)),
        document(shadow=other(digest="x")),
        document(quarantined=[3]),
        document(quarantined=[0]),
        document(quarantined=["4"]),
        document(quarantined=None),
        document(quarantined=4),
        document(entry="abc"),
        document(entry=5),
        document(generation="x"),
        document(generation=None),
        document(champion=3),
        document(champion={}),
        champion(version=0),
        champion(version=-1),
        champion(version="3"),
        champion(version=True),
        champion(version=1.5),
        champion(version="../../etc"),
        champion(digest="abc"),
        champion(digest=RELEASE.digest.upper()),
        champion(digest=RELEASE.digest + "\n"),
        champion(digest=None),
        document()[:-5],
    ],
)
def test_what_is_no_channel_is_refused(data):
    """Whatever stands in the document, there is one kind of error."""
    with pytest.raises(ChannelInvalid, match="cannot be read"):
        channels.read(data)


def test_unknown_members_are_passed_over():
    """A newer writer may add members without breaking older readers."""
    assert channels.read(document(elsewhere={"a": 1})).champion == RELEASE


def test_keys_are_where_both_sides_look():
    """These places are part of the interface."""
    assert channels.channel_key("car_price") == "channels/car_price.json"
    assert channels.release_prefix("car_price", 12) == "releases/car_price/12"
