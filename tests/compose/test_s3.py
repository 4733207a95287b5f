"""What each program may do in S3 with the keys that it has."""

import pytest

from tests.compose.stack import run

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]

DENIED, OK = "AccessDenied", "ok"


def test_serving_reads_releases_and_nothing_else(live, days):
    """It can write nowhere, list nothing, and does not see what was sold."""
    partition = days.state()["partitions"][0]
    channel = "channels/car_price.json"
    wanted = {
        f"get:gavel:{channel}": OK,
        "get:gavel:releases/car_price/1/manifest.json": OK,
        f"get:gavel:{partition}": DENIED,
        f"put:gavel:{channel}": DENIED,
        "put:gavel:releases/car_price/9/manifest.json": DENIED,
        f"delete:gavel:{channel}": DENIED,
        "list:gavel:releases/": DENIED,
        "list:gavel:": DENIED,
        "list:mlflow:": DENIED,
    }
    assert live.beside("release-store", "s3_rights.py", *wanted, secrets="secrets-serving") == wanted


def test_the_pipeline_and_mlflow_keep_to_their_own_bucket(live):
    """Neither can touch what the other has."""
    for own, other in (("gavel", "mlflow"), ("mlflow", "gavel")):
        reader = "airflow" if own == "gavel" else "mlflow"
        wanted = {
            f"put:{own}:work/a-test": OK,
            f"delete:{own}:work/a-test": OK,
            f"list:{own}:": OK,
            f"put:{other}:work/a-test": DENIED,
            f"list:{other}:": DENIED,
        }
        assert live.beside("object-store", "s3_rights.py", *wanted, secrets=f"secrets-{reader}") == wanted


def test_a_stranger_is_refused(live):
    """Without keys there is no answer but no."""
    code = (
        "import urllib.request as r, urllib.error as e, json, sys\n"
        "def said(path, method):\n"
        "    try: return r.urlopen(r.Request('http://s3:8333/' + path, method=method, data=b'' if method == 'PUT' else None)).status\n"
        "    except e.HTTPError as error: return error.code\n"
        "print([said(*each) for each in (('', 'GET'), ('gavel/', 'GET'), ('gavel/x', 'PUT'), ('gavel/channels/car_price.json', 'GET'))])"
    )
    image = ["--entrypoint", "python", "gavel-test-pipeline", "-c", code]
    said = run("docker", "run", "--rm", "--network", "gavel-test_object-store", *image)
    assert said.strip() == "[403, 403, 403, 403]"
