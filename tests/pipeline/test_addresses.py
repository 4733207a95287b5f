"""pipeline/addresses.py: which replicas an address in the settings stands for."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.addresses import NoAddress, addresses, check
from pipeline.errors import TryAgain
from tests.pipeline.fake_names import FakeNames

UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_plain_address_is_itself() -> None:
    """Its name is left to the HTTP client, as the certificate is for that name."""
    names = FakeNames(UNKNOWN)
    assert addresses(["http://a:1/", "https://b/prefix/"], names) == ("http://a:1", "https://b/prefix")
    assert names.asked == []


def test_a_name_is_each_of_its_addresses() -> None:
    """In an order that does not change with the shuffling of DNS; port and path stay, numbers of IPv6 in brackets."""
    names = FakeNames(["10.0.0.3", "10.0.0.2", "fd00::5"])
    assert addresses(["dns+http://serving:8000/v/"], names) == (
        "http://10.0.0.2:8000/v", "http://10.0.0.3:8000/v", "http://[fd00::5]:8000/v",
    )  # fmt: skip
    assert names.asked == ["serving"]


def test_a_name_without_a_port_has_the_port_of_http() -> None:
    """As a plain address has."""
    assert addresses(["dns+http://serving"], FakeNames(["10.0.0.2"])) == ("http://10.0.0.2",)


def test_a_replica_is_asked_once() -> None:
    """However often the resolver or the settings name it."""
    names = FakeNames(["10.0.0.2", "10.0.0.2"])
    assert addresses(["http://10.0.0.2:1", "dns+http://a:1", "dns+http://b:1"], names) == ("http://10.0.0.2:1",)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (UNKNOWN, "Name or service not known"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "Temporary failure"),
        (UnicodeError("label too long"), "label too long"),
        ([], "now; start serving"),
    ],
)
def test_a_name_without_an_address_is_said(answer: Exception | list[str], why: str) -> None:
    """It may have one later; until then the text says what to look at."""
    with pytest.raises(NoAddress, match=re.escape("dns+http://serving:8000 stands for no replica now")) as found:
        addresses(["dns+http://serving:8000"], FakeNames(answer))
    assert why in str(found.value)
    assert "GAVEL_SERVING_URLS" in str(found.value)
    assert isinstance(found.value, TryAgain)


def test_the_systems_resolver_answers() -> None:
    """Without a stand-in: a name that every machine knows, one that none may know, one that is none."""
    assert "http://127.0.0.1:8000" in addresses(["dns+http://localhost:8000"])
    for name in ("serving.invalid", "a..b"):
        with pytest.raises(NoAddress, match=name):
            addresses([f"dns+http://{name}:8000"])


@given(st.sets(st.ip_addresses(), min_size=1), st.integers(1, 65535))
def test_every_address_of_a_name_comes_back(hosts: set[ipaddress.IPv4Address], port: int) -> None:
    """Each is one good address with that host and port, whatever the numbers are."""
    found = addresses([f"dns+http://serving:{port}"], FakeNames([str(host) for host in hosts]))
    assert {ipaddress.ip_address(urlsplit(check(url)).hostname or "") for url in found} == hosts
    assert {urlsplit(url).port for url in found} == {port}
    assert len(found) == len(hosts)


@pytest.mark.parametrize(
    "url", ["http://a", "https://a.example:8443/prefix/", "dns+http://serving:8000", "DNS+HTTP://a", "http://[::1]:80"]
)
def test_an_address_that_can_be_asked(url: str) -> None:
    """Comes back as it was written."""
    assert check(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "serving:8000", "serving", "http://", "http://:8000", "dns+http://:8000", "ftp://a", "dns+ftp://a", "dns://a",
     "http://a:port", "http://a:0", "http://a:65536", "http://a:8000 ", "http://a b", "http://[::1", "http://a?b=c",
     "dns+http://a#b"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    """With the forms that it may have."""
    with pytest.raises(ValueError, match=r"is no address; write http://HOST:PORT, .*dns\+http://NAME:PORT"):
        check(url)


def test_certificates_and_numbers_do_not_go_together() -> None:
    """It would fail at every replica; the text says what works."""
    with pytest.raises(ValueError, match=r"cannot work: .* list the https:// address of each, or use dns\+http"):
        check("dns+https://serving:8000")
