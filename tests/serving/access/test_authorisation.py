"""docs/authorisation.md says what the policy says and what the application answers"""

import re

import pytest
from starlette.testclient import TestClient

from serving.access.policy import OTHERWISE, POLICY, role_for
from serving.app import ROUTES, create_app
from serving.settings import Settings
from tests.serving.access.conftest import head
from tests.serving.process import REPOSITORY

PAGE = (REPOSITORY / "docs" / "authorisation.md").read_text()
NOBODY = "nobody is asked"
KEYS = {"wrong": "wrong", "expired": "old-key", "predict": "predict-key", "admin": "admin-key"}
ADDRESSES = [(route.path, method) for route in ROUTES for method in sorted(route.methods)]


def table(heading):
    """The rows of the table under a heading, each a list of cells."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not row[0].startswith("-")]


def test_the_page_shows_the_policy():
    """Every address of the table in the code, and no other."""
    _, *rows, otherwise = table("What an address needs")
    shown = {address.strip("`"): None if role == NOBODY else role for address, role in rows}
    assert shown == POLICY
    assert otherwise[1] == OTHERWISE
    assert otherwise[0].startswith("every other address")


@pytest.fixture
def client(root, credentials):
    """The application, with callers asked; no release is needed to say who may come in."""
    settings = Settings(store=f"file:{root}", auth="required", credentials=credentials)
    with TestClient(create_app(settings), raise_server_exceptions=True) as made:
        yield made


def test_every_address_answers_every_credential_as_the_page_says(client):
    """All routes of the application, whatever their method, and an address that does not exist."""
    (_, *columns), *rows = table("What is answered")
    assert [row[0] for row in rows] == ["none", *KEYS]
    asked = 0
    for path, method in [*ADDRESSES, ("/nowhere", "GET"), ("/v1/reload", "DELETE"), ("/v1/reload%0A", "POST")]:
        place = re.sub(r"{\w+}", "car_price", path)
        column = columns.index(role_for(method, place.replace("%0A", "\n")) or NOBODY)
        for credential, *cells in rows:
            headers = {"x-api-key": KEYS[credential]} if credential in KEYS else {}
            response = client.request(method, place, headers=headers)
            expected = cells[column]
            found = str(response.status_code) if response.status_code in {401, 403} else "yes"
            assert (method, place, credential, found) == (method, place, credential, expected)
            if found == "401":
                assert response.headers["www-authenticate"] == "Bearer"
            asked += 1
    assert asked >= 5 * (len(ADDRESSES) + 3)


def test_a_strangers_body_is_not_read(client):
    """The refusal comes before the first byte of the body was asked for."""
    import asyncio

    sent = []

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        sent.append(message)

    scope = head(x_api_key="wrong", content_length="1000000") | {"client": ("10.0.0.1", 1), "http_version": "1.1"}
    asyncio.run(client.app(scope, receive, send))
    assert sent[0]["status"] == 401


def test_a_signed_body_that_was_changed_is_refused(client):
    """The signature is good; the body that came is another."""
    from tests.serving.access.test_sigv4 import signed

    headers = {name.decode(): value.decode() for name, value in signed()["headers"]}
    answers = [
        client.post("/v1/predict", content=body, headers=headers) for body in (b'{"rows": []}', b'{"rows":  []}')
    ]
    assert [answer.json()["code"] == "unauthorized" for answer in answers] == [False, True]
