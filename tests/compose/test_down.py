"""`down` and `up` again: all that matters is in volumes."""

import pytest

from tests.compose.days import all_serve, printed_password

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]


def test_down_and_up_again_is_the_same_stack(live, days):
    """The same secrets, login, key, versions, answers; Airflow's history is still there."""
    before = (live.secrets(), printed_password(live), days.facts(), days.history())
    client = days.client()
    price = client.ask_once()
    live.compose("down")
    assert live.containers() == []
    live.up()
    days.log_in()
    assert (live.secrets(), printed_password(live), days.facts(), days.history()) == before
    assert client.ask_once() == price
    assert all_serve(days.state(), price.version)
