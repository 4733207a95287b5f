"""serving/candidates.py and POST /v1/trial"""

import json
import os
import threading
from http.client import HTTPConnection

import pytest

from pipeline.contract import bundle as bundles
from pipeline.contract.channel import candidate_prefix
from serving import loader
from tests.serving import hostile_models as hostile
from tests.serving import tiny
from tests.serving.process import TOKEN, serving, wait_for

ADMIN = {"authorization": f"Bearer {TOKEN}"}


def body(version, digest, *, candidate=False):
    return {"version": version, "digest": digest, "candidate": candidate}


def propose(root, version, made):
    """Put a bundle where candidates lie."""
    for name in bundles.FILES:
        tiny.write(root / candidate_prefix(tiny.MODEL, version) / name, made.files[name])
    return made


def ask(client, document):
    return client.post("/v1/trial", json=document, headers=ADMIN)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    root = tmp_path_factory.mktemp("trial") / "store"
    tiny.go(root, 1)
    with serving(root, workers=2) as served:
        served.root = root
        wait_for(lambda: served.ask("GET", "/readyz").status == 200)
        yield served


def try_out(served, document):
    answer = served.ask("POST", "/v1/trial", document, ADMIN)
    assert answer.status == 200, answer.body
    assert served.ask("GET", "/v1/model").document["version"] == 1
    return answer.document


@pytest.mark.parametrize("candidate", [True, False])
def test_a_good_one_answers_its_golden_rows(served, candidate):
    """By name and to the last bit; it does not go live. A candidate is not looked for among the releases."""
    made = tiny.bundle(7 if candidate else 8)
    propose(served.root, 7, made) if candidate else tiny.publish(served.root, 8, made)
    found = try_out(served, body(7 if candidate else 8, made.digest, candidate=candidate))
    assert found == {"digest": made.digest, "answers": list(made.golden.answers), "problem": None}
    wrong = served.ask("POST", "/v1/trial", body(7 if candidate else 8, made.digest, candidate=not candidate), ADMIN)
    assert (wrong.status, wrong.document["code"]) == (404, "not_found")
    assert served.ask("GET", "/v1/model").document["refusal"] is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model": tiny.onnx_model(3)}, "golden row 0: price is"),
        ({"model": b"broken"}, "model.onnx is not an ONNX model"),
        ({"model": hostile.endless_loop()}, "node 15 (extra) is a Loop"),
        ({"model": hostile.grows_within_the_allowed_operators()}, "the model needs more than"),
        ({"model_name": "other"}, "the release is of the model 'other'"),
    ],
)
def test_a_bad_one_has_a_problem(served, change, problem):
    """The reason is the one for which it would be refused; there are no answers."""
    made = propose(served.root, 2, tiny.bundle(2, **change))
    found = try_out(served, body(2, made.digest, candidate=True))
    assert (found["digest"], found["answers"]) == (made.digest, [])
    assert found["problem"].startswith(problem)


def test_other_bytes_than_those_asked_for_are_a_problem(served):
    """Whoever asks knows what they mean."""
    propose(served.root, 3, tiny.bundle(3))
    found = try_out(served, body(3, "0" * 64, candidate=True))
    assert found["problem"].startswith("manifest.json has SHA-256")


def test_a_long_golden_file_comes_back_whole(served):
    """More answers than fit into one packet."""
    rows = tuple({"guide": 1_000.0 + i / 7} for i in range(20_000))
    golden = bundles.Golden(rows, tuple(tiny.expected(5, row) for row in rows))
    made = propose(served.root, 5, tiny.bundle(5, golden=golden))
    assert try_out(served, body(5, made.digest, candidate=True))["answers"] == list(golden.answers)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        {},
        {"version": 1, "digest": "d" * 64},
        {**body(1, "d" * 64), "path": "/etc"},
        body("1", "d" * 64),
        body(0, "d" * 64),
        body(1.5, "d" * 64),
        body(True, "d" * 64),
        body(1 << 60, "d" * 64),
        body(1, "D" * 64),
        body(1, "d" * 64 + "\n"),
        body(1, "../" * 21 + "d"),
        body(1, None),
        {**body(1, "d" * 64), "candidate": 1},
        b'{"version": 1, "version": 2, "digest": "' + b"d" * 64 + b'", "candidate": false}',
    ],
)
def test_a_body_that_is_none_is_refused(client, document):
    """400 with what it ought to be."""
    data = json.dumps(document).encode() if isinstance(document, dict) else document
    response = client.post("/v1/trial", content=data, headers=ADMIN)
    assert (response.status_code, response.json()["code"] in {"bad_request", "not_json"}) == (400, True)


def test_a_long_body_and_a_stranger_are_refused(client):
    """Before anything is read from the store."""
    assert client.post("/v1/trial", content=b" " * 2_000, headers=ADMIN).status_code == 413
    assert client.post("/v1/trial", json=body(1, "d" * 64)).status_code == 401


def test_what_is_not_in_the_store_is_404_and_a_store_that_is_away_503(root, client):
    """The one can be put there, the other is to be asked again."""
    missing = ask(client, body(9, "d" * 64))
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    root.rename(root.with_name("away"))
    away = ask(client, body(9, "d" * 64))
    assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, "unavailable", "5")


def test_one_is_tried_at_a_time_and_requests_are_answered_meanwhile(root, client, monkeypatch):
    """The second is told to come again; prices do not wait for any of them."""
    begun, go_on, made = threading.Event(), threading.Event(), propose(root, 4, tiny.bundle(4))
    candidates = client.app.state.service.candidates
    attempt = candidates.attempt

    def slow(*arguments):
        begun.set()
        assert go_on.wait(20)
        return attempt(*arguments)

    object.__setattr__(candidates, "attempt", slow)
    found = []
    thread = threading.Thread(target=lambda: found.append(ask(client, body(4, made.digest, candidate=True))))
    thread.start()
    assert begun.wait(20)
    second = ask(client, body(4, made.digest, candidate=True))
    assert (second.status_code, second.json()["code"]) == (503, "overloaded")
    assert client.post("/v1/predict", json={"rows": [tiny.ROW]}).status_code == 200
    go_on.set()
    thread.join(20)
    assert (found[0].status_code, found[0].json()["problem"]) == (200, None)
    assert ask(client, body(4, made.digest, candidate=True)).status_code == 200


def test_a_trial_that_takes_long_does_not_hold_up_the_champion(served):
    """A release goes live while another one is on trial in its own process."""
    slow = propose(served.root, 6, tiny.bundle(1, model=hostile.takes_long(150)))
    found = []
    document = body(6, slow.digest, candidate=True)
    patient = HTTPConnection("127.0.0.1", served.port, timeout=90)
    thread = threading.Thread(target=lambda: found.append(served.ask("POST", "/v1/trial", document, ADMIN, patient)))
    thread.start()
    release = tiny.publish(served.root, 12)
    tiny.point(served.root, release, 2)
    wait_for(lambda: served.push().document["digest"] == release.digest, 5)
    assert not found
    first = tiny.release_of(1, tiny.bundle(1))
    tiny.point(served.root, first, 3)
    wait_for(lambda: served.push().document["digest"] == first.digest, 5)
    thread.join(90)
    patient.close()
    assert found[0].status == 200


def test_a_release_without_seal_has_a_problem_where_seals_are_asked_for(root, settings):
    """As it would be refused when it is to go live; a candidate cannot have one yet."""
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from serving.candidates import read_asked
    from serving.service import build

    key = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    candidates = build(settings.model_copy(update={"release_key": key})).candidates
    made = propose(root, 1, tiny.bundle(1))
    tiny.publish(root, 1)
    release, candidate = (
        candidates.try_out(read_asked(json.dumps(body(1, made.digest, candidate=each)).encode()))
        for each in (False, True)
    )
    assert release.problem == "the release has no certificate.json: it has not been through the gate"
    assert (candidate.problem, list(candidate.answers)) == (None, list(made.golden.answers))


def test_a_child_that_breaks_off_in_its_answer_is_no_verdict(root, monkeypatch):
    """Half an answer is a crash."""
    from serving import trial_process
    from serving.errors import ReleaseRefused
    from serving.trial import start_trials

    whole = trial_process.Verdict.to_bytes
    monkeypatch.setattr(trial_process.Verdict, "to_bytes", lambda self: os._exit(3) if self.answers else whole(self))
    monkeypatch.setattr(loader, "attempt", lambda *_: [{"price": 1.0}])
    trials, made = start_trials(), tiny.bundle(1)
    try:
        with pytest.raises(ReleaseRefused, match="exit code 3"):
            trials.attempt(tiny.MODEL, tiny.release_of(1, made), made.files)
    finally:
        trials.close()
