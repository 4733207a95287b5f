"""serving/source.py"""

import pytest

from pipeline.contract import bundle as bundles
from pipeline.contract.channel import channel_key, release_prefix
from serving.errors import ReleaseRefused, StoreUnavailable
from serving.source import Source
from serving.store import FileStore
from tests.serving import tiny


@pytest.fixture
def source(root):
    return Source(FileStore(root), tiny.MODEL, 1 << 20)


def test_no_channel_means_nothing_to_serve_yet(source):
    """A store without the model's channel is fine."""
    assert source.wanted() is None


def test_the_channel_names_what_ought_to_be_live(root, source):
    """The champion of the channel is read as written."""
    release = tiny.go(root, 3)
    assert source.wanted().champion == release
    assert bundles.read(source.files(release), release.digest).manifest.fingerprint == "v3"


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b'{"format": 99}', b"\xff"])
def test_a_channel_that_cannot_be_read_is_said(root, source, data):
    """Whatever stands in the document, the reader gets one kind of error with the key in it."""
    tiny.write(root / channel_key(tiny.MODEL), data)
    with pytest.raises(StoreUnavailable, match=r"channels/car_price\.json"):
        source.wanted()


def test_the_channel_of_another_model_is_not_followed(root):
    """A channel copied under a wrong name does not put the wrong model live."""
    tiny.go(root, 1)
    (root / channel_key("boats")).write_bytes((root / channel_key(tiny.MODEL)).read_bytes())
    with pytest.raises(StoreUnavailable, match="another model, 'car_price'"):
        Source(FileStore(root), "boats", 1).wanted()


@pytest.mark.parametrize("name", bundles.FILES)
def test_a_release_that_is_not_whole_is_looked_for_again(root, source, name):
    """A file that is not there (yet) is no refusal: the next look may find it."""
    release = tiny.go(root, 1)
    (root / release_prefix(tiny.MODEL, 1) / name).unlink()
    with pytest.raises(StoreUnavailable, match=name):
        source.files(release)


def test_a_model_above_the_cap_is_refused_unread(root):
    """The size is compared before any byte is read."""
    release = tiny.go(root, 1)
    with pytest.raises(ReleaseRefused, match=r"model\.onnx has \d+ bytes, 100 are allowed"):
        Source(FileStore(root), tiny.MODEL, 100).files(release)
