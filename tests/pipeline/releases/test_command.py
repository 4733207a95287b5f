"""python -m pipeline.releases: what it prints, and with which code it ends."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.contract import bundle as bundles
from pipeline.contract.certificate import Certificate, Check
from pipeline.registry import Registry
from pipeline.releases.__main__ import main
from pipeline.releases.publish import publish
from pipeline.releases.rollout import Target
from pipeline.store import open_store
from tests.pipeline.releases.world import (
    BUNDLES,
    MODEL,
    actions,
    champion,
    channel_of,
    entries,
    published,
    put_live,
    target,
)  # fmt: skip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Versions 1 and 2 were live in turn, 3 is published; the settings name this store and no replica."""
    made = target(open_store(f"file:{tmp_path}/store"))
    put_live(made, 1)
    put_live(made, 2)
    published(made, 3)
    monkeypatch.setenv("GAVEL_STORE", made.store.uri)
    monkeypatch.setenv("GAVEL_SERVING_URLS", "[]")
    monkeypatch.setenv("GAVEL_MLFLOW_URI", "http://127.0.0.1:1")
    for name in ("set_alias", "alias"):  # the command opens a registry of its own
        noted = getattr(made.registry, name)
        monkeypatch.setattr(Registry, name, lambda self, *given, noted=noted: noted(*given))
    return made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def told(run: Run, *arguments: str) -> Any:
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_list(at: Target, run: Run) -> None:
    """A table of every release, and the same as JSON."""
    code, out, _ = run("list")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [line[:3] for line in lines[1:]] == [
        ["3", "2015-06-03", "never"], ["2", "2015-06-02", "champion"], ["1", "2015-06-01", "earlier"],
    ]  # fmt: skip
    document = told(run, "list")
    assert [(each["version"], each["state"]) for each in document] == [
        (3, "never live"),
        (2, "champion"),
        (1, "earlier"),
    ]
    assert document[1]["who"] == "car_price_daily/scheduled (dag)"


def test_a_rollback_is_on_record_under_the_name_of_who_typed_it(at: Target, run: Run) -> None:
    """With the reason that must be given."""
    document = told(run, "rollback", "--reason", "wrong scale")
    assert document["changed"]
    assert document["message"] == "version 1 is live again, version 2 is quarantined"
    assert (champion(at.store), channel_of(at.store).quarantined, at.registry.alias(MODEL)) == (1, (2,), 1)
    last = entries(at.store)[-1]
    assert (last.who.kind, last.who.name, last.why) == ("person", getpass.getuser(), "wrong scale")


def test_every_change_can_be_made(at: Target, run: Run) -> None:
    """Each ends with 0 and says what it did."""
    why = ("--reason", "because")
    for arguments, message in [
        (("shadow", "3"), "version 3 is shadow"),
        (("stop", "shadow"), "shadow ended"),
        (("canary", "3", "--share", "0.25"), "version 3 is challenger and answers 0.25 of the requests"),
        (("stop",), "challenger and shadow ended"),
        (("quarantine", "3"), "version 3 is quarantined"),
        (("release-quarantine", "3"), "version 3 may be live again"),
        (("promote", "3"), "version 3 is live"),
        (("rollback", "1"), "version 1 is live again, version 3 is quarantined"),
    ]:
        assert run(*arguments, *why) == (0, message + "\n", "")
    assert actions(at.store)[2:] == [
        "shadow", "stop", "canary", "stop", "quarantine", "release-quarantine", "promote", "rollback",
    ]  # fmt: skip


def test_show(at: Target, run: Run) -> None:
    """What it is made of, its certificate, and its changes."""
    check = Check("quality", "against the champion", 0.01, 0.05, True, "1 % better [than] the champion")
    certificate = Certificate(MODEL, 4, BUNDLES[4].digest, "2026-11-22T10:00:00+00:00", "enforce", (check,))
    bundle = bundles.signed(bundles.certified(BUNDLES[4], certificate.to_bytes()), b"signature")
    publish(at.store, MODEL, 4, bundle)
    document = told(run, "show", "4")
    assert document["certificate"]["checks"][0]["figure"] == 0.01
    assert document["manifest"]["data_day"] == "2015-06-04"
    assert document["changes"] == []
    code, out, _ = run("show", "4")
    assert code == 0
    assert "1 % better [than] the champion" in out
    assert "it never was live" in out
    code, out, _ = run("show", "2")
    assert "no certificate" in out
    assert "run 2" in out
    assert told(run, "show", "2")["certificate"] is None


def test_diff(at: Target, run: Run) -> None:
    """Only what differs."""
    names = {(each["part"], each["name"]) for each in told(run, "diff", "1", "2")}
    assert ("lineage", "data_day") in names
    code, out, _ = run("diff", "1", "2")
    assert code == 0
    assert "2015-06-02" in out
    assert run("diff", "2", "2")[1] == "versions 2 and 2 do not differ\n"


def test_verify(at: Target, run: Run) -> None:
    """0 when all is well; 1 with each problem on a line of its own."""
    assert run("verify") == (0, "the ledger of car_price is whole, and the channel is what it says\n", "")
    key = "ledger/car_price/0000000001.json"
    stored = at.store.read(key)
    at.store.replace(key, stored.data.replace(b"run 1", b"run 9"), stored.etag)
    code, out, _ = run("verify")
    assert code == 1
    assert out.startswith("ledger/car_price/0000000002.json: it does not follow")
    code, out, _ = run("verify", "--json")
    assert (code, json.loads(out)["whole"]) == (1, False)


def test_verify_repairs_a_channel_that_is_gone(at: Target, run: Run) -> None:
    """It is what the ledger says again."""
    (at.store.root / "channels/car_price.json").unlink()  # type: ignore[attr-defined]
    assert run("verify")[0] == 1
    assert run("verify", "--repair")[0] == 0
    assert champion(at.store) == 2


def test_live_at(at: Target, run: Run) -> None:
    """In any zone; without one UTC is assumed, and said to be."""
    first, second = entries(at.store)
    document = told(run, "live-at", first.at)
    assert (document["champion"]["version"], document["challenger"], document["shadow"]) == (1, None, None)
    assert document["entry"]["why"] == "run 1"
    naive = second.at.removesuffix("+00:00")
    assert told(run, "live-at", naive)["utc_assumed"]
    code, out, _ = run("live-at", naive)
    assert code == 0
    assert "no zone was given: UTC" in out
    assert "champion  2" in out
    code, out, _ = run("live-at", "2015-01-01")
    assert code == 0
    assert "champion, challenger and shadow: none" in out
    assert told(run, "live-at", "2015-01-01T00:00:00Z")["champion"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: COMMAND"),
        (("delete", "3"), "invalid choice: 'delete'"),
        (("show",), "required: V"),
        (("show", "three"), "'three' is not a version; write its number, as 7"),
        (("show", "0"), "is not a version"),
        (("show", "-1"), "'-1' is not a version"),
        (("show", "9" * 5000), "is not a version"),
        (("diff", "1"), "required: B"),
        (("promote", "3"), "required: --reason"),
        (("promote", "3", "--reason", " "), "it is empty; say why"),
        (("canary", "3", "--reason", "x"), "required: --share"),
        (("canary", "3", "--share", "0.6", "--reason", "x"), "not above 0 and at most 0.5; 0.1 is one request in ten"),
        (("canary", "3", "--share", "nan", "--reason", "x"), "not above 0"),
        (("canary", "3", "--share", "half", "--reason", "x"), "not above 0"),
        (("stop", "champion", "--reason", "x"), "invalid choice: 'champion'"),
        (("live-at", "yesterday"), "'yesterday' is not a time; write 2026-11-22T14:30+01:00"),
        (("live-at", "2999-01-01"), "is yet to come"),
        (("live-at", "0001-01-01T00:00+14:00"), ""),
    ],
)
def test_what_is_asked_wrongly_ends_with_2(at: Target, run: Run, arguments: tuple[str, ...], message: str) -> None:
    """And says what would be right; nothing is changed."""
    code, out, err = run(*arguments)
    if message:
        assert (code, out) == (2, "")
        assert message in err
    assert "Traceback" not in err
    assert actions(at.store) == ["deploy", "deploy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "9"), "ModelRefused: there is no whole release 9 of car_price"),
        (("diff", "1", "9"), "ModelRefused: there is no whole release 9 of car_price"),
        (("promote", "9", "--reason", "x"), "ModelRefused: there is no whole release 9"),
        (
            ("promote", "1", "--reason", "x"),
            "ChangeRefused: version 1 (data day 2015-06-01) is older than the champion",
        ),
        (("canary", "2", "--share", "0.1", "--reason", "x"), "ChangeRefused: version 2 is the champion"),
        (("quarantine", "2", "--reason", "x"), "ChangeRefused: version 2 is the champion: `rollback`"),
    ],
)
def test_what_is_refused_ends_with_1(at: Target, run: Run, arguments: tuple[str, ...], message: str) -> None:
    """In one line, with what to do."""
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_settings_that_cannot_be_used_end_with_2(at: Target, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's address is none, or a variable is misspelt."""
    monkeypatch.setenv("GAVEL_STORE", "elsewhere")
    assert run("list")[0] == 2
    monkeypatch.setenv("GAVEL_STORES", "x")
    code, _, err = run("list")
    assert code == 2
    assert "did you mean GAVEL_STORE?" in err


def test_questions_leave_no_trace(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is not there is empty, and is not made by looking."""
    monkeypatch.setenv("GAVEL_STORE", f"file:{tmp_path}/none")
    assert run("list") == (0, "there are no releases yet\n", "")
    assert run("verify")[0] == 0
    assert not (tmp_path / "none").exists()


def test_a_user_without_a_name_has_a_number(at: Target, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container."""

    def nameless() -> str:
        raise OSError("no such user")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert run("quarantine", "3", "--reason", "bad")[0] == 0
    assert entries(at.store)[-1].who.name.startswith("user ")


def test_as_a_program(at: Target) -> None:
    """python -m pipeline.releases, with a name of one's own."""
    command = [sys.executable, "-m", "pipeline.releases"]
    done = subprocess.run([*command, "list", "--json"], capture_output=True, text=True, check=True)
    assert [each["version"] for each in json.loads(done.stdout)] == [3, 2, 1]
    refused = subprocess.run([*command, "show", "9"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
