"""serving/loader.py"""

import numpy as np
import pytest

from pipeline.contract.bundle import Golden
from pipeline.contract.channel import Release
from serving.errors import ReleaseRefused
from serving.loader import load
from tests.serving import hostile_models as hostile
from tests.serving import tiny


def refusal(made) -> str:
    with pytest.raises(ReleaseRefused) as caught:
        load(tiny.MODEL, tiny.release_of(1, made), made.files)
    return str(caught.value)


def test_a_good_release_is_loaded_and_has_answered(loaded):
    """What comes out knows its version, digest, day and schema."""
    assert (loaded.version, loaded.digest, loaded.data_day) == (1, tiny.bundle(1).digest, "2015-06-01")
    assert loaded.schema == tiny.SCHEMA


def test_a_loaded_release_holds_no_copy_of_the_file():
    """Two releases are in memory all the time; their files are not."""
    made = tiny.bundle(1)
    loaded = load(tiny.MODEL, tiny.release_of(1, made), made.files)
    assert not any(value is made.model for value in vars(loaded.session).values())


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "golden.json"])
def test_any_changed_byte_is_refused(name):
    """The digest in the channel stands for every byte of the bundle."""
    made = tiny.bundle(1)
    data = bytearray(made.files[name])
    data[len(data) // 2] ^= 1
    with pytest.raises(ReleaseRefused, match=f"{name} has SHA-256"):
        load(tiny.MODEL, tiny.release_of(1, made), {**made.files, name: bytes(data)})


def test_a_whole_bundle_that_the_channel_does_not_name_is_refused():
    """An untouched bundle of another release is still the wrong one."""
    with pytest.raises(ReleaseRefused, match=r"manifest\.json has SHA-256"):
        load(tiny.MODEL, Release(1, "0" * 64, "2015-06-01"), tiny.bundle(1).files)


def test_the_release_of_another_model_is_refused():
    """A bundle says whose it is."""
    assert refusal(tiny.bundle(1, model_name="boats")) == "the release is of the model 'boats', not 'car_price'"


@pytest.mark.parametrize("data", [b"", b"not onnx", b"<html></html>", b"\x80\x04N.", b"\x08\x0a"])
def test_bytes_that_are_no_model_are_refused(data):
    """With a right checksum the loader itself must cope."""
    assert refusal(tiny.bundle(1, model=data))


def test_a_model_cut_short_is_refused_at_every_length():
    """No truncated model with a right checksum is taken for a whole one."""
    whole = tiny.onnx_model(1)
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        assert refusal(tiny.bundle(1, model=whole[:length]))


def test_a_graph_that_is_not_allowed_is_refused_before_onnxruntime_sees_it(monkeypatch):
    """The checks on the bytes come first; the reason is theirs."""
    monkeypatch.setattr("serving.loader._session", lambda _: pytest.fail("onnxruntime saw it"))
    made = tiny.bundle(1, model=hostile.asks_for_14_gb())
    assert refusal(made) == "node 15 (extra) is a ConstantOfShape, which is not on the list of allowed operators"


def test_a_model_whose_weights_are_no_numbers_is_refused():
    """It has no finite answer to its golden rows."""
    assert "no finite answer" in refusal(tiny.bundle(1, model=hostile.with_constant("base", [[np.nan]])))


def test_a_reason_is_never_longer_than_a_page():
    """Names in a model may have any length; reasons go into logs and answers."""
    made = tiny.bundle(1, model=hostile.with_node("X" * 100_000))
    assert len(refusal(made)) == 500


@pytest.mark.parametrize(
    ("golden", "reason"),
    [
        (Golden((tiny.ROW,), (tiny.expected(2, tiny.ROW),)), "golden row 0: price is 25413, recorded was 26413"),
        (Golden((tiny.ROW,), ({"price": 25413.0},)), "KeyError"),
        (Golden(({"color": "red"},), (tiny.expected(1, tiny.ROW),)), "no such column"),
        (Golden((tiny.NO_PRICE,), (tiny.expected(1, tiny.NO_PRICE),)), "no finite answer"),
        (Golden(("text",), (tiny.expected(1, tiny.ROW),)), "cannot be loaded"),
    ],
)
def test_golden_rows_that_are_not_answered_as_recorded_are_refused(golden, reason):
    """The slot only ever holds something that has answered rightly."""
    assert reason in refusal(tiny.bundle(1, golden=golden))
