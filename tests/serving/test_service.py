"""serving/service.py"""

import pytest

from serving.errors import SettingsInvalid
from serving.service import build
from serving.settings import Settings
from tests.serving import tiny


def test_the_parts_fit_together(root, settings):
    """A look of the reconciler fills the slot that the probe asks."""
    service = build(settings)
    tiny.go(root, 1)
    service.reconciler.poll_once()
    assert service.probe.check() is service.slot.live


def test_an_unknown_store_is_refused_before_anything_starts():
    """The scheme is looked at when the service is built."""
    with pytest.raises(SettingsInvalid, match="'ftp:'"):
        build(Settings(store="ftp://bucket"))
