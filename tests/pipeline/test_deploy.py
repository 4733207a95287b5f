"""Deploy: every replica serves the release and answers its golden rows, or everything stays as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline import replicas
from pipeline.contract import channel as channels
from pipeline.contract.bundle import FILES, MANIFEST, Bundle
from pipeline.contract.channel import Release
from pipeline.contract.ledger import Actor
from pipeline.deploy import Deployed, deploy
from pipeline.errors import ChangeRefused, DeployFailed, ModelRefused, RegistryUnavailable
from pipeline.releases import change, read_channel, read_release, rollout
from pipeline.releases.champion import rollback
from pipeline.releases.history import verify
from pipeline.releases.ledger import read_entries
from pipeline.releases.publish import publish
from pipeline.releases.rollout import Target
from pipeline.releases.trial import canary, quarantine, release_quarantine
from pipeline.replicas import Replicas
from pipeline.store import KeyExists, Store, open_store
from tests.kill_points import killed_at
from tests.pipeline.fake_names import FakeNames
from tests.pipeline.fake_serving import FakeServing
from tests.pipeline.mlflow_server import free_port
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.tiny_model import DATASET, make_bundle, predictions, put

MODEL = DATASET.model_name
WHO = Actor("dag", "car_price_daily/manual", "http://airflow/run")
OLD, NEW = make_bundle(1.0, "2015-06-09"), make_bundle(1.01, "2015-06-10")


@pytest.fixture
def serve(store: Store) -> Iterator[Callable[..., FakeServing]]:
    made: list[FakeServing] = []

    def start(mood: str = "well", **options: Any) -> FakeServing:
        made.append(FakeServing(store, mood, **options))
        return made[-1]

    yield start
    for serving in made:
        serving.close()


@pytest.fixture
def registry() -> NotedRegistry:
    return NotedRegistry()


def put_live(
    store: Store, registry: NotedRegistry, bundle: Bundle, version: int, *serving: FakeServing, timeout: float = 5.0
) -> Deployed:
    ref = put(store, bundle, predictions(count=4)).bundle_ref
    urls = tuple(one.url for one in serving)
    return deploy(Target(store, registry, MODEL, urls, "secret", timeout), ref, version, WHO, "new")


def champion(store: Store) -> Release | None:
    return read_channel(store, MODEL).channel.champion


def test_a_release_goes_live_on_every_replica(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """The release is published, the channel names it, each replica has it, the alias is moved."""
    both = serve(), serve()
    done = put_live(store, registry, OLD, 1, *both)
    assert done == Deployed(True, 1, OLD.digest, 1, "version 1 is live on 2 of 2 replicas", tuple(s.url for s in both))
    assert [one.loads for one in both] == [[OLD.digest], [OLD.digest]]
    assert read_release(store, MODEL, 1).digest == OLD.digest
    assert champion(store) == Release(1, OLD.digest, "2015-06-09")
    assert registry.champion == 1


def test_a_push_is_authenticated(store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]) -> None:
    """It carries the token and nothing else."""
    serving = serve()
    put_live(store, registry, OLD, 1, serving)
    assert serving.tokens == ["Bearer secret"]


def test_a_replica_that_misses_the_push_is_waited_for(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """It looks at the channel by itself soon after."""
    assert put_live(store, registry, OLD, 1, serve("deaf")).live


def test_the_same_release_again_is_no_new_generation(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """A repeated task ends the same, and still asks the replicas."""
    serving = serve()
    first = put_live(store, registry, OLD, 1, serving)
    assert put_live(store, registry, OLD, 1, serving) == first
    serving.mood, serving.live = "stuck", None
    with pytest.raises(DeployFailed):
        put_live(store, registry, OLD, 1, serving, timeout=0.2)


def test_a_newer_release_takes_over(store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]) -> None:
    """The generation grows by one."""
    serving = serve()
    put_live(store, registry, OLD, 1, serving)
    assert put_live(store, registry, NEW, 2, serving).generation == 2
    assert registry.champion == 2


@pytest.mark.parametrize(("bundle", "version"), [(OLD, 3), (NEW, 1)])
def test_an_older_release_never_replaces_a_newer_one(
    store: Store, registry: NotedRegistry, bundle: Bundle, version: int
) -> None:
    """Neither an older data day nor an earlier version of the same day; it is no error but an answer."""
    newest = make_bundle(1.02, "2015-06-10")
    put_live(store, registry, newest, 2)
    done = put_live(store, registry, bundle, version)
    assert not done.live
    assert "does not replace version 2 (data day 2015-06-10), which is newer" in done.message
    assert champion(store) == Release(2, newest.digest, "2015-06-10")
    assert registry.champion == 2


def test_without_serving_addresses_nobody_is_asked(store: Store, registry: NotedRegistry) -> None:
    """The channel and the alias move, and the message says that this is all."""
    done = put_live(store, registry, OLD, 1)
    assert done.live
    assert "nobody was asked" in done.message
    assert registry.champion == 1


def test_a_refused_release_is_taken_back(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """The replica's own reason is in the error; channel and alias are where they were."""
    serving = serve("refuses")
    serving.good = OLD.digest
    put_live(store, registry, OLD, 1, serving)
    with pytest.raises(ModelRefused, match="golden row 3 differs; the channel is back at version 1"):
        put_live(store, registry, NEW, 2, serving)
    assert champion(store) == Release(1, OLD.digest, "2015-06-09")
    assert read_channel(store, MODEL).channel.generation == 3
    assert registry.champion == 1
    assert serving.live is not None
    assert serving.live.digest == OLD.digest


def test_one_replica_of_two_that_refuses_takes_both_back(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """The replica that had taken the release serves the earlier one again."""
    well, ill = serve(), serve("refuses")
    ill.good = OLD.digest
    put_live(store, registry, OLD, 1, well, ill)
    with pytest.raises(ModelRefused):
        put_live(store, registry, NEW, 2, well, ill)
    assert well.loads == [OLD.digest, NEW.digest, OLD.digest]


def test_a_first_release_that_is_refused_leaves_no_champion(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """Before it there was none."""
    with pytest.raises(ModelRefused, match="back at no release, as before"):
        put_live(store, registry, OLD, 1, serve("refuses"))
    assert champion(store) is None
    assert registry.champion is None


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("stuck", DeployFailed("does not serve version 2 in time: it serves version 1")),
        ("wrong", ModelRefused("answers high of golden row 0 with")),
        ("busy", DeployFailed("too busy to answer the golden rows")),
        ("garbled", ModelRefused("in JSON")),
    ],
)
def test_a_replica_that_does_not_get_there_leaves_all_as_it_was(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing], mood: str, error: Exception
) -> None:
    """Late, wrong, busy or out of its mind: the error says which, and whether trying again may help."""
    serving = serve()
    put_live(store, registry, OLD, 1, serving)
    serving.mood = mood
    with pytest.raises(type(error), match=str(error)):
        put_live(store, registry, NEW, 2, serving, timeout=0.5)
    assert champion(store) == Release(1, OLD.digest, "2015-06-09")
    assert registry.champion == 1


def test_a_replica_that_is_away_is_named(store: Store, registry: NotedRegistry) -> None:
    """Nobody listens at the address."""
    ref = put(store, OLD, predictions(count=4)).bundle_ref
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(DeployFailed, match=f"{url} does not serve version 1 in time: there is no answer"):
        deploy(Target(store, registry, MODEL, (url,), "", 0.3), ref, 1, WHO, "new")


def test_the_replicas_behind_a_name_are_counted(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One address in the settings, and what it stood for in the answer."""
    near = serve()
    far = serve(host="127.0.0.2", port=near.port)
    names = FakeNames(["127.0.0.1", "127.0.0.2"])
    monkeypatch.setattr(rollout, "Replicas", partial(replicas.Replicas, resolve=names))
    ref = put(store, OLD, predictions(count=4)).bundle_ref
    at = Target(store, registry, MODEL, (f"dns+http://serving:{near.port}",), "secret", 5.0)
    done = deploy(at, ref, 1, WHO, "new")
    assert (done.message, done.replicas) == ("version 1 is live on 2 of 2 replicas", (near.url, far.url))


def test_a_first_try_that_failed_can_succeed_later(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """The published release is found again."""
    serving = serve("stuck")
    with pytest.raises(DeployFailed):
        put_live(store, registry, OLD, 1, serving, timeout=0.2)
    serving.mood = "well"
    assert put_live(store, registry, OLD, 1, serving).generation == 3


def test_a_version_number_with_other_content_is_refused(store: Store, registry: NotedRegistry) -> None:
    """The release store of another MLflow database: releases are never overwritten."""
    put_live(store, registry, OLD, 1)
    with pytest.raises(ModelRefused, match="a store of its own for each"):
        put_live(store, registry, NEW, 1)
    assert read_release(store, MODEL, 1).digest == OLD.digest


def test_killed_between_channel_and_alias_the_next_run_sets_the_alias(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel had moved; the repetition makes no new generation."""
    serving = serve()
    with monkeypatch.context() as patched:
        patched.setattr(registry, "set_alias", _away)
        with pytest.raises(RegistryUnavailable):
            put_live(store, registry, OLD, 1, serving)
    assert (registry.champion, champion(store)) == (None, Release(1, OLD.digest, "2015-06-09"))
    done = put_live(store, registry, OLD, 1, serving)
    assert (done.generation, registry.champion) == (1, 1)


def _away(*arguments: Any) -> None:
    raise RegistryUnavailable("away")


class FiledRegistry(NotedRegistry):
    """Its alias outlives the process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def set_alias(self, model: str, number: int, alias: str = "champion") -> None:
        self.path.write_text(str(number))

    def alias(self, model: str, alias: str = "champion") -> int | None:
        return int(self.path.read_text() or 0) or None if self.path.exists() else None


def test_killed_anywhere_the_next_run_ends_the_same(tmp_path: Path) -> None:
    """SIGKILL at each touch of the file system in turn: the repetition ends with one new generation and the alias."""
    ref = put(open_store(f"file:{tmp_path}/work"), NEW, predictions(count=4)).bundle_ref
    for point in range(100):
        store, registry = open_store(f"file:{tmp_path}/{point}"), FiledRegistry(tmp_path / f"alias{point}")
        target = Target(store, registry, MODEL, (), "", 1.0)
        put_live(store, registry, OLD, 1)
        put(store, NEW, predictions(count=4))
        killed = killed_at(point, lambda target=target, ref=ref: deploy(target, ref, 2, WHO, "new"))
        done = put_live(store, registry, NEW, 2)
        assert (done.live, done.generation, registry.alias(MODEL)) == (True, 2, 2)
        assert read_release(store, MODEL, 2).digest == NEW.digest
        assert verify(store, MODEL) == []
        if not killed:
            break
    assert 10 < point < 99


def test_killed_after_the_channel_moved_a_refusal_still_goes_back(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """The run that knew what was live before is dead; the alias, which moves last, still names it."""
    serving = serve("refuses")
    serving.good = OLD.digest
    put_live(store, registry, OLD, 1, serving)
    store.publish(channels.release_prefix(MODEL, 2), NEW.files, last=MANIFEST)
    release, reason = Release(2, NEW.digest, "2015-06-10"), change.Reason(WHO, "deploy", "killed after this")
    change.change(store, MODEL, reason, lambda channel: channel.with_champion(release))
    with pytest.raises(ModelRefused, match="back at version 1"):
        put_live(store, registry, NEW, 2, serving)
    assert champion(store) == Release(1, OLD.digest, "2015-06-09")


def test_a_live_release_that_turns_bad_has_nothing_to_go_back_to(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """It is the champion by channel and alias: the error says that all stays."""
    serving = serve()
    put_live(store, registry, OLD, 1, serving)
    serving.mood = "wrong"
    with pytest.raises(ModelRefused, match="nothing to go back to"):
        put_live(store, registry, OLD, 1, serving)
    assert champion(store) == Release(1, OLD.digest, "2015-06-09")


def test_a_newer_deploy_meanwhile_wins(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]
) -> None:
    """While we wait for the replica another run moves the channel on: ours ends without an error and moves nothing."""
    serving = serve("stuck")
    third = make_bundle(1.02, "2015-06-11")

    def overtake() -> None:
        put_live(store, registry, third, 3)
        serving.mood = "well"
        serving.look()

    later = threading.Timer(0.4, overtake)
    later.start()
    done = put_live(store, registry, NEW, 2, serving)
    later.join()
    assert not done.live
    assert "does not replace version 3" in done.message
    assert registry.champion == 3


def test_an_alias_that_ran_ahead_is_taken_back(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ended just then found our release in the channel and gave it the alias; then it is refused."""
    serving, look = serve("refuses"), FakeServing.look
    serving.good = OLD.digest
    put_live(store, registry, OLD, 1, serving)

    def ahead(self: FakeServing) -> None:
        look(self)
        live = champion(store)
        registry.champion = live.version if live else None

    monkeypatch.setattr(FakeServing, "look", ahead)
    push = Replicas.push
    monkeypatch.setattr(Replicas, "push", lambda self: push(self) if registry.champion == 1 else None)
    with pytest.raises(ModelRefused, match="the channel is back at version 1"):
        put_live(store, registry, NEW, 2, serving)
    assert registry.champion == 1


def test_a_refusal_after_a_newer_deploy_takes_nothing_back(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel is not ours to put back any more."""
    serving, look = serve("refuses"), FakeServing.look
    serving.good = OLD.digest
    put_live(store, registry, OLD, 1, serving)
    third = make_bundle(1.02, "2015-06-11")

    def overtaken(self: FakeServing) -> None:
        look(self)
        put_live(store, registry, third, 3)

    monkeypatch.setattr(FakeServing, "look", overtaken)
    with pytest.raises(ModelRefused, match="changed by somebody else since and stays so"):
        put_live(store, registry, NEW, 2, serving)
    assert champion(store) == Release(3, third.digest, "2015-06-11")
    assert registry.champion == 3


def test_a_lost_race_for_the_channel_is_decided_again(
    store: Store, registry: NotedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else changed the channel between our look and our write."""
    create, calls = store.create, []

    def late(key: str, data: bytes) -> None:
        if key.startswith("ledger/"):
            calls.append(key)
        if len(calls) == 1:
            raise KeyExists(key)
        create(key, data)

    monkeypatch.setattr(store, "create", late)
    assert put_live(store, registry, OLD, 1).live
    assert len(calls) == 2


def test_a_channel_that_never_holds_still_is_given_up(
    store: Store, registry: NotedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for ever."""

    def late(*arguments: Any) -> None:
        raise KeyExists("entry")

    monkeypatch.setattr(store, "create", late)
    with pytest.raises(DeployFailed, match=f"{change.TRIES} times"):
        put_live(store, registry, OLD, 1)


def test_overlapping_deploys_end_with_the_newest(store: Store, registry: NotedRegistry) -> None:
    """Eight at once, in any order: the newest data day is live and no generation is lost."""
    bundles = [make_bundle(1.0, f"2015-06-{day:02d}") for day in range(1, 9)]
    refs = [put(store, bundle, predictions(count=4)).bundle_ref for bundle in bundles]
    target = Target(store, registry, MODEL, (), "", 5.0)
    threads = [
        threading.Thread(target=deploy, args=(target, ref, number, WHO, "new"))
        for number, ref in enumerate(refs, start=1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert champion(store) == Release(8, bundles[7].digest, "2015-06-08")


def test_who_and_why_are_on_record(store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing]) -> None:
    """Also what was taken back, with the replica's reason."""
    serving = serve("refuses")
    serving.good = OLD.digest
    put_live(store, registry, OLD, 1, serving)
    with pytest.raises(ModelRefused):
        put_live(store, registry, NEW, 2, serving)
    entries = [recorded.entry for recorded in read_entries(store, MODEL)]
    assert [(entry.action, entry.who, entry.why) for entry in entries[:2]] == [("deploy", WHO, "new")] * 2
    assert (entries[2].action, entries[2].after.champion) == ("undo", entries[0].after.champion)
    assert "golden row 3 differs" in entries[2].why
    assert verify(store, MODEL) == []


def test_a_quarantined_version_is_refused_with_the_reason(store: Store, registry: NotedRegistry) -> None:
    """And with what lets it go live again."""
    put_live(store, registry, OLD, 1)
    put_live(store, registry, NEW, 2)
    target = Target(store, registry, MODEL, (), "", 1.0)
    anna = Actor("person", "anna")
    newest = make_bundle(1.02, "2015-06-11")
    publish(store, MODEL, 3, newest)
    quarantine(target, 3, anna, "wrong scale")
    with pytest.raises(
        ChangeRefused, match=r"quarantined since .*, by anna \(person\): wrong scale; .*release-quarantine 3"
    ):
        put_live(store, registry, newest, 3)
    assert registry.champion == 2
    release_quarantine(target, 3, anna, "it was the source")
    assert put_live(store, registry, newest, 3).live


def test_a_challenger_that_is_deployed_is_on_trial_no_more(store: Store, registry: NotedRegistry) -> None:
    """It has become the champion; a refusal brings its trial back."""
    put_live(store, registry, OLD, 1)
    publish(store, MODEL, 2, NEW)
    canary(Target(store, registry, MODEL, (), "", 1.0), 2, 0.1, WHO, "new")
    assert put_live(store, registry, NEW, 2).live
    assert read_channel(store, MODEL).channel.roles() == (("champion", Release(2, NEW.digest, "2015-06-10")),)


def test_a_release_taken_back_while_we_wait_is_said(
    store: Store, registry: NotedRegistry, serve: Callable[..., FakeServing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person rolls back before the deploy has seen the release serve: no error, and not live."""
    put_live(store, registry, OLD, 1)
    target, anna = Target(store, registry, MODEL, (), "", 1.0), Actor("person", "anna")

    def taken_back(self: FakeServing) -> None:
        rollback(target, None, lambda release, golden: None, anna, "wrong scale")

    monkeypatch.setattr(FakeServing, "look", taken_back)
    done = put_live(store, registry, NEW, 2, serve(), timeout=0.2)
    assert not done.live
    assert "was taken back by somebody else; live is version 1" in done.message


def test_a_status_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program listens at the address."""

    class Answer:
        status_code = 200

        def json(self) -> Any:
            return ["not", "a", "status"]

    monkeypatch.setattr(requests, "get", lambda *arguments, **options: Answer())
    status, trouble = replicas._status("http://elsewhere", {})
    assert status is None
    assert "not the status" in trouble


def test_with_mlflow_the_alias_is_real(store: Store, mlflow_url: str, tmp_path: Path) -> None:
    """Register, then deploy: ``models:/car_price@champion`` is the version that the channel names."""
    from pipeline.register import RunContext, register
    from pipeline.registry import Registry

    registry = Registry(mlflow_url)
    folders = put(store, make_bundle(1.07, "2015-06-10"), predictions())
    context = RunContext("deploy/test", "", "", "2015-06-10", "manual", "", "")
    version = register(DATASET, store, registry, folders.bundle_ref, folders.trained_ref, context).version
    deploy(Target(store, registry, MODEL, (), "", 5.0), folders.bundle_ref, version, WHO, "new")
    assert registry.alias(MODEL) == version
    assert set(store.keys(channels.release_prefix(MODEL, version))) == {
        f"{channels.release_prefix(MODEL, version)}/{name}" for name in FILES
    }
