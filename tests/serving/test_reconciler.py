"""serving/reconciler.py"""

import errno
import gc
import shutil
import threading
import weakref
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.contract.channel import Release, channel_key
from serving import loader
from serving.errors import ReleaseRefused
from serving.last_good import LastGood
from serving.quarantine import FIRST_RETRY_SECONDS
from serving.reconciler import Reconciler
from serving.slot import Slot
from serving.source import Source
from serving.store import FileStore
from tests.serving import tiny


class World:
    """A reconciler with a hand on its clock and an eye on what it loads."""

    def __init__(self, root):
        self.root, self.slot, self.loads, self.now = root, Slot(), [], 0.0
        source = Source(FileStore(root), tiny.MODEL, 1 << 20)
        self.reconciler = Reconciler(source, self.load, self.slot, 60, lambda: self.now)

    def load(self, model, release, files):
        self.loads.append(release.version)
        loaded = loader.load(model, release, files)
        self.loaded(loaded.session)
        return loaded

    def loaded(self, session):
        pass

    def look(self):
        self.reconciler.poll_once()
        return self.reconciler.status()


@pytest.fixture
def world(root):
    return World(root)


def bad(version):
    return tiny.bundle(version, model=tiny.onnx_model(version + 1))


def test_an_empty_store_leaves_the_slot_empty_without_complaint(world):
    """No channel yet is not an error."""
    status = world.look()
    assert (status.ready, status.version, status.store_error) == (False, None, None)


def test_the_release_of_the_channel_goes_live(world):
    """One look is enough, and the status says what is live since when."""
    release = tiny.go(world.root, 1)
    status = world.look()
    assert (status.ready, status.version, status.digest, status.generation) == (True, 1, release.digest, 1)
    assert status.data_day == "2015-06-01"
    assert abs(datetime.now(UTC) - datetime.fromisoformat(status.since)) < timedelta(minutes=1)


def test_what_went_live_again_is_live_since_then(world):
    """Not since it was loaded first."""
    seen = []
    for version in (1, 2, 1):
        tiny.go(world.root, version)
        seen.append(world.look().since)
    assert seen == sorted(seen)


def test_what_is_live_is_not_loaded_again(world):
    """A look without change costs one small read."""
    tiny.go(world.root, 1)
    for _ in range(5):
        world.look()
    assert world.loads == [1]


def test_a_new_generation_of_the_same_release_is_followed_without_loading(world):
    """The generation tells a deploy that its change has arrived."""
    release = tiny.go(world.root, 1)
    world.look()
    tiny.point(world.root, release, 9)
    assert world.look().generation == 9
    assert world.loads == [1]


def test_a_rollback_is_a_change_like_any_other(world):
    """An older version named by the channel goes live."""
    first = tiny.go(world.root, 1)
    world.look()
    tiny.go(world.root, 2)
    assert world.look().version == 2
    tiny.point(world.root, first, 3)
    assert (world.look().version, world.look().generation) == (1, 3)


def test_only_the_last_of_many_changes_is_loaded(world):
    """Changes between two looks are skipped."""
    for version in range(1, 6):
        tiny.go(world.root, version)
    world.look()
    assert world.loads == [5]


def test_a_refused_release_leaves_the_old_one_answering(world):
    """The reason is in the status; the generation stays that of the channel last followed."""
    tiny.go(world.root, 1)
    world.look()
    release = tiny.go(world.root, 2, bad(2))
    status = world.look()
    assert (status.version, status.generation, status.ready) == (1, 1, True)
    assert (status.refusal.version, status.refusal.digest) == (2, release.digest)
    assert status.refusal.reason.startswith("golden row 0")


def test_a_refused_release_is_not_tried_at_every_look(world):
    """No storm: the same digest waits, then waits twice as long."""
    tiny.go(world.root, 2, bad(2))
    for _ in range(10):
        world.look()
    assert world.loads == [2]
    world.now += FIRST_RETRY_SECONDS
    for _ in range(10):
        world.look()
    assert world.loads == [2, 2]
    world.now += FIRST_RETRY_SECONDS
    world.look()
    assert world.loads == [2, 2]
    world.now += FIRST_RETRY_SECONDS
    world.look()
    assert world.loads == [2, 2, 2]


def test_a_refused_release_named_again_is_tried_at_once(world):
    """A new generation is somebody's new wish."""
    release = tiny.go(world.root, 2, bad(2))
    world.look()
    tiny.point(world.root, release, 3)
    world.look()
    assert world.loads == [2, 2]


def test_an_old_refusal_is_not_shown_while_the_release_is_tried_again(world):
    """Who deploys the same release once more waits for the new verdict."""
    release = tiny.go(world.root, 2, bad(2))
    world.look()
    seen = []
    world.reconciler._load = lambda *_: seen.append(world.reconciler.status().refusal) or world.load(*_)
    tiny.point(world.root, release, 3)
    assert world.look().refusal.version == 2
    assert seen == [None]


def test_the_refusal_is_remembered_until_another_release_goes_live(world):
    """After a rollback one still sees what was refused and why."""
    first = tiny.go(world.root, 1)
    world.look()
    tiny.go(world.root, 2, bad(2))
    world.look()
    tiny.point(world.root, first, 3)
    assert world.look().refusal.version == 2
    tiny.go(world.root, 4)
    assert world.look().refusal is None


def test_a_store_that_is_away_leaves_the_old_release_answering(world):
    """The status says why, and the store coming back heals it."""
    tiny.go(world.root, 1)
    world.look()
    away = world.root.with_name("away")
    world.root.rename(away)
    status = world.look()
    assert (status.version, status.ready) == (1, True)
    assert "does not exist" in status.store_error
    away.rename(world.root)
    tiny.go(world.root, 2)
    assert (world.look().version, world.look().store_error) == (2, None)


def test_a_channel_without_champion_or_gone_empties_nothing(world):
    """The last release is never unloaded without a better one."""
    tiny.go(world.root, 1)
    world.look()
    tiny.point(world.root, None, 2)
    assert (world.look().version, world.look().generation) == (1, 2)
    (world.root / channel_key(tiny.MODEL)).unlink()
    assert world.look().version == 1


def test_a_release_half_written_is_waited_for(world):
    """A channel that is ahead of its release is no refusal."""
    release = tiny.release_of(1, tiny.bundle(1))
    tiny.point(world.root, release, 1)
    status = world.look()
    assert (status.refusal, status.version) == (None, None)
    assert "manifest.json is not in the store" in status.store_error
    tiny.publish(world.root, 1)
    assert world.look().version == 1


def test_the_unexpected_is_survived(world, caplog):
    """A defect in a look costs that look only, and is logged."""
    tiny.go(world.root, 1)
    world.reconciler._load = lambda *_: 1 / 0
    assert world.look().store_error == "an unexpected error; the log has it"
    assert "ZeroDivisionError" in caplog.text
    world.reconciler._load = world.load
    assert world.look().version == 1


def test_the_way_back_to_the_previous_release_needs_no_load(world):
    """It is still in memory; the store is not even asked for its files, and the generation is followed."""
    first = tiny.go(world.root, 1)
    world.look()
    second = tiny.go(world.root, 2)
    world.look()
    shutil.rmtree(world.root / "releases")
    for generation, release in enumerate((first, second, first), 3):
        tiny.point(world.root, release, generation)
        status = world.look()
        assert (status.version, status.generation, status.store_error) == (release.version, generation, None)
    assert world.loads == [1, 2]


def test_at_most_two_releases_stay_in_memory(world):
    """The live one and the one before."""
    alive = weakref.WeakSet()
    world.loaded = alive.add
    for version in range(1, 6):
        tiny.go(world.root, version)
        world.look()
    gc.collect()
    assert len(alive) == 2


def test_memory_is_given_back_only_when_what_left_is_gone(world, monkeypatch):
    """A request that still holds a release keeps its memory; the next look after it has ended gives it back."""
    calls = []
    monkeypatch.setattr("serving.reconciler.release_memory", lambda: calls.append(world.loads[-1]))
    for version in (1, 2):
        tiny.go(world.root, version)
        world.look()
    taken = world.slot.previous
    tiny.go(world.root, 3)
    world.look()
    world.look()
    assert calls == [1, 2]
    assert taken.version == 1
    taken = None
    gc.collect()
    world.look()
    assert calls == [1, 2, 3]


def test_memory_is_given_back_after_each_load_and_only_then(world, monkeypatch):
    """Also after a refusal; a look without change costs nothing."""
    calls = []
    monkeypatch.setattr("serving.reconciler.release_memory", lambda: calls.append(world.loads[-1]))
    for made in (tiny.bundle(1), bad(2)):
        tiny.go(world.root, len(calls) + 1, made)
        world.look()
        world.look()
    assert calls == [1, 2]


def test_what_happens_is_logged_once(world, caplog):
    """Live, refused and unreadable are one line each, not one a look."""
    caplog.set_level("INFO")
    tiny.go(world.root, 1)
    world.look()
    tiny.go(world.root, 2, bad(2))
    world.look()
    world.look()
    world.root.rename(world.root.with_name("away"))
    world.look()
    world.look()
    assert [(r.levelname, r.fields["version"]) for r in caplog.records if hasattr(r, "fields")] == [
        ("INFO", 1),
        ("ERROR", 2),
    ]
    assert sum("does not exist" in r.message for r in caplog.records) == 1


@pytest.fixture
def running(world):
    thread = threading.Thread(target=world.reconciler.run)
    thread.start()
    yield world
    world.reconciler.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_a_hint_is_done_when_a_whole_look_has_passed(running):
    """With a minute between looks, a hint still makes a change live at once."""
    running.reconciler.hint().result(10)
    tiny.go(running.root, 1)
    running.reconciler.hint().result(10)
    assert running.slot.take().version == 1


def test_many_hints_share_their_looks(running):
    """A hundred hints at once load nothing a hundred times, and all are answered."""
    tiny.go(running.root, 1)
    for future in [running.reconciler.hint() for _ in range(100)]:
        future.result(10)
    assert running.loads == [1]


def test_a_hundred_hints_during_a_load_cost_one_more(running):
    """Of all that was wanted meanwhile only the last is loaded."""
    entered, go_on, load = threading.Event(), threading.Event(), running.load

    def slow(*arguments):
        entered.set()
        go_on.wait(10)
        return load(*arguments)

    running.reconciler._load = slow
    releases = [tiny.publish(running.root, version) for version in range(1, 12)]
    tiny.point(running.root, releases[0], 1)
    hints = [running.reconciler.hint()]
    entered.wait(10)
    for generation in range(2, 102):
        tiny.point(running.root, releases[generation % 10], generation)
        hints.append(running.reconciler.hint())
    tiny.point(running.root, releases[10], 102)
    hints.append(running.reconciler.hint())
    go_on.set()
    for hint in hints:
        hint.result(10)
    assert running.loads == [1, 11]


def test_a_hint_that_nobody_waits_for_any_more_harms_nothing(running):
    """A client may go away while its look is under way."""
    running.reconciler.hint().cancel()
    running.reconciler.hint().result(10)


def test_hints_that_come_too_late_are_cancelled(world):
    """Nobody waits for a reconciler that has stopped."""
    hint = world.reconciler.hint()
    world.reconciler.stop()
    world.reconciler.run()
    assert hint.cancelled()


def test_a_load_may_raise_any_refusal(world):
    """The loader is a function that is handed in; a stricter one can take its place."""

    def refuse(*_):
        raise ReleaseRefused("too slow")

    world.reconciler._load = refuse
    tiny.go(world.root, 1)
    assert world.look().refusal.reason == "too slow"


@pytest.fixture
def kept(world, tmp_path):
    """A world that keeps its last good release, which is release 1; ``restart`` begins with an empty slot."""
    last_good = LastGood(tmp_path / "state", tiny.MODEL)

    def restart():
        world.slot = Slot()
        source = Source(FileStore(world.root), tiny.MODEL, 1 << 20)
        world.reconciler = Reconciler(source, world.load, world.slot, 60, lambda: world.now, last_good)

    def look():
        world.reconciler.poll_once()
        world.reconciler.keep_last_good()
        return world.reconciler.status()

    world.restart, world.look, world.away = restart, look, world.root.with_name("away")
    restart()
    tiny.go(world.root, 1)
    assert look().version == 1
    return world


def test_a_start_while_the_store_is_away_serves_the_last_good_release(kept):
    """The status says that the store is away; when it is back the channel is followed as ever."""
    kept.root.rename(kept.away)
    kept.restart()
    status = kept.look()
    assert (status.ready, status.version, status.generation) == (True, 1, None)
    assert "does not exist" in status.store_error
    assert kept.look().version == 1
    kept.away.rename(kept.root)
    assert (kept.look().generation, kept.look().store_error) == (1, None)
    assert kept.loads == [1, 1]
    tiny.go(kept.root, 2)
    assert kept.look().version == 2


def test_the_last_good_release_is_the_one_that_answered_last(kept):
    """Also after a way back, which reads no files by itself."""
    tiny.go(kept.root, 2)
    assert kept.look().version == 2
    tiny.point(kept.root, Release(1, tiny.bundle(1).digest, "2015-06-01"), 3)
    assert kept.look().version == 1
    kept.root.rename(kept.away)
    kept.restart()
    assert kept.look().version == 1


def test_a_start_with_a_release_that_is_refused_serves_the_last_good_one(kept):
    """As the other replicas do, which were running when it was deployed; the refusal is shown."""
    tiny.go(kept.root, 2, bad(2))
    kept.restart()
    status = kept.look()
    assert (status.version, status.refusal.version) == (1, 2)


def test_a_refused_release_is_never_the_last_good_one(kept):
    """What is kept has answered."""
    tiny.go(kept.root, 2, bad(2))
    kept.look()
    kept.root.rename(kept.away)
    kept.restart()
    assert kept.look().version == 1


def test_a_last_good_release_that_was_damaged_is_ignored(kept, tmp_path, caplog):
    """It is verified like any other; there is a line in the log, and the store decides when it is back."""
    (path,) = (tmp_path / "state").rglob("*.zip")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    kept.root.rename(kept.away)
    kept.restart()
    for _ in range(3):
        assert not kept.look().ready
    assert sum("the last good release is ignored" in record.message for record in caplog.records) == 1
    kept.away.rename(kept.root)
    assert kept.look().version == 1


def test_a_disk_that_is_full_does_not_hurt(kept, monkeypatch, caplog):
    """The release is live; that it is not kept is a line in the log."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("serving.last_good.os.fsync", full)
    tiny.go(kept.root, 2)
    assert kept.look().version == 2
    assert "cannot be kept" in caplog.text
    assert "No space left on device" in caplog.text


def test_an_empty_store_is_no_reason_to_serve_the_last_good_release(kept):
    """A channel that is not there is somebody's will; only what cannot be read is a failure."""
    (kept.root / channel_key(tiny.MODEL)).unlink()
    kept.restart()
    assert not kept.look().ready
