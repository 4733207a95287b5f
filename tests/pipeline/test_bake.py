"""The bake: each limit's breach, that noise is none, and what replicas have counted, through their restarts."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bake import FEWEST, Breach, Limits, look, quantile, verdict, wilson_lower
from pipeline.errors import ChangeRefused
from pipeline.variant_counts import Counts, Held, Reading, parse, parse_workers

LIMITS = Limits(max_error_rate=0.05, max_latency_ratio=2.0, max_answer_drift=0.1, least_requests=200)
WIDTH = 1.1
DIGEST = "a" * 64


def counts(requests: int, errors: int = 0, slow: float = 1.0, scale: float = 1.0, seed: int = 0) -> Counts:
    """What a release has counted that takes about 2 ms and answers about 10,000, each times what is said."""
    random = np.random.default_rng([seed, requests])
    seconds = 0.002 * slow * random.lognormal(0, 0.4, requests)
    answers = 10_000 * scale * random.lognormal(0, 0.5, requests - errors)
    places = Counter(WIDTH ** math.ceil(math.log(each) / math.log(WIDTH)) for each in seconds)
    return Counts(requests, errors, places, len(answers), float(answers.sum()), float((answers**2).sum()))


def reading(challenger: Counts, champion: Counts | None = None) -> Reading:
    return Reading(champion or counts(4000, seed=99), challenger)


@pytest.mark.parametrize(
    ("challenger", "figure", "text"),
    [
        (counts(400, errors=80), "error rate", "it fails 20.0% of its requests (80 of 400), allowed is 0.05"),
        (counts(400, slow=10), "latency ratio", "times the champion's"),
        (counts(400, scale=1000), "answer drift", "allowed is 10.0% either way"),
        (counts(400, scale=0.5), "answer drift", "allowed is 10.0% either way"),
        (counts(400, scale=-1), "answer drift", ":"),
    ],
)
def test_each_limit_has_its_breach(challenger: Counts, figure: str, text: str) -> None:
    """Failing, slow and wrongly scaled challengers are found, each for its own reason."""
    breach = look(reading(challenger), LIMITS)
    assert isinstance(breach, Breach)
    assert breach.figure == figure
    assert text in breach.text
    assert breach.value > breach.limit


@pytest.mark.parametrize("name", ["max_error_rate", "max_latency_ratio", "max_answer_drift"])
def test_a_figure_without_a_limit_is_not_looked_at(name: str) -> None:
    """Only what is asked for is judged."""
    awful = counts(400, errors=200, slow=20, scale=50)
    only = Limits(**{name: getattr(LIMITS, name)})
    breach = look(reading(awful), only)
    assert breach is not None
    assert breach.limit == getattr(LIMITS, name)


def test_a_challenger_like_the_champion_is_good() -> None:
    """It stays within all limits, and the verdict says after how much."""
    found = verdict(reading(counts(1000)), LIMITS)
    assert found.end == "good"
    assert found.text == "within all limits after 1000 requests to the challenger and 4000 to the champion"


@settings(max_examples=60, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.05, 0.1, 0.5]))
def test_noise_is_no_breach(seed: int, share: float) -> None:
    """A challenger that is the champion once more is never taken back, at no look of a whole bake, however few came."""
    random = np.random.default_rng(seed)
    for total in (30, 60, 120, 250, 600, 2000, 6000):
        mine = max(1, round(total * share))
        errors = random.binomial(mine, 0.02)
        challenger = counts(mine, int(errors), seed=seed)
        champion = counts(total - mine, int(random.binomial(total - mine, 0.02)), seed=seed + 1)
        assert look(Reading(champion, challenger), LIMITS) is None


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    requests=st.integers(1, 5000),
    rate=st.floats(0, 1),
    slow=st.floats(0.1, 30),
    scale=st.floats(0.01, 50),
)
def test_what_is_within_its_limit_is_never_a_breach(requests: int, rate: float, slow: float, scale: float) -> None:
    """Noise only excuses: a breach is always a figure beyond its limit, whatever the counts."""
    challenger = counts(requests, int(rate * requests), slow, scale)
    breach = look(reading(challenger), LIMITS)
    assert breach is None or breach.value > breach.limit


@settings(max_examples=100, derandomize=True, deadline=None)
@given(requests=st.integers(1, 10_000), data=st.data())
def test_wilsons_lower_end(requests: int, data: st.DataObject) -> None:
    """Never above the share itself, never below zero, and higher the more failures there are."""
    errors = data.draw(st.integers(0, requests))
    found = wilson_lower(errors, requests)
    assert 0 <= found <= errors / requests + 1e-12
    assert errors == requests or wilson_lower(errors + 1, requests) > found


@given(places=st.dictionaries(st.floats(1e-5, 100), st.integers(1, 50), min_size=1), share=st.floats(0, 1))
def test_quantiles_are_those_of_the_rows(places: dict[float, int], share: float) -> None:
    """As many rows as asked for are at most as slow, and no shorter place has as many."""
    found = quantile(places, share)
    below = sum(many for seconds, many in places.items() if seconds <= found)
    total = sum(places.values())
    assert below >= share * total
    assert below - places[found] < max(share * total, 1)


def test_before_there_are_enough_only_what_is_gross_is_a_breach() -> None:
    """A challenger that always fails is taken back early; one that is a little worse has to be seen longer."""
    assert look(reading(counts(FEWEST + 10, errors=FEWEST + 10)), LIMITS) is not None
    assert look(reading(counts(60, scale=1000)), LIMITS) is not None
    assert look(reading(counts(100, errors=20)), LIMITS) is None
    assert look(reading(counts(FEWEST - 1, errors=FEWEST - 1)), LIMITS) is None


def test_too_few_requests_are_no_good_bake() -> None:
    """Nobody knows, and the verdict says so; few for the champion are few as well."""
    few = verdict(reading(counts(30)), LIMITS)
    assert few.end == "few"
    assert "30 requests to the challenger and 4000 to the champion, 200 of each are needed" in few.text
    assert verdict(Reading(counts(10), counts(400)), LIMITS).end == "few"
    assert verdict(Reading(), LIMITS).end == "few"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "a bake with no limits is refused"),
        ({"least_requests": 5}, "a bake with no limits is refused"),
        ({"max_error_rate": 1.5}, "max_error_rate must be between 0 and 1, not 1.5"),
        ({"max_error_rate": math.nan}, "max_error_rate"),
        ({"max_latency_ratio": 0.5}, "max_latency_ratio must be 1 or more"),
        ({"max_latency_ratio": math.inf}, "max_latency_ratio"),
        ({"max_answer_drift": -0.1}, "max_answer_drift must be 0 or more"),
        ({"max_answer_drift": 0.1, "least_requests": 0}, "least_requests must be 1 or more"),
    ],
)
def test_limits_that_are_none_are_refused(given: dict[str, Any], told: str) -> None:
    """With what to do."""
    with pytest.raises(ChangeRefused, match=told):
        Limits(**given)


def test_no_error_at_all_may_be_asked_for() -> None:
    """With the limit 0 a single failure is a breach."""
    strict = Limits(max_error_rate=0, least_requests=50)
    assert look(reading(counts(100)), strict) is None
    assert look(reading(counts(100, errors=1)), strict) is not None


def told(requests: int, digest: str = DIGEST, since: str = "2026-11-22T00:00:00") -> dict[str, Any]:
    """What a replica says of one of its variants."""
    return {
        "version": 2,
        "digest": digest,
        "since": since,
        "requests": requests,
        "refused": 1,
        "errors": 1,
        "seconds": {"count": requests, "sum": 0.1, "p50": 0.1, "p90": 0.1, "p99": 0.1, "buckets": [[0.1, requests]]},
        "answers": {"count": 3, "mean": 2.0, "variance": 1.0, "sum": 6.0, "squares": 14.0},
    }


def test_what_a_replica_says_is_read() -> None:
    """Both variants, with the time since when the challenger is counted."""
    found = parse({"champion": told(9, "c" * 64), "challenger": told(4), "shadow": None}, DIGEST)
    assert found == Reading(
        Counts(9, 1, {0.1: 9}, 3, 6.0, 14.0), Counts(4, 1, {0.1: 4}, 3, 6.0, 14.0), "2026-11-22T00:00:00"
    )


def test_another_challenger_is_none() -> None:
    """Also when there is none at all."""
    assert parse({"champion": told(9), "challenger": told(4, "b" * 64)}, DIGEST) is None
    assert parse({"champion": None, "challenger": None}, DIGEST) is None


@pytest.mark.parametrize("said", [{}, [], {"challenger": 5, "champion": 5}, {"challenger": {}, "champion": {}}])
def test_what_is_no_reading_is_an_error(said: Any) -> None:
    """One that the watcher can tell from a mistake of ours."""
    with pytest.raises(ValueError, match="not what a replica counts"):
        parse(said, DIGEST)


@pytest.mark.parametrize("said", [{}, [], 5, {"by_worker": 5}, {"by_worker": [5]}, {"by_worker": [{"worker": "7"}]}])
def test_what_no_workers_say_is_an_error(said: Any) -> None:
    """Also what a server of an older release says."""
    with pytest.raises(ValueError, match="not what a replica counts"):
        parse_workers(said, DIGEST)


def test_what_each_worker_says_is_read() -> None:
    """Of those only that have this challenger."""
    roles = {"champion": told(9, "c" * 64), "challenger": told(4)}
    others = [
        {"worker": "8-b", **roles, "challenger": told(4, "b" * 64)},
        {"worker": "9-c", **roles, "challenger": None},
    ]
    found = parse_workers({"by_worker": [{"worker": "7-a", **roles}, *others]}, DIGEST)
    assert found == {"7-a": parse(roles, DIGEST)}


def test_a_worker_that_dies_takes_nothing_along_and_counts_once() -> None:
    """Whoever replaces it comes on top; the others go on; a worker that has the challenger anew begins anew."""
    held = Held()
    looks = [
        {"7-a": ("1", 100), "8-b": ("2", 50), "9-c": ("1", 10)},
        {"7-a": ("1", 101), "8-b": ("2", 60), "9-c": ("1", 10)},
        {"8-b": ("2", 70), "7-d": ("3", 5)},  # 7-a, who began first, has died; the replica of 9-c is silent
        {"8-b": ("2", 71), "7-d": ("3", 7), "9-c": ("4", 1)},
    ]
    for said in looks:
        held.put({worker: _seen(since, requests) for worker, (since, requests) in said.items()})
    assert held.sum().challenger.requests == 101 + 71 + 7 + 10 + 1
    assert held.sum().champion.requests == 2 * 190
    assert held.sum().challenger.seconds == {0.1: 190}


def _seen(since: str, requests: int) -> Reading:
    return Reading(Counts(2 * requests), Counts(requests, seconds={0.1: requests}), since)
