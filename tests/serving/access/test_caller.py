"""serving/access/caller.py"""

import hashlib

import pytest

from serving.access.caller import ANONYMOUS, AccessDenied, Caller
from serving.responses import PROBLEMS


def test_an_admin_may_do_all_that_predict_may():
    """And not the other way round."""
    assert Caller("a", "admin").may("predict")
    assert Caller("a", "admin").may("admin")
    assert Caller("a", "predict").may("predict")
    assert not Caller("a", "predict").may("admin")


def test_a_signed_body_must_be_the_one_that_came():
    """Whoever signed nothing about the body may send any."""
    ANONYMOUS.accept_body(b"anything")
    signer = Caller("a", "predict", hashlib.sha256(b"body").hexdigest())
    signer.accept_body(b"body")
    with pytest.raises(AccessDenied) as refused:
        signer.accept_body(b"Body")
    assert refused.value.code == "unauthorized"


@pytest.mark.parametrize(
    ("code", "status", "header"),
    [("unauthorized", 401, "www-authenticate"), ("forbidden", 403, None), ("push_disabled", 403, None)]
    + [("keys_unavailable", 503, "retry-after")],
)
def test_every_refusal_has_its_status_and_headers(code, status, header):
    """RFC 9110 wants WWW-Authenticate with 401."""
    assert PROBLEMS[code][0] == status
    assert list(AccessDenied(code, "").headers) == ([header] if header else [])
