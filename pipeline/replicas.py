"""Asking the serving replicas: a hint to look at the channel, what they serve, and the golden rows.

Not here: which release they ought to serve (``pipeline/deploy.py``).
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import requests

from pipeline.addresses import NoAddress, Resolve, addresses
from pipeline.contract.bundle import Bundle, Golden
from pipeline.contract.channel import Release
from pipeline.contract.status import ReplicaStatus, Status
from pipeline.errors import DeployFailed, ModelRefused
from pipeline.replica_answers import CONNECT_SECONDS, READ_SECONDS, check_golden, check_trial

TRIAL_SECONDS = 120.0  # a process is started, the model is read and loaded, and the golden rows are answered
POLL_SECONDS = 0.1
SLOWEST_POLL_SECONDS = 1.0
ASKED_AT_ONCE = 16

Role = Literal["challenger", "shadow"]


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
        proven: set[str] = set()

        def look(found: tuple[str, ...]) -> bool | None:
            if proven.issuperset(found):
                return self._wanted()
            if not self._prove([url for url in found if url not in proven], bundle, release, generation):
                return False
            proven.update(found)
            return None

        return self._until(look, seconds)

    def hold(self, role: Role, release: Release | None, seconds: float) -> bool:
        """Push, then wait until every worker holds the release as ``role`` (challenger, shadow), or none of it.

        False when another change took the place of this one meanwhile. Raises as ``serve`` does.
        """

        def look(found: tuple[str, ...]) -> bool | None:
            if not self._wanted():
                return False
            for url in found:
                self._holds(url, role, release)
            return True

        return self._until(look, seconds) is not None

    def _until(self, look: Callable[[tuple[str, ...]], bool | None], seconds: float) -> tuple[str, ...] | None:
        """Push, then look at the replicas, found anew each time, until ``look`` says yes (who they are) or no (None).

        ``look`` raises ``DeployFailed`` for what may still come; after ``seconds`` that is the answer.
        """
        self.push()
        deadline, pause = time.monotonic() + seconds, POLL_SECONDS
        while True:
            try:
                found = addresses(self._urls, self._resolve)
                done = look(found)
                if done is not None:
                    return found if done else None
            except (NoAddress, DeployFailed) as error:
                if time.monotonic() > deadline:
                    if not self._wanted():
                        return None
                    raise DeployFailed(str(error)) from error
                time.sleep(pause)
                pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)

    def _holds(self, url: str, role: Role, release: Release | None) -> None:
        status, trouble = _status(url, self._headers)
        if status is not None:
            trouble = _lacking(status, role, release.digest if release else None)
            if release is not None and trouble:
                _raise_refusal(url, status, release)
        if trouble:
            done = f"hold version {release.version} as {role}" if release else f"let go of the {role}"
            raise DeployFailed(f"{url} does not {done} in time: {trouble}")

    def prove(self, release: Release, golden: Golden, *, candidate: bool = False) -> None:
        """Every replica tries the release in a process of its own and answers the golden rows; nothing goes live.

        ``candidate``: it lies where candidates lie, not among the releases.

        Raises:
            DeployFailed: a replica could not try it now, or there is none.
            ModelRefused: it does not load there, or answers wrongly.
        """
        body = {"version": release.version, "digest": release.digest, "candidate": candidate}
        try:
            urls = addresses(self._urls, self._resolve)
        except NoAddress as error:
            raise DeployFailed(str(error)) from error
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            for url, tried in zip(urls, pool.map(lambda url: self._trial(url, body), urls), strict=True):
                check_trial(url, tried, release, golden)

    def _trial(self, url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        timeout = (CONNECT_SECONDS, TRIAL_SECONDS)
        try:
            response = requests.post(f"{url}/v1/trial", json=body, headers=self._headers, timeout=timeout)
            document = response.json()
        except requests.JSONDecodeError as error:
            raise DeployFailed(f"{url} answers the trial with HTTP {response.status_code} and no JSON") from error
        except requests.RequestException as error:
            raise DeployFailed(f"{url} does not answer the trial of version {body['version']}: {error}") from error
        if response.status_code in {401, 403}:
            raise DeployFailed(f"{url} does not take the push token (GAVEL_PUSH_TOKEN, SERVING_PUSH_TOKEN)")
        if response.status_code != requests.codes.ok or not isinstance(document, dict):
            raise DeployFailed(f"{url} cannot try it now (HTTP {response.status_code}): {response.text[:300]}")
        return document

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
            check_golden(url, bundle, self._headers)
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


def _lacking(status: ReplicaStatus, role: Role, digest: str | None) -> str:
    """Why not every worker holds the digest as this role; empty when they do."""
    for each in status.workers:
        if each.problem:
            return f"worker {each.index}: {each.problem}"
        found = getattr(each, role)
        if found != digest:
            return f"worker {each.index} holds {found[:12] if found else 'none'}"
    return ""


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
        for refusal in (each.refusal, each.challenger_refusal, each.shadow_refusal):
            if refusal is not None and refusal.digest == release.digest:
                raise ModelRefused(f"{url} refused version {release.version}: {refusal.reason}")
