"""Who gets in: the login that the stack printed, and the key that it made; nobody else."""

import pytest

from tests.compose.days import USER, printed_password
from tests.compose.load import direct

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]


def log_in(stack, password):
    with direct() as session:
        return session.post(
            f"{stack.url('airflow')}/auth/token", json={"username": USER, "password": password}, timeout=60
        )


def test_the_printed_password_logs_in(stack):
    """`docker compose logs login` says it, and Airflow's API takes it."""
    answer = log_in(stack, printed_password(stack))
    assert answer.status_code == 201
    assert answer.json()["access_token"]


@pytest.mark.parametrize("password", ["admin", "wrong"])
def test_no_other_password_does(stack, password):
    """Not the one that everybody would try first."""
    assert log_in(stack, password).status_code == 401


def test_airflow_answers_nobody_who_is_not_logged_in(stack):
    """Its API says nothing of the DAG."""
    with direct() as session:
        assert session.get(f"{stack.url('airflow')}/api/v2/dags", timeout=60).status_code == 401


def test_a_price_is_for_those_with_a_key(live):
    """The gateway passes on what serving says to a stranger."""
    with direct() as session:
        assert session.post(f"{live.url('serving')}/v1/predict", json={"rows": []}, timeout=60).status_code == 401
