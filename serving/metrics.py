"""What is counted for Prometheus, and the page of ``/metrics``. What the figures should be is in ``deploy/monitoring``.

With several workers each writes into the folder of PROMETHEUS_MULTIPROC_DIR, and the page is the sum over all.
"""

from __future__ import annotations

import os
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

REQUESTS = Counter("gavel_requests", "Requests answered.", ["door", "status"])
SECONDS = Histogram("gavel_request_seconds", "From the head of a request to its answer.", ["door"], buckets=BUCKETS)
ROWS = Counter("gavel_rows", "Rows answered.", ["door"])
SHED = Counter("gavel_shed", "Requests refused to protect the others.", ["reason"])
SWAPS = Counter("gavel_swaps", "Releases that went live.")
REFUSALS = Counter("gavel_refusals", "Releases that were refused.")
VERSION = Gauge("gavel_model_version", "The version that answers.", ["model"], multiprocess_mode="livemin")
LIVE_SINCE = Gauge("gavel_model_live_since_seconds", "When it went live, Unix time.", multiprocess_mode="livemin")
STORE_FAILED = Gauge(
    "gavel_store_failed", "1 while the release store cannot be read, else 0.", multiprocess_mode="livemax"
)
CACHE = Counter("gavel_cache", "Rows looked up in the cache of answers.", ["result"])
# Only while a challenger or a shadow stands beside the champion.
VARIANT = ["variant", "version"]
VARIANT_SECONDS = Histogram("gavel_variant_seconds", "From a request's body to its answer.", VARIANT, buckets=BUCKETS)
VARIANT_ERRORS = Counter("gavel_variant_errors", "Requests that failed, or whose answer is not finite.", VARIANT)
VARIANT_ROWS = Counter("gavel_variant_rows", "Rows answered.", VARIANT)
VARIANT_SUM = Gauge("gavel_variant_answer_sum", "Sum of the first output.", VARIANT, multiprocess_mode="sum")
VARIANT_SQUARES = Counter("gavel_variant_answer_squares", "Sum of the squares of the first output.", VARIANT)


def count_request(door: str, status: int, seconds: float, rows: int) -> None:
    """One request answered; ``rows`` is 0 where there are none."""
    requests, duration, answered = _of(door, status)
    requests.inc()
    duration.observe(seconds)
    if rows:
        answered.inc(rows)


def count_swap(model: str, version: int) -> None:
    """A release of ``model`` went live."""
    SWAPS.inc()
    VERSION.labels(model).set(version)
    LIVE_SINCE.set_to_current_time()


class VariantFigures:
    """The figures of one release in one role."""

    def __init__(self, *labels: str) -> None:
        self.errors, self._seconds = VARIANT_ERRORS.labels(*labels), VARIANT_SECONDS.labels(*labels)
        self._rows, self._sum = VARIANT_ROWS.labels(*labels), VARIANT_SUM.labels(*labels)
        self._squares = VARIANT_SQUARES.labels(*labels)

    def took(self, seconds: float) -> None:
        self._seconds.observe(seconds)

    def answered(self, rows: int, total: float, squares: float) -> None:
        self._rows.inc(rows)
        self._sum.inc(total)
        self._squares.inc(squares)


def of_variant(role: str, version: int) -> VariantFigures:
    return VariantFigures(role, str(version))


@cache  # looking up labels takes longer than counting; there are some ten doors and some ten statuses
def _of(door: str, status: int) -> tuple[Counter, Histogram, Counter]:
    return REQUESTS.labels(door, str(status)), SECONDS.labels(door), ROWS.labels(door)


def page() -> bytes:
    """All figures in the text format of Prometheus."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # the library's own way of saying it
        return bytes(generate_latest(REGISTRY))
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return bytes(generate_latest(registry))
