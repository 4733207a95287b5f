"""Does a server answer what the model answers, and to those only who may ask? Looked at before it is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from http.client import HTTPConnection

from benchmarks.serving.formats import JSON, Call, Format
from benchmarks.serving.material import Material

CHECKED = 50


class WrongAnswer(Exception):
    """A server did not answer what onnxruntime answers to the same rows."""


def check(material: Material, form: Format, port: int, size: int) -> None:
    """Raises ``WrongAnswer`` unless prices come back as onnxruntime has them, to a millionth."""
    expected = material.prices
    for index, rows in enumerate(material.batches(size)[:CHECKED]):
        status, headers, body = send(port, form.call(material.schema, rows))
        if status != 200:
            raise WrongAnswer(f"{form.name}: {status} {body[:300]!r}")
        right = expected[index * size : (index + 1) * size]
        if form.prices and not _close(form.prices(body, headers), right):
            raise WrongAnswer(f"{form.name}: the prices are not the model's")


def _close(prices: Sequence[float], right: Sequence[float]) -> bool:
    return len(prices) == len(right) and all(map(partial(math.isclose, rel_tol=1e-6), prices, right))


def check_guarded(port: int) -> None:
    """Raises ``WrongAnswer`` when it answers whoever brings no key: then it does less than it is said to do."""
    status, _, _ = send(port, Call("/v1/predict", JSON, b"{}"))
    if status != 401:
        raise WrongAnswer(f"a request without a key got {status}, not 401")


def send(port: int, call: Call) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", call.path, call.body or None, dict(call.headers))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()
