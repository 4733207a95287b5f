"""From the serving addresses in the settings to the replicas behind them. Not here: asking one (``replicas.py``)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pipeline.errors import TryAgain

BY_NAME = "dns+"
SCHEMES = ("http", "https", "dns+http")

Resolve = Callable[..., Sequence[tuple[Any, ...]]]  # as socket.getaddrinfo


class NoAddress(TryAgain):
    """A name stands for no replica now."""


def check(url: str) -> str:
    """The address itself. Raises ``ValueError`` when no replica can be asked at it."""
    parts = _split(url)
    if parts is not None and parts.scheme == "dns+https":
        raise ValueError(
            f"{url!r} cannot work: a certificate is for a name and each replica is asked by its number;"
            " list the https:// address of each, or use dns+http in a network of your own"
        )
    if parts is None or parts.scheme not in SCHEMES:
        raise ValueError(f"{url!r} is no address; write http://HOST:PORT, https://HOST:PORT or dns+http://NAME:PORT")
    return url


def _split(url: str) -> SplitResult | None:
    """The parts of an address with a host and without anything behind the path; None if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    odd = parts.query or parts.fragment or port == 0 or any(map(str.isspace, url))
    return None if odd or not parts.hostname else parts


def addresses(urls: Iterable[str], resolve: Resolve = socket.getaddrinfo) -> tuple[str, ...]:
    """The address of each replica, none twice: ``dns+http://NAME:PORT`` is every address that the name has now.

    Raises:
        NoAddress: a name is not known, has no address, or nobody can be asked for it.
    """
    found = (address for url in urls for address in _behind(url, resolve))
    return tuple(dict.fromkeys(address.rstrip("/") for address in found))


def _behind(url: str, resolve: Resolve) -> list[str]:
    parts = urlsplit(url)
    if not parts.scheme.startswith(BY_NAME):
        return [url]
    try:
        answers = resolve(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAddress(_nobody(url, f" ({error})")) from error
    hosts = sorted({str(answer[4][0]) for answer in answers})  # DNS shuffles them
    if not hosts:
        raise NoAddress(_nobody(url))
    return [_at(parts, host) for host in hosts]


def _nobody(url: str, why: str = "") -> str:
    return f"{url} stands for no replica now{why}; start serving, or correct GAVEL_SERVING_URLS"


def _at(parts: SplitResult, host: str) -> str:
    user, at, _ = parts.netloc.rpartition("@")
    port = "" if parts.port is None else f":{parts.port}"
    netloc = f"{user}{at}[{host}]{port}" if ":" in host else f"{user}{at}{host}{port}"
    return parts._replace(scheme=parts.scheme.removeprefix(BY_NAME), netloc=netloc).geturl()
