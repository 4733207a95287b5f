"""Rows over HTTPS: one address with ``{day}`` in it, one delivery a day."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

import pandas as pd
import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from pipeline.datasets.declaration import Dataset
from pipeline.errors import DataInvalid, SettingsInvalid, SourceUnavailable
from pipeline.sources.day_files import only_day
from pipeline.sources.tables import rows_of

TRIES = 4
TIMEOUT = (5.0, 30.0)  # seconds to connect, and between two bytes
LONGEST = 300.0  # seconds for one whole delivery
LONGEST_WAIT = 60.0  # seconds; a server that asks for more is left to the next run
MOST_BYTES = 256 << 20
NO_SALES = (204, 404)
PASSING = (408, 425, 429)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Passing(SourceUnavailable):
    """Worth another try at once; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class HttpSource:
    """CSV or Parquet from an address such as ``https://host/sales-{day}.csv``; 404 and 204 mean no sales that day.

    ``pause`` is the first wait between two tries, in seconds; each next one is twice as long.
    """

    def __init__(self, uri: str, dataset: Dataset, pause: float = 1.0) -> None:
        _check(uri)
        self.description = _without_secrets(uri)
        self._uri = uri
        self._dataset = dataset
        self._pause = pause

    def read(self, day: date) -> pd.DataFrame:
        tries = Retrying(
            stop=stop_after_attempt(TRIES), wait=self._wait, retry=retry_if_exception_type(_Passing), reraise=True
        )
        name = f"{self.description} for {day}"
        found = tries(self._get, self._uri.replace("{day}", day.isoformat()), name)
        if found is None:
            return pd.DataFrame()
        data, whole = found
        return only_day(self._dataset, rows_of(data, name, whole=whole), day, name)

    def newest_day(self) -> date | None:
        return None

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, _Passing) else None
        return self._pause * 2 ** (state.attempt_number - 1) if asked is None else asked

    def _get(self, url: str, name: str) -> tuple[bytes, bool] | None:
        """The body and whether its length was told beforehand; None for a day without sales."""
        try:
            with requests.Session() as session:
                session.max_redirects = 5
                with session.get(url, stream=True, timeout=TIMEOUT) as answer:
                    _check_status(answer, name)
                    if answer.status_code in NO_SALES:
                        return None
                    return _body(answer, name), "Content-Length" in answer.headers
        except requests.TooManyRedirects as error:
            raise SettingsInvalid(f"{name}: it redirects in a circle") from error
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _Passing(f"{name} does not answer as it should: {type(error).__name__}") from error
        except requests.RequestException as error:
            raise DataInvalid(f"{name} cannot be read: {type(error).__name__}") from error


def _check_status(answer: requests.Response, name: str) -> None:
    code = answer.status_code
    if urlsplit(answer.url).scheme == "http" and urlsplit(answer.url).hostname not in LOOPBACK:
        raise SettingsInvalid(f"{name} redirects to an address without encryption")
    if code in PASSING or code >= requests.codes.server_error:
        wait = _retry_after(answer.headers.get("Retry-After", ""))
        if wait is not None and wait > LONGEST_WAIT:
            raise SourceUnavailable(f"{name} answers {code} and asks to wait {wait:.0f} s")
        raise _Passing(f"{name} answers {code}", wait)
    if code not in (requests.codes.ok, *NO_SALES):
        raise SettingsInvalid(f"{name} answers {code}: is the address right, and may we read it?")


def _retry_after(text: str) -> float | None:
    """Seconds, out of a number of seconds or a date."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _body(answer: requests.Response, name: str) -> bytes:
    end = time.monotonic() + LONGEST
    data = bytearray()
    for part in answer.iter_content(1 << 16):
        data += part
        if len(data) > MOST_BYTES:
            raise DataInvalid(f"{name} is larger than {MOST_BYTES >> 20} MiB")
        if time.monotonic() > end:
            raise SourceUnavailable(f"{name} took longer than {LONGEST:.0f} s")
    return bytes(data)


def _check(uri: str) -> None:
    parts = urlsplit(uri)
    if "{day}" not in uri:
        raise SettingsInvalid(f"{_without_secrets(uri)} must have {{day}} where the day (as 2015-06-01) belongs")
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise SettingsInvalid(f"{_without_secrets(uri)} is not encrypted; use https://")


def _without_secrets(uri: str) -> str:
    """The address without user, password and query, for people and logs."""
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
