"""Bad releases of every kind, from the store through the trial to the status: the old release answers throughout."""

import dataclasses
import gzip
import json
import os
import random
import shutil

import numpy as np
import pytest
from onnx import TensorProto

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import FILES, GOLDEN, MANIFEST, MODEL, sha256
from pipeline.contract.channel import release_prefix
from pipeline.contract.schema import Schema
from serving.reconciler import Reconciler
from serving.slot import Slot
from serving.source import Source
from serving.store import FileStore
from serving.trial import start_trials
from serving.trial_process import Limits
from tests.serving import hostile_models as hostile
from tests.serving import tiny

SEED = 20_150_601
MOST_BYTES = 64 << 20
BASE = tiny.bundle(1)


@pytest.fixture(scope="module")
def trials():
    started = start_trials(Limits(cpu_seconds=2, wall_seconds=8))
    yield started
    started.close()


class Replica:
    """A slot with release 1 live, and a store to put the next release into."""

    def __init__(self, root, trials):
        self.root, self.slot, self.generation = root, Slot(), 1
        source = Source(FileStore(root), tiny.MODEL, MOST_BYTES)
        self.reconciler = Reconciler(source, trials.load, self.slot, 60)
        tiny.go(root, 1, BASE)
        self.reconciler.poll_once()
        assert self.slot.live.version == 1

    @property
    def folder(self):
        return self.root / release_prefix(tiny.MODEL, 2)

    def deploy(self, made, files=None):
        """Release 2 is ``made``, its files perhaps other ones; the status after a look."""
        release = tiny.publish(self.root, 2, made)
        for name, data in (files or {}).items():
            (self.folder / name).write_bytes(data)
        return self.point(release)

    def point(self, release):
        self.generation += 1
        tiny.point(self.root, release, self.generation)
        self.reconciler.poll_once()
        return self.reconciler.status()

    def still_answers(self):
        answers = self.slot.take().predict([tiny.ROW])
        return {name: values[0] for name, values in answers.items()} == tiny.expected(1, tiny.ROW)


@pytest.fixture
def replica(root, trials):
    return Replica(root, trials)


def assert_refused(replica, status) -> str:
    """The old release answers, and the status has a sentence that a person can use."""
    assert (status.version, status.ready, status.store_error) == (1, True, None)
    assert replica.still_answers()
    assert status.refusal.version == 2
    assert 10 < len(status.refusal.reason) <= 600
    assert json.loads(json.dumps(status.to_dict()))["refusal"]["reason"].isprintable()
    return status.refusal.reason


def refusal(replica, made, files=None) -> str:
    return assert_refused(replica, replica.deploy(made, files))


# --- files that are not those of the release


def test_a_file_cut_short_anywhere_is_refused(replica):
    """Fifty seeded places in each file's turn."""
    made, chance = tiny.bundle(2), random.Random(SEED)
    for i in range(50):
        name = FILES[i % 3]
        cut = made.files[name][: chance.randrange(len(made.files[name]))]
        assert f"{name} has SHA-256" in refusal(replica, made, {name: cut})


def test_five_hundred_flipped_bits_are_refused(replica):
    """One bit of one file each; not one is taken."""
    made, chance = tiny.bundle(2), random.Random(SEED)
    for i in range(500):
        name = FILES[i % 3]
        data = bytearray(made.files[name])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        status = replica.deploy(made, {name: bytes(data)})
        assert f"{name} has SHA-256" in status.refusal.reason
        assert status.version == 1
        shutil.rmtree(replica.folder)
    assert replica.still_answers()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "data",
    [b"", b"<!doctype html><title>502 Bad Gateway</title>", gzip.compress(BASE.model), b"\x80\x04N.", bytes(4096)],
    ids=["empty", "html", "gzip", "pickle", "zeros"],
)
def test_something_else_in_place_of_a_file_is_refused(replica, name, data):
    """What proxies, tools and broken disks leave behind."""
    assert f"{name} has SHA-256" in refusal(replica, tiny.bundle(2), {name: data})


@pytest.mark.parametrize("kind", ["directory", "fifo", "socketless link", "device"])
def test_something_that_is_no_file_is_not_read(replica, kind):
    """A look at it neither hangs nor loads; it is looked at again."""
    release = tiny.publish(replica.root, 2, tiny.bundle(2))
    path = replica.folder / MODEL
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    status = replica.point(release)
    assert (status.version, status.refusal) == (1, None)
    assert MODEL in status.store_error
    assert replica.still_answers()


def test_a_model_above_the_cap_is_refused_unread(replica):
    """Five sparse gigabytes cost nothing."""
    release = tiny.publish(replica.root, 2, tiny.bundle(2))
    os.truncate(replica.folder / MODEL, 5 << 30)
    reason = assert_refused(replica, replica.point(release))
    assert reason == f"model.onnx has {5 << 30} bytes, {MOST_BYTES} are allowed"


# --- with checksums that are right


HOSTILE = {
    "14 GB": (hostile.asks_for_14_gb(), "is a ConstantOfShape, which is not on the list"),
    "13 GB by addition": (hostile.grows_within_the_allowed_operators(), "the model needs more than 516 MB to answer: "),
    "endless loop": (hostile.endless_loop(), "is a Loop, which is not on the list"),
    "takes long": (hostile.takes_long(), "the model took more than 2 seconds of processor time"),
    "many nodes": (
        hostile.changed(lambda m: [m.graph.node.add(op_type="Identity") for _ in range(20_000)]),
        "at most 10000 are taken",
    ),
    "a million empty nodes": (tiny.onnx_model(1) + hostile.field(7, b"\x0a\x00" * 1_000_000), "at most 10000"),
    "deep nesting": (hostile.deeply_nested(), "which is not on the list"),
    "custom domain": (hostile.with_node("Gelu", domain="com.microsoft"), "whose opset the model does not name"),
    "renamed input": (tiny.onnx_model(2, renamed={"miles": "km"}), "input km is double in the model and missing"),
    "float inputs": (tiny.onnx_model(2, number=TensorProto.FLOAT), "input guide is float in the model"),
    "one row only": (tiny.onnx_model(2, batch=1), "must be [N, 1]"),
    "opset too new": (hostile.changed(lambda m: setattr(m.opset_import[0], "version", 29)), "opset 29"),
    "weights NaN": (hostile.with_constant("base", [[np.nan]]), "no finite answer"),
    "weights infinite": (hostile.with_constant("base", [[np.inf]]), "no finite answer"),
    "other prices": (tiny.onnx_model(3), "golden row 0: price is 27413, recorded was 25413"),
    "flat constant": (hostile.with_constant("base", [1.0, 2.0]), "cannot be loaded"),
    "cut in half": (tiny.onnx_model(2)[:600], "not an ONNX model"),
    "html": (b"<!doctype html><title>502</title>", "not an ONNX model"),
    "empty": (b"", "it has no graph"),
}
HOSTILE |= {f"outside: {name}": (model, "lies outside of the model file") for name, model in hostile.external_data()}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_with_a_right_checksum_is_refused(replica, name):
    """Whoever can write to the store cannot hurt the server by what a model is."""
    model, reason = HOSTILE[name]
    assert reason in refusal(replica, tiny.bundle(1, model=model))


def test_another_number_of_outputs_is_refused(replica):
    """One more in the manifest than in the model."""
    schema = Schema(tiny.COLUMNS, "USD", ("price", "low", "high", "median"))
    reason = "output median is missing in the model and double in the manifest"
    assert refusal(replica, tiny.bundle(2, schema=schema)) == reason


def test_the_files_of_another_model_are_refused(replica):
    """Copied under this model's name."""
    reason = "the release is of the model 'boats', not 'car_price'"
    assert refusal(replica, tiny.bundle(2, model_name="boats")) == reason


def test_an_older_release_under_a_newer_number_is_refused(replica):
    """The channel names the digest; another whole release in its folder is not it."""
    assert "manifest.json has SHA-256" in refusal(replica, tiny.bundle(2), dict(tiny.bundle(3).files))


def test_a_manifest_that_lists_a_path_reads_nothing_there(replica, tmp_path):
    """Only three names are ever read; what else a manifest lists is nothing to serving."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"not for you")
    made = tiny.bundle(2)
    document = json.loads(made.files[MANIFEST])
    document["sha256"] = {"../../secret": sha256(b"not for you"), GOLDEN: sha256(made.files[GOLDEN])}
    manifest = bundles.to_json(document)
    release = dataclasses.replace(tiny.release_of(2, made), digest=sha256(manifest))
    tiny.publish(replica.root, 2, made)
    (replica.folder / MANIFEST).write_bytes(manifest)
    assert "its manifest says None" in assert_refused(replica, replica.point(release))


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"null", b"{}", b'{"format": 1}', b"[" * 50_000, b"\xff\xfe", b'{"format": NaN}']
)
def test_a_manifest_that_is_none_is_refused(replica, manifest):
    """With the digest that the channel names."""
    made = tiny.bundle(2)
    release = dataclasses.replace(tiny.release_of(2, made), digest=sha256(manifest))
    tiny.publish(replica.root, 2, made)
    (replica.folder / MANIFEST).write_bytes(manifest)
    assert "manifest.json cannot be read" in assert_refused(replica, replica.point(release))


def test_three_hundred_mutated_models_kill_nobody(replica, trials):
    """With right checksums: what goes live answers its golden rows, everything else is refused with a reason."""
    live = 0
    for number, model in enumerate(hostile.mutations(tiny.onnx_model(2), 300, SEED), 2):
        made = tiny.bundle(2, model=model)
        status = replica.deploy(made)
        if status.digest == made.digest:
            live += 1
            found = replica.slot.take().predict(made.golden.rows)
            recorded = [answer["price"] for answer in made.golden.answers]
            assert found["price"].tolist() == pytest.approx(recorded, rel=1e-6), number
        else:
            assert status.refusal.digest == made.digest, status
        assert status.ready
    assert 0 < live < 100


def test_after_all_that_a_good_release_goes_live(replica):
    """The trial process is as good as new."""
    assert replica.deploy(tiny.bundle(2)).version == 2
