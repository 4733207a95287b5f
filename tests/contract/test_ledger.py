"""pipeline/contract/ledger.py and chain.py"""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import chain, ledger
from pipeline.contract.channel import Challenger, Channel, Release
from pipeline.contract.ledger import Actor, Entry, EntryInvalid

MODEL = "car_price"
EMPTY = Channel(MODEL)
WHO = Actor("dag", "car_price_daily/scheduled", "http://airflow/run")
RELEASES = [Release(number, f"{number:064x}", f"2015-06-{number:02d}") for number in range(1, 10)]


def written(count: int, begin: Channel = EMPTY) -> tuple[dict[str, bytes], Channel]:
    """A ledger of so many deploys, an hour apart, and the channel that follows from it."""
    objects, channel = {}, begin
    for number in range(count):
        before, after = replace(channel, entry=None), channel.with_champion(RELEASES[number])
        entry = Entry(f"2026-11-22T{number:02d}:00:00+00:00", WHO, "deploy", "new", before, after, None, channel.entry)
        data = entry.to_bytes()
        objects[ledger.entry_key(MODEL, entry.generation)] = data
        channel = ledger.read(data).channel
    return objects, channel


def test_an_entry_survives_its_bytes():
    """With all that a channel can hold."""
    full = Channel(MODEL, 5, RELEASES[0], Challenger(RELEASES[1], 0.2), RELEASES[2], (7,))
    after = full.with_champion(RELEASES[1])
    entry = Entry("2026-11-22T10:00:00.000001+00:00", WHO, "promote", "better", full, after, "c" * 64, "d" * 64)
    assert ledger.read(entry.to_bytes()).entry == entry
    assert ledger.read(entry.to_bytes()).channel == replace(after, entry=ledger.read(entry.to_bytes()).digest)


def test_a_who_has_a_kind_and_a_name():
    """So that there is somebody to ask."""
    for kind, name in (("somebody", "anna"), ("person", ""), ("person", "  ")):
        with pytest.raises(ValueError, match="who must be one of"):
            Actor(kind, name)
    assert str(Actor("person", "anna")) == "anna (person)"


def changed(**members) -> bytes:
    return json.dumps({**json.loads(next(iter(written(1)[0].values()))), **members}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"{}", b"[]", b"\xff", b"[" * 100_000, changed(format=2), changed(action="delete"),
        changed(at="yesterday"), changed(at="2026-11-22T10:00:00"), changed(at=5), changed(generation=2),
        changed(who={"kind": "dag"}), changed(who=None), changed(who={"kind": "cat", "name": "x", "url": ""}),
        changed(before={}), changed(after=None), changed(before=Channel("house", 0).to_dict()),
        changed(after=Channel(MODEL, 3).to_dict()),
    ],
)  # fmt: skip
def test_what_is_no_entry_is_refused(data):
    """There is one kind of error."""
    with pytest.raises(EntryInvalid, match="cannot be read"):
        ledger.read(data)


@given(st.integers(0, 6))
def test_a_whole_ledger_has_no_problems(count):
    """Also the empty one."""
    assert chain.problems(MODEL, *written(count)) == []


def test_a_ledger_may_begin_at_a_channel_that_was_there_before_it():
    """The channel of a store from before there was a ledger."""
    assert chain.problems(MODEL, *written(2, Channel(MODEL, 41, RELEASES[8]))) == []
    assert chain.problems(MODEL, {}, Channel(MODEL, 41, RELEASES[8])) == []


def key(generation: int) -> str:
    return ledger.entry_key(MODEL, generation)


def removed(generation):
    return lambda objects: objects.pop(key(generation))


def swapped(one, other):
    def action(objects):
        objects[key(one)], objects[key(other)] = objects[key(other)], objects[key(one)]

    return action


def rewritten(generation, old: bytes, new: bytes):
    def action(objects):
        assert old in objects[key(generation)]
        objects[key(generation)] = objects[key(generation)].replace(old, new)

    return action


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (removed(1), "0000000002.json: the entries before it are missing"),
        (removed(3), "0000000004.json: it does not follow"),
        (removed(5), "the channel is at generation 5, the ledger ends with 4: entries are missing"),
        (lambda objects: objects.clear(), "there is no ledger"),
        (swapped(2, 3), "0000000002.json: it holds generation 3 of car_price: it was put elsewhere"),
        (rewritten(2, b'"new"', b'"old"'), "0000000003.json: it does not follow"),
        (rewritten(2, b" ", b"  "), "0000000003.json: it does not follow"),
        (rewritten(5, b'"new"', b'"old"'), "the channel is not what the entry of generation 5 says"),
        (rewritten(3, b"deploy", b"delete"), "0000000003.json: the ledger entry cannot be read"),
        (rewritten(5, b'"deploy"', b'"rollback"'), "the channel is not what the entry of generation 5 says"),
        (lambda objects: objects.update({key(3): b""}), "0000000003.json: the ledger entry cannot be read"),
        (lambda objects: objects.update({key(7): objects[key(2)]}), "0000000007.json: it holds generation 2"),
        (lambda objects: objects.update({f"ledger/{MODEL}/note": b"x"}), "note: the ledger entry cannot be read"),
        (rewritten(4, b"T03:", b"T01:"), "0000000004.json: it is older than the entry before it"),
    ],
)  # fmt: skip
def test_tampering_is_found(tamper, problem):
    """Removed at either end or within, put elsewhere, written over, and objects that do not belong there."""
    objects, channel = written(5)
    tamper(objects)
    assert any(problem in each for each in chain.problems(MODEL, objects, channel))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"champion": RELEASES[0]}, "not what the entry of generation 5 says"),
        ({"entry": "f" * 64}, "not what the entry of generation 5 says"),
        ({"generation": 6}, "entries are missing"),
        ({"generation": 2}, "not what the entry of generation 5 says"),
        ({"quarantined": (9,)}, "not what the entry of generation 5 says"),
    ],
)
def test_a_channel_that_was_changed_past_the_ledger_is_found(changes, problem):
    """Every member of it is what the last entry says."""
    objects, channel = written(5)
    assert problem in "; ".join(chain.problems(MODEL, objects, replace(channel, **changes)))
    assert chain.problems(MODEL, objects, None) == ["the channel cannot be read"]


def test_an_entry_that_begins_with_something_else_is_found():
    """It names the right entry before it, and another channel than that one made."""
    objects, channel = written(3)
    before = Channel(MODEL, 3, RELEASES[7])
    entry = Entry(
        "2026-11-22T09:00:00+00:00",
        WHO,
        "deploy",
        "new",
        before,
        before.with_champion(RELEASES[8]),
        None,
        channel.entry,
    )
    objects[key(4)] = entry.to_bytes()
    found = chain.problems(MODEL, objects, ledger.read(objects[key(4)]).channel)
    assert found == [f"{key(4)}: it begins with another channel than generation 3 ended with"]


def test_a_channel_one_behind_is_no_tampering():
    """The writer was interrupted between entry and channel; what is said then says who will carry it out."""
    objects, _ = written(5)
    assert "the next change carries it out" in chain.problems(MODEL, objects, written(4)[1])[0]


@given(st.data())
def test_any_changed_byte_is_found(data):
    """In any entry, to any other value."""
    objects, channel = written(3)
    name = data.draw(st.sampled_from(sorted(objects)))
    place = data.draw(st.integers(0, len(objects[name]) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte != objects[name][place]))
    objects[name] = objects[name][:place] + bytes([value]) + objects[name][place + 1 :]
    assert chain.problems(MODEL, objects, channel)


def test_keys_sort_as_generations_do():
    """A listing of a store is the order of the changes."""
    assert ledger.entry_key(MODEL, 12) == "ledger/car_price/0000000012.json"
    assert sorted(map(key, range(1, 200))) == list(map(key, range(1, 200)))
