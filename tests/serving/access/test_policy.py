"""serving/access/policy.py"""

import pytest

from serving.access.policy import role_for


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/livez", None),
        ("/readyz", None),
        ("/ping", None),
        ("/v2/health/live", None),
        ("/v2/models/car_price/ready", None),
        ("/v2/models/car_price/versions/3/ready", None),
        ("/inference.GRPCInferenceService/ServerReady", None),
        ("/v1/reload", "admin"),
        ("/v1/predict", "predict"),
        ("/invocations", "predict"),
        ("/v2/models/car_price/infer", "predict"),
        ("/v2/models/a/b/ready", "predict"),
        ("/v2/models//ready", "predict"),
        ("/metrics", "predict"),
        ("/", "predict"),
        ("", "predict"),
        ("/livez/", "predict"),
        ("/LIVEZ", "predict"),
        ("/" + "\n" * 50_000, "predict"),
        ("/inference.GRPCInferenceService/ModelInfer", "predict"),
    ],
)
def test_an_address_asks_for_its_role(path, role):
    """What nobody thought of is not open."""
    assert role_for("GET", path) == role_for("POST", path) == role


@pytest.mark.parametrize("path", ["/v1/reload\n", "/v1/reload\n\n"])
def test_a_line_break_at_the_end_is_no_way_around(path):
    """Starlette's routes would still find the address."""
    from starlette.routing import Match, Route

    route = Route("/v1/reload", lambda _: None, methods=["POST"])
    found, _ = route.matches({"type": "http", "method": "POST", "path": path})
    assert (found is Match.NONE) or role_for("POST", path) == "admin"
