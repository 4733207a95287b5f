"""How often one key or address may ask. What a refusal looks like (429, Retry-After) is the caller's business.

The arithmetic is the generic cell rate algorithm (ITU-T I.371): one number per key and limit, and the exact time to
wait. Only the limits' notation is the library's: its memory storage starts a thread that walks all keys every 10 ms.

Each worker counts for itself, in memory, and lets through its share: the amount divided by the number of workers.
So the replica as a whole keeps to the limit, and a client with one connection gets the share of the worker that
holds it. R replicas let through R times the limit.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serving.errors import SettingsInvalid

MAX_TRACKED = 50_000  # about 15 MB; who was longest away is forgotten first
ROUNDING_SECONDS = 1e-6  # sums of intervals are not exact


@dataclass(frozen=True, slots=True)
class Rate:
    """One request each ``interval`` seconds; after a pause, at once as many as fit into ``burst`` seconds."""

    interval: float
    burst: float


class Throttle:
    """Counts by name. Not for several threads at once."""

    def __init__(self, rates: Sequence[Rate], clock: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._clock = tuple(rates), clock
        self._next_due: OrderedDict[str, tuple[float, ...]] = OrderedDict()

    def check(self, who: str) -> float | None:
        """``None``: go ahead, it was counted. Otherwise the seconds until it may try again; that is not counted."""
        if not self._rates:
            return None
        now = self._clock()
        due = [max(now, at) for at in self._next_due.get(who, ())] or [now] * len(self._rates)
        wait = max(at - now - rate.burst for at, rate in zip(due, self._rates, strict=True))
        if wait > ROUNDING_SECONDS:
            self._next_due.move_to_end(who)  # whoever keeps coming is not forgotten
            return wait
        self._next_due[who] = tuple([at + rate.interval for at, rate in zip(due, self._rates, strict=True)])
        self._next_due.move_to_end(who)
        if len(self._next_due) > MAX_TRACKED:
            self._next_due.popitem(last=False)
        return None


def open_throttle(rate_limit: str, workers: int = 1) -> Throttle:
    """Raises ``SettingsInvalid`` when ``rate_limit`` cannot be read."""
    return Throttle([_rate(amount / workers, seconds) for amount, seconds in _parse(rate_limit)])


def _parse(rate_limit: str) -> list[tuple[int, int]]:
    """Amounts and seconds."""
    if not rate_limit.strip():
        return []
    from limits import parse_many  # noqa: PLC0415 - takes 0.2 s to import; most servers have no limit

    try:
        items = [(item.amount, item.get_expiry()) for item in parse_many(rate_limit)]
    except ValueError:
        items = [(0, 0)]
    if not all(amount > 0 and seconds > 0 for amount, seconds in items):
        raise SettingsInvalid("SERVING_RATE_LIMIT cannot be read; write for example 100/second or 10/second;1000/hour")
    return items


def _rate(amount: float, seconds: float) -> Rate:
    interval = seconds / amount
    return Rate(interval, max(seconds - interval, 0.0))


def who(name: str, address: str | None) -> str:
    """Whom to count: the caller by name, or, without one, the client's address (in IPv6 the network of a customer)."""
    if name:
        return f"key {name}"
    if address and ":" in address:
        return _network(address)
    return address or ""


def _network(address: str) -> str:
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
