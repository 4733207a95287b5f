"""serving/shadow.py"""

import dataclasses
import math
import threading

import numpy as np
import pytest
from starlette.testclient import TestClient

from pipeline.contract.schema import Column, Schema
from serving import shadow as shadows
from serving.app import create_app
from serving.batch import Batch
from serving.shadow import Shadow
from serving.tally import document
from tests.serving import tiny
from tests.serving.process import TOKEN, wait_for

ADMIN = {"authorization": f"Bearer {TOKEN}"}


def load(version, schema=tiny.SCHEMA):
    from serving.loader import load

    made = tiny.bundle(version, schema)
    return load(tiny.MODEL, tiny.release_of(version, made), made.files)


class Session:
    """Answers what it is told to, or does what it is told to."""

    def __init__(self, act):
        self.act = act

    def run(self, names, arrays):
        return self.act(len(next(iter(arrays.values()))), names)


def fails(count, names):
    raise RuntimeError


def is_nan(count, names):
    return [np.full((count, 1), math.nan) for _ in names]


def beside(loaded, act):
    """A shadow of release 1 whose session does ``act``."""
    return Shadow(loaded, dataclasses.replace(loaded, version=2, digest="e" * 64, session=Session(act)))


def answered(release, *rows):
    batch = Batch.of(release.schema.arrays(rows), len(rows))
    return batch, release.run(batch)


def test_the_shadow_answers_what_the_champion_was_asked(loaded):
    """Row by row, as each of them does."""
    shadow = Shadow(loaded, load(2))
    rows = [tiny.ROW, {"guide": 5_000}]
    shadow.put(*answered(loaded, *rows))
    shadow.answer_next()
    seen, sample, worst = shadow.pairs.kept()
    assert (seen, len(worst)) == (2, 2)
    assert [pair.champion for pair in sample] == [tiny.expected(1, row) for row in rows]
    assert [pair.shadow for pair in sample] == [tiny.expected(2, row) for row in rows]
    assert [pair.row for pair in sample] == [tiny.ROW, {"year": None, "miles": None, "make": None, "guide": 5_000}]


@pytest.mark.parametrize("act", [fails, is_nan])
def test_what_the_shadow_cannot_answer_is_counted_and_no_pair(loaded, act):
    """Once a request; the next request is tried all the same."""
    shadow = beside(loaded, act)
    for _ in range(2):
        shadow.put(*answered(loaded, tiny.ROW))
        shadow.answer_next()
    found = document(shadow.tally.figures())
    assert (found["requests"], found["errors"], shadow.pairs.kept()) == (2, 2, (0, [], []))


def test_a_row_without_a_price_takes_no_other_along(loaded):
    """Pairs are of rows that both can answer."""
    shadow = Shadow(loaded, load(2))
    shadow.put(*answered(loaded, tiny.NO_PRICE, tiny.ROW))
    shadow.answer_next()
    assert [pair.row["guide"] for pair in shadow.pairs.kept()[1]] == [tiny.ROW["guide"]]


def test_a_shadow_with_other_columns_gets_those_it_knows(loaded):
    """By name and kind; what requests do not have is not known."""
    columns = (Column("guide", "numeric", required=True), Column("year", "numeric"), Column("colour", "categorical"))
    fewer = load(2, Schema((*columns, Column("make", "numeric")), "USD"))
    shadow = Shadow(loaded, fewer)
    shadow.put(*answered(loaded, tiny.ROW))
    shadow.answer_next()
    assert shadow.tally.errors == 0
    assert shadow.pairs.kept()[1][0].shadow == tiny.expected(2, tiny.ROW)


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(loaded, monkeypatch):
    """By requests, and by rows; a single large one always fits."""
    monkeypatch.setattr(shadows, "MAX_REQUESTS", 2)
    monkeypatch.setattr(shadows, "MAX_ROWS", 3)
    shadow = beside(loaded, is_nan)
    shadow.put(*answered(loaded, *[tiny.ROW] * 4))
    shadow.put(*answered(loaded, tiny.ROW))
    shadow.answer_next()
    for _ in range(3):
        shadow.put(*answered(loaded, tiny.ROW))
    assert shadow.tally.figures().dropped == 2


@pytest.fixture
def hangs():
    """What never answers, until the test ends."""
    end = threading.Event()
    yield lambda count, names: end.wait(30) and is_nan(count, names)
    end.set()


@pytest.mark.parametrize("what", ["fails", "is_nan", "hangs"])
def test_the_champions_answers_are_the_same_beside_any_shadow(root, settings, request, what, hangs):
    """Byte for byte, headers and body, whatever the shadow does."""
    first, second = tiny.go(root, 1), tiny.publish(root, 2)
    bodies = [{"rows": [{**tiny.ROW, "year": 2000 + i}] * (1 + 40 * (i % 3))} for i in range(30)]
    bodies += [{"rows": []}, {"rows": [tiny.NO_PRICE]}, {"rows": [tiny.NO_PRICE, tiny.ROW], "partial": True}]

    def ask(client):
        found = [client.post("/v1/predict", json=body, headers={"x-request-id": "1"}) for body in bodies]
        return [(each.status_code, dict(each.headers), each.content) for each in found]

    with TestClient(create_app(settings)) as client:
        slot = client.app.state.service.slot
        wait_for(lambda: slot.live)
        alone = ask(client)
        tiny.beside(root, 2, first, shadow=second)
        wait_for(lambda: slot.beside)
        act = {"fails": fails, "is_nan": is_nan, "hangs": hangs}[what]
        client.app.state.service.reconciler.stop()
        slot.hold_shadow(dataclasses.replace(slot.shadow, session=Session(act)))
        assert ask(client) == alone
        figures = slot.beside.shadow.tally.figures
        wait_for(lambda: what == "hangs" or figures().errors > 10)


def test_the_pairs_are_handed_out_to_an_admin(root, settings):
    """With counts; nobody else may see what clients ask."""
    first, second = tiny.go(root, 1), tiny.publish(root, 2)
    with TestClient(create_app(settings)) as client:
        assert client.get("/v1/pairs").status_code == 401
        assert client.get("/v1/pairs", headers=ADMIN).json()["shadow"] is None
        tiny.beside(root, 2, first, shadow=second)
        wait_for(lambda: client.get("/v1/model").json()["shadow"] == second.digest)
        for i in range(5):
            client.post("/v1/predict", json={"rows": [{"guide": 100 + i}] * 2})
        found = wait_for(lambda: (f := client.get("/v1/pairs", headers=ADMIN).json())["rows"] == 10 and f)
    assert (found["champion"], found["shadow"]["version"]) == ({"digest": first.digest}, 2)
    assert (found["requests"], found["errors"], found["dropped"], found["workers"]) == (5, 0, 0, 1)
    assert sorted(pair["row"]["guide"] for pair in found["sample"]) == [100 + i // 2 for i in range(10)]
    assert {pair["weight"] for pair in found["sample"]} == {1}
    for pair in (*found["sample"], *found["worst"]):
        assert pair["champion"] == tiny.expected(1, pair["row"])
        assert pair["shadow"] == tiny.expected(2, pair["row"])


def test_with_another_champion_the_pairs_begin_anew(loaded):
    """A pair is of two releases."""
    from serving.slot import Slot

    slot, third = Slot(), load(3)
    slot.swap(loaded)
    slot.hold_shadow(third)
    before = slot.beside.shadow
    slot.swap(load(2))
    assert slot.beside.shadow is not before
    assert slot.beside.shadow.release is third
    slot.hold_shadow(None)
    assert slot.beside is None
    wait_for(lambda: not [each for each in threading.enumerate() if each.name == "shadow"])
