"""The profile `celery` on the volumes of a stack that ran without it: tasks in workers of their own."""

import pytest

from tests.compose.days import all_serve, assert_all_well, assert_grown_by_one
from tests.compose.test_secrets import leaks

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]


@pytest.fixture
def celery(live, days):
    """Two workers beside the stack, and tasks go to them."""
    stack = live.told(COMPOSE_PROFILES="celery", GAVEL_EXECUTOR="CeleryExecutor")
    stack.up()
    days.log_in()
    return stack


def test_a_run_ends_green_on_workers_though_one_is_killed_in_it(celery, days):
    """Every task ran on a worker's container; the killed one's task was taken up again; nothing is lost or twice."""
    workers = {each.document["Config"]["Hostname"]: each for each in celery.containers("airflow-worker")}
    state, killed = days.state(), []
    before = days.facts(state)

    def watch(tasks):
        if not killed and "train" in tasks and tasks["train"].state == "running":
            killed.append(days.hosts(run)["train"])
            celery.kill(workers[killed[0]])

    with days.client(state).asking() as tally:
        run = days.start()
        days.finish(run, watch)
        celery.wait_until_well()
    hosts, state = days.hosts(run), days.state()
    after = days.facts(state)
    assert killed
    assert len(workers) == 2
    assert set(hosts.values()) <= set(workers), hosts
    assert days.airflow.tasks("car_price_daily", run.id)["train"].attempt > 1
    assert_grown_by_one(before, after)
    assert all_serve(state, after.champion), state["replicas"]
    assert_all_well(tally, state)
    assert leaks(celery) == {}
