"""What each program may do in S3 with the keys that it has."""

import subprocess

import pytest

from tests.compose.stack import run, wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(2400)]

DENIED, OK = "AccessDenied", "ok"
LAME = "gavel-test-s3-without-volumes"


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


def test_an_s3_that_has_not_found_its_volumes_is_not_called_healthy(live):
    """It would list objects and could read none; what waits for it goes on waiting."""
    (s3,) = live.containers("s3")
    own, image = s3.document["Config"]["Cmd"], s3.document["Config"]["Image"]
    look = ["sh", "-c", s3.document["Config"]["Healthcheck"]["Test"][1]]
    command = [*(word for word in own if not word.startswith(("-dir=", "-s3.config="))), "-dir=/tmp", "-volume=false"]
    run("docker", "run", "-d", "--name", LAME, "--network", "none", "--entrypoint", "weed", image, *command)
    try:
        listens = ["docker", "exec", LAME, "wget", "-qO-", "http://127.0.0.1:8333/healthz"]
        wait_for(lambda: subprocess.run(listens, capture_output=True, check=False).returncode == 0, 60, "no S3")
        assert subprocess.run(["docker", "exec", LAME, *look], capture_output=True, check=False).returncode == 1
    finally:
        run("docker", "rm", "-f", LAME)
    assert subprocess.run(["docker", "exec", s3.name, *look], capture_output=True, check=False).returncode == 0
