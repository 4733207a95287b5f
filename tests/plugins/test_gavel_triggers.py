"""The triggers, run as the triggerer runs them, against small servers that say what a test wants."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.airflow_home import REPOSITORY
from tests.pipeline.mlflow_server import free_port

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow 3.3 warns about its own code

DIGEST = "a" * 64
PATIENCE = 60
LOOKS = 12
LIMITS = {"max_error_rate": 0.05, "max_latency_ratio": 2.0, "max_answer_drift": 0.1, "least_requests": 100}


@pytest.fixture(scope="module")
def triggers():
    """The file as the triggerer finds it: by its bare name, on the path that Airflow makes."""
    import airflow.settings

    airflow.settings.prepare_syspath_for_config_and_plugins()
    import gavel_triggers

    return gavel_triggers


class Said:
    """A server: ``answer`` is a document, a status code, or a function of the path; ``asked`` are the requests."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        said = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                said.asked.append((self.path, self.headers.get("Authorization")))
                found = said.answer(self.path) if callable(said.answer) else said.answer
                with contextlib.suppress(BrokenPipeError):  # the trigger was cancelled
                    self.send_response(found if isinstance(found, int) else 200)
                    self.end_headers()
                    self.wfile.write(found if isinstance(found, bytes) else json.dumps(found).encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve():
    made = []

    def start(answer):
        made.append(Said(answer))
        return made[-1]

    yield start
    for server in made:
        server.close()


@pytest.fixture
def configured(monkeypatch):
    def configure(*urls, mlflow="http://127.0.0.1:9"):
        monkeypatch.setenv("GAVEL_SERVING_URLS", json.dumps(urls))
        monkeypatch.setenv("GAVEL_PUSH_TOKEN", "secret")
        monkeypatch.setenv("GAVEL_MLFLOW_URI", mlflow)

    return configure


# --- the bake ---------------------------------------------------------------------------------------------


def variant(requests, errors=0, seconds=0.01, mean=100.0, digest=DIGEST, since="2026-11-22T00:00:00"):
    answers = requests - errors
    sums = {"count": answers, "mean": mean, "variance": 1.0, "sum": mean * answers, "squares": mean * mean * answers}
    times = {"count": requests, "sum": 1.0, "p50": seconds, "buckets": [[seconds, requests]]}
    counted = {"requests": requests, "refused": 0, "errors": errors, "seconds": times, "answers": sums}
    return {"version": 2, "digest": digest, "since": since, "workers": 1, **counted}


def counted(challenger, champion=None, worker="7-a"):
    """What a replica with one worker says."""
    roles = {"champion": champion or variant(900, digest="c" * 64), "challenger": challenger}
    return {"model": "car_price", **roles, "by_worker": [{"worker": worker, **roles}]}


GOOD, OTHER = counted(variant(150)), counted(variant(150), worker="8-a")


async def heard(trigger, until):
    """What it tells until ``until`` says of it that it is enough; then it is cancelled."""
    found = []

    async def listen():
        async for event in trigger.run():
            found.append(event.payload)

    listening, ends = asyncio.ensure_future(listen()), time.monotonic() + PATIENCE
    while not until(found):
        assert time.monotonic() < ends
        assert not listening.done()
        await asyncio.sleep(0.005)
    listening.cancel()
    return found


async def first(trigger):
    """What the trigger tells; then it has ended."""
    found = [event.payload async for event in trigger.run()]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def ticking(triggers, monkeypatch):
    """A clock that goes on by a minute at each look, so that a bake of ten minutes is ten looks."""

    class Clock(datetime):
        looks = 0

        @classmethod
        def now(cls, tz=None):
            cls.looks += 1
            return datetime(2026, 11, 22, 12, tzinfo=tz) + timedelta(minutes=cls.looks)

    monkeypatch.setattr(triggers, "datetime", Clock)
    return Clock


def bake(triggers, looks):
    deadline = datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(minutes=looks)
    return triggers.BakeTrigger(2, DIGEST, deadline.isoformat(), LIMITS, seconds=0.01)


def watched(trigger):
    return asyncio.run(asyncio.wait_for(first(trigger), PATIENCE))


def test_a_good_bake_lasts_to_its_end(triggers, serve, configured, ticking):
    """All replicas are asked with the token, again and again, and their counts are added up."""
    both = serve(GOOD), serve(OTHER)
    configured(*(each.url for each in both))
    found = watched(bake(triggers, 5))
    assert found["end"] == "good"
    assert found["text"] == "within all limits after 300 requests to the challenger and 1800 to the champion"
    for each in both:
        assert each.asked == [("/v1/variants", "Bearer secret")] * 5


def test_replicas_behind_a_name_are_asked_too(triggers, serve, configured, ticking):
    """Each address that the name has; a name that has none now is nobody's answer."""
    server = serve(GOOD)
    configured(f"dns+http://localhost:{server.server.server_port}")
    assert watched(bake(triggers, 3))["text"].startswith("within all limits after 150 requests")
    configured("dns+http://nobody.invalid:1")
    assert watched(triggers.BakeTrigger(2, DIGEST, "2026-01-01T00:00:00+00:00", LIMITS))["end"] == "few"


@pytest.mark.parametrize(
    ("worse", "told"),
    [
        ({"errors": 60}, "it fails 40.0% of its requests (60 of 150), allowed is 0.05"),
        ({"seconds": 0.1}, "10.0 times the champion's"),
        ({"mean": 100_000.0}, "its mean answer is 100000, the champion's 100"),
    ],
)
def test_a_breach_ends_it_at_once(triggers, serve, configured, ticking, worse, told):
    """Long before the window does, with the reason."""
    answers = iter([GOOD, GOOD])
    configured(serve(lambda path: next(answers, counted(variant(150, **worse)))).url)
    found = watched(bake(triggers, 1000))
    assert found["end"] == "breach"
    assert told in found["text"]
    assert ticking.looks == 3


def test_it_goes_on_where_another_triggerer_left_it(triggers, serve, configured, ticking):
    """Made anew from what Airflow has kept it has the same deadline, and one that is over is judged at once."""
    from airflow.serialization.serialized_objects import BaseSerialization

    server = serve(GOOD)
    configured(server.url)
    before = bake(triggers, 40)
    asyncio.run(heard(before, lambda found: len(server.asked) >= 3))
    path, state = before.serialize()
    assert path == "gavel_triggers.BakeTrigger"
    assert "secret" not in json.dumps(state)
    state = BaseSerialization.deserialize(BaseSerialization.serialize(state))
    again = triggers.BakeTrigger(**state)
    assert again.serialize() == before.serialize()
    assert watched(again)["end"] == "good"
    assert ticking.looks == 40
    late = triggers.BakeTrigger(**{**state, "deadline": "2026-01-01T00:00:00+00:00"})
    assert watched(late)["end"] == "good"
    assert ticking.looks == 41


def test_a_replica_that_starts_again_is_no_end(triggers, serve, configured, ticking):
    """While it is away or has not loaded the challenger yet the others count, and its earlier counts stay."""
    answers = iter([GOOD, 503, b"no JSON", counted(None, worker="7-b"), counted(variant(7), worker="7-b")])
    last = counted(variant(8), worker="7-b")
    configured(serve(lambda path: next(answers, last)).url, serve(OTHER).url)
    found = watched(bake(triggers, 8))
    assert found["text"].startswith("within all limits after 308 requests to the challenger")


def test_a_trial_that_somebody_ends(triggers, serve, configured, ticking):
    """No replica has the challenger any more: the bake is over, and nobody is blamed."""
    answers = iter([GOOD])
    configured(serve(lambda path: next(answers, counted(variant(5, digest="b" * 64)))).url)
    found = watched(bake(triggers, 1000))
    assert found == {"end": "gone", "text": "version 2 is not on trial any more: somebody has ended it"}


def test_too_few_requests(triggers, serve, configured, ticking):
    """Is said at the end."""
    configured(serve(counted(variant(12))).url)
    found = watched(bake(triggers, 3))
    assert found["end"] == "few"
    assert "12 requests to the challenger" in found["text"]


@pytest.mark.parametrize("answers", [[], [GOOD]])
def test_replicas_that_fall_silent_are_no_good_bake(triggers, serve, configured, ticking, answers):
    """It may be the challenger's fault, so nothing is promoted."""
    left = iter(answers)
    configured(serve(lambda path: next(left, 503)).url, f"http://127.0.0.1:{free_port()}")
    assert watched(bake(triggers, 5))["end"] == "few"


# --- the alias --------------------------------------------------------------------------------------------


def registered(alias, ours):
    aliases = [{"alias": "champion", "version": str(alias)}] if alias else []
    tags = [{"key": "gavel.champion", "value": str(ours)}] if ours else []
    others = {"aliases": [*aliases, {"alias": "mine", "version": "1"}], "tags": [*tags, {"key": "x", "value": "y"}]}
    return {"registered_model": {"name": "car_price", **others}}


def listened(triggers, until, *, again=3600.0):
    """What the trigger tells until ``until`` says of it that it is enough."""
    trigger = triggers.AliasTrigger(seconds=0.01, sure=0.01, again=again)
    return asyncio.run(heard(trigger, until))


@pytest.mark.parametrize(("alias", "ours"), [(3, 2), (3, None), (None, 2)])
def test_a_moved_alias_is_told_once(triggers, serve, configured, alias, ours):
    """Moved, set for the first time, or removed; MLflow is asked for the model of the dataset."""
    server = serve(registered(alias, ours))
    configured(mlflow=server.url)
    found = listened(triggers, lambda found: len(server.asked) >= LOOKS)
    assert found == [{"alias": str(alias or ""), "ours": str(ours or "")}]
    assert {path for path, _ in server.asked} == {"/api/2.0/mlflow/registered-models/get?name=car_price"}


@pytest.mark.parametrize("answer", [registered(2, 2), registered(None, None), 404])
def test_an_alias_that_we_moved_is_not_told(triggers, serve, configured, answer):
    """Nor one that nobody has set, nor while there is no model."""
    server = serve(answer)
    configured(mlflow=server.url)
    assert listened(triggers, lambda found: len(server.asked) >= LOOKS) == []


def test_what_is_seen_once_only_is_not_told(triggers, serve, configured):
    """A deploy moves the alias and then the tag; between the two it looks moved."""
    answers = iter([registered(3, 2), registered(3, 3)] * 3)
    server = serve(lambda path: next(answers, registered(3, 3)))
    configured(mlflow=server.url)
    assert listened(triggers, lambda found: len(server.asked) >= LOOKS) == []


def test_another_move_is_told_too(triggers, serve, configured):
    """Each new state."""
    answers = iter([registered(3, 2)] * 6)
    configured(mlflow=serve(lambda path: next(answers, registered(4, 2))).url)
    assert [each["alias"] for each in listened(triggers, lambda found: len(found) == 2)] == ["3", "4"]


def test_one_that_nobody_follows_is_told_again(triggers, serve, configured):
    """After a while: a run may have been lost or have failed."""
    configured(mlflow=serve(registered(3, 2)).url)
    assert len(listened(triggers, lambda found: len(found) == 3, again=0.05)) == 3


def test_mlflow_away_is_asked_on_quietly(triggers, serve, configured, caplog):
    """Failing, nonsense, nobody there: nothing is told, and once it is back a move is."""
    answers = iter([500, b"no JSON", {}, [], {"registered_model": 5}])
    configured(mlflow=serve(lambda path: next(answers, registered(3, 2))).url)
    assert len(listened(triggers, lambda found: len(found) == 1)) == 1
    configured(mlflow=f"http://127.0.0.1:{free_port()}")
    ends = time.monotonic() + 0.3
    assert listened(triggers, lambda found: time.monotonic() > ends) == []
    assert [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")] == []


def test_a_setting_that_is_wrong_does_not_end_the_watching(triggers, monkeypatch):
    """Nobody would start it again."""
    monkeypatch.setenv("GAVEL_WINDOW_DAYS", "many")
    ends = time.monotonic() + 0.2
    assert listened(triggers, lambda found: time.monotonic() > ends) == []


def test_noticed_within_five_seconds(triggers):
    """With the pauses as they are: a look, a second look, and the time that MLflow may take for both."""
    trigger = triggers.AliasTrigger()
    assert trigger.seconds + trigger.sure + 2 * 0.5 <= 5
    path, state = trigger.serialize()
    assert triggers.AliasTrigger(**state).serialize() == (path, state)


def test_the_triggerer_finds_them_by_their_bare_name():
    """In a process of its own, as Airflow starts it, with nothing of ours imported; and nothing heavy comes along."""
    code = (
        "import json, sys, airflow\n"
        "from airflow import settings\n"
        "settings.initialize()\n"
        "from airflow.sdk.module_loading import import_string\n"
        "from airflow.triggers.base import BaseEventTrigger, BaseTrigger\n"
        "found = [import_string(f'gavel_triggers.{name}') for name in ('BakeTrigger', 'AliasTrigger')]\n"
        "heavy = {'sklearn', 'mlflow', 'onnx', 'onnxruntime', 'boto3', 'matplotlib'}\n"
        "print(json.dumps([[each.__module__ for each in found], issubclass(found[1], BaseEventTrigger),"
        " sorted(heavy & set(sys.modules))]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=REPOSITORY,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [["gavel_triggers"] * 2, True, []]
