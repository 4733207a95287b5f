"""Answers as HTTP: JSON, and errors as problem+json (RFC 9457) with stable codes. The one table of codes is here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from pipeline.contract.schema import RowError

MAX_ERRORS = 100

# code: (HTTP status, title). A code never changes its meaning; the detail may.
PROBLEMS = {
    "not_json": (400, "The body is not strict JSON"),
    "not_csv": (400, "The body is not strict CSV"),
    "bad_request": (400, "The request cannot be read"),
    "unauthorized": (401, "You must say who you are"),
    "forbidden": (403, "You may not do this"),
    "push_disabled": (403, "This process takes no pushes"),
    "not_found": (404, "There is nothing at this address"),
    "method_not_allowed": (405, "This address does not take this method"),
    "body_too_large": (413, "The body is too large"),
    "too_many_rows": (413, "There are too many rows"),
    "not_json_type": (415, "The body must be plain application/json"),
    "wrong_shape": (422, "The body has the wrong shape"),
    "no_rows": (422, "There are no rows"),
    "rows_invalid": (422, "Some rows cannot be used"),
    "throttled": (429, "You ask too often"),
    "internal_error": (500, "Something went wrong here"),
    "no_release": (503, "No release is live yet"),
    "not_ready": (503, "This process is not ready"),
    "overloaded": (503, "Too many requests are under way"),
    "keys_unavailable": (503, "The token cannot be checked now"),
    "unavailable": (503, "Something that this needs does not answer now"),
}


def json_response(document: Any, status: int = 200) -> Response:
    return Response(to_json(document), status, media_type="application/json")


def to_json(document: Any) -> bytes:
    """ASCII only, so that no text a client sent can make it fail; never NaN."""
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def problem(code: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """The problem ``code`` of the table; ``more`` are further members of the document."""
    status, title = PROBLEMS[code]
    document = {"type": f"urn:gavel:problem:{code}", "title": title, "status": status, "code": code, "detail": detail}
    return Response(to_json({**document, **more}), status, headers, media_type="application/problem+json")


def rows_problem(errors: Sequence[RowError], **more: Any) -> Response:
    """What is wrong with which rows; the first hundred errors are spelled out."""
    return problem("rows_invalid", rows_detail(errors), errors=[asdict(error) for error in errors[:MAX_ERRORS]], **more)


def rows_detail(errors: Sequence[RowError]) -> str:
    return f"{len(errors)} errors in {len({error.row for error in errors})} rows"
