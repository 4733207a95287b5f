"""serving/throttle.py"""

import math
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import throttle
from serving.errors import SettingsInvalid
from serving.throttle import Rate, Throttle, open_throttle, who


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(throttle.time, "monotonic", made)
    monkeypatch.setattr(Throttle.__init__, "__defaults__", (made,))
    return made


def admitted(limiter, times, name="a"):
    return sum(limiter.check(name) is None for _ in range(times))


def test_as_many_as_allowed_go_through_and_no_more(clock):
    """The rest is told how long to wait, and after that wait one goes through."""
    limiter = open_throttle("10/second")
    assert admitted(limiter, 25) == 10
    wait = limiter.check("a")
    assert wait == pytest.approx(0.1)
    clock.now += wait
    assert admitted(limiter, 5) == 1


def test_a_refusal_does_not_count(clock):
    """Whoever keeps trying is not punished for it."""
    limiter = open_throttle("10/second")
    admitted(limiter, 1_000)
    clock.now += 1.0
    assert admitted(limiter, 1_000) == 10


def test_one_who_asks_too_often_does_not_slow_another(clock):
    """Each name is counted by itself."""
    limiter = open_throttle("2/minute")
    assert (admitted(limiter, 5, "a"), admitted(limiter, 5, "b")) == (2, 2)


def test_of_several_limits_each_holds(clock):
    """10 a second and 15 an hour: the second burst is cut by the hour, and the wait is the longer one."""
    limiter = open_throttle("10/second;15/hour")
    assert admitted(limiter, 20) == 10
    clock.now += 1.0
    assert admitted(limiter, 20) == 5
    assert limiter.check("a") == pytest.approx(239, abs=1)


@given(
    amount=st.integers(1, 50),
    seconds=st.sampled_from([1, 60, 3_600]),
    pauses=st.lists(st.floats(0, 2), max_size=60),
)
def test_over_any_time_no_more_than_the_rate_and_one_burst(amount, seconds, pauses):
    """In t seconds at most amount + t * amount / seconds; whoever keeps to the rate is never refused."""
    now = [0.0]
    limiter = Throttle([Rate(seconds / amount, seconds - seconds / amount)], lambda: now[0])
    passed = 0
    for pause in pauses:
        now[0] += pause * seconds / amount
        passed += admitted(limiter, 3)
        assert passed <= amount + now[0] * amount / seconds + 1e-3
    for _ in range(5):
        now[0] += seconds / amount * (1 + 1e-9)
        assert limiter.check("a") is None


def test_each_worker_has_its_share(clock):
    """Four workers together keep to the limit of the replica; a share below one is still one, more rarely."""
    assert admitted(open_throttle("100/second", workers=4), 200) == 25
    limiter = open_throttle("1/second", workers=4)
    assert admitted(limiter, 5) == 1
    assert limiter.check("a") == pytest.approx(4)


@pytest.mark.parametrize("text", ["", " "])
def test_without_a_limit_all_go_through(text):
    """And nothing is remembered."""
    limiter = open_throttle(text)
    assert admitted(limiter, 1_000) == 1_000
    assert not limiter._next_due


@pytest.mark.parametrize("text", ["100", "0/second", "fast", "-1/second", "10/second;", "1e9/second"])
def test_a_limit_that_cannot_be_read_is_refused_with_an_example(text):
    """One sentence that shows how to write it."""
    with pytest.raises(SettingsInvalid, match=r"SERVING_RATE_LIMIT .*100/second"):
        open_throttle(text)


@pytest.mark.parametrize("text", ["100/second", "100 per minute", "5/10seconds", "10/second,1000/hour", "1/day"])
def test_the_notation_is_that_of_limits(text):
    """As its documentation has it."""
    assert open_throttle(text).check("a") is None


def test_a_million_addresses_need_bounded_memory():
    """Who was longest away is forgotten; who keeps coming is not."""
    limiter = Throttle([Rate(3_600.0, 0.0)])
    tracemalloc.start()
    for number in range(throttle.MAX_TRACKED):
        limiter.check(f"10.0.{number >> 8}.{number & 255}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20e6
    assert limiter.check("regular") is None
    for number in range(1_000_000):
        assert limiter.check(f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}") is None
        assert number % 10_000 or limiter.check("regular") > 3_000
    assert len(limiter._next_due) == throttle.MAX_TRACKED


def test_a_check_costs_a_few_microseconds():
    """It is on the way of every request."""
    limiter = open_throttle("1000000/second;100000000/hour")
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(2_000):
            limiter.check("key alice")
        best = min(best, (time.perf_counter() - began) / 2_000)
    assert best < 20e-6


@pytest.mark.parametrize(
    ("name", "address", "counted"),
    [
        ("alice", "10.0.0.1", "key alice"),
        ("", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "key 10.0.0.1"),
        ("", "2001:db8::1", "2001:db8::/64"),
        ("", "2001:db8::ffff:1", "2001:db8::/64"),
        ("", "fe80::1%eth0", "fe80::/64"),
        ("", "::no", "::no"),
        ("", None, ""),
    ],
)
def test_who_is_counted(name, address, counted):
    """A key by its name, others by address; an IPv6 customer has a whole network of addresses."""
    assert who(name, address) == counted
