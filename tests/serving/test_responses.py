"""serving/responses.py"""

import json

import pytest

from pipeline.contract.schema import RowError
from serving.responses import MAX_ERRORS, PROBLEMS, json_response, problem, rows_problem, to_json


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_has_the_members_of_rfc_9457(code):
    """Type, title, status and detail, and our stable code."""
    response = problem(code, "why")
    document = json.loads(response.body)
    assert response.media_type == "application/problem+json"
    assert document == {
        "type": f"urn:gavel:problem:{code}",
        "title": PROBLEMS[code][1],
        "status": response.status_code,
        "code": code,
        "detail": "why",
    }


def test_row_errors_are_listed_up_to_a_hundred():
    """The number of all is in the detail."""
    errors = [RowError(row, "year", "out_of_range", "must be less") for row in range(MAX_ERRORS + 1)]
    document = json.loads(rows_problem(errors).body)
    assert document["detail"] == "101 errors in 101 rows"
    assert len(document["errors"]) == MAX_ERRORS
    assert document["errors"][0] == {"row": 0, "column": "year", "code": "out_of_range", "message": "must be less"}


def test_json_never_has_nan():
    """A number that is not JSON is a defect, not an answer."""
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"a": float("nan")})


def test_any_text_can_be_answered():
    """Half a surrogate pair, as a client may send it, does not make an answer fail."""
    assert json.loads(json_response({"a": "\ud800"}).body) == {"a": "\ud800"}
