"""The page Releases and the links to MLflow, inside the real API server's app."""

import json
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from pipeline import addresses
from pipeline.contract.channel import Challenger, Channel, Release, channel_key
from pipeline.contract.ledger import Actor, entry_key
from pipeline.releases.change import Reason, change
from pipeline.store import open_store
from tests.airflow_home import REPOSITORY, make_tables
from tests.pipeline.fake_names import FakeNames

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow 3.3 and Starlette warn about their own code

DIGEST = "a" * 64
RELEASE = Release(version=7, digest=DIGEST, data_day="2026-11-21")
AWAY = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture(scope="module")
def plugin():
    """The plugin as Airflow's own loader finds it."""
    from airflow import plugins_manager

    plugins_manager.get_plugin_info()
    assert plugins_manager.get_import_errors() == {}
    return sys.modules["gavel_releases"]


@pytest.fixture(scope="module")
def client(plugin):
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    make_tables()
    with TestClient(create_app(apps="core")) as found:
        yield found


@pytest.fixture(scope="module")
def token(client):
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="admin", role="admin"))


@pytest.fixture
def replica():
    """Starts a server that says about itself what it is told to."""
    servers = []

    def start(said, host="127.0.0.1", port=0):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(said if isinstance(said, bytes) else json.dumps(said).encode())

            def log_message(self, *_):
                pass

        server = HTTPServer((host, port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://{host}:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """A store with a champion, and replicas at the addresses that a test names."""

    def configure(*urls, channel=None):
        file = tmp_path / "store" / channel_key("car_price")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(channel or Channel("car_price").with_champion(RELEASE).to_bytes())
        monkeypatch.setenv("GAVEL_STORE", f"file:{tmp_path}/store")
        monkeypatch.setenv("GAVEL_SERVING_URLS", json.dumps(urls))

    return configure


def ask(client, token):
    return client.get("/gavel/releases", headers={"Authorization": f"Bearer {token}"})


def test_the_page_is_for_those_who_are_logged_in(client, configured):
    """Without a token there is nothing to see."""
    configured(AWAY)
    assert client.get("/gavel/releases").status_code == 401
    assert client.get("/gavel/releases", headers={"Authorization": "Bearer nonsense"}).status_code in (401, 403)


@pytest.mark.parametrize("path", ["/gavel/", "/gavel/docs", "/gavel/openapi.json", "/gavel/redoc"])
def test_there_is_no_other_door(client, path):
    """The plugin's app has this one page."""
    assert "Releases of" not in client.get(path).text


def test_a_replica_that_serves_the_champion(client, token, configured, replica):
    """What ought to be live, what is, and where its versions are."""
    url = replica({"version": 7, "digest": DIGEST, "since": "2026-11-22T00:00:09Z", "refusal": None})
    configured(url)
    answer = ask(client, token)
    assert answer.status_code == 200
    assert "<b>Version 7</b>, learned from sales up to 2026-11-21" in answer.text
    assert f'<td class="good">{url}<td>7<td>{DIGEST[:12]}' in answer.text
    assert "/#/models/car_price" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_replica_that_is_away(client, token, configured):
    """The page comes all the same and says so."""
    configured(AWAY)
    answer = ask(client, token)
    assert answer.status_code == 200
    assert "does not answer" in answer.text
    assert f'<td class="bad">{AWAY}' in answer.text


def test_a_name_is_a_row_for_each_replica_behind_it(client, token, configured, replica, monkeypatch):
    """The one that lags behind is seen."""
    near = replica({"version": 7, "digest": DIGEST})
    port = int(near.rpartition(":")[2])
    far = replica({"version": 6, "digest": "b" * 64}, "127.0.0.2", port)
    names = FakeNames(["127.0.0.2", "127.0.0.1"])
    # not in the plugin's module: Airflow may have loaded that file more than once
    monkeypatch.setattr(addresses, "addresses", partial(addresses.addresses, resolve=names))
    configured(f"dns+http://serving:{port}", near)
    page = ask(client, token).text
    assert page.count("</tr><tr>") == 2
    assert f'<td class="good">{near}<td>7' in page
    assert f'<td class="bad">{far}<td>6' in page


def test_a_name_without_a_replica_is_a_row_that_says_so(client, token, configured, replica):
    """The others are on the page all the same."""
    url = replica({"version": 7, "digest": DIGEST})
    configured("dns+http://serving.invalid:8000", url)
    page = ask(client, token).text
    assert f'<td class="good">{url}' in page
    assert '<td class="bad">dns+http://serving.invalid:8000<td>-' in page
    assert "stands for no replica now" in page


def test_a_replica_with_a_worker_that_does_not_answer(client, token, configured, replica):
    """The release of the others does not make it good; the page says how many workers are ready, and what is wrong."""
    silent = {"index": 1, "ready": False, "problem": "there is no answer within 1 s"}
    workers = [{"index": 0, "ready": True, "problem": None}, silent]
    url = replica({"version": 7, "digest": DIGEST, "since": "2026-11-22T00:00:09Z", "workers": workers})
    configured(url)
    page = ask(client, token).text
    assert f'<td class="bad">{url}<td>7' in page
    assert "<td>1 of 2<td>worker 1: there is no answer within 1 s</tr>" in page


@pytest.mark.parametrize("said", [b"", b"[]", b"null", b"<html>", b"\xff", b'{"workers": 5}', b'{"workers": [5]}'])
def test_a_replica_that_talks_nonsense(client, token, configured, replica, said):
    """Something else listens at its address."""
    configured(replica(said))
    assert "does not answer" in ask(client, token).text


def test_what_replicas_say_is_only_text(client, token, configured, replica):
    """No replica can put a script into somebody's Airflow."""
    evil = "<script>alert(1)</script>"
    said = {"version": evil, "digest": evil, "since": evil, "refusal": {"reason": evil}}
    configured(replica(said))
    assert "<script>" not in ask(client, token).text


def changed(tmp_path, clicks):
    """A store in which somebody has made changes; the page reads its ledger."""
    store = open_store(f"file:{tmp_path}/store")
    for number in range(clicks):
        version = Release(number + 1, f"{number:064x}", "2026-11-20")
        who = Actor("person", "<i>anna</i>", "http://airflow/run" if number % 2 else "javascript:alert(1)")
        reason = Reason(who, "promote", f"<b>reason {number + 1}</b>")
        change(store, "car_price", reason, lambda seen, version=version: seen.with_champion(version))
    return store


def test_what_is_on_trial_and_what_was_changed(client, token, configured, tmp_path):
    """Challenger with its share, shadow, quarantine; the last ten changes with who and why; the way to the form."""
    configured(AWAY)
    (tmp_path / "store" / channel_key("car_price")).unlink()
    store, who = changed(tmp_path, 12), Actor("automatic", "bake of version 3", "http://airflow/bake")
    trial = {"challenger": Challenger(RELEASE, 0.25), "shadow": Release(8, DIGEST, "2026-11-22"), "quarantined": (3, 5)}
    change(store, "car_price", Reason(who, "canary", "try it"), lambda seen: seen.changed(**trial))
    text = ask(client, token).text
    assert "<b>Version 12</b>" in text
    assert "Challenger: <b>Version 7</b>, learned from sales up to 2026-11-21, answers 0.25 of the requests" in text
    assert "Shadow: <b>Version 8</b>" in text
    assert "In quarantine: 3, 5." in text
    assert '<td>canary<td>12<td><a href="http://airflow/bake">bake of version 3 (automatic)</a>' in text
    assert "<td>promote<td>11 &rarr; 12<td>" in text
    assert text.count("<tr><td>20") == 10
    assert "reason 4&lt;" in text
    assert "reason 3&lt;" not in text
    assert 'href="../dags/car_price_release"' in text
    assert "<b>reason" not in text
    assert "javascript:" not in text


def test_a_damaged_ledger_hides_nothing_else(client, token, configured, tmp_path):
    """The page says so, and still shows what is live."""
    configured(AWAY)
    (tmp_path / "store" / channel_key("car_price")).unlink()
    changed(tmp_path, 2)
    (tmp_path / "store" / entry_key("car_price", 2)).write_text("{}")
    answer = ask(client, token)
    assert (answer.status_code, "<b>Version 2</b>" in answer.text) == (200, True)
    assert "the ledger entry cannot be read" in answer.text


def test_before_the_first_release(client, token, configured, plugin):
    """Nobody is blamed for serving nothing."""
    configured(AWAY, channel=Channel("car_price").to_bytes())
    answer = ask(client, token)
    assert "No release yet" in answer.text
    assert '<td class="bad">' not in answer.text


def test_a_channel_that_cannot_be_read_is_a_sentence(client, token, configured):
    """Not a stack trace."""
    configured(AWAY, channel=b"{}")
    answer = ask(client, token)
    assert answer.status_code == 503
    assert "cannot be read" in answer.text


@pytest.mark.parametrize(
    ("dag", "task", "returned", "expected"),
    [
        ("car_price_daily", "gate", {"run_url": "http://127.0.0.1:5000/#/experiments/1/runs/r"}, True),
        ("car_price_daily", "gate", {"run_url": "javascript:alert(1)"}, False),
        ("car_price_daily", "gate", {}, False),
        ("car_price_daily", "train", {"run_url": "http://127.0.0.1:5000/"}, False),
        ("another", "gate", {"run_url": "http://127.0.0.1:5000/"}, False),
    ],
)
def test_tasks_link_to_the_mlflow_run(plugin, monkeypatch, dag, task, returned, expected):
    """From register, gate and deploy, once register has returned an address."""
    monkeypatch.setattr(plugin, "_returned", lambda run_id: returned)
    link = plugin.MlflowLink().get_link(None, ti_key=SimpleNamespace(dag_id=dag, task_id=task, run_id="r"))
    assert link == (returned["run_url"] if expected else "")


@pytest.mark.usefixtures("client")
def test_a_run_without_a_registered_model_has_no_link(plugin):
    """The database is asked and has nothing."""
    assert plugin._returned("no such run") == {}


def test_plugins_shadow_nothing_and_import_nothing_heavy():
    """Airflow imports each file under its bare name; a training library would slow down the API server."""
    files = [path.stem for path in (REPOSITORY / "plugins").glob("**/*.py")]
    code = (
        "import importlib.util, json, sys\n"
        f"taken = [name for name in {files!r} if importlib.util.find_spec(name)]\n"
        f"sys.path[:0] = [{str(REPOSITORY)!r}, {str(REPOSITORY / 'plugins')!r}]\n"
        f"for name in {files!r}: __import__(name)\n"
        "heavy = {'sklearn', 'mlflow', 'onnx', 'onnxruntime', 'skl2onnx', 'boto3', 'pandas', 'matplotlib'}\n"
        "print(json.dumps([taken, sorted(heavy & set(sys.modules))]))\n"
    )
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, timeout=120, cwd="/"
    )
    assert json.loads(out.stdout.splitlines()[-1]) == [[], []]
