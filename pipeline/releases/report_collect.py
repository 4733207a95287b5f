"""The pairs of champion and shadow, kept in the release store so that they outlive the shadow.

Of each replica and pair of releases the reading of the most rows stands. Not here: asking replicas
(``pipeline/replica_readings.py``), what pairs tell (``report_pairs.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from pipeline.contract.bundle import sha256, to_json
from pipeline.contract.channel import Release
from pipeline.errors import DeployFailed, StoreUnavailable
from pipeline.replica_readings import Pairs, Told, read_pairs, versions
from pipeline.store import KeyChanged, KeyNotFound, Store, Stored

MOST_SAMPLE, MOST_WORST = 4_000, 50  # of a replica: some megabytes, however many workers it has
SEED = 7
TRIES = 5


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of it: where the pairs of each replica lie now, who has none, and what went wrong."""

    kept: tuple[str, ...]
    without: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def message(self) -> str:
        some = "1 replica" if len(self.kept) == 1 else f"{len(self.kept)} replicas"
        none = (f"{url} has no pairs" for url in self.without)
        return "; ".join((f"the pairs of {some} are kept", *none, *self.notes))


def collect(store: Store, model: str, told: Iterable[Told]) -> Collected:
    """Keep the pairs of every replica that has a shadow. Raises ``DeployFailed`` when no replica answers at all."""
    told = tuple(told)
    silent = [each.problem for each in told if each.problem]
    if len(silent) == len(told):
        raise DeployFailed("; ".join(silent) or "there is no replica to ask; list them in GAVEL_SERVING_URLS")
    kept, without, notes = [], [], silent
    for each in told:
        try:
            key = None if each.problem else _keep(store, model, each)
        except ValueError as error:
            notes.append(f"{each.url}: {error}")
            continue
        kept += [key] if key else []
        without += [] if key or each.problem else [each.url]
    return Collected(tuple(kept), tuple(without), tuple(notes))


def _keep(store: Store, model: str, told: Told) -> str | None:
    """Where the pairs lie, None when there are none. Raises ``ValueError`` when they cannot be used."""
    pairs, known = read_pairs(told.pairs), versions(told.variants)
    if pairs is None or not pairs.sample:
        return None
    if pairs.champion not in known or pairs.shadow not in known:
        raise ValueError("it changed its releases while it was asked; collect once more")
    champion, shadow = known[pairs.champion], known[pairs.shadow]
    key = f"pairs/{model}/{champion}-{shadow}/{replica_name(told.url)}.json"
    _replace(store, key, _bounded(told.pairs), pairs)
    return key


def replica_name(url: str) -> str:
    """Plain and not the same for two addresses; without a name and password in it."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2] + parts.path
    return f"{re.sub('[^A-Za-z0-9-]', '-', place)[:100]}-{sha256(place.encode())[:8]}"


def _replace(store: Store, key: str, document: Mapping[str, Any], pairs: Pairs) -> None:
    data = to_json(document)
    for _ in range(TRIES):
        before = _stored(store, key)
        # Fewer than before: the replica, or a worker of it, has started again. What it had seen is kept.
        if before is not None and _rows_of(before.data, pairs) > pairs.rows:
            return
        try:
            store.replace(key, data, before.etag if before else None)
        except KeyChanged:
            continue
        return
    raise StoreUnavailable(f"{store.uri}/{key} is being written by others; try later")


def _stored(store: Store, key: str) -> Stored | None:
    try:
        return store.read(key)
    except KeyNotFound:
        return None


def _rows_of(data: bytes, pairs: Pairs) -> int:
    """How many rows a stored reading is of; -1 when it cannot be read or is of other releases."""
    try:
        found = read_pairs(json.loads(data))
    except (ValueError, KeyError, TypeError):
        return -1
    same = found is not None and (found.champion, found.shadow) == (pairs.champion, pairs.shadow)
    return found.rows if found is not None and same else -1


def _bounded(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with no more than so many pairs; those that are left stand for the others."""
    sample = document["sample"]
    if len(sample) > MOST_SAMPLE:
        chosen = np.random.default_rng(SEED).choice(len(sample), MOST_SAMPLE, replace=False)
        more = len(sample) / MOST_SAMPLE
        sample = [{**sample[place], "weight": sample[place]["weight"] * more} for place in sorted(chosen.tolist())]
    return {**document, "sample": sample, "worst": sorted(document["worst"], key=_apart, reverse=True)[:MOST_WORST]}


def _apart(pair: Mapping[str, Any]) -> float:
    first = next(iter(pair["champion"]))
    return abs(float(pair["champion"][first]) - float(pair["shadow"].get(first, 0)))


def read_collected(store: Store, model: str, champion: Release, shadow: Release) -> tuple[list[Pairs], list[str]]:
    """The stored pairs of these two releases in these roles, and what could not be used of them."""
    found, notes = [], []
    for key in store.keys(f"pairs/{model}/{champion.version}-{shadow.version}/"):
        try:
            pairs = read_pairs(json.loads(store.read(key).data))
            if pairs is None or (pairs.champion, pairs.shadow) != (champion.digest, shadow.digest):
                raise ValueError("they are of other releases of the same numbers")
            found.append(pairs)
        except (ValueError, TypeError, KeyError) as error:  # KeyNotFound too: it was removed meanwhile
            notes.append(f"{store.uri}/{key} is left out: {error}")
    return found, notes
