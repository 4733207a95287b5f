"""What every replica has counted of its releases and kept of its shadow, asked once.

Not here: what it means (``variant_counts.py``, ``pipeline/releases/report.py``), whether they serve (``replicas.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests

from pipeline.addresses import NoAddress, addresses
from pipeline.variant_counts import Counts, Reading, parse

CONNECT_SECONDS, READ_SECONDS = 2.0, 30.0  # a thousand pairs of each worker are megabytes
ASKED_AT_ONCE = 8
ROLES = ("champion", "challenger", "shadow")


@dataclass(frozen=True, slots=True)
class Pair:
    """A row by column, and what champion and shadow answered by output; it stands for ``weight`` rows."""

    row: Mapping[str, Any]
    champion: Mapping[str, float]
    shadow: Mapping[str, float]
    weight: float
    at: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """What a replica has kept of the ``rows`` that champion and shadow (digests) have answered both."""

    champion: str
    shadow: str
    rows: int
    sample: tuple[Pair, ...]
    worst: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What the replica at ``url`` says: documents as they came, and ``problem`` where it does not say."""

    url: str
    variants: Mapping[str, Any]
    pairs: Mapping[str, Any]
    problem: str = ""


def ask(urls: Sequence[str], token: str, seconds: float = READ_SECONDS) -> tuple[Told, ...]:
    """Every replica that the addresses in the settings stand for now.

    One that is away, or silent for so many ``seconds``, has a ``problem``.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    found: list[Told] = []
    behind: list[str] = []
    for url in urls:
        try:
            behind.extend(addresses([url]))
        except NoAddress as error:
            found.append(Told(url, {}, {}, str(error)))
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        found.extend(pool.map(partial(_ask, headers=headers, seconds=seconds), dict.fromkeys(behind)))
    return tuple(found)


def _ask(url: str, headers: Mapping[str, str], seconds: float) -> Told:
    try:
        variants, pairs = (_document(f"{url}/v1/{name}", headers, seconds) for name in ("variants", "pairs"))
        return Told(url, variants, pairs)
    except requests.JSONDecodeError:
        return Told(url, {}, {}, f"{url} does not answer in JSON; is it a serving process?")
    except requests.RequestException as error:
        return Told(url, {}, {}, f"{url} does not answer ({type(error).__name__})")
    except ValueError as error:
        return Told(url, {}, {}, str(error))


def _document(url: str, headers: Mapping[str, str], seconds: float) -> Mapping[str, Any]:
    response = requests.get(url, headers=headers, timeout=(CONNECT_SECONDS, seconds))
    if response.status_code in {401, 403}:
        raise ValueError(f"{url} does not take the push token (GAVEL_PUSH_TOKEN, SERVING_PUSH_TOKEN)")
    if response.status_code != requests.codes.ok:
        raise ValueError(f"{url} answers HTTP {response.status_code}")
    document = response.json()
    if not isinstance(document, dict):
        raise ValueError(f"{url} does not answer what a serving process does")  # noqa: TRY004  whatever is wrong there
    return document


def versions(variants: Mapping[str, Any]) -> dict[str, int]:
    """The version of each release that ``GET /v1/variants`` tells of, by digest. Raises ``ValueError``."""
    try:
        return {str(each["digest"]): int(each["version"]) for each in map(variants.get, ROLES) if each}
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"this is not what a replica counts: {error!r}") from error


def counts(variants: Mapping[str, Any], a: str, b: str) -> tuple[Reading, bool] | None:
    """What was counted of the releases of two digests, A as the champion, and whether one is a shadow; or None.

    Raises:
        ValueError: it is not what a replica counts.
    """
    versions(variants)
    roles = {each["digest"]: role for role in ROLES if (each := variants.get(role))}
    if a not in roles or b not in roles:
        return None
    try:
        reading = parse({"champion": variants[roles[a]], "challenger": variants[roles[b]]}, b)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"this is not what a replica counts: {error}") from error
    if reading is None:
        return None
    for each in (reading.champion, reading.challenger):
        _check(each)
    return reading, "shadow" in {roles[a], roles[b]}


def _check(counts: Counts) -> None:
    """Raises ``ValueError`` for figures that nobody can have counted."""
    places = counts.seconds.items()
    counted = 0 <= counts.errors <= counts.requests and counts.answers >= 0 and counts.squares >= 0
    if not (counted and all(seconds > 0 and many >= 0 for seconds, many in places) and math.isfinite(counts.total)):
        raise ValueError("this is not what a replica counts: a figure is below zero, or not finite, or too large")


def read_pairs(document: Mapping[str, Any]) -> Pairs | None:
    """What ``GET /v1/pairs`` says; None without a shadow. Raises ``ValueError`` when it is something else."""
    try:
        if document["shadow"] is None:
            return None
        sample, worst = (tuple(map(_pair, document[name])) for name in ("sample", "worst"))
        champion, shadow = (str(document[name]["digest"]) for name in ("champion", "shadow"))
        return Pairs(champion, shadow, int(document["rows"]), sample, worst)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"these are not pairs: {error!r}") from error


def _pair(told: Mapping[str, Any]) -> Pair:
    one, other = ({str(name): float(value) for name, value in told[role].items()} for role in ("champion", "shadow"))
    pair = Pair(dict(told["row"]), one, other, float(told.get("weight", 1)), str(told["at"]))
    figures = (*one.values(), *other.values(), pair.weight)
    if not all(map(math.isfinite, figures)) or pair.weight <= 0:
        raise ValueError("a figure of a pair is not finite, or its weight not above zero")
    return pair
