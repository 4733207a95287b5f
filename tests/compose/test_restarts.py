"""Each service is restarted in turn while clients ask for prices."""

import pytest

from tests.compose.days import assert_all_well
from tests.compose.stack import run

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]

SERVICES = (
    "postgres", "s3", "mlflow", "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
)  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_a_restarted_service_comes_back_and_no_client_notices(live, days, service):
    """The stack is healthy again by itself, nothing is lost, and every price was answered meanwhile."""
    before = days.state()
    facts = days.facts(before)
    with days.client(before).asking() as tally:
        live.compose("restart", service)
        live.wait_until_well()
    after = days.state()
    assert_all_well(tally, after)
    assert days.facts(after) == facts


@pytest.mark.parametrize("number", [0, 1])
def test_a_restarted_replica_costs_no_request(live, days, number):
    """The gateway asks the other one, and this one again as soon as it is ready."""
    before = days.state()
    with days.client(before).asking() as tally:
        run("docker", "restart", "--time", "15", live.containers("serving")[number].name)
        live.wait_until_well()
    assert_all_well(tally, before)


def test_a_restarted_gateway_answers_again(live, days):
    """Only for its own restart is there no answer."""
    state = days.state()
    live.compose("restart", "gateway")
    live.wait_until_well()
    answer = days.client(state).ask_once()
    assert [answer.version, answer.digest] == state["champion"]
