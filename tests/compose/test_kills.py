"""`kill -9` of what a run needs, in the middle of it, while clients ask for prices."""

import pytest

from tests.compose.days import all_serve, assert_all_well, assert_grown_by_one

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]

# While which task whom; what is killed with the scheduler is the task itself.
KILLS = {"fetch": "s3", "train": "airflow-scheduler", "register": "mlflow", "deploy": "serving"}
UNDER_WAY = {"running", "success", "up_for_retry"}


def test_a_run_ends_green_though_four_services_were_killed_in_it(live, days):
    """One version, whole, live everywhere; the restart policies brought back what died; no price was missed."""
    state, killed = days.state(), {}
    before = days.facts(state)

    def watch(tasks):
        for task, service in KILLS.items():
            if task in tasks and tasks[task].state in UNDER_WAY and service not in killed:
                victim = killed[service] = live.containers(service)[0]
                live.kill(victim)

    with days.client(state).asking() as tally:
        days.finish(days.start(), watch)
        live.wait_until_well()
    assert set(killed) == set(KILLS.values())
    state = days.state()
    after = days.facts(state)
    assert_grown_by_one(before, after)
    assert all_serve(state, after.champion), state["replicas"]
    assert_all_well(tally, state)
    for service, victim in killed.items():
        (now,) = [each for each in live.containers(service) if each.name == victim.name]
        assert now.document["Id"] == victim.document["Id"]
        assert now.document["RestartCount"] > victim.document["RestartCount"], service
