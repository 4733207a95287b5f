"""How long until every worker follows a change of what is live: from the ledger's entry to the last worker's status.

    make run SOURCE=folder:FILE.parquet DAY=2015-06-18; make run DAY=2015-06-19      # a running stack with two versions
    PYTHONPATH=. .venv/bin/python benchmarks/rollback.py [TIMES]

goes back (rollback) and on again (promote), and prints a JSON object: seconds of each. The newest version is live
before and after it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import requests

from local.layout import default_state
from local.releases import use
from pipeline.contract.ledger import Actor
from pipeline.releases import read_channel
from pipeline.releases.champion import promote, rollback
from pipeline.releases.ledger import read_entry
from pipeline.releases.rollout import Outcome, Target, open_target
from pipeline.releases.trial import release_quarantine
from pipeline.settings import read_settings

ME, WHY = Actor("person", "benchmark"), "measured"
LOOK_SECONDS = 0.005


def main(times: int) -> None:
    if not use(default_state()):
        raise SystemExit("no stack is running here; see the head of this file")
    at = open_target(read_settings())
    newest = read_channel(at.store, at.model).channel.champion
    if newest is None:
        raise SystemExit("nothing is live; the head of this file says how to begin")
    prove = at.replicas().prove
    back, on = [], []
    for _ in range(times):
        back.append(seconds(at, lambda: rollback(at, None, prove, ME, WHY)))
        release_quarantine(at, newest.version, ME, WHY)
        on.append(seconds(at, lambda: promote(at, newest.version, prove, ME, WHY)))
    told = {"back": back, "on": on}
    sys.stdout.write(
        json.dumps({**told, "median": {name: statistics.median(all_) for name, all_ in told.items()}}) + "\n"
    )


def seconds(at: Target, change: Callable[[], Outcome]) -> float:
    """From the entry until no worker has the release any more that was live before."""
    before = served(at)
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        while served(at) & before and not changing.done():
            time.sleep(LOOK_SECONDS)
        seen = datetime.now(UTC)
        recorded = read_entry(at.store, at.model, changing.result().channel.generation)
    assert recorded is not None
    return round((seen - recorded.entry.time).total_seconds(), 3)


def served(at: Target) -> set[str]:
    """The digests of what the workers answer with."""
    found = [requests.get(f"{url}/v1/model", timeout=10).json() for url in at.urls]
    return {worker["digest"] for replica in found for worker in replica["workers"]}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
