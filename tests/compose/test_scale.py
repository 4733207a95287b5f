"""More replicas and fewer again, while clients ask for prices."""

import pytest

from tests.compose.days import DAG, all_serve, assert_all_well, assert_grown_by_one
from tests.compose.stack import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]


def scale(stack, replicas):
    stack.up("--no-recreate", "--scale", f"serving={replicas}")


def answered(stack):
    return stack.inside("requests_of.py", stack.secrets()["key_prometheus"])


def test_a_third_replica_takes_part_and_leaves_without_a_failed_request(live, days):
    """The gateway finds it, the next deploy waits for it, and when it is taken away nobody notices."""
    state = days.state()
    before = days.facts(state)
    with days.client(state).asking() as tally:
        scale(live, 3)
        wait_for(lambda: len(found := answered(live)) == 3 and min(found.values()) > 10, 60, lambda: answered(live))
        run = days.finish(days.start())
        state = days.state()
        after = days.facts(state)
        scale(live, 2)
        wait_for(lambda: all_serve(days.state(), after.champion, replicas=2), 60, "two replicas")
    assert_grown_by_one(before, after)
    assert all_serve(state, after.champion, replicas=3), state["replicas"]
    assert days.airflow.answer(DAG, run.id, "deploy")["message"].endswith("is live on 3 of 3 replicas")
    assert_all_well(tally, state)
