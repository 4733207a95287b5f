"""Asking the serving replicas: a hint to look at the channel, what they serve, and the golden rows.

Not here: which release they ought to serve (``pipeline/deploy.py``).
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import requests

from pipeline.addresses import NoAddress, Resolve, addresses
from pipeline.contract.bundle import Bundle
from pipeline.contract.channel import Release
from pipeline.contract.status import ReplicaStatus, Status
from pipeline.errors import DeployFailed, ModelRefused

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
POLL_SECONDS = 0.1
SLOWEST_POLL_SECONDS = 1.0
ASKED_AT_ONCE = 16
CUT_OFF = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


class Replicas:
    """The serving processes at ``urls``. ``wanted`` says whether the release is still the one that ought to be live."""

    def __init__(
        self, urls: Sequence[str], token: str, wanted: Callable[[], bool], resolve: Resolve = socket.getaddrinfo
    ) -> None:
        self._urls = tuple(urls)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._wanted = wanted
        self._resolve = resolve

    def push(self) -> None:
        """Tell each replica to look at the channel now. Only a hint: a replica that misses it looks by itself soon."""
        with contextlib.suppress(NoAddress), ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            list(pool.map(self._push, addresses(self._urls, self._resolve)))

    def _push(self, url: str) -> None:
        with contextlib.suppress(requests.RequestException):
            requests.post(f"{url}/v1/reload", headers=self._headers, timeout=(CONNECT_SECONDS, READ_SECONDS))

    def serve(self, bundle: Bundle, release: Release, generation: int, seconds: float) -> tuple[str, ...] | None:
        """Push, then wait until every worker of every replica serves the release, and the golden rows are answered.

        Which replicas there are is asked anew at each look: one that was started meanwhile must serve the release
        too, one that is gone no longer counts. Returns their addresses; None when another release took its place.

        Raises:
            DeployFailed: a replica did not get there within ``seconds``, or there is none.
            ModelRefused: a replica refused the release or answers wrongly.
        """
        self.push()
        deadline = time.monotonic() + seconds
        pause = POLL_SECONDS
        proven: set[str] = set()
        while True:
            try:
                found = addresses(self._urls, self._resolve)
                if proven.issuperset(found):
                    return found if self._wanted() else None
                if not self._prove([url for url in found if url not in proven], bundle, release, generation):
                    return None
                proven.update(found)
            except (NoAddress, DeployFailed) as error:
                if time.monotonic() > deadline:
                    if not self._wanted():
                        return None
                    raise DeployFailed(str(error)) from error
                time.sleep(pause)
                pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)

    def _prove(self, urls: Sequence[str], bundle: Bundle, release: Release, generation: int) -> bool:
        """One look at replicas: do they serve the release, and answer its golden rows? False when it is superseded.

        Raises:
            DeployFailed: one does not, yet.
            ModelRefused: one never will.
        """
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            looks = zip(urls, pool.map(partial(_status, headers=self._headers), urls), strict=True)
        behind = [(url, *look) for url, look in looks if look[0] is None or not look[0].serves(release.digest)]
        known = [(url, status) for url, status, _ in behind if status is not None]
        for url, status in known:
            _raise_refusal(url, status, release)
        if any((status.generation or 0) > generation for _, status in known) and not self._wanted():
            return False
        if behind:
            url, said, why = behind[0]
            trouble = why if said is None else _trouble(said, release)
            raise DeployFailed(f"{url} does not serve version {release.version} in time: {trouble}")
        for url in urls:
            _check_golden(url, bundle, self._headers)
        return True


def _status(url: str, headers: Mapping[str, str]) -> tuple[ReplicaStatus | None, str]:
    """What a replica says of itself and its workers; without an answer, why there is none."""
    try:
        response = requests.get(f"{url}/v1/model", headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS))
        if response.status_code in {401, 403}:
            return None, "it does not take the push token (GAVEL_PUSH_TOKEN, SERVING_PUSH_TOKEN)"
        return ReplicaStatus.from_dict(response.json()), ""
    except requests.ConnectionError:
        return None, "there is no answer"
    except requests.Timeout:
        return None, f"there is no answer within {READ_SECONDS:g} s"
    except (requests.RequestException, ValueError, TypeError, AttributeError):
        return None, "its answer is not the status of a serving process"


def _trouble(status: ReplicaStatus, release: Release) -> str:
    """What is wrong with the first worker that does not serve the release."""
    behind = [each for each in status.workers if not each.ready or each.digest != release.digest]
    if not behind:
        return _behind(status)
    which = f"worker {behind[0].index}: " if len(status.workers) > 1 else ""
    return which + (behind[0].problem or _behind(behind[0]))


def _behind(status: Status) -> str:
    if status.store_error:
        return f"it cannot read the release store ({status.store_error})"
    return f"it serves version {status.version or 'none'}" + ("" if status.ready else " and is not ready")


def _raise_refusal(url: str, status: ReplicaStatus, release: Release) -> None:
    for each in (status, *status.workers):
        if each.refusal is not None and each.refusal.digest == release.digest:
            raise ModelRefused(f"{url} refused version {release.version}: {each.refusal.reason}")


def _check_golden(url: str, bundle: Bundle, headers: Mapping[str, str]) -> None:
    """The recorded rows must be answered by this bundle, within its tolerance."""
    golden = bundle.golden
    timeout = (CONNECT_SECONDS, READ_SECONDS)
    try:
        body = {"rows": list(golden.rows)}
        response = requests.post(f"{url}/v1/predict", json=body, headers=headers, timeout=timeout)
        if response.status_code in {429, 503}:
            raise DeployFailed(f"{url} is too busy to answer the golden rows (HTTP {response.status_code})")
        document = response.json()
    except CUT_OFF as error:
        raise DeployFailed(f"{url} does not answer the golden rows") from error
    except requests.RequestException as error:
        raise ModelRefused(f"{url} does not answer the golden rows in JSON within {READ_SECONDS:g} s") from error
    if response.status_code != requests.codes.ok:
        raise ModelRefused(f"{url} refuses the golden rows (HTTP {response.status_code}): {response.text[:300]}")
    if document.get("digest") != bundle.digest:
        raise DeployFailed(f"{url} answered the golden rows with version {document.get('version')}")
    _compare(url, golden.answers, document.get("predictions", []), golden.tolerance)


def _compare(
    url: str, wanted: Sequence[Mapping[str, float]], given: Sequence[Mapping[str, Any]], tolerance: float
) -> None:
    if len(given) != len(wanted):
        raise ModelRefused(f"{url} answered {len(given)} of {len(wanted)} golden rows")
    for row, (want, got) in enumerate(zip(wanted, given, strict=True)):
        for name, value in want.items():
            answer = got.get(name)
            close = isinstance(answer, int | float) and math.isclose(answer, value, rel_tol=tolerance, abs_tol=1e-9)
            if not close:
                raise ModelRefused(f"{url} answers {name} of golden row {row} with {answer}, recorded is {value}")
