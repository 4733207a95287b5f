"""What workers have counted of variants and kept of pairs: one worker's line of JSON, and the lines of all as one.

Not here: how the lines travel (``replica.py``), how it is counted (``tally.py``) and kept (``pairs.py``).
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from serving.pairs import Pair
from serving.slot import Slot
from serving.tally import Figures, document, summed
from serving.variants import Beside

encode = msgspec.json.Encoder().encode


class Counted(msgspec.Struct, frozen=True):
    """What one worker has counted. Of a champion only while somebody stood beside it."""

    worker: str
    champion: Figures | None = None
    challenger: Figures | None = None
    shadow: Figures | None = None
    share: float | None = None


class Weighed(msgspec.Struct, frozen=True):
    """A pair of the sample, and how many rows it stands for."""

    weight: float
    row: dict[str, Any]
    champion: dict[str, float]
    shadow: dict[str, float]
    at: str


class Kept(msgspec.Struct, frozen=True):
    """What one worker has kept of its shadow. ``sample`` and ``worst`` are passed on unread: they are long."""

    champion: str
    figures: Figures
    rows: int
    sample: msgspec.Raw
    worst: msgspec.Raw


@functools.cache
def _name(process: int) -> str:
    """What a worker is told apart by from all others, also from those before it with the same process number."""
    return f"{process}-{secrets.token_hex(4)}"


def figures(slot: Slot) -> bytes:
    """This worker's line about its variants."""
    worker, beside = _name(os.getpid()), slot.beside
    if beside is None:
        return encode(Counted(worker, _champion(slot)))
    return encode(
        Counted(
            worker,
            beside.champion.tally.figures(),
            beside.challenger.tally.figures() if beside.challenger else None,
            beside.shadow.tally.figures() if beside.shadow else None,
            beside.share if beside.challenger else None,
        )
    )


def _champion(slot: Slot) -> Figures | None:
    if slot.champion is not None:
        return slot.champion.tally.figures()
    return Figures(slot.live.version, slot.live.digest, slot.since) if slot.live else None


def pairs(beside: Beside | None) -> bytes:
    """This worker's line about its shadow, null without one."""
    if beside is None or beside.shadow is None:
        return b"null"
    shadow = beside.shadow
    rows, sample, worst = shadow.pairs.kept()
    weight = rows / len(sample) if sample else 0.0
    return encode(
        Kept(
            shadow.champion.digest,
            shadow.tally.figures(),
            rows,
            msgspec.Raw(encode([_weighed(each, weight) for each in sample])),
            msgspec.Raw(encode(worst)),
        )
    )


def _weighed(pair: Pair, weight: float) -> Weighed:
    return Weighed(weight, pair.row, pair.champion, pair.shadow, pair.at)


def all_figures(lines: Sequence[bytes], workers: int) -> dict[str, Any]:
    """The sums of all workers, by role; a role that no worker has is null.

    Workers may be at different channels for a moment: what is summed is of the release that the first has, and
    ``workers`` says how many have it.
    """
    counted = [msgspec.json.decode(line, type=Counted) for line in lines]
    share = next((each.share for each in counted if each.share is not None), None)
    challenger = _of_role(counted, lambda each: each.challenger)
    return {
        "workers": workers,
        "silent": workers - len(lines),
        "champion": _of_role(counted, lambda each: each.champion),
        "challenger": challenger and {**challenger, "share": share},
        "shadow": _of_role(counted, lambda each: each.shadow, dropped=True),
        "by_worker": [_one(each) for each in counted],
    }


def _one(counted: Counted) -> dict[str, Any]:
    """So that who adds up for long does not count twice when a worker has died."""
    roles = {"champion": counted.champion, "challenger": counted.challenger}
    return {"worker": counted.worker, **{role: found and document(found) for role, found in roles.items()}}


def _of_role(
    counted: Sequence[Counted], get: Callable[[Counted], Figures | None], *, dropped: bool = False
) -> dict[str, Any] | None:
    found = [each for each in map(get, counted) if each is not None]
    same = [each for each in found if each.digest == found[0].digest]
    if not same:
        return None
    told = {**document(summed(same)), "workers": len(same)}
    return {**told, "dropped": sum(each.dropped for each in same)} if dropped else told


def all_pairs(lines: Sequence[bytes], workers: int) -> bytes:
    """The pairs of all workers that have the same champion and shadow as the first that has any; JSON."""
    kept = [each for each in (msgspec.json.decode(line, type=Kept | None) for line in lines) if each is not None]
    same = [each for each in kept if (each.champion, each.figures.digest) == (kept[0].champion, kept[0].figures.digest)]
    if not same:
        return encode({"workers": 0, "shadow": None, "rows": 0, "sample": [], "worst": []})
    total = summed([each.figures for each in same])
    return encode(
        {
            "workers": len(same),
            "silent": workers - len(lines),
            "champion": {"digest": same[0].champion},
            "shadow": {"version": total.version, "digest": total.digest, "since": total.since},
            "requests": total.requests,
            "errors": total.errors,
            "dropped": total.dropped,
            "rows": sum(each.rows for each in same),
            "sample": _joined([each.sample for each in same]),
            "worst": _joined([each.worst for each in same]),
        }
    )


def _joined(lists: Sequence[msgspec.Raw]) -> msgspec.Raw:
    """JSON lists as one."""
    parts = [bytes(each).strip()[1:-1] for each in lists]
    return msgspec.Raw(b"[" + b",".join(part for part in parts if part) + b"]")
