"""serving/store"""

import os

import pytest

from serving.errors import SettingsInvalid, StoreUnavailable
from serving.store import FileStore, ObjectMissing, ObjectTooLarge, open_store


def test_an_object_is_read_by_its_key(root):
    """The key is the path under the root."""
    (root / "a").mkdir()
    (root / "a" / "b").write_bytes(b"data")
    assert FileStore(root).read("a/b", 4) == b"data"


def test_a_larger_object_is_not_read(root):
    """One byte above the limit is refused with both numbers."""
    (root / "b").write_bytes(b"12345")
    with pytest.raises(ObjectTooLarge, match="b has 5 bytes, 4 are allowed"):
        FileStore(root).read("b", 4)


@pytest.mark.parametrize("key", ["none", "none/at/all", "file/below"])
def test_a_missing_object_is_not_a_broken_store(root, key):
    """Nothing under a key is an answer, also when a parent is a file."""
    (root / "file").write_bytes(b"")
    with pytest.raises(ObjectMissing):
        FileStore(root).read(key, 1)


def test_a_missing_root_is_a_store_that_cannot_be_read(root):
    """A store whose folder is away must not look like an empty one."""
    with pytest.raises(StoreUnavailable, match="does not exist"):
        FileStore(root / "away").read("any", 1)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_at_once(root, make):
    """A folder or a FIFO in the place of a file neither hangs nor crashes the reader."""
    make(root / "odd")
    with pytest.raises(StoreUnavailable, match="odd cannot be read"):
        FileStore(root).read("odd", 1)


@pytest.mark.parametrize("uri", ["file:{}", "file://{}"])
def test_a_file_uri_opens_its_folder(root, uri):
    """Both spellings of a file URI name the same folder."""
    assert open_store(uri.format(root)) == FileStore(root)


@pytest.mark.parametrize("uri", ["ftp://bucket/x", "file:", "", "/just/a/path", "s3", "S3://bucket"])
def test_an_unknown_scheme_is_one_clear_sentence(uri):
    """The message says which setting and what to write."""
    with pytest.raises(SettingsInvalid, match=r"SERVING_STORE: .* write file:PATH"):
        open_store(uri)
