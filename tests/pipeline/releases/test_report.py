"""python -m pipeline.releases report and collect: on a real store, with replicas that tell what we know to be so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cleaning import clean
from pipeline.contract.channel import Challenger
from pipeline.partitions import keep
from pipeline.releases import read_channel
from pipeline.releases.__main__ import main
from pipeline.releases.publish import publish
from pipeline.releases.report_collect import MOST_SAMPLE, collect, replica_name
from pipeline.replica_readings import ask
from pipeline.sources.simulated import simulate
from pipeline.store import Store, open_store
from tests.pipeline.auction_rows import TUESDAY, WEDNESDAY, sales
from tests.pipeline.releases.told import Replica, pairs, variant
from tests.pipeline.releases.world import BUNDLES, MODEL, RELEASES
from tests.pipeline.tiny_model import DATASET, answer, json_rows, make_bundle

Tell = Callable[..., list[Replica]]
ONE, TWO, THREE = ((RELEASES[number], BUNDLES[number]) for number in (1, 2, 3))


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Versions 1 to 3 are published, 1 is champion, and no replica is named."""
    store = open_store(f"file:{tmp_path}/store")
    for number in (1, 2, 3):
        publish(store, MODEL, number, BUNDLES[number])
    put(store, champion=RELEASES[1])
    monkeypatch.setenv("GAVEL_STORE", store.uri)
    monkeypatch.setenv("GAVEL_PUSH_TOKEN", "secret")
    monkeypatch.setenv("GAVEL_SERVING_URLS", "[]")
    return store


def put(store: Store, **roles: Any) -> None:
    seen = read_channel(store, MODEL)
    store.replace(f"channels/{MODEL}.json", replace(seen.channel, **roles).to_bytes(), seen.etag)


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tell]:
    """Replicas that answer with these documents, and the settings name them."""
    made: list[Replica] = []

    def start(*documents: tuple[Any, Any]) -> list[Replica]:
        made.extend(Replica(*each) for each in documents)
        monkeypatch.setenv("GAVEL_SERVING_URLS", json.dumps([each.url for each in made]))
        return made

    yield start
    for each in made:
        each.close()


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def call(*arguments: str) -> Any:
        assert main([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def part(document: Any, name: str) -> Any:
    return next(each for each in document["parts"] if each["name"] == name)


def figure(document: Any, name: str, of: str, among: str = "figures") -> Any:
    return next(each for each in part(document, name)[among] if each["name"] == of)


def beside(role: str, other: dict[str, Any], champion: dict[str, Any]) -> dict[str, Any]:
    return {"model": MODEL, "workers": 1, "champion": champion, "challenger": None, "shadow": None, role: other}


def in_traffic(count: int = 400, errors: int = 40, slow: float = 3.0) -> dict[str, Any]:
    """Version 2 as challenger of version 1: it fails, is slower, and answers a fifth higher."""
    random = np.random.default_rng(count)
    champion = variant(RELEASES[1], random.normal(10_000, 500, 4 * count), errors=4)
    return beside("challenger", variant(RELEASES[2], random.normal(12_000, 500, count), errors, slow), champion)


def test_traffic_is_summed_over_the_replicas(at: Store, tell: Tell, told: Callable[..., Any]) -> None:
    """Errors, latency and mean answer of champion and challenger, each with its interval and how many there were."""
    put(at, challenger=Challenger(RELEASES[2], 0.2))
    tell((in_traffic(400), None), (in_traffic(300), None))
    document = told("report")
    assert (document["a"]["version"], document["b"]["version"]) == (1, 2)
    errors = figure(document, "traffic", "error rate")
    assert errors["rows"] == [1604 + 1204, 440 + 340]
    assert errors["b"] == pytest.approx(80 / 780)
    assert 0.07 < errors["apart"]["low"] < errors["b"] - errors["a"] < errors["apart"]["high"] < 0.13
    slow = figure(document, "traffic", "latency p95, s")
    assert slow["apart"]["low"] < 3 < slow["apart"]["high"]
    mean = figure(document, "traffic", "mean answer")
    assert mean["apart"]["low"] < 2000 < mean["apart"]["high"] < 2100
    assert "there are no sales newer than 2015-06-02" in document["conclusion"]
    swapped = told("report", "2", "1")
    assert figure(swapped, "traffic", "error rate")["apart"]["value"] == pytest.approx(-errors["apart"]["value"])


def shadowed(rows: int = 200, seed: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """Version 3 as shadow of version 1: 2 % higher, with a noise of 2 %."""
    answers = np.full(rows, 9_000.0)
    return beside("shadow", variant(RELEASES[3], answers), variant(RELEASES[1], answers)), pairs(ONE, THREE, rows, seed)


def test_pairs_tell_how_far_apart_and_where(at: Store, tell: Tell, told: Callable[..., Any]) -> None:
    """Mean, median, the share far apart, quantiles, the worst rows with their columns, and slices; when turned as well."""
    put(at, shadow=RELEASES[3])
    tell(shadowed(), shadowed(seed=2))
    document = told("report")
    mean = figure(document, "pairs", "mean")
    assert mean["rows"] == [400, 400]
    assert mean["apart"]["low"] < 0.0197 < mean["apart"]["high"] < 0.025
    assert figure(document, "pairs", "median")["apart"]["low"] > 0.01
    far = figure(document, "pairs", "further apart than 5%")["apart"]
    assert 0 < far["low"] < far["value"] < far["high"] < 0.2
    found = part(document, "pairs")
    assert list(found["quantiles"].values()) == sorted(found["quantiles"].values())
    assert {"make ford", "make not known", "cheapest quarter", "dearest quarter"} <= {
        s["name"] for s in found["slices"]
    }
    worst = found["worst"]
    assert len(worst) == 10
    assert set(worst[0]["row"]) == {"year", "make", "odometer", "mmr"}
    assert abs(worst[0]["b"] - worst[0]["a"]) >= abs(worst[-1]["b"] - worst[-1]["a"])
    assert "a fair sample of 400 of 800 rows" in found["notes"]
    assert "a shadow's latency" in part(document, "traffic")["notes"][0]
    assert "would tell a difference of" in document["conclusion"]
    turned = figure(told("report", "3", "1"), "pairs", "mean")
    assert turned["apart"]["value"] == pytest.approx(-mean["apart"]["value"])
    assert turned["a"] == mean["b"]


def test_pairs_outlive_the_shadow(at: Store, tell: Tell, told: Callable[..., Any]) -> None:
    """Collected once, they are reported after the shadow has gone; a replica that starts again takes nothing away."""
    replica = tell(shadowed())[0]
    document = told("collect")
    assert document["message"] == "the pairs of 1 replica are kept"
    key = f"pairs/{MODEL}/1-3/{replica_name(replica.url)}.json"
    assert document["kept"] == [key]
    kept = at.read(key).data
    replica.documents["/v1/pairs"] = pairs(ONE, THREE, rows=40)
    assert told("collect")["kept"] == [key]
    assert at.read(key).data == kept
    replica.documents["/v1/pairs"] = pairs(ONE, THREE, rows=250)
    told("collect")
    replica.close()
    assert figure(told("report", "1", "3"), "pairs", "mean")["rows"] == [250, 250]


def test_pairs_of_a_replica_are_bounded(at: Store, tell: Tell, told: Callable[..., Any]) -> None:
    """However many workers it has; those that are kept stand for the others."""
    variants, document = shadowed()
    document["sample"] *= 25
    tell((variants, document))
    (key,) = told("collect")["kept"]
    kept = json.loads(at.read(key).data)
    assert len(kept["sample"]) == MOST_SAMPLE
    assert sum(each["weight"] for each in kept["sample"]) == pytest.approx(25 * 400)


def sold(store: Store) -> int:
    """Two days that nobody has learned from and two that version 2 or 3 may have; how many rows of the first."""
    count = 0
    for day in (TUESDAY, WEDNESDAY):
        keep(store, DATASET, day, sales(day, 600))
        count += len(clean(DATASET, sales(day, 600).assign(day=day.isoformat()))[0])
    for day in (date(2015, 6, 2), date(2015, 6, 3)):
        keep(store, DATASET, day, simulate(day, 1).head(50))
    return count


def test_sold_prices_tell_who_is_right(at: Store, told: Callable[..., Any]) -> None:
    """Errors on the same rows, of days newer than both releases only; the sentence names the better and by how much."""
    publish(at, MODEL, 4, make_bundle(0.5, "2015-06-02"))
    count = sold(at)
    document = told("report", "3", "4")
    error = figure(document, "sold prices", "mean absolute error")
    assert error["rows"] == [count, count]
    rows = clean(DATASET, sales(TUESDAY, 600).assign(day="2026-03-03"))[0]
    other = clean(DATASET, sales(WEDNESDAY, 600).assign(day="2026-03-04"))[0]
    expected = []
    for bundle in (BUNDLES[3], make_bundle(0.5, "2015-06-02")):
        errors = [
            np.abs(
                answer(bundle.model, json_rows(each[["year", "make", "odometer", "mmr"]]))[:, 0] - each["sellingprice"]
            )
            for each in (rows, other)
        ]
        expected.append(np.concatenate(errors).mean())
    assert [error["a"], error["b"]] == pytest.approx(expected)
    assert error["apart"]["low"] < expected[1] - expected[0] < error["apart"]["high"]
    assert document["conclusion"].startswith("Version 3 is better: its mean error on")
    assert "below version 4's (95 %: +" in document["conclusion"]
    assert part(document, "sold prices")["notes"] == ["of 2026-03-03 to 2026-03-04, days with sales: 2"]
    assert {"make ford"} <= {each["name"] for each in part(document, "sold prices")["slices"]}
    swapped = figure(told("report", "4", "3"), "sold prices", "mean absolute error")
    assert swapped["apart"]["value"] == pytest.approx(-error["apart"]["value"])
    assert swapped["apart"]["low"] == pytest.approx(-error["apart"]["high"])


def test_it_cannot_be_told_yet(at: Store, told: Callable[..., Any]) -> None:
    """About how many more rows it would take is said; of the same model twice that no number would do."""
    keep(at, DATASET, TUESDAY, sales(TUESDAY, 60))
    publish(at, MODEL, 7, make_bundle(0.985, "2015-06-07"))
    publish(at, MODEL, 8, make_bundle(1.01, "2015-06-08"))
    document = told("report", "1", "8")
    assert document["conclusion"].startswith("Versions 1 and 8 are equally good on all 60 sales")
    assert set(figure(document, "sold prices", "mean absolute error")["apart"].values()) == {0}
    close = told("report", "1", "7")
    apart = figure(close, "sold prices", "mean absolute error")["apart"]
    assert apart["low"] < 0 < apart["high"]
    assert close["conclusion"].startswith(
        "It cannot be told yet which is better: on 60 sales their mean errors differ by"
    )
    assert "more would be needed if the difference is of that size" in close["conclusion"]


def test_as_a_table(at: Store, tell: Tell, capsys: pytest.CaptureFixture[str]) -> None:
    """Every part with its figures; what people wrote in a row is no markup."""
    put(at, shadow=RELEASES[3])
    variants, document = shadowed()
    document["worst"][0]["row"]["make"] = "[bold]Ford"
    document["worst"] = document["worst"][:1]
    tell((variants, document))
    keep(at, DATASET, TUESDAY, sales(TUESDAY, 60))
    assert main(["report"]) == 0
    out = capsys.readouterr().out
    for text in ("A is version 1 (2015-06-01), B is version 3", "error rate", "further apart than 5%", "[bold]Ford"):
        assert text in out
    assert "mean absolute error" in out
    assert "quantiles of the relative differences: 1 %: " in out


def test_without_anything_each_part_says_so(at: Store, told: Callable[..., Any]) -> None:
    """No replica, no pairs, no sales: three sentences, no failure."""
    document = told("report", "1", "2")
    assert [each["absent"][:31] for each in document["parts"]] == [
        "no replica has counted requests",
        "there are no pairs: neither of ",
        "there are no sales newer than 2",
    ]
    assert document["conclusion"].startswith("Which is better cannot be told: there are no sales newer than 2015-06-02")
    assert "list them in GAVEL_SERVING_URLS" in document["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("report",), 1, "GiveUp: car_price has no challenger and no shadow beside a champion; name two versions"),
        (("report", "1", "9"), 1, "ModelRefused: there is no whole release 9"),
        (("report", "2", "2"), 1, "GiveUp: version 2 does not differ from itself"),
        (("report", "2"), 2, "report takes two versions, A and B, or none"),
        (("report", "two", "3"), 2, "'two' is not a version"),
        (("report", "1", "2", "3"), 2, "unrecognized arguments: 3"),
        (("collect",), 1, "DeployFailed: there is no replica to ask; list them in GAVEL_SERVING_URLS"),
        (("collect", "1"), 2, "unrecognized arguments: 1"),
    ],
)
def test_what_cannot_be_answered(
    at: Store, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    """The right exit code, and what to do."""
    try:
        found = main(list(arguments))
    except SystemExit as end:
        found = int(end.code or 0)
    err = capsys.readouterr().err
    assert (found, message in err) == (code, True), err


def spoilt(**changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    variants, document = shadowed()
    return variants, {**document, **changed}


NAN = {"row": {}, "champion": {"price": 1.0}, "shadow": {"price": float("nan")}, "weight": 1, "at": ""}


@pytest.mark.parametrize(
    ("documents", "status", "message"),
    [
        ((b"<html>", b"<html>"), 200, "does not answer in JSON; is it a serving process?"),
        (([], []), 200, "does not answer what a serving process does"),
        (({}, {}), 200, "these are not pairs"),
        (({}, {}), 503, "answers HTTP 503"),
        (({}, {}), 401, "does not take the push token (GAVEL_PUSH_TOKEN, SERVING_PUSH_TOKEN)"),
        (spoilt(sample=[NAN]), 200, "a figure of a pair is not finite"),
        (spoilt(sample=5), 200, "these are not pairs"),
        (spoilt(champion={"digest": "f" * 64}), 200, "it changed its releases while it was asked"),
    ],
)
def test_a_replica_that_talks_nonsense_is_told_of(
    at: Store, tell: Tell, told: Callable[..., Any], documents: tuple[Any, Any], status: int, message: str
) -> None:
    """Its pairs are left out, those of the others are kept, and the report is made."""
    tell(documents, shadowed(seed=3))[0].status = status
    document = told("report", "1", "3")
    assert any(message in note for note in document["notes"]), document["notes"]
    assert figure(document, "pairs", "mean")["rows"] == [200, 200]
    assert len(list(at.keys("pairs/"))) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"requests": -1},
        {"requests": float("inf")},
        {"errors": 10**6},
        {"seconds": {"buckets": [[0, 5]]}},
        {"seconds": {"buckets": [[1]]}},
        {"answers": {"count": 3, "sum": float("nan"), "squares": 1}},
        {"answers": None},
    ],
)
def test_counts_that_nobody_can_have_counted_are_left_out(
    at: Store, tell: Tell, told: Callable[..., Any], changed: dict[str, Any]
) -> None:
    """It is told which replica has said so; what the others have counted is reported."""
    odd = in_traffic(300)
    odd["challenger"] |= changed
    url = tell((odd, None), (in_traffic(400), None))[0].url
    document = told("report", "1", "2")
    assert figure(document, "traffic", "error rate")["rows"] == [1604, 440]
    (note,) = part(document, "traffic")["notes"]
    assert note.startswith(f"{url}: this is not what a replica counts")


def test_who_comes_second_looks_again(at: Store, tell: Tell, told: Callable[..., Any]) -> None:
    """Two collections at once: the reading of the most rows stands, whoever comes last."""
    replica = tell(shadowed(rows=100))[0]
    read, key = at.read, f"pairs/{MODEL}/1-3/{replica_name(replica.url)}.json"
    other = json.dumps(pairs(ONE, THREE, rows=150)).encode()

    def overtaken(wanted: str) -> Any:
        at.read = read  # type: ignore[method-assign]
        try:
            return read(wanted)
        finally:
            at.replace(key, other, None)

    at.read = overtaken  # type: ignore[method-assign]
    asked = ask((replica.url,), "secret")
    assert collect(at, MODEL, asked).kept == (key,)
    assert at.read(key).data == other


def test_stored_pairs_that_are_spoilt_are_told_of(at: Store, tell: Tell, told: Callable[..., Any]) -> None:
    """Those of other releases of the same numbers too; the others count."""
    tell(shadowed())
    told("collect")
    at.create(f"pairs/{MODEL}/1-3/a.json", b"{")
    at.create(f"pairs/{MODEL}/1-3/b.json", json.dumps(pairs(TWO, THREE)).encode())
    document = told("report", "1", "3")
    assert figure(document, "pairs", "mean")["rows"] == [200, 200]
    assert ["left out" in note for note in document["notes"]] == [True, True]
    assert "of other releases of the same numbers" in document["notes"][1]


def test_the_name_of_a_replica() -> None:
    """Plain, without who is to ask, and another for each address."""
    found = replica_name("http://anna:secret@10.0.0.3:8000/one")
    assert found.startswith("10-0-0-3-8000-one-")
    names = {replica_name(url) for url in ("http://a-b:1", "http://a:1/b", "http://[::1]:1", "http://a.b:1")}
    assert len(names) == 4
