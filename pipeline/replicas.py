"""Asking the serving replicas: a hint to look at the channel, what they hold, a trial, and the golden rows.

Not here: which release they ought to serve (``pipeline/deploy.py``).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import requests

from pipeline.contract.bundle import Bundle, Golden
from pipeline.contract.channel import Release
from pipeline.contract.status import ReplicaStatus, Status
from pipeline.errors import DeployFailed, ModelRefused

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
TRIAL_SECONDS = 120.0  # a process is started, the model is read and loaded, and the golden rows are answered
POLL_SECONDS = 0.1
SLOWEST_POLL_SECONDS = 1.0
PUSHES_AT_ONCE = 16

Role = Literal["challenger", "shadow"]


class Replicas:
    """The serving processes at ``urls``. ``wanted`` says whether the release is still the one that ought to be live."""

    def __init__(self, urls: Sequence[str], token: str, wanted: Callable[[], bool]) -> None:
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._wanted = wanted

    def push(self) -> None:
        """Tell each replica to look at the channel now. Only a hint: a replica that misses it looks by itself soon."""
        with ThreadPoolExecutor(PUSHES_AT_ONCE) as pool:
            list(pool.map(self._push, self._urls))

    def _push(self, url: str) -> None:
        with contextlib.suppress(requests.RequestException):
            requests.post(f"{url}/v1/reload", headers=self._headers, timeout=(CONNECT_SECONDS, READ_SECONDS))

    def serve(self, bundle: Bundle, release: Release, generation: int, seconds: float) -> bool:
        """Push, then wait until every worker of every replica serves the release, and the golden rows are answered.

        False when another release took its place meanwhile.

        Raises:
            DeployFailed: a replica did not get there within ``seconds``.
            ModelRefused: a replica refused the release or answers wrongly.
        """
        self.push()
        deadline = time.monotonic() + seconds
        for url in self._urls:
            if not self._wait(url, release, generation, deadline):
                return False
        for url in self._urls:
            _check_golden(url, bundle, self._headers)
        return self._wanted()

    def hold(self, role: Role, release: Release | None, seconds: float) -> bool:
        """Push, then wait until every worker holds the release as ``role`` (challenger, shadow), or none of it.

        False when another change took the place of this one meanwhile. Raises as ``serve`` does.
        """
        self.push()
        deadline = time.monotonic() + seconds
        return all(self._wait_for_role(url, role, release, deadline) for url in self._urls)

    def prove(self, release: Release, golden: Golden, *, candidate: bool = False) -> None:
        """Every replica tries the release in a process of its own and answers the golden rows; nothing goes live.

        ``candidate``: it lies where candidates lie, not among the releases.

        Raises:
            DeployFailed: a replica could not try it now.
            ModelRefused: it does not load there, or answers wrongly.
        """
        body = {"version": release.version, "digest": release.digest, "candidate": candidate}
        with ThreadPoolExecutor(PUSHES_AT_ONCE) as pool:
            for url, tried in zip(self._urls, pool.map(lambda url: self._trial(url, body), self._urls), strict=True):
                _check_trial(url, tried, release, golden)

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

    def _wait_for_role(self, url: str, role: Role, release: Release | None, deadline: float) -> bool:
        wanted, pause = release.digest if release else None, POLL_SECONDS
        while True:
            status, trouble = _status(url, self._headers)
            if status is not None:
                trouble = _lacking(status, role, wanted)
                if not trouble:
                    return True
                if release is not None:
                    _raise_refusal(url, status, release)
            if not self._wanted():
                return False
            if time.monotonic() > deadline:
                done = f"hold version {release.version} as {role}" if release else f"let go of the {role}"
                raise DeployFailed(f"{url} does not {done} in time: {trouble}")
            time.sleep(pause)
            pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)

    def _wait(self, url: str, release: Release, generation: int, deadline: float) -> bool:
        pause = POLL_SECONDS
        while True:
            status, trouble = _status(url, self._headers)
            if status is not None:
                if status.serves(release.digest):
                    return True
                _raise_refusal(url, status, release)
                if (status.generation or 0) > generation and not self._wanted():
                    return False
                trouble = _trouble(status, release)
            if time.monotonic() > deadline:
                if not self._wanted():
                    return False
                raise DeployFailed(f"{url} does not serve version {release.version} in time: {trouble}")
            time.sleep(pause)
            pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)


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


def _check_trial(url: str, tried: Mapping[str, Any], release: Release, golden: Golden) -> None:
    if tried.get("problem"):
        raise ModelRefused(f"{url} tried version {release.version} and refuses it: {tried['problem']}")
    if tried.get("digest") != release.digest:
        raise ModelRefused(f"{url} tried another release than version {release.version}: {tried.get('digest')}")
    answers = tried.get("answers")
    given = [each if isinstance(each, dict) else {} for each in answers] if isinstance(answers, list) else []
    _compare(url, golden.answers, given, golden.tolerance)


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
    except requests.ConnectionError as error:
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
