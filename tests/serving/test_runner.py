"""serving/runner.py"""

import asyncio
import dataclasses
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from serving.batch import Batch
from serving.errors import Overloaded
from serving.loader import load
from serving.runner import INLINE_ROWS, Runner
from serving.settings import Settings
from tests.serving import tiny
from tests.serving.process import wait_for

POISON = 66.0  # a guide price that the session below fails on


class Counted:
    """A session that notes how many rows each run had, and fails on a row with the guide price POISON."""

    def __init__(self, session):
        self.session, self.runs, self.threads = session, [], set()

    def run(self, names, arrays):
        self.runs.append(len(arrays["guide"]))
        self.threads.add(threading.current_thread())
        if (arrays["guide"] == POISON).any():
            raise RuntimeError("poison")
        return self.session.run(names, arrays)


def release_of(version):
    made = tiny.bundle(version)
    loaded = load(tiny.MODEL, tiny.release_of(version, made), made.files)
    return dataclasses.replace(loaded, session=Counted(loaded.session))


@pytest.fixture
def release():
    return release_of(1)


def batch(*guides):
    """One row for each guide price; the other columns are not known."""
    nothing = [float("nan")] * len(guides)
    return Batch([nothing, nothing, [""] * len(guides), list(guides)], len(guides))


def prices(table):
    return table[:, 0].tolist()


def together(runner, *requests):
    """The answers to all requests (release, batch), asked in one turn of an event loop."""

    async def ask():
        answers = asyncio.gather(*(runner.run(*request) for request in requests), return_exceptions=True)
        return await asyncio.wait_for(answers, 10)

    return asyncio.run(ask())


def test_rows_of_concurrent_requests_share_a_run(release):
    """Ten requests that arrive together cost one run, and each gets the answers to its own rows in order."""
    requests = [(release, batch(*range(10 * i, 10 * i + i))) for i in range(1, 11)]
    answers = together(Runner(99), *requests)
    assert release.session.runs == [55]
    assert [prices(table) for table in answers] == [
        [1_000.0 + guide for guide in range(10 * i, 10 * i + i)] for i in range(1, 11)
    ]


def test_a_run_has_at_most_so_many_rows(release):
    """What does not fit goes into the next run; without gathering each request runs alone."""
    together(Runner(99), *[(release, batch(*range(30)))] * 5)
    assert release.session.runs == [60, 60, 30]
    release.session.runs.clear()
    together(Runner(99, gather=False), *[(release, batch(1.0))] * 3)
    assert release.session.runs == [1, 1, 1]


def test_between_two_runs_the_event_loop_does_what_else_there_is(release):
    """However many wait, nobody else waits for all of them."""

    async def ask():
        runner, loop, seen = Runner(99), asyncio.get_running_loop(), []

        def look():
            seen.append(len(release.session.runs))
            if seen[-1] < 5:
                loop.call_soon(look)

        asked = asyncio.gather(*(runner.run(release, batch(*range(INLINE_ROWS))) for _ in range(5)))
        await asyncio.sleep(0)
        loop.call_soon(look)
        await asked
        return seen

    assert set(asyncio.run(ask())) >= {1, 2, 3, 4}


def test_company_changes_no_number():
    """300 random rows alone, together and in one large batch have the same answers to the last bit."""
    one = release_of(1)
    guides = np.random.default_rng(0).uniform(1, 1e6, 300).tolist()
    alone = [prices(one.run(batch(guide))) for guide in guides]
    assert [prices(table) for table in together(Runner(999), *((one, batch(guide)) for guide in guides))] == alone
    assert [[price] for price in prices(together(Runner(9), (one, batch(*guides)))[0])] == alone


def test_a_failure_is_only_the_one_requests(release):
    """The others of the same run are answered."""
    first, poisoned, last = together(Runner(9), *((release, batch(guide)) for guide in (1, POISON, 3)))
    assert (prices(first), prices(last)) == ([1_001.0], [1_003.0])
    assert isinstance(poisoned, RuntimeError)


def test_two_releases_that_answer_side_by_side_are_never_mixed():
    """Each request is answered by the release that it took, and shares a run with those of the same."""
    old, new = release_of(1), release_of(2)
    answers = together(Runner(99), *((one, batch(5.0)) for one in (old, old, new, old, new, new)))
    assert [prices(table)[0] for table in answers] == [1_005, 1_005, 2_005, 1_005, 2_005, 2_005]
    assert (old.session.runs, new.session.runs) == ([3], [3])


def test_who_goes_away_is_not_answered_and_hurts_nobody(release):
    """A client that disconnects while it waits leaves the others their answers."""

    async def ask():
        runner = Runner(9)
        leaving, staying = (asyncio.ensure_future(runner.run(release, batch(guide))) for guide in (1.0, 2.0))
        await asyncio.sleep(0)
        leaving.cancel()
        return await asyncio.wait_for(staying, 10)

    assert prices(asyncio.run(ask())) == [1_002.0]


def test_a_large_batch_runs_in_a_thread(release):
    """The event loop only runs the small ones."""
    together(Runner(9), (release, batch(*range(INLINE_ROWS))))
    assert release.session.threads == {threading.main_thread()}
    release.session.threads.clear()
    together(Runner(9), (release, batch(*range(INLINE_ROWS + 1))))
    assert threading.main_thread() not in release.session.threads


def test_there_are_only_so_many_places():
    """One more is refused at once; a place that was left is free again, also after a failure."""
    runner = Runner(2)
    with runner.place():
        with pytest.raises(KeyError), runner.place():
            raise KeyError
        with runner.place(), pytest.raises(Overloaded) as refused, runner.place():
            pass
    assert (refused.value.retry_after, runner.place().taken) == (1, 0)


def test_at_the_bound_a_request_gets_503_and_the_others_their_answers(root):
    """With when to come again; nobody who has a place loses it."""
    tiny.go(root, 1)
    with TestClient(create_app(Settings(store=f"file:{root}", max_waiting=2, poll_seconds=0.05))) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        service = client.app.state.service
        with ExitStack() as taken:
            for _ in range(2):
                taken.enter_context(service.runner.place())
            response = client.post("/v1/predict", json={"rows": [tiny.ROW]})
            assert (response.status_code, response.json()["code"]) == (503, "overloaded")
            assert response.headers["retry-after"] == "1"
            assert client.get("/livez").status_code == 200
        assert client.post("/v1/predict", json={"rows": [tiny.ROW]}).status_code == 200


def test_shedding_leaves_those_who_wait_their_answers(root):
    """Slow runs and twenty clients at two places: some get 503, all others the right price, and no other answer."""
    tiny.go(root, 1)
    with TestClient(create_app(Settings(store=f"file:{root}", max_waiting=2, poll_seconds=0.05))) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        service = client.app.state.service
        service.reconciler.stop()
        live = service.slot.live
        slow = Counted(live.session)
        slow.run = lambda names, arrays: time.sleep(0.1) or live.session.run(names, arrays)
        service.slot.swap(dataclasses.replace(live, session=slow))
        found = []
        rows = [tiny.ROW] * (INLINE_ROWS + 1)  # in a thread, so that the loop can refuse others meanwhile

        def ask():
            response = client.post("/v1/predict", json={"rows": rows})
            found.append((response.status_code, response.json().get("predictions", [None])[0]))

        clients = [threading.Thread(target=ask) for _ in range(20)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
    assert {status for status, _ in found} == {200, 503}
    assert all(price == tiny.expected(1, tiny.ROW) for status, price in found if status == 200)
