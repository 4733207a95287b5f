"""What a replica answers to golden rows, held against what was recorded. Not here: whom to ask (``replicas.py``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from pipeline.contract.bundle import Bundle, Golden
from pipeline.contract.channel import Release
from pipeline.errors import DeployFailed, ModelRefused

CONNECT_SECONDS, READ_SECONDS = 2.0, 5.0
VARIANT = "X-Model-Variant"
CUT_OFF = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def check_golden(url: str, bundle: Bundle, headers: Mapping[str, str]) -> None:
    """The recorded rows must be answered by this bundle, within its tolerance."""
    golden = bundle.golden
    timeout = (CONNECT_SECONDS, READ_SECONDS)
    try:
        body, asked = {"rows": list(golden.rows)}, {**headers, VARIANT: "champion"}  # a challenger may stand beside it
        response = requests.post(f"{url}/v1/predict", json=body, headers=asked, timeout=timeout)
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
    compare(url, golden.answers, document.get("predictions", []), golden.tolerance)


def check_trial(url: str, tried: Mapping[str, Any], release: Release, golden: Golden) -> None:
    if tried.get("problem"):
        raise ModelRefused(f"{url} tried version {release.version} and refuses it: {tried['problem']}")
    if tried.get("digest") != release.digest:
        raise ModelRefused(f"{url} tried another release than version {release.version}: {tried.get('digest')}")
    answers = tried.get("answers")
    given = [each if isinstance(each, dict) else {} for each in answers] if isinstance(answers, list) else []
    compare(url, golden.answers, given, golden.tolerance)


def compare(
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
