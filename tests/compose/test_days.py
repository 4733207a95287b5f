"""Two data days through the DAG, by Airflow's API, while clients ask for prices."""

import pytest

from tests.compose.days import DAG, all_serve, assert_all_well, assert_grown_by_one

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]


def test_the_second_day_moves_every_replica_and_fails_no_request(days, two_days):
    """Not one failed or wrong answer, and when the run has ended each replica serves the new version."""
    _, _, tally = two_days
    state = days.state()
    assert all_serve(state, 2), state["replicas"]
    assert_all_well(tally, state)
    assert {answer.version for answer in tally.answers} == {1, 2}
    assert days.client().ask_once().version == 2


def test_there_are_two_versions_and_the_second_is_the_champion(days, two_days):
    """In MLflow, in the release store and in the channel alike."""
    first, _, _ = two_days
    assert sorted(first.versions) == [1]
    assert_grown_by_one(first, days.facts())


def test_the_log_of_a_task_can_be_read(days, two_days):
    """The API server shows what a task wrote on another container."""
    _, run, _ = two_days
    tasks = days.airflow.tasks(DAG, run.id)
    assert "version 2 is live on 2 of 2 replicas" in "\n".join(days.airflow.log(DAG, run.id, tasks["deploy"]))
