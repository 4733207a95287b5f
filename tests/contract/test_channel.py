"""pipeline/contract/channel.py"""

import json

import pytest

from pipeline.contract import channel as channels
from pipeline.contract.channel import Channel, ChannelInvalid, Release

RELEASE = Release(3, "0123456789abcdef" * 4, "2015-06-01")


@pytest.mark.parametrize("champion", [None, RELEASE])
def test_a_channel_survives_its_bytes(champion):
    """to_bytes and read are each other's inverse."""
    channel = Channel("car_price", 5, champion)
    assert channels.read(channel.to_bytes()) == channel


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


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        document(format=2),
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
    assert channels.read(document(shadow=None)).champion == RELEASE


def test_keys_are_where_both_sides_look():
    """These places are part of the interface."""
    assert channels.channel_key("car_price") == "channels/car_price.json"
    assert channels.release_prefix("car_price", 12) == "releases/car_price/12"
